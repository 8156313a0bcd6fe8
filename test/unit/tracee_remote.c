/* Remote system calls: the answer is right, and the thread does not notice. */
#include "test/unit/helpers/tracee_target.h"

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/rseq.h>

#include "base/fd.h"
#include "base/text.h"

/* ---- a thread that waits in each kind of call --------------------------- */

struct shared {
	atomic_int futex, handled, first;
	int pipe[2], pair[2];
};

static struct shared *shm;

static void count_signal(int sig)
{
	if (shm->handled++ == 0)
		shm->first = sig;
}

static void catch_usr1(void)
{
	struct sigaction sa = { .sa_handler = count_signal };

	sigaction(SIGUSR1, &sa, NULL);
}

static sigset_t set_of(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	if (sig)
		sigaddset(&set, sig);
	return set;
}

static void block(int sig)
{
	sigset_t set = set_of(sig);

	sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool is_blocked(int sig)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, sig);
}

static int wait_read(void)
{
	char byte;

	return read(shm->pipe[0], &byte, 1) == 1 && byte == 'x' ? 0 : 1;
}

/* Restarted after the word has changed, it says EAGAIN: as futex(2) does to anyone who comes too
 * late. */
static int wait_futex_for(const struct timespec *t)
{
	long ret = syscall(SYS_futex, &shm->futex, FUTEX_WAIT, 0, t);

	return (ret == 0 || errno == EAGAIN) && shm->futex == 1 ? 0 : 1;
}

static int wait_futex(void)
{
	return wait_futex_for(NULL);
}

static int wait_futex_timeout(void)
{
	struct timespec t = { 50, 0 };

	return wait_futex_for(&t);
}

static int wait_nanosleep(void)
{
	struct timespec t = { 0, 300000000 }, begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (syscall(SYS_nanosleep, &t, &t) != 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >= 300
		       ? 0
		       : 2;
}

static int wait_clock_nanosleep_abs(void)
{
	struct timespec t, end;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 300000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return end.tv_sec > t.tv_sec || (end.tv_sec == t.tv_sec && end.tv_nsec >= t.tv_nsec) ? 0
											     : 2;
}

static int wait_poll_for(int ms)
{
	struct pollfd p = { shm->pipe[0], POLLIN, 0 };

	return syscall(SYS_poll, &p, 1, ms) == 1 && (p.revents & POLLIN) ? 0 : 1;
}

static int wait_poll(void)
{
	return wait_poll_for(-1);
}

static int wait_poll_timeout(void)
{
	return wait_poll_for(50000);
}

static int wait_poll_elapses(void)
{
	struct pollfd p = { shm->pipe[0], POLLIN, 0 };

	return syscall(SYS_poll, &p, 1, 300) == 0 ? 0 : 1;
}

static int wait_epoll_for(int ms)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 77 }, got;
	int ep = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, shm->pipe[0], &ev);
	return syscall(SYS_epoll_wait, ep, &got, 1, ms) == 1 && got.data.u64 == 77 ? 0 : 1;
}

static int wait_epoll(void)
{
	return wait_epoll_for(-1);
}

static int wait_epoll_timeout(void)
{
	return wait_epoll_for(50000);
}

/* Signals blocked all the time, open only while waiting. */
static int wait_epoll_pwait(void)
{
	sigset_t none = set_of(0);
	struct epoll_event got;
	int ep = epoll_create1(0);

	catch_usr1();
	block(SIGUSR1);
	if (syscall(SYS_epoll_pwait, ep, &got, 1, -1, &none, 8) != -1 || errno != EINTR)
		return 1;
	return shm->handled == 1 && is_blocked(SIGUSR1) ? 0 : 2;
}

static int wait_pselect(void)
{
	sigset_t none = set_of(0);

	catch_usr1();
	block(SIGUSR1);
	if (pselect(0, NULL, NULL, NULL, NULL, &none) != -1 || errno != EINTR)
		return 1;
	return shm->handled == 1 && is_blocked(SIGUSR1) ? 0 : 2;
}

/* The library hands over a struct that says so. */
static int wait_pselect_unmasked(void)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(shm->pipe[0], &in);
	return pselect(shm->pipe[0] + 1, &in, NULL, NULL, &(struct timespec){ 50, 0 }, NULL) == 1
		       ? 0
		       : 1;
}

static int wait_uring_elapses(void)
{
	struct __kernel_timespec t = { 0, 300000000 };
	struct io_uring_getevents_arg arg = { .ts = (uint64_t)(uintptr_t)&t };
	struct io_uring_params params = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, &params);

	return syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		       &arg, sizeof arg) == -1 &&
			       errno == ETIME
		       ? 0
		       : 1;
}

static int wait_ppoll(void)
{
	sigset_t none = set_of(0);

	catch_usr1();
	block(SIGUSR1);
	if (ppoll(NULL, 0, NULL, &none) != -1 || errno != EINTR)
		return 1;
	return shm->handled == 1 && is_blocked(SIGUSR1) ? 0 : 2;
}

static int wait_sigsuspend(void)
{
	sigset_t none = set_of(0);

	catch_usr1();
	block(SIGUSR1);
	if (sigsuspend(&none) != -1 || errno != EINTR)
		return 1;
	return shm->handled == 1 && is_blocked(SIGUSR1) ? 0 : 2;
}

/* SIGUSR2 is pending: open outside, blocked inside. It must not come before the call is over. */
static int wait_sigsuspend_masking(void)
{
	sigset_t usr2 = set_of(SIGUSR2);
	struct sigaction sa = { .sa_handler = count_signal };

	catch_usr1();
	sigaction(SIGUSR2, &sa, NULL);
	if (sigsuspend(&usr2) != -1 || errno != EINTR)
		return 1;
	return shm->first == SIGUSR1 ? 0 : 2;
}

static int wait_pause(void)
{
	catch_usr1();
	return syscall(SYS_pause) == -1 && errno == EINTR && shm->handled == 1 ? 0 : 1;
}

static int wait_sigtimedwait_for(const struct timespec *t)
{
	sigset_t usr1 = set_of(SIGUSR1);
	siginfo_t info;

	block(SIGUSR1);
	return sigtimedwait(&usr1, &info, t) == SIGUSR1 && info.si_code == SI_USER ? 0 : 1;
}

static int wait_sigtimedwait(void)
{
	struct timespec t = { 50, 0 };

	return wait_sigtimedwait_for(&t);
}

static int wait_sigwaitinfo(void)
{
	return wait_sigtimedwait_for(NULL);
}

static int wait_recv_timeout(void)
{
	struct timeval t = { 50, 0 };
	char byte;

	setsockopt(shm->pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	return recv(shm->pair[0], &byte, 1, 0) == 1 ? 0 : 1;
}

static int wait_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char byte;

		_exit(read(shm->pipe[0], &byte, 1) == 1 ? 7 : 1);
	}
	return wait4(pid, &status, 0, NULL) == pid && WEXITSTATUS(status) == 7 ? 0 : 1;
}

static void wake_pipe(pid_t pid)
{
	(void)pid;
	assert_int_equal(write(shm->pipe[1], "x", 1), 1);
}

static void wake_pair(pid_t pid)
{
	(void)pid;
	assert_int_equal(send(shm->pair[1], "x", 1, 0), 1);
}

static void wake_futex(pid_t pid)
{
	(void)pid;
	shm->futex = 1;
	syscall(SYS_futex, &shm->futex, FUTEX_WAKE, 1);
}

static void wake_usr1(pid_t pid)
{
	kill(pid, SIGUSR1);
}

static void wake_time(pid_t pid)
{
	(void)pid;
}

struct wait_case {
	const char *name;
	int (*wait)(void);
	void (*wake)(pid_t pid);
	long nr;
};

static const struct wait_case cases[] = {
	{ "read", wait_read, wake_pipe, SYS_read },
	{ "futex", wait_futex, wake_futex, SYS_futex },
	{ "futex with timeout", wait_futex_timeout, wake_futex, SYS_futex },
	{ "nanosleep", wait_nanosleep, wake_time, SYS_nanosleep },
	{ "clock_nanosleep, absolute", wait_clock_nanosleep_abs, wake_time, SYS_clock_nanosleep },
	{ "poll", wait_poll, wake_pipe, SYS_poll },
	{ "poll with timeout", wait_poll_timeout, wake_pipe, SYS_poll },
	{ "poll that times out", wait_poll_elapses, wake_time, SYS_poll },
	{ "epoll_wait", wait_epoll, wake_pipe, SYS_epoll_wait },
	{ "epoll_wait with timeout", wait_epoll_timeout, wake_pipe, SYS_epoll_wait },
	{ "epoll_pwait", wait_epoll_pwait, wake_usr1, SYS_epoll_pwait },
	{ "pselect", wait_pselect, wake_usr1, SYS_pselect6 },
	{ "pselect without a mask", wait_pselect_unmasked, wake_pipe, SYS_pselect6 },
	{ "io_uring_enter that times out", wait_uring_elapses, wake_time, SYS_io_uring_enter },
	{ "ppoll", wait_ppoll, wake_usr1, SYS_ppoll },
	{ "sigsuspend", wait_sigsuspend, wake_usr1, SYS_rt_sigsuspend },
	{ "sigsuspend that masks", wait_sigsuspend_masking, wake_usr1, SYS_rt_sigsuspend },
	{ "pause", wait_pause, wake_usr1, SYS_pause },
	{ "sigtimedwait", wait_sigtimedwait, wake_usr1, SYS_rt_sigtimedwait },
	{ "sigwaitinfo", wait_sigwaitinfo, wake_usr1, SYS_rt_sigtimedwait },
	{ "recv with SO_RCVTIMEO", wait_recv_timeout, wake_pair, SYS_recvfrom },
	{ "wait4", wait_child, wake_pipe, SYS_wait4 },
};

enum how { USE_REMOTE = 1, WAKE_FROZEN = 2, DETACH = 4, NR_HOW = 8 };

static int run_case(void *arg)
{
	return ((const struct wait_case *)arg)->wait();
}

static void setup_shared(void)
{
	memset(shm, 0, sizeof *shm);
	assert_int_equal(pipe2(shm->pipe, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, shm->pair), 0);
}

static void teardown_shared(void)
{
	for (int i = 0; i < 2; i++) {
		close(shm->pipe[i]);
		close(shm->pair[i]);
	}
}

/* Everything that the thread could notice. */
static void use_remote(struct tracee *t)
{
	struct tracee_thread *th = &t->threads[0];
	struct user_regs_struct before, after;
	uint64_t mask[2];
	struct err err = { 0 };

	assert_ok(thread_get_regs(th->tid, &before, &err), err);
	assert_ok(thread_get_sigmask(th->tid, &mask[0], &err), err);
	assert_int_equal(remote(t, th, SYS_getpid, 0, 0, 0), t->pid);
	assert_int_equal(remote(t, th, SYS_close, 9999, 0, 0), -EBADF);
	assert_ok(thread_get_regs(th->tid, &after, &err), err);
	assert_ok(thread_get_sigmask(th->tid, &mask[1], &err), err);
	assert_memory_equal(&before, &after, sizeof before);
	assert_int_equal(mask[0], mask[1]);
}

static int end_of(
	struct tracer *tr, struct tracee *t, unsigned how, const struct wait_case *c, pid_t pid)
{
	struct err err = { 0 };
	int status;

	if (how & WAKE_FROZEN)
		c->wake(pid);
	if (how & DETACH)
		tracee_release(t);
	else
		assert_ok(tracer_thaw(tr, &err), err);
	if (!(how & WAKE_FROZEN))
		c->wake(pid);
	if (!(how & DETACH))
		return tracer_wait_end(tr);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void one_case(const struct wait_case *c, unsigned how)
{
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	struct tracee *t;
	int status;
	pid_t pid;

	setup_shared();
	pid = target_start(run_case, (void *)c);
	wait_until(target_in(pid, pid, c->nr));
	assert_ok(tracee_seize(tr, pid, &t, &err), err);
	assert_ok(tracer_freeze(tr, &err), err);
	if (c->wait == wait_sigsuspend_masking)
		kill(pid, SIGUSR2);
	if (how & USE_REMOTE)
		use_remote(t);
	status = end_of(tr, t, how, c, pid);
	if (status != 0)
		fail_msg("%s, %x: status 0x%x", c->name, how, status);
	tracer_destroy(tr);
	teardown_shared();
}

/* The machine may forbid it (kernel.io_uring_disabled). */
static bool is_allowed(const struct wait_case *c)
{
	OWNED_FD fd = -1;

	if (c->nr == SYS_io_uring_enter)
		fd = (int)syscall(SYS_io_uring_setup, 4, &(struct io_uring_params){ 0 });
	return c->nr != SYS_io_uring_enter || fd >= 0;
}

static void test_waiting_goes_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (unsigned how = 0; how < NR_HOW && is_allowed(&cases[i]); how++)
			one_case(&cases[i], how);
}

/* ---- other circumstances ------------------------------------------------ */

static int run_pause(void *arg)
{
	(void)arg;
	while (syscall(SYS_pause) < 0)
		;
	return 0;
}

/* Computes all the time, in registers that a call could spoil. */
static int run_compute(void *arg)
{
	atomic_int *stop = arg;
	uint64_t x = 1;
	double d = 0.5;

	while (!*stop) {
		uint64_t y = x;

		for (int i = 0; i < 100; i++) {
			y = y * 6364136223846793005u + 1442695040888963407u;
			d = d * 0.5 + 0.25;
		}
		for (int i = 0; i < 100; i++)
			x = x * 6364136223846793005u + 1442695040888963407u;
		if (x != y || d < 0.49 || d > 0.51)
			return 1;
	}
	return 0;
}

static void test_computing_thread(void **state)
{
	atomic_int *stop = shared_alloc(sizeof *stop);
	struct target x = target_frozen(run_compute, stop, -1);
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(remote(x.t, x.t->threads, SYS_getppid, 0, 0, 0), getpid());
		assert_ok(tracer_thaw(x.tr, &err), err);
		assert_ok(tracer_freeze(x.tr, &err), err);
	}
	*stop = 1;
	assert_ok(tracer_thaw(x.tr, &err), err);
	assert_int_equal(tracer_wait_end(x.tr), 0);
	tracer_destroy(x.tr);
}

static void test_stopped_process(void **state)
{
	struct err err = { 0 };
	struct target x = { .tr = tracer_create() };

	(void)state;
	x.pid = target_start(run_pause, NULL);
	wait_until(target_in(x.pid, x.pid, SYS_pause));
	kill(x.pid, SIGSTOP);
	wait_until(target_state(x.pid, x.pid) == 'T');
	assert_ok(tracee_seize(x.tr, x.pid, &x.t, &err), err);
	assert_ok(tracer_freeze(x.tr, &err), err);
	assert_int_equal(x.t->threads[0].state, TRACEE_GROUP_STOPPED);
	assert_int_equal(remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0), x.pid);
	assert_int_equal(x.t->threads[0].state, TRACEE_GROUP_STOPPED);
	assert_int_equal(x.t->threads[0].stop_signal, SIGSTOP);
	tracee_release(x.t);
	wait_until(target_state(x.pid, x.pid) == 'T');
	kill(x.pid, SIGCONT);
	wait_until(target_in(x.pid, x.pid, SYS_pause));
	target_finish(&x);
}

static int run_without_vdso(void *arg)
{
	struct arena *a = arena_create();
	struct proc_vma *vmas;
	int fd = -1;
	size_t nr;

	(void)arg;
	if (proc_open(getpid(), &fd, NULL) < 0 || proc_maps(fd, a, &vmas, &nr, NULL) < 0)
		return 1;
	for (size_t i = 0; i < nr; i++)
		if (text_starts(vmas[i].path, "[v"))
			munmap((void *)vmas[i].start, vmas[i].end - vmas[i].start);
	for (int i = 0; i < 500; i++)
		if (mmap(NULL, 8192, i % 2 ? PROT_NONE : PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0) == MAP_FAILED)
			return 1;
	return run_pause(NULL);
}

static void test_without_vdso(void **state)
{
	struct target x = target_frozen(run_without_vdso, NULL, SYS_pause);

	(void)state;
	assert_int_equal(remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0), x.pid);
	target_finish(&x);
}

/* Another process, because we hang in the remote call: waits until the target is in it. */
struct disturb {
	pid_t pid;
	int sig;
};

static int run_disturb(void *arg)
{
	const struct disturb *d = arg;

	while (!target_in(d->pid, d->pid, SYS_nanosleep))
		sched_yield();
	return kill(d->pid, d->sig);
}

static int remote_sleep(struct target *x, long ns, int sig, int64_t *ret, struct err *err)
{
	struct timespec time = { ns / 1000000000, ns % 1000000000 };
	struct disturb d = { x->pid, sig };
	uint64_t addr, args[6] = { 0 };
	size_t len;
	pid_t by;
	int r;

	assert_ok(tracee_scratch(x->t, &addr, &len, err), *err);
	assert_ok(tracee_write(x->t, addr, &time, sizeof time, err), *err);
	args[0] = addr;
	by = target_start(run_disturb, &d);
	r = tracee_syscall(x->t, x->t->threads, SYS_nanosleep, args, ret, err);
	assert_int_equal(waitpid(by, NULL, 0), by);
	return r;
}

static void test_killed_meanwhile(void **state)
{
	struct target x = target_frozen(run_pause, NULL, SYS_pause);
	struct err err = { 0 };
	int64_t ret;
	int status = -1;

	(void)state;
	assert_int_equal(remote_sleep(&x, 50000000000, SIGKILL, &ret, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "remote nanosleep"));
	assert_non_null(strstr(err.msg, "killed by signal 9"));
	assert_ok(tracer_poll(x.tr, 1000, &status, &err), err);
	assert_true(WIFSIGNALED(status));
	tracer_destroy(x.tr);
}

static void test_sigstop_meanwhile(void **state)
{
	struct target x = target_frozen(run_pause, NULL, SYS_pause);
	struct err err = { 0 };
	int64_t ret = -1;

	(void)state;
	assert_int_equal(remote_sleep(&x, 300000000, SIGSTOP, &ret, &err), 0);
	assert_int_equal(ret, 0);
	assert_int_equal(x.t->threads[0].state, TRACEE_STOPPED);
	assert_int_equal(remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0), x.pid);
	tracee_release(x.t);
	wait_until(target_state(x.pid, x.pid) == 'T');
	target_finish(&x);
}

static int run_seccomp(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof code[0], code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 1;
	return run_pause(arg);
}

static void test_seccomp_suspended(void **state)
{
	struct target x = target_frozen(run_seccomp, NULL, SYS_pause);

	(void)state;
	if (geteuid() == 0)
		assert_int_equal(remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0), x.pid);
	target_finish(&x);
}

static void test_not_stopped(void **state)
{
	struct target x = target_frozen(run_pause, NULL, SYS_pause);
	const uint64_t args[6] = { 0 };
	struct err err = { 0 };
	int64_t ret;

	(void)state;
	assert_ok(tracer_thaw(x.tr, &err), err);
	assert_int_equal(tracee_syscall(x.t, x.t->threads, SYS_getpid, args, &ret, &err), -EBUSY);
	target_finish(&x);
}

/* In a restartable sequence: rseq_cs must survive our borrowing the thread. */
struct rseq_shared {
	atomic_ulong aborts, rounds;
	atomic_int stop;
};

static int run_rseq(void *arg)
{
	struct rseq_shared *s = arg;
	char *rseq = (char *)__builtin_thread_pointer() + __rseq_offset;
	struct {
		uint32_t version, flags;
		uint64_t start, len, abort;
	} __attribute__((aligned(32))) cs = { 0 };

	while (!s->stop) {
		__asm__ volatile(
			"lea 1f(%%rip), %%rax\n\t mov %%rax, 8(%1)\n\t"
			"lea 2f(%%rip), %%rcx\n\t sub %%rax, %%rcx\n\t mov %%rcx, 16(%1)\n\t"
			"lea 3f(%%rip), %%rax\n\t mov %%rax, 24(%1)\n\t"
			"mov %1, 8(%2)\n"
			"1: mov $2000000, %%ecx\n"
			"4: dec %%ecx\n\t jnz 4b\n"
			"2: jmp 5f\n\t"
			".byte 0x0f, 0xb9, 0x3d\n\t .long 0x53053053\n"
			"3: lock incq %0\n"
			"5:\n"
			: "+m"(s->aborts)
			: "r"(&cs), "r"(rseq)
			: "rax", "rcx", "memory", "cc");
		s->rounds++;
	}
	return 0;
}

static void test_rseq(void **state)
{
	struct rseq_shared *s = shared_alloc(sizeof *s);
	struct target x = target_frozen(run_rseq, s, -1);
	struct thread_rseq rseq;
	struct err err = { 0 };
	uint64_t before, after, aborts;
	int inside = 0;

	(void)state;
	assert_ok(thread_get_rseq(x.pid, &rseq, &err), err);
	assert_int_equal(rseq.sig, 0x53053053);
	for (int i = 0; i < 2000 && inside < 20; i++) {
		assert_ok(tracee_read(x.t, rseq.addr + 8, &before, 8, &err), err);
		aborts = s->aborts;
		remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0);
		assert_ok(tracee_read(x.t, rseq.addr + 8, &after, 8, &err), err);
		assert_int_equal(before, after);
		inside += before != 0;
		assert_ok(tracer_thaw(x.tr, &err), err);
		if (before)
			wait_until(s->aborts > aborts);
		assert_ok(tracer_freeze(x.tr, &err), err);
	}
	assert_true(inside > 0);
	target_finish(&x);
}

/* ---- memory, TLS, scratch, descriptors, steps --------------------------- */

static __thread uint64_t tls_word;

struct mem_shared {
	uint64_t none, tls, fs;
	int fd;
};

static int run_mem(void *arg)
{
	struct mem_shared *s = arg;
	char *none = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pipes[2];

	strcpy(none, "hidden");
	mprotect(none, 8192, PROT_NONE);
	tls_word = 0x1122334455667788;
	s->none = (uint64_t)none;
	s->tls = (uint64_t)&tls_word;
	s->fs = (uint64_t)__builtin_thread_pointer();
	if (pipe(pipes) < 0 || write(pipes[1], "hello", 5) != 5)
		return 1;
	s->fd = pipes[0];
	return run_pause(NULL);
}

static void test_memory(void **state)
{
	struct mem_shared *s = shared_alloc(sizeof *s);
	struct target x = target_frozen(run_mem, s, SYS_pause);
	char text[16] = "", *big = malloc(1 << 20);
	struct err err = { 0 };
	int fd;

	(void)state;
	assert_ok(tracee_read(x.t, s->none, text, 7, &err), err);
	assert_string_equal(text, "hidden");
	assert_ok(tracee_write(x.t, s->none + 4090, "across pages", 13, &err), err);
	assert_ok(tracee_read(x.t, s->none + 4090, text, 13, &err), err);
	assert_string_equal(text, "across pages");
	assert_int_equal(target_tls(&x, x.pid, (int64_t)(s->tls - s->fs)), 0x1122334455667788);
	assert_int_equal(tracee_read(x.t, 4096, text, 1, &err), -EIO);
	assert_int_equal(tracee_read(x.t, s->none - (1 << 19), big, 1 << 20, &err) < 0, 1);
	assert_ok(tracee_getfd(x.t, s->fd, &fd, &err), err);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(read(fd, text, 5), 5);
	assert_memory_equal(text, "hello", 5);
	close(fd);
	assert_int_equal(tracee_getfd(x.t, 9999, &fd, &err), -EBADF);
	free(big);
	target_finish(&x);
}

static bool is_mapped(pid_t pid, uint64_t addr)
{
	struct arena *a = arena_create();
	struct err err = { 0 };
	struct proc_vma *vmas;
	bool found = false;
	int fd = -1;
	size_t nr;

	assert_ok(proc_open(pid, &fd, &err), err);
	assert_ok(proc_maps(fd, a, &vmas, &nr, &err), err);
	for (size_t i = 0; i < nr; i++)
		found |= vmas[i].start <= addr && addr < vmas[i].end;
	close(fd);
	arena_destroy(a);
	return found;
}

static void test_scratch(void **state)
{
	struct target x = target_frozen(run_pause, NULL, SYS_pause);
	uint64_t addr, again, word = 42;
	struct err err = { 0 };
	size_t len;

	(void)state;
	assert_ok(tracee_scratch(x.t, &addr, &len, &err), err);
	assert_ok(tracee_scratch(x.t, &again, &len, &err), err);
	assert_int_equal(addr, again);
	assert_true(len >= 4096);
	assert_ok(tracee_write(x.t, addr + len - 8, &word, 8, &err), err);
	assert_true(is_mapped(x.pid, addr));
	assert_ok(tracee_scratch_end(x.t, &err), err);
	assert_false(is_mapped(x.pid, addr));
	target_finish(&x);
}

static int run_count(void *arg)
{
	int (*prepare)(void) = arg;

	if (prepare)
		prepare();
	__asm__ volatile("xor %%ebx, %%ebx\n1: inc %%rbx\n\tjmp 1b" ::: "rbx");
	return 0;
}

static int ignore_trap(void)
{
	signal(SIGTRAP, SIG_IGN);
	return 0;
}

static int block_trap(void)
{
	block(SIGTRAP);
	return 0;
}

static uint64_t status_mask(pid_t pid, bool ignored)
{
	struct arena *a = arena_create();
	struct proc_status s;
	int fd = -1;

	assert_int_equal(proc_open(pid, &fd, NULL), 0);
	assert_int_equal(proc_status(fd, "status", a, &s, NULL), 0);
	arena_destroy(a);
	close(fd);
	return ignored ? s.sig_ignored : s.sig_blocked;
}

static void step_with(int (*prepare)(void))
{
	struct target x = { .tr = tracer_create() };
	struct user_regs_struct before, after;
	struct err err = { 0 };
	uint64_t ignored, blocked;

	x.pid = target_start(run_count, prepare);
	if (prepare == ignore_trap)
		wait_until(status_mask(x.pid, true) & (1 << (SIGTRAP - 1)));
	if (prepare == block_trap)
		wait_until(status_mask(x.pid, false) & (1 << (SIGTRAP - 1)));
	assert_ok(tracee_seize(x.tr, x.pid, &x.t, &err), err);
	assert_ok(tracer_freeze(x.tr, &err), err);
	ignored = status_mask(x.pid, true);
	blocked = status_mask(x.pid, false);
	kill(x.pid, SIGUSR1);
	assert_ok(thread_get_regs(x.pid, &before, &err), err);
	for (int i = 0; i < 20; i++)
		if (tracee_step(x.t, x.t->threads, &err) < 0) {
			assert_non_null(strstr(err.msg, "system call"));
			break;
		}
	assert_ok(thread_get_regs(x.pid, &after, &err), err);
	assert_int_equal(status_mask(x.pid, true), ignored);
	assert_int_equal(status_mask(x.pid, false), blocked);
	if (!prepare)
		assert_int_equal(after.rbx, before.rbx + 10);
	assert_ok(tracer_thaw(x.tr, &err), err);
	assert_int_equal(WTERMSIG(tracer_wait_end(x.tr)), SIGUSR1);
	tracer_destroy(x.tr);
}

static int run_count_shared(void *arg)
{
	*(atomic_int *)arg = 1;
	return run_count(NULL);
}

static void test_step(void **state)
{
	atomic_int *there = shared_alloc(sizeof *there);
	struct target x = { .tr = tracer_create() };
	struct user_regs_struct before, after;
	struct err err = { 0 };

	(void)state;
	x.pid = target_start(run_count_shared, there);
	wait_until(*there == 1);
	wait_until(target_state(x.pid, x.pid) == 'R');
	assert_ok(tracee_seize(x.tr, x.pid, &x.t, &err), err);
	do {
		assert_ok(tracer_thaw(x.tr, &err), err);
		assert_ok(tracer_freeze(x.tr, &err), err);
		assert_ok(thread_get_regs(x.pid, &before, &err), err);
	} while (before.orig_rax != (uint64_t)-1);
	for (int i = 0; i < 20; i++)
		assert_ok(tracee_step(x.t, x.t->threads, &err), err);
	assert_ok(thread_get_regs(x.pid, &after, &err), err);
	assert_int_equal(after.rbx, before.rbx + 10);
	assert_int_equal(after.rip, before.rip);
	target_finish(&x);
	step_with(ignore_trap);
	step_with(block_trap);
}

static void test_step_in_syscall(void **state)
{
	struct target x = target_frozen(run_pause, NULL, SYS_pause);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(tracee_step(x.t, x.t->threads, &err), -ENOTSUP);
	target_finish(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting_goes_on),
		cmocka_unit_test(test_computing_thread),
		cmocka_unit_test(test_stopped_process),
		cmocka_unit_test(test_without_vdso),
		cmocka_unit_test(test_killed_meanwhile),
		cmocka_unit_test(test_sigstop_meanwhile),
		cmocka_unit_test(test_seccomp_suspended),
		cmocka_unit_test(test_not_stopped),
		cmocka_unit_test(test_rseq),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_step),
		cmocka_unit_test(test_step_in_syscall),
	};

	shm = shared_alloc(sizeof *shm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
