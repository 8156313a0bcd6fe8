/* dump/until/effect: every system call is classified, and the judges judge by the arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "dump/until/effect_call.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

enum { NUMBERS_END = 1024 };

static void test_every_call_is_classified(void **state)
{
	unsigned nr_known = 0;

	(void)state;
	for (int64_t nr = -2; nr < NUMBERS_END; nr++) {
		const struct effect_call *call = effect_call(nr);
		bool known = !strstr(syscall_name(nr), "syscall_");

		if (known && !call->judge && call->is == EFFECT_UNKNOWN)
			fail_msg("%s (%d) is not classified", syscall_name(nr), (int)nr);
		if (!known && (call->judge || call->is != EFFECT_UNKNOWN))
			fail_msg("%d has no name, but a class", (int)nr);
		nr_known += known;
	}
	assert_true(nr_known > 370);
}

static void test_names(void **state)
{
	(void)state;
	for (int e = 0; e < NR_EFFECTS; e++)
		assert_non_null(effect_name(e));
}

/* ---- judges: of this process, as if it were traced ------------------------------------------ */

struct world {
	struct tracee t;
	struct tracee_thread thread;
	struct stat outside;
	struct effect_look look;
	int pipe[2], inherited[2], memfd, file, event, null, pair[2];
	char path[64];
};

static int world_make(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	w->thread = (struct tracee_thread){ .tid = getpid() };
	w->t = (struct tracee){ .pid = getpid(), .procfd = -1, .memfd = -1, .pidfd = -1 };
	w->t.threads = &w->thread;
	w->t.nr_threads = 1;
	strcpy(w->path, "/tmp/until_effect.XXXXXX");
	w->file = mkstemp(w->path);
	w->memfd = memfd_create("x", MFD_CLOEXEC);
	w->event = eventfd(0, EFD_CLOEXEC);
	w->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (proc_open(getpid(), &w->t.procfd, NULL) < 0 || pipe(w->pipe) < 0 ||
		pipe(w->inherited) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, w->pair) < 0)
		return -1;
	fstat(w->inherited[0], &w->outside);
	w->look = (struct effect_look){ &w->t, &w->outside, 1 };
	return 0;
}

static int world_end(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	free(w);
	return 0;
}

static enum effect judged(
	struct world *w, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	const uint64_t args[6] = { a, b, c, d, e };
	const struct effect_call *call = effect_call(nr);

	return call->judge ? call->judge(&w->look, args) : call->is;
}

#define TEXT(s) ((uint64_t)(uintptr_t)(s))
#define FD(n)   ((uint64_t)(n))

static void test_open(void **state)
{
	struct world *w = *state;
	struct open_how how = { .flags = O_CREAT | O_WRONLY };
	const uint64_t cwd = (uint64_t)AT_FDCWD, path = TEXT(w->path);

	assert_int_equal(judged(w, SYS_openat, cwd, path, O_RDONLY, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_openat, cwd, path, O_RDWR, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_openat, cwd, path, O_RDWR | O_TRUNC, 0, 0), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_openat, cwd, path, O_RDWR | O_CREAT, 0, 0), EFFECT_FILES);
	assert_int_equal(
		judged(w, SYS_openat, cwd, TEXT("/tmp"), O_RDWR | O_TMPFILE, 0, 0), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_openat, cwd, TEXT("/tmp"), O_DIRECTORY, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_open, path, O_CREAT | O_PATH, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_open, TEXT("/no/where"), O_RDWR, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_open, TEXT("/dev/null"), O_RDWR, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(
		judged(w, SYS_open, TEXT("/dev/null"), O_WRONLY | O_CREAT | O_TRUNC, 0, 0, 0),
		EFFECT_NONE);
	assert_int_equal(judged(w, SYS_open, TEXT("/dev/urandom"), 0, 0, 0, 0), EFFECT_RANDOM);
	assert_int_equal(judged(w, SYS_open, TEXT("/proc/sys/kernel/random/uuid"), 0, 0, 0, 0),
		EFFECT_RANDOM);
	assert_int_equal(
		judged(w, SYS_openat2, cwd, path, TEXT(&how), sizeof how, 0), EFFECT_FILES);
	how.flags = O_RDONLY;
	assert_int_equal(judged(w, SYS_openat2, cwd, path, TEXT(&how), sizeof how, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_openat2, cwd, path, 1, sizeof how, 0), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_open, 1, O_RDWR, 0, 0, 0), EFFECT_NONE); /* EFAULT */
}

static void test_descriptors(void **state)
{
	struct world *w = *state;

	assert_int_equal(judged(w, SYS_write, FD(w->file), 0, 0, 0, 0), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_write, FD(w->memfd), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(w->event), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(w->null), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(w->pipe[1]), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(w->pair[0]), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(w->inherited[1]), 0, 0, 0, 0), EFFECT_OUTPUT);
	assert_int_equal(judged(w, SYS_write, FD(9999), 0, 0, 0, 0), EFFECT_NONE); /* EBADF */
	assert_int_equal(judged(w, SYS_read, FD(w->file), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_read, FD(w->pipe[0]), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_read, FD(w->inherited[0]), 0, 0, 0, 0), EFFECT_INPUT);
	assert_int_equal(
		judged(w, SYS_splice, FD(w->inherited[0]), 0, FD(w->pipe[1]), 0, 0), EFFECT_INPUT);
	assert_int_equal(judged(w, SYS_sendfile, FD(w->file), FD(w->memfd), 0, 0, 0), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_sendfile, FD(w->memfd), FD(w->file), 0, 0, 0), EFFECT_NONE);
}

/* Its own attributes are its own business; those of others are not. */
static void test_attributes(void **state)
{
	struct world *w = *state;
	int own = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
	int other = open("/proc/1/stat", O_RDONLY | O_CLOEXEC);

	assert_int_equal(judged(w, SYS_write, FD(own), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_write, FD(other), 0, 0, 0, 0), EFFECT_FILES);
	close(own);
	close(other);
}

/* A FIFO with a name may have its other end anywhere. */
static void test_fifo(void **state)
{
	struct world *w = *state;
	char path[80];
	int fd;

	snprintf(path, sizeof path, "%s.fifo", w->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(judged(w, SYS_open, TEXT(path), O_RDONLY, 0, 0, 0), EFFECT_INPUT);
	assert_int_equal(judged(w, SYS_open, TEXT(path), O_WRONLY, 0, 0, 0), EFFECT_OUTPUT);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(judged(w, SYS_write, FD(fd), 0, 0, 0, 0), EFFECT_OUTPUT);
	close(fd);
	unlink(path);
}

static void test_sockets(void **state)
{
	struct world *w = *state;
	struct msghdr msg = { 0 };

	assert_int_equal(judged(w, SYS_sendto, FD(w->pair[0]), 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_sendto, FD(w->pair[0]), 0, 0, 0, 4096), EFFECT_NET);
	assert_int_equal(judged(w, SYS_sendmsg, FD(w->pair[0]), TEXT(&msg), 0, 0, 0), EFFECT_NONE);
	msg.msg_name = &msg;
	assert_int_equal(judged(w, SYS_sendmsg, FD(w->pair[0]), TEXT(&msg), 0, 0, 0), EFFECT_NET);
	assert_int_equal(judged(w, SYS_socket, 0, 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_setsockopt, 0, SOL_SOCKET, SO_REUSEADDR, 0, 0), EFFECT_NONE);
	assert_int_equal(
		judged(w, SYS_setsockopt, 0, IPPROTO_IP, IP_ADD_MEMBERSHIP, 0, 0), EFFECT_NET);
	assert_int_equal(
		judged(w, SYS_setsockopt, 0, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, 0, 0), EFFECT_NET);
}

/* What is not there (nscd asks for its socket first of all) cannot be connected to. */
static void test_connect(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "/no/where" };
	struct sockaddr_in in = { .sin_family = AF_INET };

	assert_int_equal(judged(w, SYS_connect, 0, TEXT(&sa), sizeof sa, 0, 0), EFFECT_NONE);
	strcpy(sa.sun_path, w->path);
	assert_int_equal(judged(w, SYS_connect, 0, TEXT(&sa), sizeof sa, 0, 0), EFFECT_NET);
	memcpy(sa.sun_path, "\0abstract", 10);
	assert_int_equal(judged(w, SYS_connect, 0, TEXT(&sa), sizeof sa, 0, 0), EFFECT_NET);
	memset(sa.sun_path, 'x', sizeof sa.sun_path);
	assert_int_equal(judged(w, SYS_connect, 0, TEXT(&sa), sizeof sa, 0, 0), EFFECT_NET);
	assert_int_equal(judged(w, SYS_connect, 0, TEXT(&in), sizeof in, 0, 0), EFFECT_NET);
	assert_int_equal(judged(w, SYS_connect, 0, 1, sizeof in, 0, 0), EFFECT_NONE); /* EFAULT */
}

static void test_memory(void **state)
{
	struct world *w = *state;
	int reading = open(w->path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(
		judged(w, SYS_mmap, 0, 0, 0, MAP_SHARED | MAP_ANONYMOUS, FD(-1)), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_mmap, 0, 0, 0, MAP_PRIVATE, FD(w->file)), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_mmap, 0, 0, 0, MAP_SHARED, FD(w->file)), EFFECT_FILES);
	assert_int_equal(
		judged(w, SYS_mmap, 0, 0, 0, MAP_SHARED_VALIDATE, FD(w->file)), EFFECT_FILES);
	assert_int_equal(judged(w, SYS_mmap, 0, 0, 0, MAP_SHARED, FD(reading)), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_mmap, 0, 0, 0, MAP_SHARED, FD(w->memfd)), EFFECT_NONE);
	close(reading);
}

static void test_processes(void **state)
{
	struct world *w = *state;
	uint64_t clone3[8] = { CLONE_THREAD };
	const uint64_t self = (uint64_t)getpid();

	assert_int_equal(judged(w, SYS_kill, self, SIGUSR1, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_kill, 1, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_kill, 0, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_kill, (uint64_t)-1, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_clone, SIGCHLD, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_clone3, TEXT(clone3), 64, 0, 0, 0), EFFECT_NONE);
	clone3[0] = CLONE_VM | CLONE_VFORK;
	assert_int_equal(judged(w, SYS_clone3, TEXT(clone3), 64, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_prlimit64, 0, 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_prlimit64, 1, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_setpriority, PRIO_PROCESS, 0, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_setpriority, PRIO_USER, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_exit, 0, 0, 0, 0, 0), EFFECT_PROCESS);
	assert_int_equal(judged(w, SYS_exit_group, 0, 0, 0, 0, 0), EFFECT_PROCESS);
}

static void test_what_differs(void **state)
{
	struct world *w = *state;

	assert_int_equal(judged(w, SYS_getpid, 0, 0, 0, 0, 0), EFFECT_IDENTITY);
	assert_int_equal(judged(w, SYS_clock_gettime, 0, 0, 0, 0, 0), EFFECT_CLOCK);
	assert_int_equal(judged(w, SYS_getrandom, 0, 16, 0, 0, 0), EFFECT_RANDOM);
	assert_int_equal(judged(w, SYS_getrandom, 0, 8, GRND_NONBLOCK, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_ioctl, 0, TCGETS, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_ioctl, 0, TCSETS, 0, 0, 0), EFFECT_SYSTEM);
	assert_int_equal(judged(w, SYS_fcntl, 0, F_GETFL, 0, 0, 0), EFFECT_NONE);
	assert_int_equal(judged(w, SYS_fcntl, 0, F_OFD_SETLKW, 0, 0, 0), EFFECT_FILES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_is_classified),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_open, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_descriptors, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_fifo, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_sockets, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_connect, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_attributes, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_memory, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_processes, world_make, world_end),
		cmocka_unit_test_setup_teardown(test_what_differs, world_make, world_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
