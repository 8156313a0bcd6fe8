#ifndef TRACEE_TRACEE_H
#define TRACEE_TRACEE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/*
 * Processes seen from outside through ptrace(2). A `tracee` is one process (thread group) with all
 * its threads; a `tracer` is the set of tracees of one command: the kernel ties ptrace requests and
 * wait status to the thread that attached, so one tracer belongs to one thread, which makes every
 * call here.
 *
 * Pids and tids in this header are those of our own pid namespace (host); tracee_vpid gives the
 * target's own view.
 */

struct err;
struct tracer;
struct tracee;

/* Where a thread of ours is. */
enum tracee_state {
	TRACEE_RUNNING,
	TRACEE_STOPPED,       /* in a ptrace-stop: registers and memory may be used */
	TRACEE_GROUP_STOPPED, /* the same, and it was in a group-stop: it must come back to it */
	TRACEE_EXITED,
};

struct tracee_thread {
	pid_t tid;
	enum tracee_state state;
	int stop_signal; /* of a group-stop */
	int wait_status; /* last status seen by waitpid */
	/*
	 * A signal that the kernel had already dequeued for this thread when it was frozen: no
	 * pending queue shows it (and nobody can tell whether it came from the thread's or the
	 * process's queue). It is delivered, with this siginfo and before all others, when the
	 * thread runs on. 0: none.
	 */
	int held_signal;
	siginfo_t held_info;
	/* Private to tracee/. */
	bool untraced;    /* a leader that had exited before we came: there is nothing to seize */
	bool interrupted; /* PTRACE_INTERRUPT sent, its stop not seen yet */
	bool held_displaced; /* the held signal is no longer in its own delivery-stop, see resume.c
			      */
};

struct tracee {
	struct tracer *tracer;
	pid_t pid;
	int procfd;                    /* /proc/PID, O_PATH-like directory descriptor, O_CLOEXEC */
	int memfd;                     /* /proc/PID/mem, O_RDWR; -1 until first used */
	struct tracee_thread *threads; /* [0] is the leader */
	size_t nr_threads;
	bool launched; /* by us: dies with us (PTRACE_O_EXITKILL) */
	bool ended;    /* all of it is gone; exit_status is its wait status */
	int exit_status;
	/* Private to tracee/. */
	bool owned;  /* asked for by the caller; else taken in as a child of one, freed when it ends
		      */
	bool frozen; /* stops are kept, not continued */
	int pidfd;   /* for pidfd_getfd; -1 until first used */
	size_t cap_threads;
	uint64_t syscall_insn; /* address of a `syscall` instruction, 0 until looked for */
	uint64_t scratch;      /* address of the scratch page, 0: none */
	void *scratch_was; /* malloc'ed: what it holds otherwise, where it was not mapped by us */
};

/*
 * What an observer is told while the tracees run. Only tell() looks at it; registers of the thread
 * are final nowhere but in TRACEE_SIGNAL.
 */
enum tracee_event {
	TRACEE_CALL,   /* it is about to execute a system call */
	TRACEE_EXEC,   /* it has a new program */
	TRACEE_SIGNAL, /* it is to get th->held_signal; tell() may clear that, and it gets none */
	TRACEE_END,    /* its process has ended, and nobody has forgotten it yet */
};

struct tracee_note {
	enum tracee_event event;
	struct tracee *t;
	struct tracee_thread *th;
	/* TRACEE_CALL: */
	int64_t nr; /* -1: not a call of x86-64 (int 0x80) */
	uint64_t args[6], pc, sp;
};

struct tracer_observer {
	/*
	 * True: all is to stop, this thread where it is (in TRACEE_CALL: right before the call,
	 * which it makes when it goes on), the others where they are met or when tracer_freeze,
	 * which has to follow, asks them; none of them makes a call of which it is told until then.
	 */
	bool (*tell)(void *arg, const struct tracee_note *note);
	void *arg;
	bool calls; /* tell of system calls: two stops for each */
	/* ... no: one, and only for those that a seccomp filter of the tree answers with
	 * SECCOMP_RET_TRACE. */
	bool sieved;
};

struct tracer {
	struct tracee **tracees;
	size_t nr_tracees, cap_tracees;
	/* Private to tracee/. */
	struct tracer_observer observer;
	pid_t tid;     /* the thread that all of this belongs to */
	bool sieved;   /* there is such a filter, whether or not somebody observes */
	bool freezing; /* children that appear now are to stay stopped */
	sigset_t old_mask;
	struct sigaction old_chld;
};

/*
 * Waiting for several tracees with a time limit is done with sigtimedwait(2) on SIGCHLD: it is
 * blocked in this thread (threads created later inherit that, as they should: one that has it
 * unblocked steals wake-ups and makes polls up to 50 ms late) and set to SIG_DFL from here until
 * tracer_destroy, which puts mask and action back. Other children of the caller are neither reaped
 * nor waited for.
 */
struct tracer *tracer_create(void);
/* Releases every tracee: attached ones run on unchanged, launched ones that still live are killed.
 * NULL is fine. */
void tracer_destroy(struct tracer *tr);

/* ---- launching and attaching -------------------------------------------- */

struct tracee_launch {
	char *const *argv; /* searched in PATH as execvp(3) does */
	char *const *envp; /* NULL: ours */
	/* Runs in the child before exec, async-signal-safe; nonzero return is an errno; may be
	 * NULL. */
	int (*prepare)(void *arg);
	void *arg;
};

/*
 * Start a program under our eyes: seized with EXITKILL and with automatic attachment to its threads
 * and children (TRACECLONE, FORK, VFORK, EXEC), stopped right after its exec. err->code is ENOENT
 * or EACCES where exec failed, so that snapctl can exit 127 or 126. One stop per thread, child and
 * signal, none per system call. It is frozen when this returns: tracer_thaw lets it run. It starts
 * with the signal mask and actions that the caller had before tracer_create.
 */
int tracee_launch(
	struct tracer *tr, const struct tracee_launch *what, struct tracee **out, struct err *err);

/*
 * Seize every thread of pid without stopping any (PTRACE_SEIZE). Repeats until two readings of the
 * task list agree, so threads that begin or end meanwhile are neither missed nor an error. Threads
 * and children made later are attached automatically.
 */
int tracee_seize(struct tracer *tr, pid_t pid, struct tracee **out, struct err *err);

/* A live tracee of this tracer by pid or by the tid of a thread of it; NULL if there is none. */
struct tracee *tracer_find(struct tracer *tr, pid_t tid);

/*
 * Handle every event that is waiting, and wait up to timeout_ms for one (0: only what is there):
 * new threads and children are taken in and let go on, signals are delivered, group-stops listened
 * to, exec and exits noted. *exited (may be NULL) is set to the wait status of the first tracee
 * (tr->tracees[0]) when that has ended, and left alone before: start with -1. Returns the number of
 * events handled. Pointers to threads and to children that were not asked for are good until the
 * next poll or freeze: they go away when they end.
 */
int tracer_poll(struct tracer *tr, int timeout_ms, int *exited, struct err *err);

/* Have o told what happens from now on (o is copied); NULL: nobody. Before tracer_thaw. */
void tracer_observe(struct tracer *tr, const struct tracer_observer *o);

/*
 * Stop all threads of all tracees (PTRACE_INTERRUPT), down to the last one that is being created
 * (D7). After success every live thread is TRACEE_STOPPED or TRACEE_GROUP_STOPPED and stays so;
 * only a leader that has exited before its threads is TRACEE_EXITED. On failure everything runs on:
 * -ESRCH where the first tracee has ended, -ETIMEDOUT where a thread could not be stopped for ten
 * seconds (disk wait, vfork of a child that neither execs nor exits).
 */
int tracer_freeze(struct tracer *tr, struct err *err);

/*
 * Let everything run on as it was (group-stops come back, held signals are delivered); still
 * traced. Interrupted system calls go on: those that the kernel restarts, and those (epoll_wait,
 * rt_sigtimedwait, ...) that would fail with an EINTR that no signal explains; see syscall_rewind.
 */
int tracer_thaw(struct tracer *tr, struct err *err);

/*
 * Detach, running on (or stopped, where it was in a group-stop). Frees t. A leader that exited
 * before its threads while we traced it cannot be detached: its parent gets its status when snapctl
 * has ended.
 */
void tracee_release(struct tracee *t);
/* Kill and reap it; frees t. */
void tracee_kill(struct tracee *t);

/* The target's own view of one of its threads (or of t->pid): the id in its innermost pid
 * namespace. */
int tracee_vpid(struct tracee *t, pid_t tid, pid_t *vpid, struct err *err);

/* ---- one stopped thread ------------------------------------------------- */

/* General registers with fs_base and gs_base. */
int thread_get_regs(pid_t tid, struct user_regs_struct *regs, struct err *err);
int thread_set_regs(pid_t tid, const struct user_regs_struct *regs, struct err *err);
/* NT_X86_XSTATE, whatever its size; *len is in: room, out: size. */
int thread_get_xstate(pid_t tid, void *data, size_t *len, struct err *err);
int thread_set_xstate(pid_t tid, const void *data, size_t len, struct err *err);
/* set_thread_area(2): entry 12 to 14. 1: in use, 0: not, or this kernel has none. */
struct thread_tls {
	uint32_t base_addr, limit, flags; /* as in struct user_desc */
};
int thread_get_tls(pid_t tid, uint32_t entry, struct thread_tls *out, struct err *err);
int thread_set_tls(pid_t tid, uint32_t entry, const struct thread_tls *tls, struct err *err);
/* ioperm(2). */
bool thread_has_ports(pid_t tid);
int thread_get_sigmask(pid_t tid, uint64_t *mask, struct err *err);
int thread_set_sigmask(pid_t tid, uint64_t mask, struct err *err);
/*
 * D8: where regs show a system call that a stop interrupted, make them execute the `syscall`
 * instruction again (rax and rip as before the call, orig_rax -1) and return true; else leave them
 * alone. Covers the kernel's -ERESTART codes and -EINTR of calls that never restart but had no
 * effect yet. The latter must not be used while a signal is held or pending that explains the
 * EINTR.
 */
bool syscall_rewind(struct user_regs_struct *regs);
/* Is it a call with a temporary signal mask? */
bool syscall_swaps_mask(struct tracee *t, const struct user_regs_struct *regs);
/* Does this call end with an EINTR that only the stop explains, and can it be made again? */
bool syscall_breaks(int64_t nr);
/*
 * A call made by int 0x80 has another number, which regs do not tell: where such a one shows the
 * EINTR of a stop, it becomes a code that says the same of any call; where it ended with EINTR for
 * another reason, regs do not show a system call any more.
 */
void syscall_settle_ia32(struct tracee *t, struct user_regs_struct *regs);
/* Pending signals in queue order; shared: those of the process. malloc'ed array for the caller. */
int thread_get_pending(pid_t tid, bool shared, siginfo_t **infos, size_t *nr, struct err *err);
/*
 * A seccomp filter of a thread, counted from the oldest; *there: false, and nothing is written,
 * behind the newest. insns is malloc'ed. Needs CAP_SYS_ADMIN, and no seccomp of our own: EACCES.
 */
struct sock_filter;
struct thread_filter {
	struct sock_filter *insns;
	size_t nr_insns;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_LOG */
};
int thread_get_seccomp(
	pid_t tid, size_t index, struct thread_filter *out, bool *there, struct err *err);
/* prctl(PR_SET_SYSCALL_USER_DISPATCH); mode 0: off, or unknown before Linux 6.4. */
struct thread_dispatch {
	uint64_t mode, selector, offset, len;
};
int thread_get_dispatch(pid_t tid, struct thread_dispatch *out, struct err *err);
int thread_set_dispatch(pid_t tid, const struct thread_dispatch *dispatch, struct err *err);
/* addr 0 where none is registered. */
struct thread_rseq {
	uint64_t addr;
	uint32_t len, sig, flags;
};
int thread_get_rseq(pid_t tid, struct thread_rseq *rseq, struct err *err);
int thread_get_robust_list(pid_t tid, uint64_t *head, uint64_t *len, struct err *err);
/*
 * One instruction; the thread is stopped again afterwards. Signals that come up stay pending. A
 * `syscall` instruction is refused (-ENOTSUP): it would see a changed signal mask.
 */
int tracee_step(struct tracee *t, struct tracee_thread *th, struct err *err);

/* ---- memory of a stopped or running tracee ------------------------------ */

/* Exactly len bytes or an error. Reads what the target may not read too (PROT_NONE). */
int tracee_read(struct tracee *t, uint64_t addr, void *data, size_t len, struct err *err);
/* Writes through protections into private mappings, as a debugger does. */
int tracee_write(struct tracee *t, uint64_t addr, const void *data, size_t len, struct err *err);

/* ---- remote system calls (D6) ------------------------------------------- */

/*
 * Run system call nr in a stopped thread, at a `syscall` instruction found in its own mappings.
 * Registers, signal mask and an interrupted system call of the thread are as before when this
 * returns, on every path; no signal is lost. *ret is the kernel's answer (-errno on failure of the
 * call itself). A call that can block blocks us. -ESRCH: the thread was killed meanwhile. Seccomp
 * filters of the target are suspended where we may (CAP_SYS_ADMIN), else they judge the call as if
 * the target had made it. While a call runs, the thread's registers are not its own: if snapctl
 * itself is killed then, the target goes astray.
 */
int tracee_syscall(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	int64_t *ret, struct err *err);
/* Several at once, which is much cheaper than one by one: ret of each is the kernel's answer. On an
 * error of ours some may have been made. */
struct tracee_call {
	long nr;
	uint64_t args[6];
	int64_t ret;
};
int tracee_syscalls(struct tracee *t, struct tracee_thread *th, struct tracee_call *calls,
	size_t nr, struct err *err);

/* Scratch memory in the target for results of remote calls: one page mapped by a remote mmap on
 * first use and unmapped by tracee_scratch_end; or, where there is no room for one, an unused page
 * of a stack. */
int tracee_scratch(struct tracee *t, uint64_t *addr, size_t *len, struct err *err);
int tracee_scratch_end(struct tracee *t, struct err *err);

/* A duplicate of the target's descriptor in our own table, O_CLOEXEC (pidfd_getfd(2)). */
int thread_getfd(pid_t tid, int num, int *fd, struct err *err); /* from the thread's own table */
int tracee_getfd(struct tracee *t, int num, int *fd, struct err *err);

#endif
