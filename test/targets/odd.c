/* Settings of a process or thread that few programs touch, and odd values of common ones. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- signals
 * ------------------------------------------------------------------------------------------ */

static void block_all(void)
{
	sigset_t set;

	sigfillset(&set);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
}

static siginfo_t take(int sig)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == sig, "signal %d: %s", sig,
		strerror(errno));
	return info;
}

static void takes_none(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	expect(sigtimedwait(&set, NULL, &(struct timespec){ 0, 0 }) == -1 && errno == EAGAIN,
		"one more signal %d", sig);
}

/* More are queued than the limit now allows. */
static void odd_queue_over_limit(void)
{
	enum { NR = 300 };

	block_all();
	for (int i = 0; i < NR; i++)
		must(sigqueue(getpid(), SIGRTMIN + i % 3, (union sigval){ .sival_int = i }));
	must(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 5, 5 }));
	target_wait();
	expect(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ 0 }) == -1 && errno == EAGAIN,
		"the limit is gone");
	for (int sig = 0; sig < 3; sig++)
		for (int i = sig; i < NR; i += 3) {
			siginfo_t info = take(SIGRTMIN + sig);

			expect(info.si_value.sival_int == i && info.si_code == SI_QUEUE &&
					info.si_pid == getpid(),
				"%d of signal %d: %d", i, sig, info.si_value.sival_int);
		}
	takes_none(SIGRTMIN);
}

/* What the kernel itself has sent. */
static void odd_kernel_signals(void)
{
	int fds[2], tgkill_code;
	siginfo_t info;

	block_all();
	/* SI_TKILL, except for the main thread of Linux 6.18. */
	must(tgkill(getpid(), gettid(), SIGTSTP));
	tgkill_code = take(SIGTSTP).si_code;
	must(pipe(fds));
	must(fcntl(fds[0], F_SETOWN, getpid()));
	must(fcntl(fds[0], F_SETSIG, SIGRTMIN + 7));
	must(fcntl(fds[0], F_SETFL, O_ASYNC));
	must(write(fds[1], "x", 1));
	close(fds[0]);
	errno = 0;
	expect(write(fds[1], "x", 1) == -1 && errno == EPIPE, "EPIPE"); /* SIGPIPE, SI_USER-like */
	must(tgkill(getpid(), gettid(), SIGTSTP));
	must(tgkill(getpid(), gettid(), SIGSEGV));
	must(kill(getpid(), SIGWINCH));
	target_wait();
	info = take(SIGRTMIN + 7);
	expect(info.si_code == POLL_IN && info.si_fd == fds[0], "SIGIO code %d", info.si_code);
	take(SIGPIPE);
	info = take(SIGTSTP);
	expect(info.si_code == tgkill_code && info.si_pid == getpid(), "SIGTSTP %d, not %d",
		info.si_code, tgkill_code);
	take(SIGSEGV);
	info = take(SIGWINCH);
	expect(info.si_code == SI_USER && info.si_pid == getpid() && info.si_uid == getuid(),
		"SIGWINCH %d", info.si_code);
	takes_none(SIGPIPE);
}

static atomic_int nr_handled;

static void on_reset(int sig)
{
	(void)sig;
	nr_handled++;
}

static void odd_resethand(void)
{
	struct sigaction now;

	must(sigaction(SIGUSR1,
		&(struct sigaction){
			.sa_handler = on_reset, .sa_flags = (int)SA_RESETHAND | SA_NODEFER },
		NULL));
	must(sigaction(SIGUSR2,
		&(struct sigaction){
			.sa_handler = on_reset, .sa_flags = SA_NOCLDSTOP | SA_NOCLDWAIT },
		NULL));
	must(sigaction(SIGCHLD,
		&(struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT }, NULL));
	target_wait();
	raise(SIGUSR1);
	must(sigaction(SIGUSR1, NULL, &now));
	expect(nr_handled == 1 && now.sa_handler == SIG_DFL, "SA_RESETHAND");
	must(sigaction(SIGCHLD, NULL, &now));
	expect(now.sa_flags & SA_NOCLDWAIT, "SA_NOCLDWAIT");
}

/* A handler in a handler in a handler, the innermost waits. */
static int depth;

static void on_nested(int sig)
{
	sigset_t now;

	depth++;
	if (sig == SIGUSR1)
		raise(SIGUSR2);
	else if (sig == SIGUSR2)
		raise(SIGRTMAX);
	else
		target_wait();
	must(sigprocmask(SIG_SETMASK, NULL, &now));
	expect(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGRTMAX) == (sig == SIGRTMAX),
		"mask in the handler of %d", sig);
	depth--;
}

static void odd_nested_handlers(void)
{
	static char stack[65536];
	sigset_t now;

	must(sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL));
	for (int i = 0; i < 3; i++)
		must(sigaction((int[]){ SIGUSR1, SIGUSR2, SIGRTMAX }[i],
			&(struct sigaction){
				.sa_handler = on_nested, .sa_flags = i == 1 ? SA_ONSTACK : 0 },
			NULL));
	raise(SIGUSR1);
	must(sigprocmask(SIG_SETMASK, NULL, &now));
	expect(depth == 0 && !sigismember(&now, SIGUSR1), "mask after the handlers");
}

/* ---- timers
 * -----------------------------------------------------------------------------------------------
 */

/* Its signal waits, and ticks are counted. */
static void odd_timer_overruns(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 12
	};
	siginfo_t info;
	timer_t timer;

	block_all();
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 1000000 }, { 0, 1 } }, NULL));
	usleep(20000);
	target_wait();
	usleep(20000);
	info = take(SIGRTMIN);
	expect(info.si_code == SI_TIMER && info.si_value.sival_int == 12 && info.si_overrun >= 15,
		"code %d, overruns %d", info.si_code, info.si_overrun);
	expect(timer_getoverrun(timer) == info.si_overrun, "timer_getoverrun");
}

/* Fired once, pending, not armed any more. */
static void odd_timer_once(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 13
	};
	struct itimerspec now;
	siginfo_t info;
	timer_t timer;

	block_all();
	must(timer_create(CLOCK_REALTIME, &event, &timer));
	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1 } }, NULL));
	usleep(5000);
	target_wait();
	must(timer_gettime(timer, &now));
	expect(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0, "it is armed");
	info = take(SIGUSR1);
	expect(info.si_code == SI_TIMER && info.si_value.sival_int == 13 && info.si_overrun == 0,
		"code %d", info.si_code);
	takes_none(SIGUSR1);
	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1 } }, NULL));
	usleep(5000);
	take(SIGUSR1);
}

static void odd_timers_many(void)
{
	enum { NR = 2000 };
	static timer_t timers[NR];

	for (int i = 0; i < NR; i++)
		must(timer_create(CLOCK_BOOTTIME,
			&(struct sigevent){ .sigev_notify = i % 2 ? SIGEV_NONE : SIGEV_SIGNAL,
				.sigev_signo = SIGRTMIN },
			&timers[i]));
	must(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 5, 5 }));
	target_wait();
	for (int i = 0; i < NR; i++)
		must(timer_delete(timers[i]));
}

static void odd_itimer_pending(void)
{
	struct itimerval left;

	block_all();
	must(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 1 } }, NULL));
	usleep(5000);
	target_wait();
	must(getitimer(ITIMER_REAL, &left));
	expect(left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0, "it is armed");
	expect(take(SIGALRM).si_code == SI_KERNEL, "code");
	takes_none(SIGALRM);
}

/* Relative sleeps go on where they were: what has been slept counts. */
static void *sleeper(void *arg)
{
	int64_t start = now_ms();
	int *tid = arg;

	*tid = gettid();
	thread_arrived();
	must(nanosleep(&(struct timespec){ 3, 0 }, NULL));
	expect(now_ms() - start >= 2999, "it slept %d ms only", (int)(now_ms() - start));
	return arg;
}

static void odd_sleep_whole(void)
{
	pthread_t thread;
	int tid = 0;

	thread = thread_start(sleeper, &tid);
	thread_waits_in(tid, SYS_clock_nanosleep);
	target_wait();
	thread_join(thread);
}

/* What has been slept before the dump is not slept again. */
static atomic_int rest_tid;

static void *rest_call(void *arg)
{
	long nr = *(long *)arg;
	struct timespec ts = { 8, 0 };
	struct epoll_event event;
	static int word;
	int64_t start = now_ms();

	rest_tid = gettid();
	thread_arrived();
	if (nr == SYS_poll)
		must(poll(NULL, 0, 8000));
	else if (nr == SYS_futex)
		syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &ts, NULL, 0);
	else if (nr == SYS_epoll_wait)
		must(epoll_wait((int)must(epoll_create1(0)), &event, 1, 8000));
	else if (nr == SYS_nanosleep)
		must(syscall(SYS_nanosleep, &ts, NULL));
	else
		expect(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL) == 0, "clock_nanosleep");
	expect(now_ms() - start >= 8000, "call %ld came back after %d ms", nr,
		(int)(now_ms() - start));
	/* A call by syscall(3) is not known again at a second dump: it waits for all of its time.
	 */
	expect(nr == SYS_futex || nr == SYS_nanosleep || now_ms() - start < 13000,
		"call %ld took %d ms", nr, (int)(now_ms() - start));
	expect(ts.tv_sec == 8 && ts.tv_nsec == 0, "its time was written to");
	return arg;
}

static void odd_rest(void)
{
	static long nrs[] = { SYS_poll, SYS_futex, SYS_nanosleep, SYS_clock_nanosleep,
		SYS_epoll_wait };
	enum { NR = sizeof nrs / sizeof nrs[0] };
	pthread_t threads[NR];
	int64_t start = now_ms();

	for (int i = 0; i < NR; i++) {
		threads[i] = thread_start(rest_call, &nrs[i]);
		thread_waits_in(rest_tid, nrs[i]);
	}
	while (now_ms() < start + 6500) /* the time that must not count twice */
		usleep(10000);
	target_wait();
	for (int i = 0; i < NR; i++)
		thread_join(threads[i]);
}

/* ---- scheduling
 * ------------------------------------------------------------------------------------------ */

struct my_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static int gate[2];
static int policies[4];

static void *policed(void *arg)
{
	static const struct {
		int policy, priority;
	} of[] = { { SCHED_BATCH, 0 }, { SCHED_IDLE, 0 }, { SCHED_FIFO | SCHED_RESET_ON_FORK, 3 },
		{ SCHED_RR, 7 } };
	/* Whoever runs the tests may be nice. */
	int i = *(int *)arg, nice = getpriority(PRIO_PROCESS, 0) + 3 + i;
	struct sched_param param = { of[i].priority };
	char byte;

	policies[i] = sched_setscheduler(0, of[i].policy, &param) == 0 ? of[i].policy : SCHED_OTHER;
	if (i < 2)
		must(setpriority(PRIO_PROCESS, 0, nice));
	/* The real-time class is for root. */
	syscall(SYS_ioprio_set, 1, 0, (i % 3 + 1) << 13 | (i % 3 == 2 ? 0 : i));
	thread_arrived();
	must(read(gate[0], &byte, 1));
	expect(sched_getscheduler(0) == policies[i], "policy %d", sched_getscheduler(0));
	must(sched_getparam(0, &param));
	expect(policies[i] == SCHED_OTHER || param.sched_priority == of[i].priority, "priority");
	expect(i >= 2 || getpriority(PRIO_PROCESS, 0) == nice, "nice %d",
		getpriority(PRIO_PROCESS, 0));
	return arg;
}

static void odd_policies(void)
{
	static int nrs[4] = { 0, 1, 2, 3 };
	pthread_t threads[4];

	must(pipe(gate));
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(policed, &nrs[i]);
	target_wait();
	must(write(gate[1], "1234", 4));
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
}

/* A slice of its own for a thread of the ordinary policy. */
static void odd_slice(void)
{
	struct my_sched_attr attr = { .size = sizeof attr, .runtime = 7000000 };

	must(syscall(SYS_sched_setattr, 0, &attr, 0));
	target_wait();
	must(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
	expect(attr.policy == 0 && attr.runtime == 7000000, "slice %lu", (long)attr.runtime);
}

static void odd_deadline(void)
{
	struct my_sched_attr attr = { .size = sizeof attr,
		.policy = 6,
		.runtime = 1000000,
		.deadline = 10000000,
		.period = 20000000,
		.flags = 1 };

	if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0)
		target_skip("SCHED_DEADLINE");
	target_wait();
	must(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
	expect(attr.policy == 6 && attr.runtime == 1000000 && attr.period == 20000000, "policy %u",
		attr.policy);
}

static void odd_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		target_skip("a second CPU");
	target_wait();
	CPU_ZERO(&set);
	must(sched_getaffinity(0, sizeof set, &set));
	expect(CPU_COUNT(&set) == 1 && CPU_ISSET(1, &set), "affinity");
}

/* ---- settings
 * ---------------------------------------------------------------------------------------------- */

static void odd_membarrier(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		target_skip("membarrier");
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	target_wait();
	expect(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0,
		"membarrier: %s", strerror(errno));
	expect(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0,
		"membarrier, core: %s", strerror(errno));
}

static void *no_tsc(void *arg)
{
	char byte;
	int mode;

	must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	must(prctl(PR_SET_TIMERSLACK, 1));
	must(prctl(PR_SET_PDEATHSIG, SIGWINCH));
	thread_arrived();
	must(read(gate[0], &byte, 1));
	must(prctl(PR_GET_TSC, &mode));
	expect(mode == PR_TSC_SIGSEGV, "PR_GET_TSC %d", mode);
	expect(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY, "PR_MCE_KILL_GET");
	expect(prctl(PR_GET_TIMERSLACK) == 1, "timer slack");
	must(prctl(PR_GET_PDEATHSIG, &mode));
	expect(mode == SIGWINCH, "death signal %d", mode);
	return arg;
}

static void odd_thread_modes(void)
{
	pthread_t thread;
	int mode;

	must(pipe(gate));
	thread = thread_start(no_tsc, NULL);
	target_wait();
	must(prctl(PR_GET_TSC, &mode));
	expect(mode == PR_TSC_ENABLE && prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_DEFAULT,
		"the leader has it too");
	must(write(gate[1], "1", 1));
	thread_join(thread);
}

static void odd_mempolicy(void)
{
	unsigned long nodes = 1, now[16] = { 0 };
	int mode = -1;

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64) != 0)
		target_skip("set_mempolicy");
	target_wait();
	must(syscall(SYS_get_mempolicy, &mode, now, 1024, 0, 0));
	expect(mode == MPOL_BIND && now[0] == 1, "policy %d nodes %lx", mode, now[0]);
}

static void expect_policy(const char *at, int mode)
{
	unsigned long nodes[16] = { 0 };
	int now = -1;

	must(syscall(SYS_get_mempolicy, &now, nodes, 1024, at, MPOL_F_ADDR));
	expect(now == mode, "policy %d, not %d", now, mode);
	expect(nodes[0] == (mode != MPOL_DEFAULT), "nodes %lx", nodes[0]);
}

/* Of parts of a mapping, of shared memory and of a file; of one while the thread has another. */
static void odd_mbind(void)
{
	char *p = map_anon(16 * PAGE, 3, 0), *shared = map_anon(4 * PAGE, 3, MAP_SHARED), *file;
	int fd = file_make("file", 4 * PAGE, 3, O_RDONLY);
	unsigned long nodes = 1;

	if (syscall(SYS_mbind, p + 4 * PAGE, 4 * PAGE, MPOL_BIND, &nodes, 64, 0) != 0)
		target_skip("mbind");
	must(syscall(SYS_mbind, p + 8 * PAGE, 4 * PAGE, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES,
		&nodes, 64, 0));
	must(syscall(SYS_mbind, shared, 4 * PAGE, MPOL_PREFERRED, &nodes, 64, 0));
	file = mmap(NULL, 4 * PAGE, 1, MAP_PRIVATE, fd, 0);
	must(syscall(SYS_mbind, file, 4 * PAGE, MPOL_BIND, &nodes, 64, 0));
	must(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 64));
	pattern_fill(p, 16 * PAGE, 4);
	target_wait();
	expect(pattern_is(p, 16 * PAGE, 4), "contents");
	must(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	expect_policy(p, MPOL_DEFAULT);
	expect_policy(p + 4 * PAGE, MPOL_BIND);
	expect_policy(p + 8 * PAGE, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES);
	expect_policy(p + 12 * PAGE, MPOL_DEFAULT);
	expect_policy(shared, MPOL_PREFERRED);
	expect_policy(file, MPOL_BIND);
}

static void odd_thp(void)
{
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	target_wait();
	expect(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "PR_GET_THP_DISABLE");
}

/* Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED */
static void odd_thp_advised(void)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0) != 0)
		target_skip("PR_THP_DISABLE_EXCEPT_ADVISED");
	target_wait();
	expect(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 3, "PR_GET_THP_DISABLE %d",
		prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

static void odd_personality(void)
{
	must(personality(PER_LINUX | READ_IMPLIES_EXEC | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO));
	target_wait();
	expect(personality(0xffffffff) == (READ_IMPLIES_EXEC | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO),
		"personality");
}

static void odd_mdwe_both(void)
{
	char *p;

	if (prctl(65, 1 | 2, 0, 0, 0) != 0)
		target_skip("PR_SET_MDWE");
	p = map_anon(PAGE, 3, 0);
	target_wait();
	expect(prctl(66, 0, 0, 0, 0) == 3, "PR_GET_MDWE");
	expect(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == -1 && errno == EACCES, "mprotect");
}

static void odd_autogroup(void)
{
	char text[64] = "";
	int fd;

	setsid();
	fd = open("/proc/self/autogroup", O_RDWR);
	if (fd < 0 || write(fd, "5", 1) != 1)
		target_skip("/proc/self/autogroup");
	target_wait();
	must(pread(fd, text, sizeof text - 1, 0));
	expect(strstr(text, "nice 5") != NULL, "autogroup: %s", text);
}

static void odd_limits_tiny(void)
{
	must(setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 1ull << 40 }));
	must(setrlimit(RLIMIT_DATA, &(struct rlimit){ 4096, 4096 }));
	must(setrlimit(RLIMIT_STACK, &(struct rlimit){ 8192, 1 << 20 }));
	must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4096, 4096 }));
	must(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 }));
	must(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 1, 1 }));
	must(setrlimit(RLIMIT_LOCKS, &(struct rlimit){ 1, 2 }));
	must(setrlimit(RLIMIT_NICE, &(struct rlimit){ 0, 0 }));
	must(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){ 0, 0 }));
	must(setrlimit(RLIMIT_RTTIME, &(struct rlimit){ 100, 200 }));
	must(setrlimit(RLIMIT_RSS, &(struct rlimit){ 100, 200 }));
	must(setrlimit(RLIMIT_MSGQUEUE, &(struct rlimit){ 100, 200 }));
	signal(SIGXFSZ, SIG_IGN);
	target_keep_out();
	target_wait();
}

static void odd_oom_never(void)
{
	int fd = (int)must(open("/proc/self/oom_score_adj", O_RDWR));

	if (write(fd, "-1000", 5) != 5)
		target_skip("oom_score_adj -1000");
	close(fd);
	target_wait();
	expect(proc_number("oom_score_adj", "-", 10) == 1000, "oom_score_adj");
}

/* ---- segments
 * --------------------------------------------------------------------------------------------------
 */

static void odd_gs_base(void)
{
	unsigned long base = 0;

	must(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, 0x123456789000));
	target_wait();
	must(syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &base));
	expect(base == 0x123456789000, "gs base %lx", base);
}

/* struct user_desc of asm/ldt.h */
struct my_desc {
	unsigned entry, base, limit, flags;
};

static void odd_ldt(void)
{
	struct my_desc desc = { 3, 0, 0xfffff, 1 | 1 << 4 };
	char table[64] = "";

	if (syscall(SYS_modify_ldt, 0x11, &desc, sizeof desc) != 0)
		target_skip("modify_ldt");
	target_wait();
	expect(syscall(SYS_modify_ldt, 0, table, sizeof table) > 0 && !is_zero(table, 64),
		"the table is gone");
}

/* ---- calls that wait, and make a program quiet --------------------------------------------------
 */

enum { QUIET_CALLS = 4 };

static struct quiet {
	int fds[2], others[2], listener;
	struct sockaddr_un addr;
	atomic_int tid;
	long result;
	int error;
} quiet[QUIET_CALLS];

static long quiet_call(int which)
{
	struct quiet *q = &quiet[which];
	static char bytes[PAGE];
	struct iovec piece = { bytes, 1 };

	switch (which) {
	case 0:
		return preadv2(q->fds[0], &piece, 1, -1, 0);
	case 1:
		return tee(q->fds[0], q->others[1], 1, 0);
	case 2:
		return vmsplice(q->fds[1], &piece, 1, 0);
	default:
		return connect(q->fds[1], (struct sockaddr *)&q->addr, sizeof q->addr);
	}
}

static void *quiet_run(void *arg)
{
	struct quiet *q = arg;

	q->tid = (int)syscall(SYS_gettid);
	thread_arrived();
	q->result = quiet_call((int)(q - quiet));
	q->error = errno;
	return NULL;
}

static void fill_up(int fd)
{
	static char bytes[PAGE];
	int flags = (int)must(fcntl(fd, F_GETFL));

	must(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
	for (size_t len = sizeof bytes; len; len /= 2)
		while (write(fd, bytes, len) > 0)
			;
	must(fcntl(fd, F_SETFL, flags));
}

static void quiet_prepare(void)
{
	struct quiet *c = &quiet[3];

	for (int i = 0; i < 3; i++)
		must(pipe(quiet[i].fds));
	must(pipe(quiet[1].others));
	fill_up(quiet[2].fds[1]);
	/* A listener without room for a second connection. */
	c->addr = (struct sockaddr_un){ AF_UNIX, "full" };
	c->listener = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(c->listener, (struct sockaddr *)&c->addr, sizeof c->addr));
	must(listen(c->listener, 0));
	c->fds[0] = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	c->fds[1] = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(c->fds[0], (struct sockaddr *)&c->addr, sizeof c->addr));
}

static void quiet_wake(void)
{
	static char bytes[1 << 20];

	must(write(quiet[0].fds[1], "x", 1));
	must(write(quiet[1].fds[1], "x", 1));
	must(read(quiet[2].fds[0], bytes, sizeof bytes));
	must(accept(quiet[3].listener, NULL, NULL));
}

static void odd_quiet(void)
{
	static const long calls[] = { SYS_preadv2, SYS_tee, SYS_vmsplice, SYS_connect };
	pthread_t threads[QUIET_CALLS];

	quiet_prepare();
	for (int i = 0; i < QUIET_CALLS; i++) {
		threads[i] = thread_start(quiet_run, &quiet[i]);
		thread_waits_in(quiet[i].tid, calls[i]);
	}
	target_wait();
	quiet_wake();
	for (int i = 0; i < QUIET_CALLS; i++) {
		thread_join(threads[i]);
		expect(quiet[i].result == (i == 3 ? 0 : 1), "call %d: %ld: %s", i, quiet[i].result,
			strerror(quiet[i].error));
	}
}

const struct target targets_odd[] = {
	{ "odd_quiet", odd_quiet, "waiting in preadv2, tee, vmsplice, connect", 0 },
	{ "odd_queue_over_limit", odd_queue_over_limit, "more signals than RLIMIT_SIGPENDING", 0 },
	{ "odd_kernel_signals", odd_kernel_signals, "signals of the kernel", 0 },
	{ "odd_resethand", odd_resethand, "SA_RESETHAND, SA_NOCLDWAIT", 0 },
	{ "odd_nested_handlers", odd_nested_handlers, "three handlers deep", 0 },
	{ "odd_timer_overruns", odd_timer_overruns, "overruns of a pending timer", 0 },
	{ "odd_timer_once", odd_timer_once, "a timer that has fired", 0 },
	{ "odd_timers_many", odd_timers_many, "2000 timers", 0 },
	{ "odd_itimer_pending", odd_itimer_pending, "an interval timer that has fired", 0 },
	{ "odd_rest", odd_rest, "waits go on for the rest of their time", TARGET_UNSTEADY },
	{ "odd_sleep_whole", odd_sleep_whole, "a sleep is not shorter", 0 },
	{ "odd_policies", odd_policies, "scheduling policies of threads", 0 },
	{ "odd_slice", odd_slice, "a slice of its own", 0 },
	{ "odd_deadline", odd_deadline, "SCHED_DEADLINE", 0 },
	{ "odd_affinity", odd_affinity, "one CPU", 0 },
	{ "odd_membarrier", odd_membarrier, "membarrier registrations", 0 },
	{ "odd_thread_modes", odd_thread_modes, "PR_SET_TSC, PR_MCE_KILL of a thread", 0 },
	{ "odd_mempolicy", odd_mempolicy, "set_mempolicy", 0 },
	{ "odd_mbind", odd_mbind, "mbind", 0 },
	{ "odd_thp", odd_thp, "PR_SET_THP_DISABLE", 0 },
	{ "odd_thp_advised", odd_thp_advised, "PR_THP_DISABLE_EXCEPT_ADVISED", 0 },
	{ "odd_personality", odd_personality, "READ_IMPLIES_EXEC and others", 0 },
	{ "odd_mdwe_both", odd_mdwe_both, "PR_MDWE_NO_INHERIT", 0 },
	{ "odd_autogroup", odd_autogroup, "nice of the autogroup", 0 },
	{ "odd_limits_tiny", odd_limits_tiny, "limits below what is used", 0 },
	{ "odd_oom_never", odd_oom_never, "oom_score_adj -1000", 0 },
	{ "odd_gs_base", odd_gs_base, "gs base", 0 },
	{ "odd_ldt", odd_ldt, "an LDT", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
