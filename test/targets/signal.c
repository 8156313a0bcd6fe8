/* Signals: what is pending, what is blocked, what happens on arrival, and handlers that are in
 * progress. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* struct kernel_sigaction: glibc hides the restorer and refuses its own two signals. */
struct raw_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static void raw_sigaction(int sig, const struct raw_action *set, struct raw_action *old)
{
	must(syscall(SYS_rt_sigaction, sig, set, old, 8));
}

static sigset_t set_of(const int *sigs, int nr)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < nr; i++)
		sigaddset(&set, sigs[i]);
	return set;
}

static int gate[2];

static void gate_wait(void)
{
	char byte;

	thread_arrived();
	must(read(gate[0], &byte, 1));
}

/* ---- pending
 * ------------------------------------------------------------------------------------------------
 */

static void signal_pending(void)
{
	static const int sigs[] = { SIGUSR1, SIGUSR2, SIGTERM };
	sigset_t all;
	siginfo_t info;

	sigfillset(&all);
	must(sigprocmask(SIG_BLOCK, &all, NULL));
	for (int i = 0; i < 5; i++)
		for (int rt = 0; rt < 3; rt++)
			must(sigqueue(getpid(), SIGRTMIN + rt,
				(union sigval){ .sival_int = 100 * i + rt }));
	for (int i = 0; i < 3; i++)
		must(kill(getpid(), sigs[i]));
	target_wait();
	for (int rt = 0; rt < 3; rt++)
		for (int i = 0; i < 5; i++) {
			sigset_t one = set_of((int[]){ SIGRTMIN + rt }, 1);

			must(sigtimedwait(&one, &info, &(struct timespec){ 0, 0 }));
			expect(info.si_value.sival_int == 100 * i + rt, "payload %d, not %d: order",
				info.si_value.sival_int, 100 * i + rt);
			expect(info.si_code == SI_QUEUE && info.si_pid == getpid() &&
					info.si_uid == getuid(),
				"code %d pid %d", info.si_code, info.si_pid);
		}
	for (int i = 0; i < 3; i++) {
		sigset_t one = set_of(sigs + i, 1);

		must(sigtimedwait(&one, &info, &(struct timespec){ 0, 0 }));
		expect(info.si_code == SI_USER, "code of signal %d: %d", sigs[i], info.si_code);
	}
	expect(sigtimedwait(&all, &info, &(struct timespec){ 0, 0 }) == -1, "signal %d is left",
		info.si_signo);
}

static void *pending_thread(void *arg)
{
	sigset_t all;
	siginfo_t info;
	union sigval value = { .sival_int = (int)(intptr_t)arg };

	sigfillset(&all);
	must(pthread_sigmask(SIG_BLOCK, &all, NULL));
	for (int i = 0; i < 3; i++)
		expect(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, value) == 0,
			"pthread_sigqueue");
	must(tgkill(getpid(), gettid(), SIGUSR1));
	gate_wait();
	for (int i = 0; i < 3; i++) {
		sigset_t one = set_of((int[]){ SIGRTMIN + 1 }, 1);

		must(sigtimedwait(&one, &info, &(struct timespec){ 0, 0 }));
		expect(info.si_value.sival_int == value.sival_int, "signal of another thread");
	}
	must(sigtimedwait(&all, &info, &(struct timespec){ 0, 0 }));
	/* glibc says SI_USER for SI_TKILL. */
	expect(info.si_signo == SIGUSR1 && info.si_code == SI_USER, "signal %d code %d",
		info.si_signo, info.si_code);
	expect(sigtimedwait(&all, &info, &(struct timespec){ 0, 0 }) == -1, "signal %d is left",
		info.si_signo);
	return NULL;
}

static void signal_pending_thread(void)
{
	pthread_t a, b;

	must(pipe(gate));
	a = thread_start(pending_thread, (void *)11);
	b = thread_start(pending_thread, (void *)22);
	target_wait();
	must(write(gate[1], "xy", 2));
	thread_join(a);
	thread_join(b);
}

/* ---- actions
 * ----------------------------------------------------------------------------------------------------
 */

static atomic_int nr_handled;

static void count(int sig)
{
	(void)sig;
	nr_handled++;
}

enum { MY_SA_RESTORER = 0x04000000 };

static void signal_actions(void)
{
	static const unsigned long flags[] = { SA_RESTART, SA_SIGINFO, SA_NODEFER, SA_RESETHAND,
		SA_ONSTACK, SA_NOCLDSTOP, SA_NOCLDWAIT, 0x800 /* SA_EXPOSE_TAGBITS */ };
	struct raw_action before[65], after;

	signal(SIGUSR2, count); /* for glibc's restorer */
	raw_sigaction(SIGUSR2, NULL, &before[0]);
	for (int sig = 1; sig <= 64; sig++) {
		struct raw_action action = { (void *)count, flags[sig % 8] | MY_SA_RESTORER,
			before[0].restorer, 0x123456789abcull << (sig % 16) };

		if (sig % 7 == 0)
			action = (struct raw_action){ SIG_IGN, 0, NULL, 0 };
		if (sig != SIGKILL && sig != SIGSTOP)
			raw_sigaction(sig, &action, NULL);
		raw_sigaction(sig, NULL, &before[sig]);
	}
	target_wait();
	for (int sig = 1; sig <= 64; sig++) {
		raw_sigaction(sig, NULL, &after);
		expect(memcmp(&before[sig], &after, sizeof after) == 0,
			"action of signal %d: flags %lx, were %lx", sig, after.flags,
			before[sig].flags);
	}
	nr_handled = 0;
	must(raise(SIGHUP));
	expect(nr_handled == 1, "the handler does not run");
}

static void *masked(void *arg)
{
	sigset_t mask = set_of((int[]){ (int)(intptr_t)arg, SIGPIPE }, 2), now;

	must(pthread_sigmask(SIG_SETMASK, &mask, NULL));
	gate_wait();
	must(pthread_sigmask(SIG_SETMASK, NULL, &now));
	expect(memcmp(&mask, &now, 8) == 0, "mask %lx", now.__val[0]);
	return NULL;
}

static void signal_mask(void)
{
	pthread_t a, b;

	must(pipe(gate));
	a = thread_start(masked, (void *)SIGUSR1);
	b = thread_start(masked, (void *)(intptr_t)SIGRTMAX);
	target_wait();
	must(write(gate[1], "xy", 2));
	thread_join(a);
	thread_join(b);
}

/* ---- alternate stacks
 * ---------------------------------------------------------------------------------------------- */

static void *volatile seen_sp;

static void note_sp(int sig)
{
	char here;

	seen_sp = &here;
	count(sig);
}

enum { STACK = 64 << 10, MY_SS_AUTODISARM = 1u << 31 };

static void *with_altstack(void *arg)
{
	stack_t stack = { .ss_sp = map_anon(STACK, PROT_READ | PROT_WRITE, 0),
		.ss_size = STACK,
		.ss_flags = (int)(intptr_t)arg };
	stack_t now;

	must(sigaltstack(&stack, NULL));
	gate_wait();
	must(sigaltstack(NULL, &now));
	expect(now.ss_sp == stack.ss_sp && now.ss_size == STACK && now.ss_flags == stack.ss_flags,
		"sigaltstack: %p, was %p, flags %x", now.ss_sp, stack.ss_sp, now.ss_flags);
	must(tgkill(getpid(), gettid(), SIGUSR1));
	expect((char *)seen_sp > (char *)stack.ss_sp &&
			(char *)seen_sp < (char *)stack.ss_sp + STACK,
		"the handler does not run on the alternate stack");
	return NULL;
}

static void signal_altstack(void)
{
	struct sigaction action = { .sa_handler = note_sp, .sa_flags = SA_ONSTACK };
	pthread_t a, b;
	stack_t now;

	must(pipe(gate));
	must(sigaction(SIGUSR1, &action, NULL));
	a = thread_start(with_altstack, (void *)0);
	b = thread_start(with_altstack, (void *)(intptr_t)(int)MY_SS_AUTODISARM);
	target_wait();
	must(sigaltstack(NULL, &now));
	expect(now.ss_flags == SS_DISABLE, "the main thread has an alternate stack");
	/* Which of the two readers comes first is nobody's promise. */
	must(write(gate[1], "xx", 2));
	thread_join(a);
	thread_join(b);
}

/* ---- inside a handler
 * -----------------------------------------------------------------------------------------------
 */

static void wait_inside(int sig, siginfo_t *info, void *context)
{
	(void)context;
	expect(sig == SIGRTMIN && info->si_value.sival_int == 7, "siginfo");
	target_wait();
	expect(info->si_value.sival_int == 7, "siginfo after the wait");
	count(sig);
}

/* The frame on the alternate stack holds mask, registers and FPU state to return to. */
static void signal_in_handler(void)
{
	struct sigaction action = { .sa_sigaction = wait_inside,
		.sa_flags = SA_ONSTACK | SA_SIGINFO };
	stack_t stack = { .ss_sp = map_anon(STACK, PROT_READ | PROT_WRITE, 0), .ss_size = STACK },
		now;
	volatile double x = 1.5;
	sigset_t mask;

	must(sigaltstack(&stack, NULL));
	must(sigaction(SIGRTMIN, &action, NULL));
	must(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 7 }));
	expect(nr_handled == 1 && x * 2 == 3, "the handler did not come to its end");
	must(sigprocmask(SIG_SETMASK, NULL, &mask));
	expect(!sigismember(&mask, SIGRTMIN), "the mask did not come back");
	must(sigaltstack(NULL, &now));
	expect(now.ss_flags == 0, "still on the alternate stack: %x", now.ss_flags);
}

/* ---- waiting with another mask: it must come back when the wait is over
 * ------------------------------------------------ */

static atomic_int suspended_tid;

static void *suspended(void *arg)
{
	sigset_t before = set_of((int[]){ SIGUSR1, SIGUSR2 }, 2),
		 during = set_of((int[]){ SIGUSR2 }, 1), now;

	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	suspended_tid = gettid();
	thread_arrived();
	expect(sigsuspend(&during) == -1 && errno == EINTR, "sigsuspend");
	must(pthread_sigmask(SIG_SETMASK, NULL, &now));
	expect(memcmp(&before, &now, 8) == 0, "mask after sigsuspend: %lx", now.__val[0]);
	return arg;
}

static void signal_sigsuspend(void)
{
	pthread_t thread;

	signal(SIGUSR1, count);
	thread = thread_start(suspended, NULL);
	thread_waits_in(suspended_tid, SYS_rt_sigsuspend);
	target_wait();
	expect(nr_handled == 0, "a handler ran");
	expect(pthread_kill(thread, SIGUSR1) == 0, "pthread_kill");
	thread_join(thread);
	expect(nr_handled == 1, "the handler ran %d times", nr_handled);
}

/* ---- stopped, ignored
 * ------------------------------------------------------------------------------------------------------
 */

/* The test sends SIGSTOP when it has seen READY, and SIGCONT before it says "check". */
static void signal_stopped(void)
{
	must(pipe(gate));
	signal(SIGCONT, count);
	target_wait();
	expect(nr_handled == 1, "SIGCONT was seen %d times", nr_handled);
}

static void signal_ignored(void)
{
	int status;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	must(pipe(gate));
	must(close(gate[0]));
	target_wait();
	expect(write(gate[1], "x", 1) == -1 && errno == EPIPE, "SIGPIPE is not ignored");
	if (must(fork()) == 0)
		_exit(0);
	expect(wait(&status) == -1 && errno == ECHILD, "SIGCHLD is not ignored");
}

/* A handler that runs again and again (its frames, SA_RESTART) while the wait goes on. */
static void signal_busy(void)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int before;

	must(sigaction(SIGUSR1, &action, NULL));
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 300000 }, { 0, 300000 } }, NULL));
	target_wait();
	before = nr_handled;
	for (int64_t end = now_ms() + 5000; nr_handled < before + 10;)
		expect(now_ms() < end, "the timer does not run any more");
}

const struct target targets_signal[] = {
	{ "signal_pending", signal_pending,
		"pending signals of the process, in order, with payload", 0 },
	{ "signal_pending_thread", signal_pending_thread, "pending signals of threads", 0 },
	{ "signal_actions", signal_actions, "all actions with their flags", 0 },
	{ "signal_mask", signal_mask, "masks of threads", 0 },
	{ "signal_altstack", signal_altstack, "alternate stacks, SS_AUTODISARM", 0 },
	{ "signal_in_handler", signal_in_handler, "inside a handler on the alternate stack", 0 },
	{ "signal_sigsuspend", signal_sigsuspend, "the mask to come back to", 0 },
	{ "signal_stopped", signal_stopped, "stopped by a signal", 0 },
	{ "signal_ignored", signal_ignored, "SIGCHLD and SIGPIPE ignored", 0 },
	{ "signal_busy", signal_busy, "a signal every 0.3 ms", TARGET_BUSY | TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
