/* What cannot be dumped is named, with a remedy. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "test/unit/fd_fake.h"

static void expect_refusal(int fd, const char *words)
{
	struct fake *f = fake_create();

	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, words);
	assert_non_null(strstr(f->err.msg, "descriptor"));
	fake_destroy(f);
}

static void userfaultfd(void **state)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

	(void)state;
	if (fd < 0)
		skip();
	expect_refusal(fd, "a userfaultfd");
}

static void bpf_map(void **state)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);

	(void)state;
	if (fd < 0)
		skip(); /* not allowed */
	expect_refusal(fd, "bpf(2)");
}

static void perf_event(void **state)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof attr,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.exclude_kernel = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	(void)state;
	if (fd < 0)
		skip(); /* not allowed, or not built in */
	expect_refusal(fd, "performance counter");
}

static void landlock(void **state)
{
	struct {
		uint64_t handled_access_fs;
	} attr = { 1 };
	int fd = (int)syscall(444 /* landlock_create_ruleset */, &attr, sizeof attr, 0);

	(void)state;
	if (fd < 0)
		skip();
	expect_refusal(fd, "Landlock");
}

static void secret_memory(void **state)
{
	int fd = (int)syscall(447 /* memfd_secret */, O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	expect_refusal(fd, "secret memory");
}

static void namespaces(void **state)
{
	char path[64];
	pid_t child = fork();
	int fd;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		raise(unshare(CLONE_NEWUSER) == 0 ? SIGSTOP : SIGKILL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &fd, WUNTRACED), child);
	if (WIFSIGNALED(fd))
		skip();
	snprintf(path, sizeof path, "/proc/%d/ns/user", child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	expect_refusal(fd, "a namespace");
}

static void devices(void **state)
{
	struct fake *f = fake_create();
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct fd_seen seen = fake_see(f, fd, fd);

	(void)state;
	seen.st.st_rdev = makedev(10, 200);
	seen.link = "/dev/net/tun";
	assert_null(fd_kind_of(&seen, &f->err));
	fake_expect_words(f, -f->err.code, ENOTSUP, "a tunnel device");
	seen.link = "/dev/watchdog";
	assert_null(fd_kind_of(&seen, &f->err));
	fake_expect_words(f, -f->err.code, ENOTSUP, "character device (10:200)");
	seen.st.st_mode = S_IFBLK | 0600;
	seen.link = "/dev/sda";
	assert_null(fd_kind_of(&seen, &f->err));
	fake_expect_words(f, -f->err.code, ENOTSUP, "block device");
	close(fd);
	fake_destroy(f);
}

static void sockets_of_unknown_families(void **state)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (fd < 0)
		skip();
	expect_refusal(fd, "vsock socket");
}

static void path_of_the_nameless(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), path;

	(void)state;
	assert_int_equal(ofd_reopen(fd, O_PATH, &path, NULL), 0);
	close(fd);
	expect_refusal(path, "O_PATH descriptor of something that has no path");
}

static void unheard_of(void **state)
{
	struct fake *f = fake_create();
	int fd = eventfd(0, EFD_CLOEXEC);
	struct fd_seen seen = fake_see(f, fd, fd);

	(void)state;
	seen.link = "anon_inode:[news]";
	assert_null(fd_kind_of(&seen, &f->err));
	fake_expect_words(f, -f->err.code, ENOTSUP, "anon_inode:[news]) is of a kind");
	close(fd);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(userfaultfd),
		cmocka_unit_test(bpf_map),
		cmocka_unit_test(perf_event),
		cmocka_unit_test(landlock),
		cmocka_unit_test(secret_memory),
		cmocka_unit_test(namespaces),
		cmocka_unit_test(devices),
		cmocka_unit_test(sockets_of_unknown_families),
		cmocka_unit_test(path_of_the_nameless),
		cmocka_unit_test(unheard_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
