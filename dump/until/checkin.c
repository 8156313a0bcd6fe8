/*
 * --until=checkin: the program calls snapctl_ready() of lib/. It has inherited one end of a pair of
 * sockets and a random token (SNAPCTL_READY=NUMBER:TOKEN); who checks in has to show the token, and
 * has to be a process of the launched tree, which the kernel tells (SCM_CREDENTIALS): a descriptor
 * can be passed on, and an environment can be read. Anything else is refused, and the wait goes on.
 * When no process holds the other end any more, nobody can ever check in: that ends the wait.
 *
 * Before the dump the descriptor is closed in all processes and the variable is overwritten.
 */
#include "dump/until/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/until/area.h"
#include "dump/until/inject.h"
#include "dump/until/scrub.h"
#include "lib/protocol.h"

enum { NUMBER_WANTED = 200, MESSAGES_AT_ONCE = 64, GRACE_MS = 100 };

struct checkin {
	int ours, inner;
	struct stat st; /* of inner */
	int num;        /* what it is in the program */
	char token[SNAPCTL_TOKEN_LEN + 1];
	char *value; /* of the variable */
	struct area area;
	uint64_t gone_ms; /* when nobody was there any more */
	unsigned refused;
};

/* ---- before the launch ------------------------------------------------------------------ */

static int checkin_parse(struct wait *w, const char *arg, struct err *err)
{
	struct checkin *c = arena_alloc(w->arena, sizeof *c);

	(void)arg, (void)err;
	c->ours = c->inner = -1;
	w->own = c;
	return 0;
}

static int token_make(struct checkin *c, struct err *err)
{
	unsigned long long random[2];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return err_sys(err, "getrandom");
	snprintf(c->token, sizeof c->token, "%016llx%016llx", random[0], random[1]);
	return 0;
}

/* A number that is free here, and so in the program: out of the way of those that count on low
 * numbers. */
static int number_choose(int taken, struct err *err)
{
	struct rlimit limit;
	int num = NUMBER_WANTED;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= NUMBER_WANTED)
		num = (int)limit.rlim_cur - 1;
	for (; num > 2; num--)
		if (num != taken && fcntl(num, F_GETFD) < 0)
			return num;
	return err_set(err, EMFILE, "no descriptor is free for the program to check in with");
}

static int checkin_arm(struct wait *w, struct err *err)
{
	struct checkin *c = w->own;
	int pair[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a pair of sockets");
	c->ours = w->fds[0] = pair[0];
	c->inner = pair[1];
	if (setsockopt(c->ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
		fstat(c->inner, &c->st) < 0)
		return err_sys(err, "prepare a socket");
	c->num = number_choose(c->inner, err);
	if (c->num < 0 || token_make(c, err) < 0)
		return -err->code;
	c->value = arena_printf(w->arena, "%d:%s", c->num, c->token);
	until_env(w->until, SNAPCTL_READY_ENV, c->value);
	return 0;
}

static int checkin_enter(struct wait *w)
{
	const struct checkin *c = w->own;

	return dup2(c->inner, c->num) < 0 ? errno : 0;
}

static void checkin_finish(struct wait *w)
{
	struct checkin *c = w->own;

	fd_close(&c->ours);
	fd_close(&c->inner);
	explicit_bzero(c->token, sizeof c->token);
}

/* ---- who checks in ---------------------------------------------------------------------- */

/* In a time that tells nothing about the token. */
static bool token_is(const struct checkin *c, const char *token)
{
	unsigned char differs = 0;

	for (size_t i = 0; i < SNAPCTL_TOKEN_LEN; i++)
		differs |= (unsigned char)(c->token[i] ^ token[i]);
	return !differs;
}

/* Whoever is part of the tree learns that it was refused; nobody else has an area here. */
static void checkin_refuse(struct wait *w, pid_t pid, uint64_t addr, const char *why)
{
	struct checkin *c = w->own;
	struct tracee *t = until_has(w->until, pid) ? tracer_find(w->d->tracer, pid) : NULL;

	c->refused++;
	log_info("process %d may not check in: %s", pid, why);
	if (t && area_check(t, addr, NULL) == 0)
		area_answer(t, addr, SNAPCTL_REFUSED, NULL);
}

static int checkin_accept(
	struct wait *w, pid_t pid, const struct snapctl_hello *hello, struct err *err)
{
	struct checkin *c = w->own;
	struct err why = { 0 };

	if (hello->kind == SNAPCTL_HOOK_FAILED) {
		err_set(err, ECANCELED, "process %d called the dump off: %.*s", pid,
			(int)strnlen(hello->words, sizeof hello->words), hello->words);
		return -ECANCELED;
	}
	if (hello->kind != SNAPCTL_CHECKS_IN ||
		area_check(tracer_find(w->d->tracer, pid), hello->area, &why) < 0) {
		checkin_refuse(w, pid, 0, why.msg[0] ? why.msg : "it says something unknown");
		return 0;
	}
	c->area = (struct area){ pid, hello->area };
	w->found = arena_printf(w->arena, "checkin of process %d", pid);
	return 1;
}

static int checkin_judge(
	struct wait *w, pid_t pid, const struct snapctl_hello *hello, size_t len, struct err *err)
{
	if (len != sizeof *hello ||
		memcmp(hello->magic, SNAPCTL_HELLO_MAGIC, sizeof hello->magic)) {
		checkin_refuse(w, pid, 0, "it does not speak the language");
		return 0;
	}
	if (!until_has(w->until, pid)) {
		checkin_refuse(w, pid, 0, "it is not part of the program");
		return 0;
	}
	if (!token_is(w->own, hello->token)) {
		checkin_refuse(w, pid, hello->area, "wrong token");
		return 0;
	}
	return checkin_accept(w, pid, hello, err);
}

static pid_t sender_of(struct msghdr *msg)
{
	struct ucred cred = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
			c->cmsg_len >= CMSG_LEN(sizeof cred))
			memcpy(&cred, CMSG_DATA(c), sizeof cred);
	return cred.pid;
}

/* 1: somebody has checked in; 0: no more messages; *more: ask again. */
static int checkin_receive(struct wait *w, bool *more, struct err *err)
{
	struct checkin *c = w->own;
	struct snapctl_hello hello = { 0 };
	union {
		/* No room for descriptors: the kernel drops those that come along. */
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &hello, sizeof hello };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct pollfd end = { .fd = c->ours };
	ssize_t n = recvmsg(c->ours, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*more = n > 0 || (n < 0 && errno == EINTR);
	if (n < 0)
		return 0;
	/* An empty message looks like the end, which only poll tells from it. */
	*more = *more || poll(&end, 1, 0) <= 0 || !(end.revents & POLLHUP);
	if (n == 0 && !*more) {
		w->fds[0] = -1;
		c->gone_ms = until_now_ms();
		return 0;
	}
	return checkin_judge(w, sender_of(&msg), &hello, (size_t)n, err);
}

/* The end of the program comes right behind the end of its descriptors, and says more. */
static int checkin_gone(struct wait *w, uint64_t now, struct err *err)
{
	const struct checkin *c = w->own;

	w->next_ms = c->gone_ms + GRACE_MS;
	if (now < w->next_ms || until_nth(w->until, 1)) /* something else may still come */
		return 0;
	err_set(err, EPIPE,
		"no process of the program holds descriptor %d any more, so that none "
		"can check in",
		c->num);
	return err_hint(err, "%s names it: leave it open until snapctl_ready() was called",
		SNAPCTL_READY_ENV);
}

static int checkin_look(struct wait *w, uint64_t now, struct err *err)
{
	struct checkin *c = w->own;
	bool more = true;
	int ret = 0;

	fd_close(&c->inner); /* the program has its own by now */
	if (w->holds)
		return 1;
	for (int i = 0; !ret && more && !c->gone_ms && i < MESSAGES_AT_ONCE; i++)
		ret = checkin_receive(w, &more, err);
	return c->gone_ms && !ret ? checkin_gone(w, now, err) : ret;
}

/* ---- afterwards ------------------------------------------------------------------------- */

static int checkin_close_in(const struct checkin *c, struct tracee *t, struct err *err)
{
	struct arena *a = arena_create();
	struct slot *slots;
	size_t nr = 0;
	int ret = inject_find(t, &c->st, a, &slots, &nr, err);

	if (!ret)
		ret = inject_close(t, slots, nr, err);
	arena_destroy(a);
	return ret;
}

static int checkin_undo(struct wait *w, struct err *err)
{
	struct checkin *c = w->own;
	const struct tracer *tr = w->d->tracer;
	int ret = scrub_env(w->d->tracer, SNAPCTL_READY_ENV, c->value, err);
	char nothing[SNAPCTL_TOKEN_LEN];
	struct tracee *t;

	memset(nothing, '-', sizeof nothing);
	if (!ret)
		ret = scrub_copies(
			w->d->tracer, SNAPCTL_READY_ENV, c->value, SNAPCTL_TOKEN_LEN, nothing, err);

	for (size_t i = 0; !ret && i < tr->nr_tracees; i++)
		ret = checkin_close_in(c, tr->tracees[i], err);
	if (ret < 0 || !c->area.pid)
		return ret;
	t = tracer_find(w->d->tracer, c->area.pid);
	if (!t)
		return err_set(err, ESRCH, "process %d has checked in and ended", c->area.pid);
	w->d->area = c->area;
	return 0;
}

static void checkin_words(const struct wait *w, struct buf *out)
{
	const struct checkin *c = w->own;

	buf_printf(out, "it checked in");
	if (c->refused)
		buf_printf(out, " (%u attempts were refused)", c->refused);
	if (c->gone_ms)
		buf_printf(out, " (no process can any more)");
}

const struct condition condition_checkin = {
	.name = "checkin",
	.usage = "checkin",
	.summary = "it calls snapctl_ready() of libsnapctl",
	.parse = checkin_parse,
	.arm = checkin_arm,
	.enter = checkin_enter,
	.look = checkin_look,
	.undo = checkin_undo,
	.finish = checkin_finish,
	.words = checkin_words,
};
