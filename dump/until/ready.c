/*
 * --until=ready: the program says READY=1 as services of systemd do (sd_notify(3), Type=notify).
 *
 * The socket is an abstract one with a random name rather than a file in a directory that only we
 * may enter: many services have become another user or have changed their root by the time they
 * say it. So anybody may send to it, and the kernel's word on who has (SCM_CREDENTIALS) decides:
 * only processes of the launched tree are heard. A descriptor store there is none, which
 * sd_notify(3) allows: what comes with FDSTORE=1 is closed, and so is what comes with BARRIER=1,
 * as it has to be: that is the answer.
 */
#include "dump/until/condition.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/until/scrub.h"

enum {
	MESSAGE_MAX = 4096,    /* as systemd: PIPE_BUF */
	FDS_MAX = 253,         /* SCM_MAX_FD */
	MESSAGES_AT_ONCE = 64, /* then the tree has its turn again */
	STATUS_MAX = 200,
	RANDOM_LEN = 32, /* hexadecimal digits at the end of the name */
};

struct ready {
	int fd;
	char address[64]; /* as NOTIFY_SOCKET has it, "@..." */
	char status[STATUS_MAX];
	bool said;     /* READY=1 */
	bool stopping; /* STOPPING=1 */
	int failed;    /* ERRNO=, 0: nothing was said */
	unsigned refused;
};

/* ---- the socket ------------------------------------------------------------------------- */

static int random_name(char name[RANDOM_LEN + 1], struct err *err)
{
	unsigned long long random[2];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return err_sys(err, "getrandom");
	snprintf(name, RANDOM_LEN + 1, "%016llx%016llx", random[0], random[1]);
	return 0;
}

static int ready_bind(struct ready *r, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char name[RANDOM_LEN + 1];
	size_t len;

	if (random_name(name, err) < 0)
		return -err->code;
	snprintf(r->address, sizeof r->address, "@snapctl/notify/%s", name);
	len = strlen(r->address);
	memcpy(sa.sun_path + 1, r->address + 1, len - 1);
	if (bind(r->fd, (struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return err_sys(err, "bind the notification socket");
	return 0;
}

static int ready_parse(struct wait *w, const char *arg, struct err *err)
{
	struct ready *r = arena_alloc(w->arena, sizeof *r);

	(void)arg, (void)err;
	r->fd = -1;
	w->own = r;
	return 0;
}

static int ready_arm(struct wait *w, struct err *err)
{
	struct ready *r = w->own;
	int on = 1;

	r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0 || setsockopt(r->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
		return err_sys(err, "make the notification socket");
	if (ready_bind(r, err) < 0)
		return -err->code;
	w->fds[0] = r->fd;
	until_env(w->until, "NOTIFY_SOCKET", r->address);
	return 0;
}

static void ready_finish(struct wait *w)
{
	fd_close(&((struct ready *)w->own)->fd);
}

/* ---- what is said ----------------------------------------------------------------------- */

/* It is shown on a terminal later. */
static void ready_status(struct ready *r, const char *text, size_t len)
{
	if (len >= sizeof r->status)
		len = sizeof r->status - 1;
	for (size_t i = 0; i < len; i++)
		r->status[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
	r->status[len] = '\0';
}

static void ready_line(struct wait *w, const char *line, size_t len)
{
	struct ready *r = w->own;
	char word[64];
	uint64_t value;

	snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), line);
	if (!strcmp(word, "READY=1"))
		r->said = true;
	else if (!strcmp(word, "STOPPING=1"))
		r->stopping = true;
	else if (text_starts(word, "ERRNO=") &&
		 text_dec(&(struct text){ word + strlen("ERRNO=") }, &value) && value < INT_MAX)
		r->failed = (int)value;
	else if (len > 7 && !strncmp(line, "STATUS=", 7))
		ready_status(r, line + 7, len - 7);
	else if (text_starts(word, "EXTEND_TIMEOUT_USEC=") &&
		 text_dec(&(struct text){ word + strlen("EXTEND_TIMEOUT_USEC=") }, &value) &&
		 value / 1000 < UINT32_MAX)
		until_extend(w->until, value / 1000);
}

static void ready_message(struct wait *w, char *text, size_t len)
{
	struct text at = { text };
	const char *line;
	size_t line_len;

	/* systemd drops messages with a NUL inside, too. */
	if (len > 0 && text[len - 1] == '\0')
		len--;
	if (memchr(text, '\0', len))
		return;
	text[len] = '\0';
	while (text_line(&at, &line, &line_len))
		ready_line(w, line, line_len);
}

/* ---- who says it ------------------------------------------------------------------------ */

union control {
	char room[CMSG_SPACE(FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

static void control_close_fds(const struct cmsghdr *c)
{
	size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < nr; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
		close(fd);
	}
}

/* Whoever sent it; 0: the kernel does not say. Descriptors that came along are closed. */
static pid_t control_read(struct msghdr *msg)
{
	struct ucred cred = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS)
			control_close_fds(c);
		else if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof cred))
			memcpy(&cred, CMSG_DATA(c), sizeof cred);
	}
	return cred.pid;
}

static void ready_judge(struct wait *w, pid_t pid, char *text, size_t len)
{
	struct ready *r = w->own;

	if (pid > 0 && until_has(w->until, pid)) {
		ready_message(w, text, len);
		return;
	}
	if (r->refused++ == 0)
		log_info("a notification by process %d, which is not part of the program: ignored",
			pid);
}

/* False: there is no more. */
static bool ready_receive(struct wait *w)
{
	char text[MESSAGE_MAX + 1];
	union control control;
	struct iovec iov = { text, MESSAGE_MAX };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(((struct ready *)w->own)->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t pid;

	if (n < 0)
		return errno == EINTR;
	pid = control_read(&msg);
	if (!(msg.msg_flags & MSG_TRUNC))
		ready_judge(w, pid, text, (size_t)n);
	return true;
}

static bool ready_read(struct wait *w)
{
	struct ready *r = w->own;

	for (int i = 0; i < MESSAGES_AT_ONCE && ready_receive(w); i++)
		;
	if (r->said && !w->found)
		w->found = r->status[0] ? arena_printf(w->arena, "ready (%s)", r->status)
					: arena_strdup(w->arena, "ready");
	return r->said;
}

static int ready_look(struct wait *w, uint64_t now_ms, struct err *err)
{
	(void)now_ms, (void)err;
	return ready_read(w);
}

/* A process may speak and end before we look: what it said is read before it is forgotten. */
static bool ready_tell(struct wait *w, const struct tracee_note *note)
{
	return note->event == TRACEE_END && ready_read(w);
}

/* ---- afterwards ------------------------------------------------------------------------- */

/*
 * Who has seen the name in /proc/net/unix could have it by the time that the image runs. Where the
 * program has it in tables of its own it becomes another one, which nobody has ever seen.
 */
static int ready_undo(struct wait *w, struct err *err)
{
	const struct ready *r = w->own;
	char other[RANDOM_LEN + 1];
	int ret = scrub_env(w->d->tracer, "NOTIFY_SOCKET", r->address, err);

	if (!ret)
		ret = random_name(other, err);
	if (!ret)
		ret = scrub_copies(
			w->d->tracer, "NOTIFY_SOCKET", r->address, RANDOM_LEN, other, err);
	return ret;
}

static void ready_words(const struct wait *w, struct buf *out)
{
	const struct ready *r = w->own;

	buf_printf(out, "it said READY=1");
	if (r->status[0])
		buf_printf(out, " (its status: %s)", r->status);
	if (r->failed)
		buf_printf(out, " (it said ERRNO=%d: %s)", r->failed, strerror(r->failed));
	if (r->stopping)
		buf_printf(out, " (it said STOPPING=1)");
	if (r->refused)
		buf_printf(out, " (%u messages of others were ignored)", r->refused);
}

const struct condition condition_ready = {
	.name = "ready",
	.usage = "ready",
	.summary = "it says READY=1, as services of systemd do (Type=notify)",
	.stirs = true, /* systemd-notify(1) waits for the answer to its barrier, and ends */
	.parse = ready_parse,
	.arm = ready_arm,
	.look = ready_look,
	.tell = ready_tell,
	.undo = ready_undo,
	.finish = ready_finish,
	.words = ready_words,
};
