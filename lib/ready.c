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
#include <sys/stat.h>
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

/* The thread that holds it has stayed with the parent. */
static void lock_forget(void)
{
	pthread_mutex_init(&conversation, NULL);
	hooks_lock_forget();
}

/* The area has to be there before anybody makes an image. */
__attribute__((constructor)) static void area_make(void)
{
	area_get();
	pthread_atfork(NULL, NULL, lock_forget);
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

void talk_begin(struct talk *talk)
{
	memcpy(talk->generation, area_get()->generation, sizeof talk->generation);
}

int talk_restored(const struct talk *talk)
{
	return !!memcmp(talk->generation, area_get()->generation, sizeof talk->generation);
}

/* snapctl writes "restored" for the image. Where it is killed before there was one, the original
 * finds the word, too; but only a restore writes a generation. */
static int talk_result(const struct talk *talk, uint32_t state)
{
	switch (state) {
	case SNAPCTL_RESTORED:
		return talk_restored(talk) ? 1 : -ECANCELED;
	case SNAPCTL_WENT_ON:
		return 0;
	case SNAPCTL_REFUSED:
		return -EACCES;
	default:
		return -ECANCELED;
	}
}

void talk_end(void)
{
	uint32_t asking = SNAPCTL_ASKING;

	__atomic_compare_exchange_n(
		&area_get()->state, &asking, SNAPCTL_IDLE, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

int talk_wait(const struct talk *talk, int (*alive)(void *arg), void *arg)
{
	const struct snapctl_area *area = area_get();
	uint32_t state = SNAPCTL_ASKING;

	while (state == SNAPCTL_ASKING) {
		area_sleep(area);
		/* Nobody will answer any more: whatever has come is there by now. */
		if (!alive(arg))
			talk_end();
		state = __atomic_load_n(&area->state, __ATOMIC_ACQUIRE);
	}
	return talk_result(talk, state);
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

struct channel {
	int fd;
	struct stat st;
};

/* After a dump the number may be somebody else's already: snapctl has closed it. */
static int channel_is_ours(const struct channel *c)
{
	struct stat st;

	return fstat(c->fd, &st) == 0 && st.st_dev == c->st.st_dev && st.st_ino == c->st.st_ino;
}

/* snapctl holds the other end for as long as it waits. */
static int channel_alive(void *arg)
{
	const struct channel *c = arg;
	struct pollfd fd = { .fd = c->fd };

	return channel_is_ours(c) &&
	       (poll(&fd, 1, 0) <= 0 || !(fd.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

static int check_in(int fd, const char token[SNAPCTL_TOKEN_LEN], struct talk *talk)
{
	struct snapctl_hello hello;
	ssize_t sent;
	int failed;

	talk_begin(talk);
	hello_init(&hello, SNAPCTL_CHECKS_IN);
	failed = hooks_before(hello.words);
	if (failed)
		hello.kind = SNAPCTL_HOOK_FAILED;
	token_copy(hello.token, token);
	area_get()->state = SNAPCTL_ASKING;
	sent = send(fd, &hello, sizeof hello, MSG_NOSIGNAL);
	explicit_bzero(&hello, sizeof hello);
	if (sent != (ssize_t)sizeof hello && !failed) {
		talk_end();
		hooks_after(talk_restored(talk)); /* another one was heard meanwhile */
		return -ENOTCONN;
	}
	return failed;
}

static int ready_locked(void)
{
	char token[SNAPCTL_TOKEN_LEN];
	struct channel channel = { .fd = token_take(token) };
	struct talk talk;
	int ret;

	if (channel.fd < 0)
		return channel.fd;
	if (!area_get())
		return -ENOMEM;
	ret = fstat(channel.fd, &channel.st) < 0 ? -ENOTCONN : check_in(channel.fd, token, &talk);
	explicit_bzero(token, sizeof token);
	stack_burn();
	if (ret < 0)
		return ret;
	ret = talk_wait(&talk, channel_alive, &channel);
	if (ret < 0 && channel_is_ours(&channel))
		close(channel.fd);
	hooks_after(talk_restored(&talk));
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
