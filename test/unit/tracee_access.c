/* Every rule of ptrace access that refuses, made to refuse for real where that can be done here. */
#include "test/unit/helpers/tracee_target.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tracee/access.h"

enum { NOBODY = 65534 };

struct shared {
	atomic_int ready;
	int ret;
	struct err err;
};

static struct shared *shm;

static bool is_root(void)
{
	if (geteuid() != 0)
		print_message("# needs root to become others\n");
	return geteuid() == 0;
}

/* ---- targets ------------------------------------------------------------ */

static int wait_ready(void)
{
	shm->ready = 1;
	for (;;)
		pause();
	return 0;
}

static int become(uid_t uid)
{
	return setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid);
}

static int target_plain(void *arg)
{
	if (arg && become(*(uid_t *)arg))
		return 1;
	/* Changing ids took it away. */
	prctl(PR_SET_DUMPABLE, 1);
	return wait_ready();
}

static int target_not_dumpable(void *arg)
{
	if (arg && become(*(uid_t *)arg))
		return 1;
	prctl(PR_SET_DUMPABLE, 0);
	return wait_ready();
}

/* As a set-user-ID program: real id of the user, effective of root. */
static int target_setuid(void *arg)
{
	uid_t uid = *(uid_t *)arg;

	if (setresuid(uid, 0, 0))
		return 1;
	prctl(PR_SET_DUMPABLE, 1);
	return wait_ready();
}

static int target_with_caps(void *arg)
{
	cap_t caps = cap_from_text("cap_net_bind_service=ep");

	prctl(PR_SET_KEEPCAPS, 1);
	if (become(*(uid_t *)arg) || cap_set_proc(caps))
		return 1;
	cap_free(caps);
	prctl(PR_SET_DUMPABLE, 1);
	return wait_ready();
}

static int target_userns(void *arg)
{
	if (become(*(uid_t *)arg))
		return 1;
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER))
		return 1;
	prctl(PR_SET_DUMPABLE, 1);
	return wait_ready();
}

/* ---- callers ------------------------------------------------------------ */

struct caller {
	uid_t uid; /* 0: as we are */
	pid_t pid;
	bool userns;          /* in a user namespace of its own */
	int (*prepare)(void); /* before it becomes uid; 0, or it could not */
	int (*confine)(void); /* the same, afterwards */
};

static int caller_become(const struct caller *c)
{
	return (c->prepare && c->prepare()) || (c->uid && become(c->uid)) ||
	       (c->userns && unshare(CLONE_NEWUSER)) || (c->confine && c->confine());
}

static int run_caller(void *arg)
{
	const struct caller *c = arg;

	if (caller_become(c))
		return 1;
	shm->ret = access_check(c->pid, &shm->err);
	return 0;
}

/* What access_check says to such a caller, and whether the kernel agrees. */
static int run_seize(void *arg)
{
	const struct caller *c = arg;

	if (caller_become(c))
		return 1;
	return ptrace(PTRACE_SEIZE, c->pid, 0, 0) == 0 ? 10 : 11;
}

static int status_of(int (*run)(void *), struct caller *c)
{
	int status;

	assert_int_equal(waitpid(target_start(run, c), &status, 0) > 0, 1);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check(struct caller *c, int ret, const char *msg, const char *hint)
{
	memset(&shm->err, 0, sizeof shm->err);
	assert_int_equal(status_of(run_caller, c), 0);
	if (shm->ret != ret)
		fail_msg("%d instead of %d: %s", shm->ret, ret, shm->err.msg);
	if (ret == -EPERM || ret == 0)
		assert_int_equal(status_of(run_seize, c), ret ? 11 : 10);
	if (ret && (!strstr(shm->err.msg, msg) || !strstr(shm->err.hint, hint)))
		fail_msg("\"%s\" (\"%s\")", shm->err.msg, shm->err.hint);
}

static pid_t target_ready(int (*run)(void *), void *arg)
{
	pid_t pid;

	shm->ready = 0;
	pid = target_start(run, arg);
	wait_until(shm->ready || target_state(pid, pid) == 'Z');
	assert_true(shm->ready);
	return pid;
}

static void check_target(
	int (*run)(void *), struct caller c, int ret, const char *msg, const char *hint)
{
	uid_t nobody = NOBODY;

	c.pid = target_ready(run, c.uid ? &nobody : NULL);
	check(&c, ret, msg, hint);
	target_end(c.pid);
}

/* ---- tests -------------------------------------------------------------- */

static void test_allowed(void **state)
{
	(void)state;
	check_target(target_plain, (struct caller){ 0 }, 0, "", "");
	if (is_root())
		check_target(target_plain, (struct caller){ .uid = NOBODY }, 0, "", "");
}

static void test_no_such_process(void **state)
{
	(void)state;
	check(&(struct caller){ .pid = 0x7ffffff0 }, -ESRCH, "no such process", "ps");
	check(&(struct caller){ .pid = -1 }, -ESRCH, "no such process", "ps");
	check(&(struct caller){ .pid = 0 }, -ESRCH, "no such process", "ps");
}

static void test_ourselves(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(access_check(getpid(), &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is snapctl itself"));
	assert_int_equal(access_check(getpid(), NULL), -EINVAL);
}

static int run_zombie(void *arg)
{
	return arg != NULL;
}

static void test_zombie(void **state)
{
	pid_t pid = target_start(run_zombie, NULL);

	(void)state;
	wait_until(target_state(pid, pid) == 'Z');
	check(&(struct caller){ .pid = pid }, -ESRCH, "zombie", "parent");
	target_end(pid);
}

static void test_kernel_thread(void **state)
{
	(void)state;
	/* kthreadd; in a container it does not show. */
	if (target_state(2, 2) == '?')
		skip();
	check(&(struct caller){ .pid = 2 }, -EPERM, "kernel thread", "brackets");
}

static void test_other_user(void **state)
{
	pid_t pid;

	(void)state;
	if (!is_root())
		skip();
	pid = target_ready(target_plain, NULL);
	check(&(struct caller){ .uid = NOBODY, .pid = pid }, -EPERM,
		"runs with uid 0/0/0 and gid 0/0/0 (real/effective/saved), snapctl with uid 65534 "
		"and gid 65534",
		"as root");
	target_end(pid);
}

static void test_setuid(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	check_target(target_setuid, (struct caller){ .uid = NOBODY }, -EPERM, "uid 65534/0/0",
		"set-user-ID");
}

static void test_not_dumpable(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	check_target(target_not_dumpable, (struct caller){ .uid = NOBODY }, -EPERM, "not dumpable",
		"CAP_SYS_PTRACE");
	check_target(target_not_dumpable, (struct caller){ 0 }, 0, "", "");
}

static void test_capabilities(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	check_target(target_with_caps, (struct caller){ .uid = NOBODY }, -EPERM,
		"has capabilities that snapctl lacks: cap_net_bind_service", "CAP_SYS_PTRACE");
}

static void test_user_namespace(void **state)
{
	uid_t nobody = NOBODY;
	pid_t pid;

	(void)state;
	if (!is_root())
		skip();
	/* From inside a namespace of one's own, a process outside cannot be traced. */
	pid = target_ready(target_plain, &nobody);
	check(&(struct caller){ .uid = NOBODY, .pid = pid, .userns = true }, -EPERM,
		"another user namespace", "nsenter");
	target_end(pid);
	/* Neither can a brother in another one, but nothing shows that it is another one. */
	pid = target_ready(target_userns, &nobody);
	check(&(struct caller){ .uid = NOBODY, .pid = pid, .userns = true }, -EPERM,
		"forbids to trace", "another user namespace");
	target_end(pid);
}

static int run_other_tracer(void *arg)
{
	if (ptrace(PTRACE_SEIZE, *(pid_t *)arg, 0, 0) < 0)
		return 1;
	prctl(PR_SET_NAME, "other-tracer");
	return wait_ready();
}

static void test_traced(void **state)
{
	pid_t pid = target_ready(target_plain, NULL), tracer;
	char words[64];

	(void)state;
	shm->ready = 0;
	tracer = target_start(run_other_tracer, &pid);
	wait_until(shm->ready);
	snprintf(words, sizeof words, "already traced by %d (other-tracer)", tracer);
	check(&(struct caller){ .pid = pid }, -EBUSY, words, "detach");
	target_end(tracer);
	wait_until(target_state(pid, pid) == 'S');
	check(&(struct caller){ .pid = pid }, 0, "", "");
	target_end(pid);
}

static int run_with_thread(void *arg)
{
	pid_t *tid = arg;
	static char stack[65536] __attribute__((aligned(16)));

	*tid = clone((int (*)(void *))(void *)wait_ready, stack + sizeof stack,
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		NULL);
	for (;;)
		pause();
	return 0;
}

static void test_thread(void **state)
{
	pid_t *tid = shared_alloc(sizeof *tid), pid = target_ready(run_with_thread, tid);
	char hint[32];

	(void)state;
	wait_until(*tid > 0);
	snprintf(hint, sizeof hint, "--pid %d", pid);
	check(&(struct caller){ .pid = *tid }, -EINVAL, "is a thread of process", hint);
	target_end(pid);
}

/* ---- sandboxes of the caller ---- */

static int forbid_ptrace(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof insns / sizeof *insns, insns };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_seccomp(void **state)
{
	struct caller c = { .pid = target_ready(target_plain, NULL), .confine = forbid_ptrace };

	(void)state;
	check(&c, -EPERM, "a seccomp filter that snapctl runs under forbids ptrace(2)", "sandbox");
	target_end(c.pid);
}

/* Nobody is left, and it comes to an end, whenever the child is seen to have ended. */
static int run_launch_refused(void *arg)
{
	const struct tracee_launch what = { .argv = (char *const[]){ "sleep", "1000", NULL } };

	(void)arg;
	if (forbid_ptrace())
		return 1;
	alarm(TARGET_LIMIT_S / 2);
	for (int i = 0; i < 20; i++) {
		struct tracer *tr = tracer_create();
		struct tracee *t;

		memset(&shm->err, 0, sizeof shm->err);
		shm->ret = tracee_launch(tr, &what, &t, &shm->err);
		tracer_destroy(tr);
		if (shm->ret != -EPERM || waitpid(-1, NULL, __WALL) != -1)
			return 2;
	}
	return 0;
}

static void test_launch_refused(void **state)
{
	struct caller none = { 0 };

	(void)state;
	assert_int_equal(status_of(run_launch_refused, &none), 0);
	assert_non_null(strstr(shm->err.msg, "a seccomp filter that snapctl runs under"));
}

/* A domain in which nothing is forbidden but what a domain forbids by itself: to trace others. */
static int enter_landlock(void)
{
	struct {
		uint64_t handled_access_fs;
	} rules = { 1 << 12 }; /* LANDLOCK_ACCESS_FS_MAKE_SYM */
	int fd = (int)syscall(444, &rules, sizeof rules, 0);

	return fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446, fd, 0);
}

static void test_landlock(void **state)
{
	struct caller c = { .confine = enter_landlock };

	(void)state;
	if (syscall(444, NULL, 0, 1) < 0) {
		print_message("# this kernel has no Landlock\n");
		skip();
	}
	/* As root, too: no capability lets anybody out of a domain. */
	c.pid = target_ready(target_plain, NULL);
	check(&c, -EPERM, "the kernel forbids to trace it", "Landlock");
	target_end(c.pid);
}

/* ---- what a kernel like ours does not have, put into its place ---- */

static int own_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* /proc/sys/kernel/yama/ptrace_scope says so from here on; the refusal itself is Landlock's. */
static int see_yama(const char *mode)
{
	int fd;

	if (own_mounts() || mount("none", "/proc/sys/kernel", "tmpfs", 0, NULL) ||
		mkdir("/proc/sys/kernel/yama", 0755))
		return 1;
	fd = open("/proc/sys/kernel/yama/ptrace_scope", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 || write(fd, mode, 2) != 2 || close(fd);
}

static int see_yama_1(void)
{
	return see_yama("1\n");
}

static int see_yama_2(void)
{
	return see_yama("2\n");
}

static int see_yama_3(void)
{
	return see_yama("3\n");
}

static void test_yama_mode(void **state)
{
	struct caller c = { .uid = NOBODY, .prepare = see_yama_1, .confine = enter_landlock };
	uid_t nobody = NOBODY;

	(void)state;
	if (!is_root() || syscall(444, NULL, 0, 1) < 0)
		skip();
	c.pid = target_ready(target_plain, &nobody);
	check(&c, -EPERM, "Yama mode 1: only a parent", "snapctl_listen() and use --ask");
	c.prepare = see_yama_2;
	check(&c, -EPERM, "Yama mode 2: only root", "CAP_SYS_PTRACE");
	c.prepare = see_yama_3;
	check(&c, -EPERM, "Yama mode 3: nobody", "reboot");
	c.uid = 0; /* root is spared by all but the last one */
	check(&c, -EPERM, "Yama mode 3: nobody", "reboot");
	c.prepare = see_yama_2;
	check(&c, -EPERM, "the kernel forbids to trace it", "Landlock");
	target_end(c.pid);
}

static int hide_others(void)
{
	return own_mounts() || mount("proc", "/proc", "proc", 0, "hidepid=2");
}

static void test_hidden(void **state)
{
	struct caller c = { .uid = NOBODY, .prepare = hide_others };

	(void)state;
	if (!is_root())
		skip();
	c.pid = target_ready(target_plain, NULL);
	check(&c, -EPERM, "is hidden: /proc is mounted with hidepid", "as root");
	target_end(c.pid);
}

/* Yama is not part of every kernel: its words are tested by themselves. */
static void test_yama(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(yama_explain(0, 42, "x", &err), 0);
	for (int mode = 1; mode <= 3; mode++) {
		memset(&err, 0, sizeof err);
		assert_int_equal(yama_explain(mode, 42, "x", &err), -EPERM);
		assert_non_null(strstr(err.msg, "process 42 (x): Yama mode"));
		assert_true(err.hint[0]);
	}
}

/* A refusal of the kernel comes out of tracee_seize in these words. */
static int run_seize_refused(void *arg)
{
	const struct caller *c = arg;
	struct tracer *tr;
	struct tracee *t;

	if (become(c->uid))
		return 1;
	tr = tracer_create();
	shm->ret = tracee_seize(tr, c->pid, &t, &shm->err);
	tracer_destroy(tr);
	return 0;
}

static void test_seize_explains(void **state)
{
	struct caller c = { .uid = NOBODY };

	(void)state;
	if (!is_root())
		skip();
	c.pid = target_ready(target_plain, NULL);
	assert_int_equal(status_of(run_seize_refused, &c), 0);
	assert_int_equal(shm->ret, -EPERM);
	assert_non_null(strstr(shm->err.msg, "runs with uid 0/0/0"));
	target_end(c.pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_no_such_process),
		cmocka_unit_test(test_ourselves),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_other_user),
		cmocka_unit_test(test_setuid),
		cmocka_unit_test(test_not_dumpable),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_user_namespace),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_launch_refused),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_yama),
		cmocka_unit_test(test_yama_mode),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_seize_explains),
	};

	shm = shared_alloc(sizeof *shm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
