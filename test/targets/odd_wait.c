/* System calls that end with EINTR at any stop, and are still no business of the program's. */
#include "target.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "odd_wait" };
static const socklen_t name_len = sizeof name;

static int listener, first, second;

/* The time that is left cannot be written back to memory that is read-only. */
static const void *read_only_seconds(int seconds)
{
	struct timespec *span = (void *)map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	span->tv_sec = seconds;
	must(mprotect(span, PAGE, PROT_READ));
	return span;
}

static long do_ppoll(void)
{
	return syscall(SYS_ppoll, NULL, 0, read_only_seconds(1), NULL, 8);
}

static long do_select(void)
{
	return syscall(SYS_select, 0, NULL, NULL, NULL, read_only_seconds(1));
}

static long do_pselect(void)
{
	return syscall(SYS_pselect6, 0, NULL, NULL, NULL, read_only_seconds(1), NULL);
}

static long do_connect(void)
{
	return connect(second, (const struct sockaddr *)&name, name_len);
}

static struct waiting {
	long nr;
	long (*call)(void);
	pthread_t thread;
	atomic_int tid;
} all[] = {
	{ .nr = SYS_ppoll, .call = do_ppoll },
	{ .nr = SYS_select, .call = do_select },
	{ .nr = SYS_pselect6, .call = do_pselect },
	{ .nr = SYS_connect, .call = do_connect },
};

enum { NR = sizeof all / sizeof all[0] };

static void *waiter(void *arg)
{
	struct waiting *w = arg;
	long got;

	w->tid = gettid();
	thread_arrived();
	got = w->call();
	expect(got == 0, "system call %ld: %ld, %s", w->nr, got, strerror(errno));
	return arg;
}

/* The only place in the queue of the listener is taken. */
static void queue_prepare(void)
{
	listener = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(listener, (const struct sockaddr *)&name, name_len));
	must(listen(listener, 0));
	first = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(first, (const struct sockaddr *)&name, name_len));
	second = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(setsockopt(second, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ 1000, 0 },
		sizeof(struct timeval)));
}

static void odd_wait(void)
{
	queue_prepare();
	for (int i = NR; i-- > 0;) {
		all[i].thread = thread_start(waiter, &all[i]);
		if (i > 2) /* the others go on by themselves */
			thread_waits_in(all[i].tid, all[i].nr);
	}
	target_wait();
	must(accept(listener, NULL, NULL));
	for (int i = 0; i < NR; i++)
		thread_join(all[i].thread);
}

const struct target targets_odd_wait[] = {
	{ "odd_wait", odd_wait, "calls that stops break", TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
