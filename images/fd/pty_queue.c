/*
 * What was written to one end of a pseudo-terminal and not read from the other; see pty.h.
 *
 * Nothing but read(2) shows it, so it is taken out and put back, at the dump as at the restore. In
 * canonical mode complete lines come one by one; what is being typed comes when that mode is off,
 * which leaves it where it is (n_tty_set_termios). On the way back the line discipline must not do
 * anything with it: no signals, no flow control, and an echo that only we see; in canonical mode
 * each character that is special there has VLNEXT in front.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "images/fd/pty.h"

/* N_TTY_BUF_SIZE of linux/tty.h; one place is kept free. TIOCPKT_... are asm-generic/ioctls.h. */
enum { LINE_BUFFER = 4096, CANONICAL_MOST = LINE_BUFFER - 1 };
/* More than a pair can hold; small enough that one piece always fits where there is any room. */
enum { QUEUE_MOST = 1 << 20, PIECE = 32 };
/*
 * What the line discipline has no room for waits in buffers of 256 bytes, twice that where nothing
 * but data is in them, until they are 8 KiB together; and one last that may be as large as half a
 * page allows (drivers/tty/tty_buffer.c).
 */
enum { LAST_BUFFER = 2 * 1792 };
/* The kernel brings over what was written from a kworker, which others may keep waiting. */
enum { BROUGHT_LIMIT_MS = 20000 };
enum { CHAR_EOF = 4, CHAR_LNEXT = 026 };

/* The master shares its flags with the program, or will: not blocking is for us only. */
struct nonblocking {
	int fd, flags;
};

static int nonblocking_begin(struct nonblocking *n, int fd, struct err *err)
{
	*n = (struct nonblocking){ fd, fcntl(fd, F_GETFL) };
	if (n->flags < 0 || fcntl(fd, F_SETFL, n->flags | O_NONBLOCK) < 0)
		return err_sys(err, "pty: flags of the master");
	return 0;
}

static int nonblocking_end(const struct nonblocking *n, struct err *err)
{
	return fcntl(n->fd, F_SETFL, n->flags) < 0 ? err_sys(err, "pty: flags of the master") : 0;
}

/* poll(2) also has the kernel bring over what is on the way. */
static short ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLOUT };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static bool is_canonical(const struct pty_state *state)
{
	/* With EXTPROC lines are made at the other side, and reading takes what is there. */
	return state->termios.c_lflag & ICANON && !(state->termios.c_lflag & EXTPROC);
}

/* ---- taking --------------------------------------------------------------------------------- */

/* All that can be read from fd without waiting. */
static int bytes_take(int fd, struct arena *arena, struct pty_bytes *out, struct err *err)
{
	struct buf all = BUF_EMPTY;
	int ret = 0;

	while (ready(fd) & POLLIN && all.len < QUEUE_MOST) {
		ssize_t len = read(fd, buf_reserve(&all, LINE_BUFFER), LINE_BUFFER);

		if (len < 0 && errno != EAGAIN && errno != EIO)
			ret = err_sys(err, "pty: read");
		if (len <= 0)
			break;
		all.len += (size_t)len;
	}
	out->len = all.len;
	out->data = all.len ? arena_copy(arena, all.data, all.len) : NULL;
	buf_finish(&all);
	return ret;
}

static int lines_take(int slave, struct arena *arena, struct pty_state *state, struct err *err)
{
	char line[2 * LINE_BUFFER];
	size_t cap = 0;

	while (ready(slave) & POLLIN && state->nr_lines < QUEUE_MOST) {
		ssize_t len = read(slave, line, sizeof line);

		if (len < 0)
			return err_sys(err, "pty: read a line");
		state->lines = arena_grow(
			arena, state->lines, state->nr_lines, &cap, sizeof *state->lines);
		state->lines[state->nr_lines++] = (struct pty_bytes){
			arena_copy(arena, line, (size_t)len),
			(size_t)len,
		};
	}
	return 0;
}

/* Reading any number of bytes, and none without waiting. */
static int termios_greedy(int slave, const struct pty_state *state, struct err *err)
{
	struct termios2 t = state->termios;

	t.c_lflag &= ~(tcflag_t)ICANON;
	t.c_cc[VMIN] = t.c_cc[VTIME] = 0;
	return ioctl(slave, TCSETS2, &t) < 0 ? err_sys(err, "pty: terminal attributes") : 0;
}

static int input_take(int slave, struct arena *arena, struct pty_state *state, struct err *err)
{
	int ret = is_canonical(state) ? lines_take(slave, arena, state, err) : 0;

	if (!ret)
		ret = termios_greedy(slave, state, err);
	return ret < 0 ? ret : bytes_take(slave, arena, &state->input, err);
}

/* In packet mode a status stands alone, before all data; switching the mode off would lose it. */
static int status_take(int master, struct pty_state *state, struct err *err)
{
	uint8_t status[PIECE];
	int off = 0;

	if (!state->packet)
		return 0;
	if (ready(master) & POLLPRI) {
		if (read(master, status, sizeof status) < 1)
			return err_sys(err, "pty: read the status of packet mode");
		state->packet_status = status[0];
	}
	return ioctl(master, TIOCPKT, &off) < 0 ? err_sys(err, "pty: TIOCPKT") : 0;
}

/*
 * With its queue empty, an end that cannot be written to is stopped. tcflow(3) undoes what it did
 * itself, and leaves alone what a stop character did.
 */
static enum pty_flow flow_take(int fd)
{
	if (ready(fd) & POLLOUT)
		return PTY_FLOWS;
	ioctl(fd, TCXONC, TCOON);
	return ready(fd) & POLLOUT ? PTY_STOPPED : PTY_STOPPED_BY_CHAR;
}

static int queue_check(const struct pty_state *state, struct err *err)
{
	size_t input = state->input.len;
	bool canonical = is_canonical(state);

	for (size_t i = 0; i < state->nr_lines; i++)
		input += state->lines[i].len ? state->lines[i].len : 1;
	if (canonical && input >= CANONICAL_MOST) {
		err_set(err, ENOTSUP, "%zu bytes of input wait, more than the line buffer holds",
			input);
		return err_hint(err, "try again when the program has read some of it");
	}
	if (!(state->packet_status & (TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE)) ||
		(!input && !state->written.len))
		return 0;
	err_set(err, ENOTSUP, "a status of packet mode waits that tells of a flush, with new data");
	return err_hint(err, "try again when the program has read from the master");
}

static int unseen_check(int master, struct err *err)
{
	if (!(ready(master) & POLLIN))
		return 0;
	err_set(err, ENOTSUP,
		"there is input for a slave that nobody has opened yet, where it cannot be seen");
	return err_hint(err, "try again when the program has opened the slave");
}

static int queues_take(
	int master, int slave, struct arena *arena, struct pty_state *state, struct err *err)
{
	int ret = status_take(master, state, err);

	if (!ret)
		ret = input_take(slave, arena, state, err);
	if (!ret)
		ret = bytes_take(master, arena, &state->written, err);
	if (ret < 0)
		return ret;
	state->output = flow_take(slave);
	state->input_stopped = flow_take(master) != PTY_FLOWS;
	return queue_check(state, err);
}

int pty_queue_take(
	int master, int slave, struct arena *arena, struct pty_state *state, struct err *err)
{
	struct nonblocking n;
	int ret, end;

	if (slave < 0)
		return unseen_check(master, err);
	ret = nonblocking_begin(&n, master, err);
	if (ret < 0)
		return ret;
	ret = queues_take(master, slave, arena, state, err);
	end = nonblocking_end(&n, ret < 0 ? NULL : err);
	return ret < 0 ? ret : end;
}

/* ---- putting -------------------------------------------------------------------------------- */

/*
 * Of len bytes, with `before` behind us: small pieces, so that each is brought over before the
 * next, and the end at once, so that as much finds room as it did when the program wrote it.
 */
static size_t piece_len(size_t before, size_t len)
{
	if (before >= LINE_BUFFER && len <= LAST_BUFFER)
		return len;
	return len < PIECE ? len : PIECE;
}

/* Until the line discipline of the reading end is full: then there is most room behind it. */
static int full_await(int other, struct err *err)
{
	int here = 0;

	for (int i = 0; i < BROUGHT_LIMIT_MS; i++) {
		if (ioctl(other, FIONREAD, &here) < 0)
			return err_sys(err, "pty: FIONREAD");
		if (here >= CANONICAL_MOST)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	}
	return err_set(
		err, ETIMEDOUT, "pty: output does not come over in %d s", BROUGHT_LIMIT_MS / 1000);
}

/* `other` is the reading end. */
static int bytes_put(int fd, int other, const uint8_t *data, size_t len, struct err *err)
{
	bool full = false;

	for (size_t at = 0; at < len;) {
		ssize_t put;

		if (at >= LINE_BUFFER && !full && full_await(other, err) < 0)
			return -err->code;
		full = at >= LINE_BUFFER;
		put = write(fd, data + at, piece_len(at, len - at));
		if (put <= 0)
			return err_sys(err, "pty: write");
		at += (size_t)put;
		ready(other);
	}
	return 0;
}

static bool is_line_end(const struct pty_state *state, uint8_t c)
{
	const uint8_t *cc = state->termios.c_cc;

	return c == '\n' || (c && (c == cc[VEOL] || c == cc[VEOL2]));
}

/*
 * Nothing happens to what is written, but that input is echoed; canonical mode and the ends of
 * lines are those of state.
 */
static struct termios2 termios_still(const struct pty_state *state)
{
	struct termios2 t = state->termios;

	t.c_iflag = t.c_oflag = 0;
	t.c_lflag = ECHO;
	memset(t.c_cc, 0, sizeof t.c_cc);
	t.c_cc[VMIN] = 1;
	if (!is_canonical(state))
		return t;
	t.c_lflag |= ICANON | IEXTEN;
	t.c_cc[VEOL] = state->termios.c_cc[VEOL];
	t.c_cc[VEOL2] = state->termios.c_cc[VEOL2];
	t.c_cc[VEOF] = CHAR_EOF;
	t.c_cc[VLNEXT] = CHAR_LNEXT;
	return t;
}

/* A line that has no end of its own was ended by VEOF, which is not part of it. */
static void line_escape(
	const struct pty_state *state, const struct pty_bytes *line, bool typed, struct buf *out)
{
	bool ended = line->len && is_line_end(state, line->data[line->len - 1]);

	for (size_t i = 0; i < line->len; i++) {
		uint8_t c = line->data[i];
		bool end = ended && !typed && i == line->len - 1;

		if (!end && (is_line_end(state, c) || c == CHAR_EOF || c == CHAR_LNEXT))
			buf_append(out, (char[]){ CHAR_LNEXT }, 1);
		buf_append(out, &c, 1);
	}
	if (!typed && !ended)
		buf_append(out, (char[]){ CHAR_EOF }, 1);
}

/* Wait for len bytes from the master, and forget them. */
static int echo_take(int master, size_t len, struct err *err)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	uint8_t echo[PIECE];

	while (len) {
		ssize_t nr;

		if (poll(&p, 1, BROUGHT_LIMIT_MS) == 0)
			return err_set(err, ETIMEDOUT, "pty: input does not come over in %d s",
				BROUGHT_LIMIT_MS / 1000);
		nr = read(master, echo, len < sizeof echo ? len : sizeof echo);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(err, "pty: read an echo");
		len -= nr > 0 ? (size_t)nr : 0;
	}
	return 0;
}

/* How many of these bytes are echoed: what is quoted, and neither VLNEXT nor VEOF themselves. */
static size_t echo_len(const uint8_t *data, size_t len, bool *quoted)
{
	size_t nr = 0;

	for (size_t i = 0; i < len; i++) {
		bool next = !*quoted && data[i] == CHAR_LNEXT;

		nr += *quoted || (data[i] != CHAR_LNEXT && data[i] != CHAR_EOF);
		*quoted = next;
	}
	return nr;
}

/*
 * Input for the slave. What the line discipline sees only after the attributes have changed it
 * would treat by those, and nothing but the echo tells that it has seen it: poll(2) waits for that
 * only where nothing can be read yet (n_tty_poll). What no longer fits into its buffer is not
 * echoed.
 */
static int typed_put(int master, const uint8_t *data, size_t len, bool canonical, struct err *err)
{
	size_t room = CANONICAL_MOST;
	bool quoted = false;

	for (size_t at = 0; at < len;) {
		ssize_t put = write(master, data + at, piece_len(at, len - at));
		size_t echo;

		if (put <= 0)
			return err_sys(err, "pty: write");
		echo = canonical ? echo_len(data + at, (size_t)put, &quoted) : (size_t)put;
		if (echo > room)
			echo = room;
		if (echo_take(master, echo, err) < 0)
			return -err->code;
		room -= echo;
		at += (size_t)put;
	}
	return 0;
}

static int input_put(int master, const struct pty_state *state, struct err *err)
{
	struct buf lines = BUF_EMPTY;
	int ret;

	if (!is_canonical(state))
		return typed_put(master, state->input.data, state->input.len, false, err);
	for (size_t i = 0; i < state->nr_lines; i++)
		line_escape(state, &state->lines[i], false, &lines);
	line_escape(state, &state->input, true, &lines);
	ret = typed_put(master, (const uint8_t *)lines.data, lines.len, true, err);
	buf_finish(&lines);
	return ret;
}

static int termios_put(int fd, const struct termios2 *t, struct err *err)
{
	return ioctl(fd, TCSETS2, t) < 0 ? err_sys(err, "pty: terminal attributes") : 0;
}

static int data_put(int master, int slave, const struct pty_state *state, struct err *err)
{
	struct termios2 still = termios_still(state);
	bool any = state->nr_lines || state->input.len || state->written.len;
	int ret;

	if (!any || slave < 0)
		return 0;
	ret = termios_put(slave, &still, err);
	if (!ret)
		ret = input_put(master, state, err);
	return ret < 0 ? ret
		       : bytes_put(slave, master, state->written.data, state->written.len, err);
}

/* ---- flow and packet mode ------------------------------------------------------------------- */

static int flow_put(int master, int slave, const struct pty_state *state, struct err *err)
{
	uint8_t stop = state->termios.c_cc[VSTOP];

	if (state->input_stopped && ioctl(master, TCXONC, TCOOFF) < 0)
		return err_sys(err, "pty: stop the master");
	if (state->output == PTY_FLOWS)
		return 0;
	if (state->output == PTY_STOPPED || !stop || !(state->termios.c_iflag & IXON))
		return ioctl(slave, TCXONC, TCOOFF) < 0 ? err_sys(err, "pty: stop the slave") : 0;
	return bytes_put(master, slave, &stop, 1, err);
}

/* Terminal attributes from which a change to those of state raises the recorded status. */
static struct termios2 termios_before(const struct pty_state *state)
{
	struct termios2 t = state->termios;

	if (state->packet_status & (TIOCPKT_DOSTOP | TIOCPKT_NOSTOP))
		t.c_iflag ^= IXON;
	if (state->packet_status & TIOCPKT_NOSTOP) {
		t.c_cc[VSTOP] = 023;
		t.c_cc[VSTART] = 021;
	}
	if (state->packet_status & TIOCPKT_IOCTL)
		t.c_lflag |= EXTPROC;
	return t;
}

/* What the kernel reports is made to happen again, where it changes nothing. */
static int status_raise(int slave, const struct pty_state *state, struct err *err)
{
	uint8_t status = state->packet_status;

	if ((status & TIOCPKT_FLUSHREAD && ioctl(slave, TCFLSH, TCIFLUSH) < 0) ||
		(status & TIOCPKT_FLUSHWRITE && ioctl(slave, TCFLSH, TCOFLUSH) < 0))
		return err_sys(err, "pty: flush");
	if (status & TIOCPKT_START &&
		(ioctl(slave, TCXONC, TCOOFF) < 0 || ioctl(slave, TCXONC, TCOON) < 0))
		return err_sys(err, "pty: flow control");
	if (status & (TIOCPKT_DOSTOP | TIOCPKT_NOSTOP | TIOCPKT_IOCTL))
		return termios_put(slave, &state->termios, err);
	return 0;
}

/* The mode begins without any status, and each stop from then on is one. */
static int packet_put(int master, int slave, const struct pty_state *state, struct err *err)
{
	struct termios2 before = termios_before(state);
	bool told = state->packet_status & TIOCPKT_STOP;
	int on = 1, ret = told ? 0 : flow_put(master, slave, state, err);

	if (!ret && state->packet_status)
		ret = termios_put(slave, &before, err);
	if (!ret && ioctl(master, TIOCPKT, &on) < 0)
		ret = err_sys(err, "pty: TIOCPKT");
	if (!ret && state->packet_status)
		ret = status_raise(slave, state, err);
	return ret < 0 || !told ? ret : flow_put(master, slave, state, err);
}

static int put_all(int master, int slave, const struct pty_state *state, struct err *err)
{
	int ret = data_put(master, slave, state, err);

	if (!ret)
		ret = termios_put(master, &state->termios, err);
	if (ret < 0)
		return ret;
	return state->packet ? packet_put(master, slave, state, err)
			     : flow_put(master, slave, state, err);
}

int pty_queue_put(int master, int slave, const struct pty_state *state, struct err *err)
{
	struct nonblocking n;
	int ret, end;

	ret = nonblocking_begin(&n, master, err);
	if (ret < 0)
		return ret;
	ret = put_all(master, slave, state, err);
	end = nonblocking_end(&n, ret < 0 ? NULL : err);
	return ret < 0 ? ret : end;
}
