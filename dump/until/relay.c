/* Between a program's output and ours; see relay.h. */
#include "dump/until/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/until/inject.h"
#include "tracee/tracee.h"

enum { CHUNK = 4096 }; /* pipe(7): poll says that there is room for PIPE_BUF bytes */

/* ---- making it -------------------------------------------------------------------------- */

static int cloexec(int fd, struct err *err)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? err_sys(err, "FD_CLOEXEC") : 0;
}

static int relay_open_tty(struct relay *r, struct err *err)
{
	struct termios termios;
	struct winsize size;

	r->tty = true;
	if (tcgetattr(r->to, &termios) < 0 || ioctl(r->to, TIOCGWINSZ, &size) < 0)
		return err_sys(err, "settings of the terminal");
	if (openpty(&r->from, &r->inner, NULL, &termios, &size) < 0)
		return err_sys(err, "make a pseudo terminal");
	return cloexec(r->from, err) < 0 ? -err->code : cloexec(r->inner, err);
}

int relay_open(struct relay *r, int num, struct err *err)
{
	int pair[2], ret;

	*r = (struct relay){ .to = num, .from = -1, .inner = -1 };
	if (fcntl(num, F_GETFD) < 0)
		return 0;
	if (isatty(num)) {
		ret = relay_open_tty(r, err);
		if (ret < 0)
			return ret;
	} else {
		if (pipe2(pair, O_CLOEXEC) < 0)
			return err_sys(err, "make a pipe");
		r->from = pair[0];
		r->inner = pair[1];
	}
	if (fstat(r->inner, &r->st) < 0 || fcntl(r->from, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "prepare a pipe");
	return 0;
}

int relay_enter(const struct relay *r, int num)
{
	if (r->inner >= 0 && dup2(r->inner, num) < 0)
		return errno;
	return 0;
}

void relay_finish(struct relay *r)
{
	fd_close(&r->from);
	fd_close(&r->inner);
}

/* ---- passing on ------------------------------------------------------------------------- */

static void line_end(struct relay *r, relay_line *each, void *arg)
{
	if (r->len && r->line[r->len - 1] == '\r')
		r->len--;
	r->line[r->len] = '\0';
	r->len = 0;
	if (each)
		each(arg, r->line);
}

static void lines_add(struct relay *r, const char *data, size_t len, relay_line *each, void *arg)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n') {
			line_end(r, each, arg);
			continue;
		}
		if (r->len + 1 == sizeof r->line)
			line_end(r, each, arg);
		r->line[r->len++] = data[i] ? data[i] : '?';
	}
}

/* A pseudo terminal has made \r\n of \n; ours would make \r\r\n of that. */
static size_t unpost(struct relay *r, const char *data, size_t len, char *out)
{
	size_t nr = 0;

	for (size_t i = 0; i < len; i++) {
		if (r->last_cr && data[i] != '\n')
			out[nr++] = '\r';
		r->last_cr = data[i] == '\r';
		if (!r->last_cr)
			out[nr++] = data[i];
	}
	return nr;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);
		struct pollfd full = { .fd = fd, .events = POLLOUT };

		if (n < 0 && errno == EAGAIN)
			poll(&full, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Without being killed by SIGPIPE. */
static int write_quietly(int fd, const char *data, size_t len)
{
	struct timespec now = { 0 };
	sigset_t pipe, before;
	int ret;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, &before);
	ret = write_all(fd, data, len);
	if (ret == -EPIPE)
		sigtimedwait(&pipe, NULL, &now);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

/* 1: there may be more; 0: not now; -1: the program has closed it, or nobody listens outside: then
 * it is to find that out by itself. */
static int relay_chunk(struct relay *r, relay_line *each, void *arg)
{
	char data[CHUNK], plain[2 * CHUNK];
	ssize_t n = read(r->from, data, sizeof data);
	const char *out = data;
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	lines_add(r, data, (size_t)n, each, arg);
	len = (size_t)n;
	if (r->tty) {
		len = unpost(r, data, len, plain);
		out = plain;
	}
	return write_quietly(r->to, out, len) < 0 ? -1 : 1;
}

bool relay_pass(struct relay *r, relay_line *each, void *arg)
{
	int more = 1;

	fd_close(&r->inner); /* the program has its own by now, and has to be the last who has */
	while (r->from >= 0 && more > 0) {
		struct pollfd room = { .fd = r->to, .events = POLLOUT };

		if (poll(&room, 1, 0) == 0)
			return false;
		more = relay_chunk(r, each, arg);
	}
	if (more < 0) {
		if (r->len)
			line_end(r, each, arg);
		fd_close(&r->from);
	}
	return true;
}

/* ---- taking it out ---------------------------------------------------------------------- */

/* What the program made of the pipe, it would have made of ours. */
static void flags_take_over(const struct relay *r, const struct slot *slots, size_t nr)
{
	int flags = fcntl(r->to, F_GETFL);

	if (nr && flags >= 0 && (slots[0].flags & O_NONBLOCK))
		fcntl(r->to, F_SETFL, flags | O_NONBLOCK);
}

static int relay_undo_in(struct relay *r, struct tracee *t, struct err *err)
{
	struct arena *a = arena_create();
	struct slot *slots;
	size_t nr = 0;
	int ret = inject_find(t, &r->st, a, &slots, &nr, err);

	if (!ret && nr)
		ret = inject_unwatched(t, slots, nr, a, err);
	if (!ret)
		ret = inject_replace(t, r->to, slots, nr, err);
	if (!ret)
		flags_take_over(r, slots, nr);
	arena_destroy(a);
	return ret < 0 ? err_wrap(err, "give process %d its standard output back", t->pid) : 0;
}

int relay_undo(struct relay *r, struct tracer *tr, struct err *err)
{
	int ret = 0;

	if (r->from < 0)
		return 0;
	for (size_t i = 0; !ret && i < tr->nr_tracees; i++)
		ret = relay_undo_in(r, tr->tracees[i], err);
	while (!ret && relay_chunk(r, NULL, NULL) > 0)
		;
	return ret;
}
