/*
 * Pseudo-terminals with both ends inside the dump: what they are and how they are looked at. A
 * slave whose master is outside belongs to whoever launched the program; that is chardev.c.
 */
#include "images/fd/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/pty_holder.h"

/* Numbers of Documentation/admin-guide/devices.txt. */
enum { TTYAUX_MAJOR = 5, TTY_MINOR = 0, PTMX_MINOR = 2, PTS_FIRST = 136, PTS_LAST = 143 };
enum { LDISC_TTY = 0 };

static const char DELETED[] = " (deleted)";

static bool is_master(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == TTYAUX_MAJOR &&
	       minor(st->st_rdev) == PTMX_MINOR;
}

static bool is_slave(const struct stat *st)
{
	unsigned number = major(st->st_rdev);

	if (!S_ISCHR(st->st_mode))
		return false;
	return (number >= PTS_FIRST && number <= PTS_LAST) ||
	       (number == TTYAUX_MAJOR && minor(st->st_rdev) == TTY_MINOR);
}

int pty_index(int fd)
{
	unsigned index, dev;

	if (ioctl(fd, TIOCGPTN, &index) == 0)
		return (int)index;
	/* The kernel's own form of a device number; of /dev/tty it is that of the terminal. */
	if (ioctl(fd, TIOCGDEV, &dev) < 0 || (dev >> 8 & 0xfff) != PTS_FIRST)
		return -1;
	return (int)((dev & 0xff) | (dev >> 12 & 0xfff00));
}

bool pty_is_hung_up(int fd)
{
	unsigned dev;

	return ioctl(fd, TIOCGDEV, &dev) < 0 && errno == EIO;
}

int pty_slave_open(int master, int *slave, struct err *err)
{
	int locked = 0, unlocked = 0, ret = 0;
	OWNED_FD fd = -1;

	if (ioctl(master, TIOCGPTLCK, &locked) < 0)
		return err_sys(err, "pty: TIOCGPTLCK");
	if (locked && ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(err, "pty: TIOCSPTLCK");
	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		ret = err_sys(err, "pty: open the slave (TIOCGPTPEER)");
	if (ret == -EBUSY)
		err_hint(err, "a terminal in exclusive mode (TIOCEXCL) opens for root alone");
	if (locked && ioctl(master, TIOCSPTLCK, &locked) < 0 && !ret)
		ret = err_sys(err, "pty: TIOCSPTLCK");
	if (!ret)
		*slave = take_fd(&fd);
	return ret;
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/* The ofd of the master of this index; `except` is not looked at. */
static uint32_t master_find(struct fd_dump *d, int index, uint32_t except)
{
	for (uint32_t i = 0; index >= 0 && d->fd_of && i < d->snap->nr_ofds; i++) {
		int fd = d->fd_of(d, i);
		struct stat st;

		if (i != except && fd >= 0 && d->snap->ofds[i].inherited < 0 &&
			fstat(fd, &st) == 0 && is_master(&st) && pty_index(fd) == index)
			return i;
	}
	return ID_NONE;
}

static bool pty_is(const struct fd_seen *seen)
{
	if (is_master(&seen->st))
		return true;
	if (!is_slave(&seen->st) || seen->link[0] != '/')
		return false;
	return pty_is_hung_up(seen->fd) ||
	       master_find(seen->dump, pty_index(seen->fd), ID_NONE) != ID_NONE;
}

static int ldisc_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	int ldisc;

	if (pty_is_hung_up(seen->fd))
		return 0;
	if (ioctl(seen->fd, TIOCGETD, &ldisc) < 0)
		return err_sys(err, "%s: TIOCGETD", name);
	if (ldisc == LDISC_TTY)
		return 0;
	err_set(err, ENOTSUP, "%s is a terminal with line discipline %d (SLIP, PPP and the like)",
		name, ldisc);
	return err_hint(err, "let the program set it back to 0 (TIOCSETD, N_TTY)");
}

/* Two instances of devpts may both have a terminal 0, and nothing tells them apart. */
static int twin_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	int index = pty_index(seen->fd);
	uint32_t first = master_find(seen->dump, index, ID_NONE);

	if (first == ID_NONE || master_find(seen->dump, index, first) == ID_NONE)
		return 0;
	err_set(err, ENOTSUP, "%s is one of two masters of a terminal number %d, from two devpts",
		name, index);
	return err_hint(err, "let the program use the terminals of one devpts only");
}

static int pty_check(const struct fd_seen *seen, struct err *err)
{
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (ldisc_check(seen, name, err) < 0)
		return -err->code;
	if (!is_master(&seen->st))
		return 0;
	if (twin_check(seen, name, err) < 0)
		return -err->code;
	return pty_holder_check(seen, pty_index(seen->fd), err);
}

/* How often the slave was opened: here, or POLLHUP tells that it was. */
static enum pty_slaves slaves_of(const struct fd_seen *seen, int index)
{
	struct pollfd hup = { .fd = seen->fd, .events = POLLIN };
	struct fd_dump *d = seen->dump;

	for (uint32_t i = 0; d->fd_of && i < d->snap->nr_ofds; i++) {
		int fd = d->fd_of(d, i);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && is_slave(&st) && pty_index(fd) == index)
			return PTY_OPEN;
	}
	return poll(&hup, 1, 0) > 0 && hup.revents & POLLHUP ? PTY_CLOSED : PTY_NEVER_OPENED;
}

/* "/dev/pts/3 (deleted)": its master is closed, and with it the index is found in the name only. */
static bool slave_index(const char *link, uint32_t *index)
{
	const char *slash = strrchr(link, '/');
	struct text t = { slash ? slash + 1 : link };
	uint64_t value;

	if (!text_dec(&t, &value) || value > INT32_MAX || (*t.at && strcmp(t.at, DELETED) != 0))
		return false;
	*index = (uint32_t)value;
	return true;
}

static bool is_dev_tty(const struct pty_priv *priv)
{
	return !strcmp(priv->path, "/dev/tty");
}

static int pty_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct pty_priv *priv = arena_alloc(arena, sizeof *priv);
	int index = pty_index(seen->fd);
	size_t len = strlen(seen->link);

	if (pty_check(seen, err) < 0)
		return -err->code;
	if (text_ends(seen->link, DELETED))
		len -= strlen(DELETED);
	priv->path = arena_strndup(arena, seen->link, len);
	priv->master = is_master(&seen->st);
	priv->pair = ID_NONE;
	priv->index = index < 0 ? 0 : (uint32_t)index;
	priv->hung_up = !priv->master && pty_is_hung_up(seen->fd);
	if (priv->hung_up && !is_dev_tty(priv) && !slave_index(seen->link, &priv->index))
		return err_set(err, EPROTO, "%s: a terminal without number", seen->link);
	ofd->priv = priv;
	if (!priv->master)
		return 0;
	priv->state = arena_alloc(arena, sizeof *priv->state);
	priv->state->slaves = slaves_of(seen, index);
	return pty_state_read(seen->fd, priv->path, priv->index, arena, priv->state, err);
}

/* Bits that are locked would stay as they are while the queues are looked at. */
static int lock_set(int master, const struct termios *lock, struct err *err)
{
	if (!pty_has_lock(lock) || ioctl(master, TIOCSLCKTRMIOS, lock) == 0)
		return 0;
	err_sys(err, "pty: TIOCSLCKTRMIOS");
	return err_hint(err, "the attributes of the terminal are locked: run snapctl as root");
}

/* What has been taken belongs to the program: it is put back also when the rest failed. */
static int queue_save(
	int master, int slave, struct arena *arena, struct pty_state *state, struct err *err)
{
	int taken = pty_queue_take(master, slave, arena, state, err);
	struct err second = { 0 };
	int put = pty_queue_put(master, slave, state, taken < 0 ? &second : err);

	return taken < 0 ? taken : put;
}

static int master_save_link(const struct fd_seen *seen, struct pty_state *state, struct err *err)
{
	static const struct termios unlocked;
	struct arena *arena = seen->dump->snap->arena;
	OWNED_FD slave = -1;
	int ret, relocked;

	if (state->slaves != PTY_NEVER_OPENED && pty_slave_open(seen->fd, &slave, err) < 0)
		return -err->code;
	if (pty_has_lock(&state->lock) && lock_set(seen->fd, &unlocked, err) < 0)
		return -err->code;
	ret = queue_save(seen->fd, slave, arena, state, err);
	relocked = lock_set(seen->fd, &state->lock, ret < 0 ? NULL : err);
	return ret < 0 ? ret : relocked;
}

static int pty_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct pty_priv *priv = ofd->priv;

	if (priv->master && master_save_link(seen, priv->state, err) < 0)
		return err_wrap(err, "%s", seen->link);
	/*
	 * Hung up while the master lives (vhangup), it is still one of that terminal. What /dev/tty
	 * was then, nobody knows.
	 */
	if (!priv->master && !text_ends(seen->link, DELETED) &&
		!(priv->hung_up && is_dev_tty(priv)))
		priv->pair = master_find(seen->dump, (int)priv->index, ID_NONE);
	return 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

static size_t input_len(const struct pty_state *state)
{
	size_t len = state->input.len;

	for (size_t i = 0; i < state->nr_lines; i++)
		len += state->lines[i].len;
	return len;
}

static char *pty_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct pty_priv *priv = ofd->priv;
	const struct pty_state *state = priv->state;

	(void)snap;
	if (!priv->master)
		return arena_printf(
			arena, "terminal %u%s", priv->index, priv->hung_up ? ", hung up" : "");
	return arena_printf(arena,
		"master of /dev/pts/%u, %ux%u%s, %zu bytes of input, %zu of output", priv->index,
		state->winsize.ws_col, state->winsize.ws_row, state->packet ? ", packet mode" : "",
		input_len(state), state->written.len);
}

const struct fd_kind fd_pty = {
	.name = "pty",
	.is = pty_is,
	.check = pty_check,
	.save = pty_save,
	.save_link = pty_save_link,
	.pack = pty_pack,
	.unpack = pty_unpack,
	.make = pty_make,
	.make_link = pty_make_link,
	.describe = pty_describe,
};
