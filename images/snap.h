#ifndef IMAGES_SNAP_H
#define IMAGES_SNAP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/*
 * The model: what a stopped process tree is made of, in plain C. dump/ fills it from a live tree,
 * images/ writes and reads it, restore/ makes processes of it. Everything in it lives in
 * snap->arena. What the reader hands out has been checked (sizes, alignment, overlaps, every id
 * refers to something), so nobody behind it asks again.
 *
 * Tables refer to each other by index ("id"); ID_NONE says there is none. Addresses are those of
 * the target and are never dereferenced here. Times are in nanoseconds unless said otherwise.
 */

#define ID_NONE UINT32_MAX

struct arena;
struct fd_kind;
struct xstate_part;

/* ---- files: anything that has a path and was mapped, opened, run or stood in ----------------- */

/* A file as it was at the dump; restore compares before it maps or opens (DESIGN D13). */
/* An extended attribute, xattr(7). */
struct snap_attribute {
	char *name; /* "user.x" */
	uint8_t *value;
	size_t len;
};

/* Does it travel? Those of users and access control lists; never a capability or a label. */
bool snap_attribute_travels(const char *name);

struct snap_file {
	char *path;   /* absolute, as the target saw it; without " (deleted)" */
	uint64_t dev; /* st_dev */
	uint64_t ino;
	uint32_t mode; /* st_mode with the type */
	uint64_t size;
	struct timespec mtime;
	uint8_t build_id[20]; /* of ELF files; nr_build_id is 0 where there is none */
	uint32_t nr_build_id;
	bool deleted; /* no name at the dump: made anew from memory object mem, then unlinked */
	uint32_t mem; /* contents travel as this memory object, or ID_NONE */
	uint32_t uid, gid;
	/* flock(2) held through mappings alone, whose descriptor was closed: LOCK_SH, _EX; 0 */
	uint32_t mapped_flock;
	/* A deleted file that still has another name (a hard link): how to find it,
	 * name_to_handle_at(2). */
	uint8_t *handle;
	uint32_t nr_handle; /* bytes; 0: none */
	int32_t handle_type;
	struct snap_attribute *attributes; /* of a file whose contents travel */
	size_t nr_attributes;
};

/* ---- memory ---------------------------------------------------------------------------------- */

/*
 * A memory object: something that has pages of its own. The private pages of an address space are
 * one (index = virtual address), each shared anonymous mapping, memfd, SysV segment or travelling
 * file is one (index = offset from its start). Pages are stored per object, see images/pages.h.
 */
enum snap_mem_kind {
	MEM_PRIVATE,     /* of an address space: anonymous pages and private copies of file pages */
	MEM_SHARED_ANON, /* MAP_SHARED|MAP_ANONYMOUS, maps show "/dev/zero (deleted)" */
	MEM_MEMFD,
	MEM_SYSV,
	MEM_FILE, /* contents of a travelling regular file (deleted, or on tmpfs) */
	/* MAP_SHARED|MAP_ANONYMOUS|MAP_HUGETLB, whose size is in memfd_flags; "/anon_hugepage" */
	MEM_SHARED_HUGE,
};

struct snap_mem {
	enum snap_mem_kind kind;
	uint64_t size;        /* bytes; 0 for MEM_PRIVATE */
	char *name;           /* memfd: name without "memfd:" and " (deleted)"; else NULL */
	uint32_t memfd_flags; /* MFD_...: hugetlb, noexec_seal; from what can be seen */
	uint32_t seals;       /* memfd: F_GET_SEALS */
	uint32_t mode;        /* memfd, SysV: permission bits; SysV: SHM_DEST, SHM_LOCKED */
	uint32_t uid, gid;    /* owner, where it is known; ID_NONE: whoever restores */
	int32_t sysv_id, sysv_key;
};

/* linux/prctl.h, Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED. */
enum { THP_EXCEPT_ADVISED = 1 << 1 };

enum snap_vma_kind {
	VMA_ANON,   /* private anonymous: heap, stack, mmap */
	VMA_FILE,   /* file, private or shared by flags */
	VMA_SHARED, /* piece of a memory object: shared anonymous, memfd, SysV */
	VMA_VDSO,
	VMA_VVAR,     /* [vvar] and [vvar_vclock]: the kernel's own, moved together with the vdso */
	VMA_VSYSCALL, /* part of every address space, nothing to do */
	VMA_FD,       /* mapping of an open descriptor that has no contents of its own */
	VMA_AIO,      /* ring of asynchronous I/O (io_setup(2)): images/aio.h */
};

struct snap_vma {
	uint64_t start, end; /* page aligned */
	enum snap_vma_kind kind;
	uint32_t prot;    /* PROT_... */
	uint32_t flags;   /* MAP_PRIVATE or MAP_SHARED, MAP_GROWSDOWN, MAP_NORESERVE, MAP_LOCKED,
			     MAP_HUGETLB, MAP_STACK: what mmap(2) is to be given */
	uint64_t vmflags; /* bits of enum snap_vmflag: the VmFlags line, for madvise and friends */
	uint64_t offset;  /* bytes, into file or memory object */
	uint32_t file;    /* VMA_FILE: snap_file; else ID_NONE */
	uint32_t mem;     /* VMA_SHARED: snap_mem; else ID_NONE */
	uint32_t ofd;     /* VMA_FD: the open file description that is mapped */
	bool file_writable; /* shared file: was mapped through a descriptor open for writing */
	/* VMA_AIO: what is in the ring; none: it is the one of the process it was forked from. */
	uint8_t *ring;
	size_t nr_ring;
	char *name; /* [anon:NAME] given by PR_SET_VMA_ANON_NAME, or NULL */
	uint32_t pkey;
	uint32_t mempolicy; /* mbind(2): MPOL_... with mode flags; 0: none of its own */
	uint8_t *mempolicy_nodes;
	size_t nr_mempolicy_nodes; /* bytes */
};

/* The two letters of VmFlags in smaps that we have to make again. */
enum snap_vmflag {
	VMF_MAYREAD = 1 << 0,       /* mr */
	VMF_MAYWRITE = 1 << 1,      /* mw */
	VMF_MAYEXEC = 1 << 2,       /* me */
	VMF_GROWSDOWN = 1 << 3,     /* gd */
	VMF_LOCKED = 1 << 4,        /* lo */
	VMF_SEQ_READ = 1 << 5,      /* sr: MADV_SEQUENTIAL */
	VMF_RAND_READ = 1 << 6,     /* rr: MADV_RANDOM */
	VMF_DONTCOPY = 1 << 7,      /* dc: MADV_DONTFORK */
	VMF_ACCOUNT = 1 << 8,       /* ac: counts against the commit limit */
	VMF_NORESERVE = 1 << 9,     /* nr */
	VMF_HUGETLB = 1 << 10,      /* ht */
	VMF_WIPEONFORK = 1 << 11,   /* wf */
	VMF_DONTDUMP = 1 << 12,     /* dd */
	VMF_HUGEPAGE = 1 << 13,     /* hg */
	VMF_NOHUGEPAGE = 1 << 14,   /* nh */
	VMF_MERGEABLE = 1 << 15,    /* mg */
	VMF_LOCKONFAULT = 1 << 16,  /* lf: with lo; mlock2(MLOCK_ONFAULT) */
	VMF_IO = 1 << 17,           /* io, pf, de: device memory; refused */
	VMF_UFFD = 1 << 18,         /* um, uw, ui: userfaultfd registered; refused */
	VMF_SEALED = 1 << 19,       /* sl: mseal */
	VMF_SHADOW_STACK = 1 << 20, /* ss; refused */
	VMF_DROPPABLE = 1 << 21,    /* dp: MAP_DROPPABLE (vgetrandom state) */
	VMF_MAYSHARE = 1 << 22,     /* ms */
	VMF_SHARED = 1 << 23,       /* sh */
};

struct snap_range {
	uint64_t start, end;
};

/* An address space. Field names are those of struct prctl_mm_map (PR_SET_MM_MAP). */
struct snap_mm {
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t *auxv;        /* pairs, AT_NULL included */
	size_t nr_auxv;        /* number of 64-bit words */
	uint32_t exe;          /* snap_file */
	uint32_t mem;          /* snap_mem of kind MEM_PRIVATE */
	struct snap_vma *vmas; /* sorted, not overlapping */
	size_t nr_vmas;
	struct snap_range *guards; /* MADV_GUARD_INSTALL, sorted, inside private anonymous vmas */
	size_t nr_guards;
	uint32_t thp_disabled; /* PR_GET_THP_DISABLE: 1, with THP_EXCEPT_ADVISED; 0: they are not */
	uint32_t coredump_filter;
	uint32_t mlockall; /* MCL_FUTURE|MCL_ONFAULT as far as they can be seen; 0 else */
	/* Pages are stored as those of a relative from which it was not forked; restore looks for
	 * such sharing only where this is set. */
	bool pages_aside;
};

/* ---- tasks ----------------------------------------------------------------------------------- */

/* As the kernel has it in struct user_regs_struct; fs_base and gs_base are part of it. */
struct snap_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

struct snap_siginfo {
	uint8_t raw[128]; /* siginfo_t as rt_sigqueueinfo(2) takes it */
};

struct snap_rseq {
	uint64_t addr; /* 0: not registered */
	uint32_t len, sig, flags;
};

struct snap_sched {
	uint32_t policy, priority; /* SCHED_...; with SCHED_RESET_ON_FORK in flags */
	int32_t nice;
	uint64_t flags, runtime, deadline, period, util_min, util_max; /* struct sched_attr */
	uint32_t ioprio;    /* ioprio_get(2); 0 when never set */
	uint8_t *affinity;  /* cpu bits as sched_getaffinity(2) fills them */
	size_t nr_affinity; /* bytes; 0: all CPUs allowed, nothing to do */
};

/* Credentials are per thread in the kernel. Capability sets are bit masks, cap N is bit N. */
struct snap_creds {
	uint32_t ruid, euid, suid, fsuid, rgid, egid, sgid, fsgid;
	uint32_t *groups;
	size_t nr_groups;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	uint32_t securebits;
	bool no_new_privs;
};

/* A seccomp filter and the one that was there before it; both are in force. */
struct snap_seccomp {
	uint32_t before;   /* index of snap->seccomp plus 1, smaller than its own; 0: none */
	uint32_t flags;    /* SECCOMP_FILTER_FLAG_LOG */
	uint8_t *program;  /* struct sock_filter */
	size_t nr_program; /* bytes */
};

/* prctl(PR_SET_SYSCALL_USER_DISPATCH); mode 0: off. */
struct snap_dispatch {
	uint64_t mode, offset, len, selector;
};

/* set_thread_area(2), struct user_desc; the entries of a thread are SNAP_TLS_MIN and behind. */
struct snap_tls {
	uint32_t entry, base_addr, limit, flags; /* entry 0: not in use */
};

enum { SNAP_NR_TLS = 3, SNAP_TLS_MIN = 12 };

/* include/linux/errno.h of Linux: a handler ends the call unless it has SA_RESTART, or always. */
enum { SNAP_RESTART_SYS = 512, SNAP_RESTART_NOHAND = 514 };

/* One thread. */
struct snap_task {
	bool exited;   /* a leader that has ended before other threads: a zombie until they end */
	int32_t tid;   /* as the target sees it */
	char comm[16]; /* may hold any bytes, NUL-terminated */
	struct snap_regs regs; /* already rewound where a system call was interrupted (D8) */
	uint8_t *xstate;       /* NT_X86_XSTATE as ptrace gives it */
	size_t nr_xstate;
	uint64_t sigmask; /* bit N-1 is signal N; for sigsuspend & co: the mask to come back to */
	struct snap_siginfo *pending; /* private queue, in order */
	size_t nr_pending;
	uint64_t altstack_sp, altstack_size;
	uint32_t
		altstack_flags; /* SS_DISABLE, SS_AUTODISARM; SS_ONSTACK is derived by the kernel */
	struct snap_rseq rseq;
	uint64_t robust_list, robust_len; /* 0 where none */
	uint64_t clear_tid;               /* set_tid_address(2): 0 where none */
	struct snap_sched sched;
	struct snap_creds creds;
	uint64_t timerslack; /* ns */
	uint32_t personality;
	int32_t pdeath_signal;
	int64_t waiting_nr; /* system call it waited in, -1: was computing; for show and messages */
	char *waiting_in;   /* "epoll_wait", "futex", "computing" */
	uint32_t restart; /* SNAP_RESTART_*: at the instruction of a call that signals end; or 0 */
	uint64_t wait_left; /* of the relative timeout of that call; 0: all of it, or unknown */
	uint32_t seccomp;   /* newest filter, an index of snap->seccomp plus 1; 0: none */
	bool seccomp_strict;
	struct snap_dispatch dispatch;
	struct snap_tls tls[SNAP_NR_TLS];
	bool cpuid_faults;  /* ARCH_SET_CPUID with 0 */
	int32_t tsc_mode;   /* PR_GET_TSC */
	uint32_t mce_kill;  /* PR_MCE_KILL_GET plus 3 (its answers may be negative); 0: unknown */
	uint32_t mempolicy; /* MPOL_... as get_mempolicy(2) gives it, with mode flags */
	uint8_t *mempolicy_nodes;
	size_t nr_mempolicy_nodes; /* bytes */
};

struct snap_sigaction {
	uint64_t handler, flags, restorer, mask; /* struct kernel_sigaction */
};

enum { SNAP_NSIG = 64, SNAP_NR_RLIMITS = 16 };

struct snap_rlimit {
	uint64_t cur, max; /* UINT64_MAX: unlimited */
};

/* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF: microsecond values in ns, 0: not armed. */
struct snap_itimer {
	uint64_t value, interval;
};

struct snap_posix_timer {
	int32_t id;
	int32_t clock;     /* clockid_t; of the process or a thread: see clock_tid */
	int32_t clock_tid; /* clock ids that embed a thread id: that tid, else 0 */
	int32_t notify;    /* SIGEV_... */
	int32_t signo;
	int32_t notify_tid; /* SIGEV_THREAD_ID, else 0 */
	uint64_t sigval;
	uint64_t value, interval; /* remaining; 0: not armed */
};

enum snap_stop { PROC_RUNNING, PROC_STOPPED /* group-stop: comes back stopped */ };

/* System V semaphores and message queues: svipc(7). */
struct snap_ipc {
	int32_t id, key;
	uint32_t mode, uid, gid;
};

struct snap_ipc_setting {
	const char *name, *value; /* ipc_settings.h */
};

struct snap_sem_set {
	struct snap_ipc owner;
	uint16_t *values;
	size_t nr_values;
};

struct snap_message {
	int64_t type;
	uint8_t *data;
	size_t len;
};

struct snap_queue {
	struct snap_ipc owner;
	uint64_t max_len; /* msg_qbytes */
	struct snap_message *messages;
	size_t nr_messages;
};

/* What the end of a process adds to a semaphore: semop(2), SEM_UNDO. */
struct snap_sem_undo {
	uint32_t set, num; /* index of snap->sem_sets, and which semaphore of it */
	int32_t adjust;    /* not 0 */
};

/* One slot of a descriptor table. */
struct snap_fd {
	uint32_t num;
	uint32_t ofd; /* snap_ofd */
	bool cloexec;
};

/* What a thread has unshared (unshare(2)): a descriptor table, or working directory and umask. */
struct snap_thread_files {
	int32_t tid;         /* never the leader's */
	int32_t with;        /* the thread before it that has the same table, and lists it; or 0 */
	struct snap_fd *fds; /* sorted by num */
	size_t nr_fds;
};

struct snap_thread_fs {
	int32_t tid;
	int32_t with;       /* as above */
	uint32_t cwd, root; /* snap_file; root is ID_NONE where it is that of the process */
	uint32_t umask;
};

struct snap_proc {
	int32_t pid, ppid, pgid, sid; /* as the target sees them */
	/* Index of the parent's snap_proc; ID_NONE for the root of the tree and for orphans, which
	 * somebody outside has adopted. */
	uint32_t parent;
	int32_t exit_signal; /* what the parent gets at its end: SIGCHLD, mostly */
	/* With its parent, or a sibling before it: clone(2) with CLONE_FILES, CLONE_FS,
	 * CLONE_SIGHAND. CLONE_VM shows by the same mm. */
	bool shares_files, shares_fs, shares_sighand;
	uint32_t shares_with; /* that sibling's index; ID_NONE: the parent */
	uint32_t mm;
	struct snap_task *tasks; /* tasks[0] is the leader */
	size_t nr_tasks;
	struct snap_fd *fds; /* sorted by num */
	size_t nr_fds;
	struct snap_thread_files *thread_files;
	size_t nr_thread_files;
	struct snap_thread_fs *thread_fs;
	size_t nr_thread_fs;
	struct snap_sigaction actions[SNAP_NSIG]; /* [N-1] is signal N */
	struct snap_siginfo *pending;             /* shared queue */
	size_t nr_pending;
	struct snap_itimer itimers[3];
	struct snap_posix_timer *timers;
	size_t nr_timers;
	struct snap_rlimit rlimits[SNAP_NR_RLIMITS];
	uint32_t umask;
	uint32_t cwd, root; /* snap_file; root is ID_NONE where it is the caller's */
	int32_t oom_score_adj;
	uint32_t personality;
	uint32_t dumpable; /* PR_GET_DUMPABLE: 0, 1 (2 cannot be set) */
	bool child_subreaper;
	enum snap_stop stop;
	int32_t stop_signal;
	bool stop_told; /* its parent has waited for that stop */
	bool continued; /* after a stop, for which its parent has not waited (WCONTINUED) */
	/* Where the ids came from, for D10: the launcher's or its own. */
	bool session_inherited; /* sid is the launcher's: take the caller's at restore */
	bool group_inherited;   /* pgid likewise */
	uint32_t mdwe;          /* PR_GET_MDWE */
	bool memory_merge;      /* PR_GET_MEMORY_MERGE: all of its memory may be merged (KSM) */
	bool amx;               /* ARCH_REQ_XCOMP_PERM: it has asked for tile data */
	bool timer_ids_chosen;  /* PR_TIMER_CREATE_RESTORE_IDS is on */
	uint32_t futex_slots;   /* PR_FUTEX_HASH plus 1; 0: what the kernel makes of it */
	uint32_t membarrier;    /* MEMBARRIER_CMD_REGISTER_... in force */
	struct snap_sem_undo *undos; /* SEM_UNDO */
	size_t nr_undos;
	int32_t autogroup_nice; /* leader of a session: nice of its group of processes, sched(7) */
	uint32_t tty; /* controlling terminal, its device number as in stat; 0: none. pty_ctty.h */
	bool foreground; /* its group is the foreground group of that terminal */
	/* Where a restore leaves word for a program that has checked in, lib/protocol.h; 0:
	 * nowhere.
	 */
	uint64_t area;
};

/* A process that has ended and was not waited for. */
enum { UID_NONE = UINT32_MAX };

struct snap_zombie {
	int32_t pid, pgid, sid;
	uint32_t parent;     /* index of the snap_proc that may wait for it */
	int32_t exit_signal; /* as in snap_proc */
	int32_t wait_status; /* as wait(2) will give it */
	uint32_t uid;        /* real, as waitid(2) gives it; UID_NONE: an older image */
	uint32_t elder;      /* how many living children of its parent were born before it */
	char comm[16];
};

/* ---- open file descriptions ------------------------------------------------------------------ */

/*
 * What dup(2) shares. Common state is here; what a kind knows beyond it hangs in priv, whose type
 * only the file images/fd/KIND.c knows.
 */
struct snap_lock {
	enum { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK, LOCK_LEASE } kind;
	int32_t type;        /* F_RDLCK, F_WRLCK */
	uint64_t start, len; /* len 0: to the end of the file; flock: both 0 */
	uint32_t proc;       /* LOCK_POSIX, LOCK_LEASE: owner */
};

struct snap_ofd {
	uint32_t id;                /* its index */
	const struct fd_kind *kind; /* may be NULL where inherited */
	void *priv;                 /* NULL where inherited */
	uint32_t flags;  /* F_GETFL: O_ACCMODE, O_APPEND, O_NONBLOCK, O_DIRECT, O_PATH ... */
	uint64_t offset; /* file position where the kind has one */
	/* F_SETOWN, F_SETSIG: owner_type is F_OWNER_TID, _PID, _PGRP; owner 0: none. */
	int32_t owner_type, owner, signal;
	struct snap_lock *locks;
	size_t nr_locks;
	/* Of pipes and sockets without a name, as stat(2) shows them; mode 0: as they are made. */
	uint32_t mode, uid, gid;
	/*
	 * Came from the launcher (D10): bound to descriptor `inherited` of the caller at restore,
	 * or to what --inherit/--external names; -1: ours, made anew.
	 */
	int32_t inherited;
	char *label; /* for show and messages: "pipe:[123]", "/var/log/x", "tcp 0.0.0.0:80" */
};

/* ---- the whole ------------------------------------------------------------------------------- */

struct snap_cpu {
	char *vendor, *model;
	char **features; /* flags of /proc/cpuinfo */
	size_t nr_features;
	uint64_t xcr0; /* enabled xstate components */
	uint32_t xstate_size;
	struct xstate_part *xstate_parts; /* where they are, by number; none in older images */
	size_t nr_xstate_parts;
};

struct snap_vdso {
	uint64_t start; /* address of [vdso] in the target */
	uint8_t *code;  /* its bytes at the dump: compared with the running kernel's (D14) */
	size_t nr_code;
};

struct snap_info {
	char *snapctl_version;
	char *kernel_release;
	char *hostname;
	uint64_t created;   /* CLOCK_REALTIME, ns */
	uint64_t monotonic; /* CLOCK_MONOTONIC at the freeze, ns */
	uint64_t boottime;  /* CLOCK_BOOTTIME at the freeze, ns */
	char **argv;        /* what was launched; of --pid: the cmdline */
	size_t nr_argv;
	bool launched; /* by snapctl dump PROGRAM, else --pid */
	char *reason; /* what made it stop, in words: "quiescent: 5 threads: epoll_wait, 4 futex" */
	char *listens;  /* "127.0.0.1:7777, /run/x.sock", or NULL */
	uint32_t uid;   /* who dumped */
	uint8_t id[16]; /* random, names this image */
};

/* The caller's terminal: attributes of struct termios2 without its speeds, and its size. */
struct snap_terminal {
	bool known;
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t cc[19];
	uint16_t rows, cols;
};

struct snap {
	struct arena *arena;
	struct snap_info info;
	struct snap_cpu cpu;
	struct snap_vdso vdso;
	struct snap_proc *procs; /* parents before children; [0] is the root */
	size_t nr_procs, cap_procs;
	struct snap_zombie *zombies;
	size_t nr_zombies, cap_zombies;
	struct snap_mm *mms;
	size_t nr_mms, cap_mms;
	struct snap_file *files;
	size_t nr_files, cap_files;
	struct snap_mem *mems;
	size_t nr_mems, cap_mems;
	struct snap_ofd *ofds;
	size_t nr_ofds, cap_ofds;
	struct snap_seccomp *seccomp;
	size_t nr_seccomp, cap_seccomp;
	struct snap_terminal terminal;
	bool ipc_own;                          /* the tree had an IPC namespace of its own */
	struct snap_ipc_setting *ipc_settings; /* of that */
	size_t nr_ipc_settings, cap_ipc_settings;
	struct snap_sem_set *sem_sets;
	size_t nr_sem_sets, cap_sem_sets;
	struct snap_queue *queues;
	size_t nr_queues, cap_queues;
};

struct snap *snap_create(void);
void snap_destroy(struct snap *s); /* NULL is fine */

/* Append a zeroed entry (ids set to ID_NONE) and return it; its id is the old count. Entries move
 * when the table grows: keep ids, not pointers. */
struct snap_file *snap_add_file(struct snap *s);
struct snap_mem *snap_add_mem(struct snap *s, enum snap_mem_kind kind);
struct snap_mm *snap_add_mm(struct snap *s);
struct snap_proc *snap_add_proc(struct snap *s);
struct snap_zombie *snap_add_zombie(struct snap *s);
struct snap_ofd *snap_add_ofd(struct snap *s);

#endif
