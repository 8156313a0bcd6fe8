/* Checking in with the snapctl that has started this program. */
#include "lib/snapctl.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/internal.h"

enum { LOOK_EVERY_NS = 50000000 };

static pthread_mutex_t conversation = PTHREAD_MUTEX_INITIALIZER;

void snapctl_lock(void)
{
	pthread_mutex_lock(&conversation);
}

void snapctl_unlock(void)
{
	pthread_mutex_unlock(&conversation);
}

/* ---- the area --------------------------------------------------------------------------- */

static struct snapctl_area *the_area;

struct snapctl_area *area_get(void)
{
	struct snapctl_area *area;

	if (the_area)
		return the_area;
	/* Kernels before 4.17 take the address for a hint. */
	area = mmap((void *)SNAPCTL_AREA_ADDR, SNAPCTL_AREA_LEN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (area == MAP_FAILED && errno == EEXIST)
		area = mmap(NULL, SNAPCTL_AREA_LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	area->magic = SNAPCTL_AREA_MAGIC;
	area->len = SNAPCTL_AREA_LEN;
	the_area = area;
	return area;
}

/* It has to be there before anybody makes an image. */
__attribute__((constructor)) static void area_make(void)
{
	area_get();
}

void hello_init(struct snapctl_hello *hello, enum snapctl_kind kind)
{
	memset(hello, 0, sizeof *hello);
	memcpy(hello->magic, SNAPCTL_HELLO_MAGIC, sizeof hello->magic);
	hello->kind = kind;
	hello->area = (uintptr_t)the_area;
}

/* Nobody can wake us from outside: snapctl's interrupt makes the kernel look at the word again, and
 * so does the time limit. */
static void area_sleep(const struct snapctl_area *area)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_NS };

	syscall(SYS_futex, &area->state, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, SNAPCTL_ASKING, &pause,
		NULL, 0);
}

int area_wait(int (*alive)(void *arg), void *arg)
{
	struct snapctl_area *area = area_get();
	uint32_t state = SNAPCTL_ASKING;

	while (state == SNAPCTL_ASKING) {
		area_sleep(area);
		/* Nobody will answer any more: whatever has come is there by now. */
		if (!alive(arg)) {
			__atomic_compare_exchange_n(&area->state, &state, SNAPCTL_IDLE, 0,
				__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
			break;
		}
		state = __atomic_load_n(&area->state, __ATOMIC_ACQUIRE);
	}
	switch (state) {
	case SNAPCTL_RESTORED:
		return 1;
	case SNAPCTL_WENT_ON:
		return 0;
	case SNAPCTL_REFUSED:
		return -EACCES;
	default:
		return -ECANCELED;
	}
}

/* ---- the token -------------------------------------------------------------------------- */

/* Byte by byte through general registers: vector registers would keep it, and be in the image. */
static void token_copy(char *to, const char *from)
{
	volatile char *out = to;
	const volatile char *in = from;

	for (int i = 0; i < SNAPCTL_TOKEN_LEN; i++)
		out[i] = in[i];
}

static int token_is_whole(const char *token)
{
	const volatile char *at = token;
	int len = 0;

	while (at[len])
		len++;
	return len == SNAPCTL_TOKEN_LEN;
}

/* Takes NUMBER:TOKEN out of the environment, where it is overwritten: it is good for once, and not
 * for the image. */
static int token_take(char token[SNAPCTL_TOKEN_LEN])
{
	char *text = getenv(SNAPCTL_READY_ENV), *end;
	long fd;

	if (!text)
		return -ENOTCONN;
	fd = strtol(text, &end, 10);
	if (end == text || *end != ':' || !token_is_whole(end + 1) || fd < 0) {
		unsetenv(SNAPCTL_READY_ENV);
		return -ENOTCONN;
	}
	token_copy(token, end + 1);
	memset(end + 1, '-', SNAPCTL_TOKEN_LEN);
	unsetenv(SNAPCTL_READY_ENV);
	return (int)fd;
}

enum { BURNT = 16384 };

/* Copies that the compiler, or the dynamic linker when it saved vector registers, left on the stack
 * below us. */
__attribute__((noinline)) static void stack_burn(void)
{
	char below[BURNT];

	explicit_bzero(below, sizeof below);
}

/* snapctl holds the other end for as long as it waits. */
static int channel_alive(void *arg)
{
	struct pollfd channel = { .fd = *(int *)arg };

	return poll(&channel, 1, 0) <= 0 || !(channel.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int check_in(int fd, const char token[SNAPCTL_TOKEN_LEN])
{
	struct snapctl_hello hello;
	ssize_t sent;
	int failed;

	hello_init(&hello, SNAPCTL_CHECKS_IN);
	failed = hooks_before(hello.words);
	if (failed)
		hello.kind = SNAPCTL_HOOK_FAILED;
	token_copy(hello.token, token);
	area_get()->state = SNAPCTL_ASKING;
	sent = send(fd, &hello, sizeof hello, MSG_NOSIGNAL);
	explicit_bzero(&hello, sizeof hello);
	if (sent != (ssize_t)sizeof hello && !failed) {
		hooks_after(0);
		return -ENOTCONN;
	}
	return failed;
}

static int ready_locked(void)
{
	char token[SNAPCTL_TOKEN_LEN];
	int fd = token_take(token), ret;

	if (fd < 0)
		return fd;
	if (!area_get())
		return -ENOMEM;
	ret = check_in(fd, token);
	explicit_bzero(token, sizeof token);
	stack_burn();
	if (ret < 0)
		return ret;
	ret = area_wait(channel_alive, &fd);
	/* After a dump the number may be somebody else's already: snapctl has closed it. */
	if (ret < 0)
		close(fd);
	hooks_after(ret == 1);
	return ret;
}

int snapctl_ready(void)
{
	int ret;

	snapctl_lock();
	ret = ready_locked();
	snapctl_unlock();
	return ret;
}
