/* Parsers of /proc: against ourselves, and against texts that a kernel could write. */
#include "test/unit/helpers/tracee_target.h"

#include <pthread.h>
#include <linux/mempolicy.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fd.h"

static struct arena *arena;
static struct err err;

static int self(void)
{
	int fd = -1;

	assert_ok(proc_open(getpid(), &fd, &err), err);
	return fd;
}

/* A directory with one file, as if it were /proc/PID. */
static int fake(const char *name, const char *text)
{
	static char dir[] = "/tmp/tracee-proc-XXXXXX";
	int fd, file;

	strcpy(dir + sizeof dir - 7, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(fd, name, O_CREAT | O_RDWR, 0600);
	assert_ok(fd_write_all(file, text, strlen(text), &err), err);
	close(file);
	/* It stays readable through the descriptor of the directory only while it has a name. */
	return fd;
}

static void fake_end(int fd, const char *name)
{
	char path[256] = "", link[64];

	unlinkat(fd, name, 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	assert_true(readlink(link, path, sizeof path - 1) > 0);
	rmdir(path);
	close(fd);
}

static void test_open(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(proc_open(0x7ffffff0, &fd, &err), -ESRCH);
	assert_int_equal(fd, -1);
}

static const struct proc_vma *vma_at(const struct proc_vma *vmas, size_t nr, const void *addr)
{
	for (size_t i = 0; i < nr; i++)
		if (vmas[i].start <= (uint64_t)addr && (uint64_t)addr < vmas[i].end)
			return &vmas[i];
	return NULL;
}

static void test_smaps(void **state)
{
	char path[] = "/tmp/tracee proc\n-XXXXXX", *anon, *file;
	int procfd = self(), fd = mkstemp(path);
	const struct proc_vma *v;
	struct proc_vma *vmas;
	struct stat st;
	size_t nr;

	(void)state;
	assert_int_equal(ftruncate(fd, 12288), 0);
	fstat(fd, &st);
	anon = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	file = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 4096);
	madvise(anon, 16384, MADV_DONTDUMP);
	anon[0] = anon[4096] = 1;
	assert_ok(proc_smaps(procfd, arena, &vmas, &nr, &err), err);
	assert_true(nr > 10);
	for (size_t i = 1; i < nr; i++)
		assert_true(vmas[i - 1].end <= vmas[i].start);
	v = vma_at(vmas, nr, anon);
	assert_int_equal(v->prot, PROT_READ | PROT_WRITE);
	assert_false(v->shared);
	assert_int_equal(v->page_size, 4096);
	assert_true(v->rss >= 8192);
	assert_non_null(strstr(v->vmflags, "rd wr mr mw me"));
	assert_non_null(strstr(v->vmflags, " dd"));
	assert_true(v->vmflags[strlen(v->vmflags) - 1] != ' ');
	v = vma_at(vmas, nr, file);
	assert_int_equal(v->start, (uint64_t)file);
	assert_int_equal(v->end, (uint64_t)file + 8192);
	assert_int_equal(v->prot, PROT_READ | PROT_EXEC);
	assert_true(v->shared);
	assert_int_equal(v->offset, 4096);
	assert_int_equal(v->ino, st.st_ino);
	assert_int_equal(v->dev, st.st_dev);
	assert_string_equal(v->path, path);
	unlink(path);
	assert_ok(proc_maps(procfd, arena, &vmas, &nr, &err), err);
	v = vma_at(vmas, nr, file);
	assert_int_equal(v->offset, 4096);
	assert_non_null(strstr(v->path, " (deleted)"));
	assert_string_equal(v->vmflags, "");
	close(fd);
	close(procfd);
	munmap(anon, 16384);
	munmap(file, 8192);
}

/* Thousands of mappings: one page each, alternating protections so that they do not merge. */
static void test_many_mappings(void **state)
{
	enum { NR = 4000 };
	char *area = mmap(NULL, 2 * NR * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct proc_vma *vmas;
	int procfd = self();
	size_t nr;

	(void)state;
	for (size_t i = 0; i < NR; i++)
		mprotect(area + 2 * i * 4096, 4096, PROT_READ | PROT_WRITE);
	assert_ok(proc_smaps(procfd, arena, &vmas, &nr, &err), err);
	assert_true(nr >= 2 * NR - 1);
	for (size_t i = 0; i < NR; i++)
		assert_int_equal(
			vma_at(vmas, nr, area + 2 * i * 4096)->prot, PROT_READ | PROT_WRITE);
	munmap(area, 2 * NR * 4096);
	close(procfd);
}

static void test_bad_maps(void **state)
{
	static const char *const bad[] = {
		"7f00-7f10 r-xp 00002000 fe:00\n",
		"7f00 r-xp 0 fe:00 1\n",
		"Rss: 4 kB\n",
		"hello\n",
		"7f00-7f10 r?xp 00002000 fe:00 1 /x\n",
		"\n",
	};
	struct proc_vma *vmas;
	size_t nr;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int fd = fake("smaps", bad[i]);

		assert_int_equal(proc_smaps(fd, arena, &vmas, &nr, &err), -EPROTO);
		fake_end(fd, "smaps");
	}
}

static void test_stat(void **state)
{
	int procfd = self();
	struct proc_stat stat;
	char old[16];

	(void)state;
	prctl(PR_GET_NAME, old);
	prctl(PR_SET_NAME, "a) b (c\n) S 9");
	assert_ok(proc_stat(procfd, "stat", &stat, &err), err);
	prctl(PR_SET_NAME, old);
	assert_string_equal(stat.comm, "a) b (c\n) S 9");
	assert_int_equal(stat.state, 'R');
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.pgrp, getpgrp());
	assert_int_equal(stat.session, getsid(0));
	assert_int_equal(stat.num_threads, 1);
	assert_int_equal(stat.exit_signal, SIGCHLD);
	assert_true(stat.start_brk <= (uint64_t)sbrk(0));
	assert_true(stat.env_end > stat.env_start && stat.arg_end > stat.arg_start);
	assert_int_equal(proc_stat(procfd, "task/1/stat", &stat, &err), -ENOENT);
	close(procfd);
}

static int run_namespace(void *arg)
{
	sigset_t usr1;

	(void)arg;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	raise(SIGUSR1);
	signal(SIGUSR2, SIG_IGN);
	umask(027);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return pause();
}

static void test_status(void **state)
{
	pid_t pid = target_start(run_namespace, NULL);
	struct proc_status s;
	int procfd = -1;

	(void)state;
	wait_until(target_in(pid, pid, SYS_pause));
	assert_ok(proc_open(pid, &procfd, &err), err);
	assert_ok(proc_status(procfd, "status", arena, &s, &err), err);
	assert_int_equal(s.uid[1], geteuid());
	assert_int_equal(s.gid[3], getegid());
	assert_int_equal(s.umask, 027);
	assert_int_equal(s.tgid, pid);
	assert_int_equal(s.ppid, getpid());
	assert_int_equal(s.nspid, pid);
	assert_true(s.nr_ns >= 1);
	assert_int_equal(s.threads, 1);
	assert_int_equal(s.sig_pending, 1 << (SIGUSR1 - 1));
	assert_int_equal(s.sig_blocked, 1 << (SIGUSR1 - 1));
	assert_true(s.sig_ignored & (1 << (SIGUSR2 - 1)));
	assert_true(s.no_new_privs);
	assert_false(s.kthread);
	assert_false(s.shadow_stack);
	assert_int_equal(s.state, 'S');
	close(procfd);
	target_end(pid);
}

static void test_status_text(void **state)
{
	int fd = fake("status",
		"Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t1234\nPid:\t1234\n"
		"PPid:\t1\nTracerPid:\t77\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 30 \n"
		"NStgid:\t1234\t55\t7\nNSpid:\t1234\t55\t7\nNSpgid:\t1234\t55\t6\nNSsid:\t0\t0\t5\n"
		"CapPrm:\t000001ffffffffff\nx86_Thread_features:\tshstk wrss \nTHP_enabled:\t1\n");
	struct proc_status s;

	(void)state;
	assert_ok(proc_status(fd, "status", arena, &s, &err), err);
	assert_int_equal(s.nstgid, 7);
	assert_int_equal(s.nspgid, 6);
	assert_int_equal(s.nssid, 5);
	assert_int_equal(s.nr_ns, 3);
	assert_int_equal(s.tracer, 77);
	assert_int_equal(s.uid[3], 4);
	assert_int_equal(s.nr_groups, 3);
	assert_int_equal(s.groups[2], 30);
	assert_int_equal(s.cap_prm, 0x1ffffffffff);
	assert_true(s.shadow_stack);
	assert_true(s.thp_enabled);
	fake_end(fd, "status");
	fd = fake("status", "Name:\tx\n");
	assert_int_equal(proc_status(fd, "status", arena, &s, &err), -EPROTO);
	fake_end(fd, "status");
}

static void *wait_thread(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) < 0 ? arg : NULL;
}

static void test_lists(void **state)
{
	int procfd = self(), pipes[2], *nums;
	pthread_t threads[3];
	pid_t *tids, *children, child;
	size_t nr;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, wait_thread, &pipes[0]);
	assert_ok(proc_tasks(procfd, arena, &tids, &nr, &err), err);
	assert_int_equal(nr, 4);
	assert_int_equal(tids[0], getpid());
	assert_true(tids[1] < tids[2] && tids[2] < tids[3]);
	child = target_start(run_namespace, NULL);
	assert_ok(proc_children(procfd, arena, &children, &nr, &err), err);
	assert_int_equal(nr, 1);
	assert_int_equal(children[0], child);
	target_end(child);
	assert_ok(proc_children(procfd, arena, &children, &nr, &err), err);
	assert_int_equal(nr, 0);
	dup2(pipes[0], 999);
	assert_ok(proc_fds(procfd, arena, &nums, &nr, &err), err);
	for (size_t i = 1; i < nr; i++)
		assert_true(nums[i - 1] < nums[i]);
	assert_int_equal(nums[0], 0);
	assert_int_equal(nums[nr - 1], 999);
	close(999);
	assert_int_equal(write(pipes[1], "xxx", 3), 3);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close(pipes[0]);
	close(pipes[1]);
	close(procfd);
}

static void test_link_and_text(void **state)
{
	int procfd = self();
	char *link, *text, cwd[4096];
	size_t len;

	(void)state;
	assert_ok(proc_link(procfd, "cwd", arena, &link, &err), err);
	assert_string_equal(link, getcwd(cwd, sizeof cwd));
	assert_int_equal(proc_link(procfd, "nothing", arena, &link, &err), -ENOENT);
	assert_ok(proc_text(procfd, "cmdline", arena, &text, &len, &err), err);
	assert_true(len > 0 && text[len] == '\0');
	assert_int_equal(proc_text(procfd, "nothing", arena, &text, &len, &err), -ENOENT);
	close(procfd);
}

static int run_compute(void *arg)
{
	for (volatile int x = 0;; x++)
		(void)arg;
	return 0;
}

static void test_syscall(void **state)
{
	pid_t pause_pid = target_start(run_namespace, NULL), busy = target_start(run_compute, NULL);
	struct proc_syscall in;
	int fd = -1;

	(void)state;
	wait_until(target_in(pause_pid, pause_pid, SYS_pause));
	assert_ok(proc_open(busy, &fd, &err), err);
	do
		assert_ok(proc_syscall(fd, busy, &in, &err), err);
	while (in.nr == -1);
	assert_int_equal(in.nr, -2);
	close(fd);
	assert_ok(proc_open(pause_pid, &fd, &err), err);
	assert_ok(proc_syscall(fd, pause_pid, &in, &err), err);
	assert_int_equal(in.nr, SYS_pause);
	assert_true(in.sp && in.pc);
	close(fd);
	target_end(busy);
	target_end(pause_pid);
}

static void test_limits(void **state)
{
	struct proc_limit limits[16];
	int procfd = self();

	(void)state;
	assert_ok(proc_limits(procfd, arena, limits, &err), err);
	for (int i = 0; i < 16; i++) {
		struct rlimit r;

		getrlimit((__rlimit_resource_t)i, &r);
		assert_int_equal(
			limits[i].cur, r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur);
		assert_int_equal(
			limits[i].max, r.rlim_max == RLIM_INFINITY ? UINT64_MAX : r.rlim_max);
	}
	close(procfd);
}

static void test_timers(void **state)
{
	struct sigevent signal = { .sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = 40,
		.sigev_value.sival_ptr = (void *)0x1234abcd };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	struct sigevent thread = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = 41 };
	struct proc_timer *timers;
	int procfd = self(), ids[3];
	size_t nr;

	(void)state;
	thread._sigev_un._tid = gettid();
	assert_int_equal(syscall(SYS_timer_create, CLOCK_MONOTONIC, &signal, &ids[0]), 0);
	assert_int_equal(syscall(SYS_timer_create, CLOCK_REALTIME, &none, &ids[1]), 0);
	assert_int_equal(syscall(SYS_timer_create, CLOCK_BOOTTIME, &thread, &ids[2]), 0);
	assert_ok(proc_timers(procfd, arena, &timers, &nr, &err), err);
	assert_int_equal(nr, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(timers[i].id, ids[i]);
	assert_int_equal(timers[0].signo, 40);
	assert_int_equal(timers[0].sigval, 0x1234abcd);
	assert_int_equal(timers[0].notify, SIGEV_SIGNAL);
	assert_int_equal(timers[0].clock, CLOCK_MONOTONIC);
	assert_int_equal(timers[1].notify, SIGEV_NONE);
	assert_int_equal(timers[1].clock, CLOCK_REALTIME);
	assert_int_equal(timers[2].notify, SIGEV_THREAD_ID);
	assert_int_equal(timers[2].notify_tid, gettid());
	for (int i = 0; i < 3; i++)
		syscall(SYS_timer_delete, ids[i]);
	assert_ok(proc_timers(procfd, arena, &timers, &nr, &err), err);
	assert_int_equal(nr, 0);
	close(procfd);
}

static void test_policies(void **state)
{
	static const struct {
		const char *line;
		uint32_t mode;
		uint8_t nodes0, nodes1;
	} good[] = {
		{ "7f00 default anon=1 dirty=1\n", 0, 0, 0 },
		{ "7f00 bind:0 file=/x mapped=2\n", MPOL_BIND, 1, 0 },
		{ "7f00 bind=static:0-1,3,8-9 anon=1", MPOL_BIND | MPOL_F_STATIC_NODES, 0x0b, 3 },
		{ "7f00 prefer (many)=relative:1\n", MPOL_PREFERRED_MANY | MPOL_F_RELATIVE_NODES, 2,
			0 },
		{ "7f00 bind=static|balancing:0\n",
			MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_NUMA_BALANCING, 1, 0 },
		{ "7f00 prefer:2\n", MPOL_PREFERRED, 4, 0 },
		{ "7f00 local heap\n", MPOL_LOCAL, 0, 0 },
		{ "7f00 weighted interleave:0\n", 6, 1, 0 },
	};
	static const char *const bad[] = { "", "x default", "7f00", "7f00 strange:0",
		"7f00 bind:", "7f00 bind:1-0", "7f00 bind:1024", "7f00 bind:0x" };
	struct proc_policy policy;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(proc_policy_parse(good[i].line, &policy));
		assert_int_equal(policy.start, 0x7f00);
		assert_int_equal(policy.mode, good[i].mode);
		assert_int_equal(policy.nodes[0], good[i].nodes0);
		assert_int_equal(policy.nodes[1], good[i].nodes1);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(proc_policy_parse(bad[i], &policy));
}

static void test_syscall_name(void **state)
{
	(void)state;
	assert_string_equal(syscall_name(0), "read");
	assert_string_equal(syscall_name(SYS_epoll_wait), "epoll_wait");
	assert_string_equal(syscall_name(SYS_rt_sigreturn), "rt_sigreturn");
	assert_string_equal(syscall_name(462), "mseal");
	assert_string_equal(syscall_name(400), "syscall_400");
	assert_string_equal(syscall_name(100000), "syscall_100000");
	assert_string_equal(syscall_name(-1), "syscall_-1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_smaps),
		cmocka_unit_test(test_many_mappings),
		cmocka_unit_test(test_bad_maps),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_text),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_link_and_text),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_syscall_name),
	};
	int failed;

	arena = arena_create();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_destroy(arena);
	return failed;
}
