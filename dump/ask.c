/* Asking a process for its dump; see ask.h. */
#include "dump/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "lib/protocol.h"
#include "tracee/proc.h"

enum { APPEAR_LIMIT_MS = 10000, LOOK_EVERY_MS = 5, HOOKS_LIMIT_MS = 60000, LISTENS_MAX = 128 };

struct ask {
	struct dumping *d;
	struct arena *arena;
	pid_t pid, vpid; /* ours, and its own view of it */
	int procfd, dir, channel;
	const char *place, *name; /* see lib/place.h */
	int sig;
	bool triggered, signalled;
};

/* ---- the place -------------------------------------------------------------------------- */

static int ask_user(struct ask *a, struct err *err)
{
	struct proc_status status;
	int ret = proc_status(a->procfd, "status", a->arena, &status, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < 3; i++) {
		if (status.uid[i] == geteuid())
			continue;
		err_set(err, EPERM, "process %d belongs to user %u, not to user %u", a->pid,
			status.uid[i], geteuid());
		return err_hint(err, "only its own user can ask it");
	}
	a->vpid = status.nspid;
	return 0;
}

/* As lib/place.c finds it: the environment that counts is that of the process. */
static int ask_place(struct ask *a, struct err *err)
{
	static const char name[] = "XDG_RUNTIME_DIR=";
	char *text;
	size_t len;
	int ret = proc_text(a->procfd, "environ", a->arena, &text, &len, err);

	a->place = arena_printf(a->arena, "/tmp/snapctl-%u", geteuid());
	for (size_t at = 0; ret >= 0 && at < len; at += strlen(text + at) + 1)
		if (text_starts(text + at, name) && text[at + sizeof name - 1] == '/')
			a->place = arena_printf(
				a->arena, "%s/snapctl", text + at + sizeof name - 1);
	return ret < 0 ? ret : 0;
}

static int ask_name(struct ask *a, struct err *err)
{
	struct stat st;

	if (fstatat(a->procfd, "ns/pid", &st, 0) < 0)
		return err_sys(err, "pid namespace of process %d", a->pid);
	a->name = arena_printf(a->arena, "%ju-%d", (uintmax_t)st.st_ino, a->vpid);
	return 0;
}

static int ask_never(const struct ask *a, struct err *err)
{
	err_set(err, ESRCH, "process %d does not listen for anybody who asks", a->pid);
	return err_hint(err, "it would have to call snapctl_listen() of libsnapctl; without "
			     "that, dump it with --pid");
}

static int ask_open_place(struct ask *a, struct err *err)
{
	struct stat st;

	a->dir = open(a->place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->dir < 0 && errno == ENOENT)
		return ask_never(a, err);
	if (a->dir < 0 && (errno == ELOOP || errno == ENOTDIR))
		err_set(err, EPERM, "%s is not a directory", a->place);
	else if (a->dir < 0 || fstat(a->dir, &st) < 0)
		return err_sys(err, "open %s", a->place);
	else if (st.st_uid != geteuid())
		err_set(err, EPERM, "%s belongs to user %u", a->place, st.st_uid);
	else if (st.st_mode & 077)
		err_set(err, EPERM, "%s can be entered by others (mode %o)", a->place,
			st.st_mode & 07777);
	else
		return 0;
	return err_hint(err, "somebody may be waiting there in place of the process: remove it, "
			     "and start the program again");
}

/* ---- the process ------------------------------------------------------------------------ */

/* NAME.listens: the signal, and when the process began that wrote it. */
static int ask_read(struct ask *a, struct err *err)
{
	const char *name = arena_printf(a->arena, "%s.listens", a->name);
	OWNED_FD fd = openat(a->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[LISTENS_MAX + 1] = "";
	struct text at = { text };
	uint64_t sig, start;
	struct proc_stat stat;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return ask_never(a, err);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open %s/%s", a->place, name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || read(fd, text, LISTENS_MAX) < 0 ||
		!text_dec(&at, &sig) || !text_char(&at, ' ') || !text_dec(&at, &start) || sig < 1 ||
		sig > 64)
		return err_set(
			err, EPROTO, "%s/%s is not what a process has written", a->place, name);
	if (proc_stat(a->procfd, "stat", &stat, err) < 0)
		return -err->code;
	if (stat.start_time != start)
		return ask_never(a, err); /* left behind by another one */
	a->sig = (int)sig;
	return 0;
}

/* Without a handler the signal would end it. */
static int ask_handler(struct ask *a, struct err *err)
{
	struct proc_status status;
	int ret = proc_status(a->procfd, "status", a->arena, &status, err);

	if (ret < 0)
		return ret;
	if (!(status.sig_caught >> (a->sig - 1) & 1))
		return err_set(err, ENOTSUP, "process %d has no handler for signal %d any more",
			a->pid, a->sig);
	return 0;
}

static int ask_trigger(struct ask *a, struct err *err)
{
	const char *name = arena_printf(a->arena, "%s.ask", a->name);
	OWNED_FD fd = openat(
		a->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	OWNED_FD pidfd = -1;

	if (fd < 0 && errno == EEXIST) {
		err_set(err, EBUSY, "somebody else asks process %d at this moment", a->pid);
		return err_hint(err, "if not, remove %s/%s", a->place, name);
	}
	if (fd < 0)
		return err_sys(err, "make %s/%s", a->place, name);
	a->triggered = true;
	pidfd = (int)syscall(SYS_pidfd_open, a->pid, 0);
	if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, a->sig, NULL, 0) < 0)
		return err_sys(err, "send signal %d to process %d", a->sig, a->pid);
	a->signalled = true;
	return 0;
}

/* ---- the conversation ------------------------------------------------------------------- */

/* Is it the process itself that has bound the socket? */
static int ask_peer(struct ask *a, struct err *err)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(a->channel, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_sys(err, "SO_PEERCRED");
	if (cred.pid != a->pid || cred.uid != geteuid())
		return err_set(
			err, EPERM, "process %d answers in place of process %d", cred.pid, a->pid);
	return 0;
}

static int ask_connect(struct ask *a, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	double until = dumping_now_ms() + APPEAR_LIMIT_MS;

	snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/%s.sock", a->dir, a->name);
	a->channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (a->channel < 0)
		return err_sys(err, "make a socket");
	while (connect(a->channel, (struct sockaddr *)&sa, sizeof sa) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN)
			return err_sys(err, "connect to process %d", a->pid);
		if (stop_requested(a->d->stop, err) < 0)
			return -err->code;
		if (dumping_now_ms() > until || kill(a->pid, 0) < 0)
			return err_set(err, ETIMEDOUT, "process %d does not answer", a->pid);
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	return ask_peer(a, err);
}

/* One message, or 0 for the end; -1 with words: neither came in time. */
static ssize_t ask_receive(struct ask *a, struct snapctl_hello *hello, struct err *err)
{
	struct pollfd p = { .fd = a->channel, .events = POLLIN };
	ssize_t n = -1;

	if (poll(&p, 1, HOOKS_LIMIT_MS) > 0)
		n = recv(a->channel, hello, sizeof *hello, MSG_DONTWAIT);
	if (n < 0)
		err_set(err, ETIMEDOUT, "process %d was asked, and its hooks take too long",
			a->pid);
	return n;
}

static int ask_talk(struct ask *a, struct err *err)
{
	struct snapctl_hello hello = { .kind = SNAPCTL_CHECKS_IN }, rest;
	ssize_t n;

	memcpy(hello.magic, SNAPCTL_HELLO_MAGIC, sizeof hello.magic);
	if (send(a->channel, &hello, sizeof hello, MSG_NOSIGNAL) < 0)
		return err_sys(err, "ask process %d", a->pid);
	n = ask_receive(a, &hello, err);
	if (n < 0)
		return -err->code;
	if (n != sizeof hello || memcmp(hello.magic, SNAPCTL_HELLO_MAGIC, sizeof hello.magic))
		return err_set(err, EPROTO, "process %d hung up", a->pid);
	if (hello.kind == SNAPCTL_HOOK_FAILED)
		return err_set(err, ECANCELED, "process %d called the dump off: %.*s", a->pid,
			(int)strnlen(hello.words, sizeof hello.words), hello.words);
	/* Its end of the connection must not be in the image. */
	if (ask_receive(a, &rest, err) != 0)
		return err_set(err, EPROTO, "process %d does not hang up", a->pid);
	a->d->area = (struct area){ a->pid, hello.area };
	return 0;
}

static void ask_finish(struct ask *a)
{
	/*
	 * The process removes it when it was heard. Where that has not happened yet (it is stopped,
	 * or busy), our signal is still to come: without the file it would mean what it always
	 * does, and end the process.
	 */
	if (a->triggered && (!a->signalled || (kill(a->pid, 0) < 0 && errno == ESRCH)))
		unlinkat(a->dir, arena_printf(a->arena, "%s.ask", a->name), 0);
	fd_close(&a->channel);
	fd_close(&a->dir);
	fd_close(&a->procfd);
	arena_destroy(a->arena);
}

int ask_begin(struct dumping *d, struct err *err)
{
	static int (*const steps[])(struct ask * a, struct err * err) = { ask_user, ask_name,
		ask_place, ask_open_place, ask_read, ask_handler, ask_trigger, ask_connect,
		ask_talk };
	struct ask a = { .d = d, .pid = d->opts->pid, .procfd = -1, .dir = -1, .channel = -1 };
	int ret = proc_open(a.pid, &a.procfd, err);

	a.arena = arena_create();
	for (size_t i = 0; !ret && i < sizeof steps / sizeof *steps; i++)
		ret = steps[i](&a, err);
	ask_finish(&a);
	return ret;
}

int ask_check(struct dumping *d, struct err *err)
{
	return area_check(d->target, d->area.addr, err);
}
