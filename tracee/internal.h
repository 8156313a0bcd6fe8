#ifndef TRACEE_INTERNAL_H
#define TRACEE_INTERNAL_H

#include "tracee/tracee.h"

#include <time.h>

/* What the files of tracee/ share with each other and with nobody else. */

/* What a wait status says about a seized thread (ptrace(2), "Stopped states"). */
enum stop_kind {
	STOP_ENDED,  /* exited or killed */
	STOP_TRAP,   /* PTRACE_EVENT_STOP: our PTRACE_INTERRUPT, the birth of a thread, the end of a
			group-stop */
	STOP_GROUP,  /* PTRACE_EVENT_STOP of a group-stop */
	STOP_SIGNAL, /* signal-delivery-stop */
	STOP_SYSCALL, /* syscall-enter-stop or syscall-exit-stop */
	STOP_SECCOMP, /* PTRACE_EVENT_SECCOMP: behind a syscall-enter-stop, where there is one */
	STOP_CHILD,   /* PTRACE_EVENT_CLONE, _FORK, _VFORK */
	STOP_EXEC,
	STOP_EXIT, /* PTRACE_EVENT_EXIT: it is about to end, unless SIGKILL ends it */
};

/* ---- tracer.c: records -------------------------------------------------- */

/* Requests for threads that were killed meanwhile fail with ESRCH; their end is reported by wait.
 */
long ptrace_tid(int request, pid_t tid, uint64_t addr, uint64_t data);
unsigned tracee_options(const struct tracee *t);

int tracee_create(struct tracer *tr, pid_t pid, struct tracee **out, struct err *err);
/* Forget it: closes descriptors, takes it out of the tracer. Changes nothing in the process. */
void tracee_destroy(struct tracee *t);
struct tracee_thread *tracee_add_thread(struct tracee *t, pid_t tid);
struct tracee_thread *tracee_thread_of(struct tracee *t, pid_t tid); /* not exited; NULL if none */
/* One that can run system calls and whose /proc/PID/task/TID still has an mm; NULL if none. */
struct tracee_thread *tracee_live_thread(struct tracee *t);
/* /proc/PID/task/TID/NAME of a live thread: the files of /proc/PID itself are empty when the leader
 * has exited. */
int tracee_open_live(struct tracee *t, const char *name, int flags, int *fd, struct err *err);
void tracee_note_exit(struct tracee *t, struct tracee_thread *th, int status);
/* It is not ours any more, and there will be no status. */
void tracee_note_lost(struct tracee *t, struct tracee_thread *th);
/* The old address space is gone, and so are all threads but the one that is the leader now. */
void tracee_note_exec(struct tracee *t);
/* Drop what has ended. */
void tracer_sweep(struct tracer *tr);

/* ---- observe.c ---------------------------------------------------------- */

/* How a thread goes on that nobody wants to stop: PTRACE_CONT, or PTRACE_SYSCALL. */
int tracee_request(const struct tracee *t);
/* Tell the observer. True: the thread is to stay, and all tracees are frozen as far as that goes.
 */
bool tracee_tell(struct tracee *t, struct tracee_thread *th, enum tracee_event event);
/* A syscall-stop: tell of an entry, and step back from the call if the thread is to stay. */
void tracee_tell_call(struct tracee *t, struct tracee_thread *th);

/* ---- event.c ------------------------------------------------------------ */

struct timespec clock_after_ms(int ms);          /* CLOCK_MONOTONIC */
int clock_ms_until(const struct timespec *when); /* 0 when it has passed */
/* Until SIGCHLD comes, at most 50 ms and not beyond the deadline. */
void tracer_sleep(const struct timespec *deadline);
/* Handle what is there; returns the number of events. */
int tracer_drain(struct tracer *tr, struct err *err);
/* tid is traced by us and not known yet: find out whose thread it is. False: not ours. */
bool tracer_adopt(struct tracer *tr, pid_t tid);
/* Is it traced by us, and of which process is it? */
bool tracer_owns(struct tracer *tr, pid_t tid, pid_t *tgid);
/* Threads that vanished without an exit status, by an exec of a thread that was not ours. */
void tracer_note_lost(struct tracer *tr);
/* Blocks until the thread stops or ends, and writes that down in th. */
int thread_wait(struct tracee *t, struct tracee_thread *th, enum stop_kind *kind, struct err *err);

/* ---- leave.c ------------------------------------------------------------ */

/*
 * Of a thread in a STOP_EXIT: lets its process end by itself, and waits until it has. *status is
 * then what its parent will be told. False: it goes on to be ours, as one of several threads or as
 * a child of this process.
 */
bool thread_leave(const struct tracee *t, const struct tracee_thread *th, int *status);

/* ---- seize.c ------------------------------------------------------------ */

/* One reading of the task list: seize what is not ours yet; returns how many that were. */
int tracee_seize_new(struct tracee *t, struct err *err);
/* As seen in /proc: nothing of the process lives. */
bool tracee_is_gone(const struct tracee *t);
/* As seen in /proc: a thread that has exited but cannot be reaped while others of its process live.
 */
bool thread_is_zombie(const struct tracee *t, pid_t tid);

/* ---- regs.c ------------------------------------------------------------- */

/* ---- resume.c ----------------------------------------------------------- */

/* Let a stopped thread go on as it was. */
void thread_resume(struct tracee *t, struct tracee_thread *th);
/* Afterwards it is TRACEE_EXITED for us, or TRACEE_RUNNING where it is about to end and be reaped.
 */
void thread_detach(struct tracee *t, struct tracee_thread *th);

/* ---- remote.c ----------------------------------------------------------- */

int thread_must_be_stopped(const struct tracee_thread *th, struct err *err);

/* SIGSTOP cannot be blocked: those that got in are kept out, and sent again to where they waited.
 */
struct sigstops {
	bool own, shared; /* the thread's queue, its process's */
};

void sigstops_add(struct sigstops *s, const struct tracee_thread *th);
void sigstops_send(
	const struct sigstops *s, const struct tracee *t, const struct tracee_thread *th);

/*
 * What a thread is to get back when it has run something that is not its own. begin blocks every
 * signal except those in `open`; end takes the thread back into a PTRACE_EVENT_STOP, the one kind
 * of stop from which an interrupted system call goes on properly, with the old mask and these
 * registers.
 */
struct borrowed {
	struct user_regs_struct regs;
	uint64_t mask;
	uint64_t rseq_addr, rseq_cs;
	struct sigstops sigstops;
};

int borrow_begin(struct tracee *t, struct tracee_thread *th, uint64_t open, struct borrowed *b,
	struct err *err);
int borrow_end(
	struct tracee *t, struct tracee_thread *th, const struct borrowed *b, struct err *err);
/* A stop that is none of ours, while it is borrowed: note what it tells. */
int borrow_other_stop(struct tracee *t, struct tracee_thread *th, enum stop_kind kind,
	struct borrowed *b, struct err *err);

#endif
