#ifndef TRACEE_TRACEE_H
#define TRACEE_TRACEE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/*
 * Processes seen from outside through ptrace(2). A `tracee` is one process (thread group) with all its
 * threads; a `tracer` is the set of tracees of one command: the kernel ties ptrace requests and wait
 * status to the thread that attached, so one tracer belongs to one thread, which makes every call here.
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
	int stop_signal;      /* of a group-stop */
	int wait_status;      /* last status seen by waitpid */
	int held_signal;      /* a signal whose delivery-stop we are in: delivered on continue/release */
	siginfo_t held_info;
};

struct tracee {
	struct tracer *tracer;
	pid_t pid;
	int procfd;           /* /proc/PID, O_PATH-like directory descriptor, O_CLOEXEC */
	int memfd;            /* /proc/PID/mem, O_RDWR; -1 until first used */
	struct tracee_thread *threads; /* [0] is the leader */
	size_t nr_threads;
	bool launched;        /* by us: dies with us (PTRACE_O_EXITKILL) */
	/* Private to tracee/. */
	size_t cap_threads;
	uint64_t syscall_insn; /* address of a `syscall` instruction, 0 until looked for */
};

struct tracer {
	struct tracee **tracees;
	size_t nr_tracees, cap_tracees;
};

struct tracer *tracer_create(void);
/* Releases every tracee: attached ones run on unchanged, launched ones that still live are killed. */
void tracer_destroy(struct tracer *tr);

/* ---- launching and attaching ------------------------------------------------------------------------ */

struct tracee_launch {
	char *const *argv;    /* searched in PATH as execvp(3) does */
	char *const *envp;    /* NULL: ours */
	/* Runs in the child before exec, async-signal-safe; nonzero return is an errno; may be NULL. */
	int (*prepare)(void *arg);
	void *arg;
};

/*
 * Start a program under our eyes: seized with EXITKILL and with automatic attachment to its threads
 * and children (TRACECLONE, FORK, VFORK, EXEC), stopped right after its exec. err->code is ENOENT or
 * EACCES where exec failed, so that snapctl can exit 127 or 126. One stop per thread, child and signal,
 * none per system call.
 */
int tracee_launch(struct tracer *tr, const struct tracee_launch *what, struct tracee **out,
		  struct err *err);

/*
 * Seize every thread of pid without stopping any (PTRACE_SEIZE). Repeats until two readings of the task
 * list agree, so threads that begin or end meanwhile are neither missed nor an error. Threads and
 * children made later are attached automatically.
 */
int tracee_seize(struct tracer *tr, pid_t pid, struct tracee **out, struct err *err);

/* A tracee of this tracer by pid or by the tid of a thread of it; NULL if there is none. */
struct tracee *tracer_find(struct tracer *tr, pid_t tid);

/*
 * Handle every event that is waiting, and wait up to timeout_ms for one (0: only what is there): new
 * threads and children are taken in and let go on, signals are delivered, group-stops listened to,
 * exec and exits noted. *exited (may be NULL) is set to the wait status of the first tracee
 * (tr->tracees[0]) when that has ended. Returns the number of events handled.
 */
int tracer_poll(struct tracer *tr, int timeout_ms, int *exited, struct err *err);

/*
 * Stop all threads of all tracees (PTRACE_INTERRUPT), down to the last one that is being created
 * (D7). After success every live thread is TRACEE_STOPPED or TRACEE_GROUP_STOPPED and stays so. On
 * failure everything runs on.
 */
int tracer_freeze(struct tracer *tr, struct err *err);

/* Let everything run on as it was (group-stops come back, held signals are delivered); still traced. */
int tracer_thaw(struct tracer *tr, struct err *err);

/* Detach, running on (or stopped, where it was in a group-stop). Frees t. */
void tracee_release(struct tracee *t);
/* Kill and reap it; frees t. */
void tracee_kill(struct tracee *t);

/* ---- one stopped thread -------------------------------------------------------------------------------- */

/* General registers with fs_base and gs_base. */
int thread_get_regs(pid_t tid, struct user_regs_struct *regs, struct err *err);
int thread_set_regs(pid_t tid, const struct user_regs_struct *regs, struct err *err);
/* NT_X86_XSTATE, whatever its size; *len is in: room, out: size. */
int thread_get_xstate(pid_t tid, void *data, size_t *len, struct err *err);
int thread_set_xstate(pid_t tid, const void *data, size_t len, struct err *err);
int thread_get_sigmask(pid_t tid, uint64_t *mask, struct err *err);
int thread_set_sigmask(pid_t tid, uint64_t mask, struct err *err);
/* Pending signals in queue order; shared: those of the process. malloc'ed array for the caller. */
int thread_get_pending(pid_t tid, bool shared, siginfo_t **infos, size_t *nr, struct err *err);
/* addr 0 where none is registered. */
struct thread_rseq {
	uint64_t addr;
	uint32_t len, sig, flags;
};
int thread_get_rseq(pid_t tid, struct thread_rseq *rseq, struct err *err);
int thread_get_robust_list(pid_t tid, uint64_t *head, uint64_t *len, struct err *err);
/* One instruction; the thread is stopped again afterwards. Signals that come up stay held. */
int tracee_step(struct tracee *t, struct tracee_thread *th, struct err *err);
/* The word at fs_base + offset: TLS. */
int tracee_read_tls(struct tracee *t, pid_t tid, int64_t offset, uint64_t *word, struct err *err);

/* ---- memory of a stopped or running tracee ---------------------------------------------------------------- */

/* Exactly len bytes or an error. Reads what the target may not read too (PROT_NONE). */
int tracee_read(struct tracee *t, uint64_t addr, void *data, size_t len, struct err *err);
/* Writes through protections into private mappings, as a debugger does. */
int tracee_write(struct tracee *t, uint64_t addr, const void *data, size_t len, struct err *err);

/* ---- remote system calls (D6) ------------------------------------------------------------------------------ */

/*
 * Run system call nr in a stopped thread, at a `syscall` instruction found in its own mappings. Registers,
 * signal mask and an interrupted system call of the thread are as before when this returns, on every
 * path; no signal is lost. *ret is the kernel's answer (-errno on failure of the call itself).
 */
int tracee_syscall(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
		   int64_t *ret, struct err *err);

/* Scratch memory in the target for results of remote calls: one page mapped by a remote mmap on first
 * use and unmapped by tracee_scratch_end. */
int tracee_scratch(struct tracee *t, uint64_t *addr, size_t *len, struct err *err);
int tracee_scratch_end(struct tracee *t, struct err *err);

/* A duplicate of the target's descriptor in our own table, O_CLOEXEC (pidfd_getfd(2)). */
int tracee_getfd(struct tracee *t, int num, int *fd, struct err *err);

#endif
