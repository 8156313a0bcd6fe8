/* What a pseudo-terminal keeps besides queued data: terminal attributes, sizes, modes; see pty.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/pty.h"

enum { PTS_MAJOR = 136 };

/* Where the slave of index is, seen from the path of its master. */
static char *pty_slave_path(struct arena *arena, const char *master_path, uint32_t index)
{
	const char *slash = strrchr(master_path, '/');
	int dir = slash ? (int)(slash - master_path) : 0;

	/* /dev/pts/ptmx is beside its slaves, /dev/ptmx is not (filesystems/devpts.rst). */
	return arena_printf(arena, "%.*s%s/%u", dir, master_path,
		text_ends(master_path, "/pts/ptmx") ? "" : "/pts", index);
}

bool pty_has_lock(const struct termios *lock)
{
	const char *bytes = (const char *)lock;

	for (size_t i = 0; i < sizeof *lock; i++)
		if (bytes[i])
			return true;
	return false;
}

/* ---- alive -> record ------------------------------------------------------------------------ */

static int owner_read(const char *path, uint32_t index, struct pty_state *state, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, "pty: stat %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(PTS_MAJOR, index))
		return err_set(
			err, ENOTSUP, "pty: %s is not the other end of terminal %u", path, index);
	state->mode = st.st_mode & 07777;
	state->uid = st.st_uid;
	state->gid = st.st_gid;
	return 0;
}

/* The slave's flag can be asked through the slave only, which is not to be opened for that. */
static int slave_exclusive(int master, struct pty_state *state, struct err *err)
{
	int exclusive = 0, ret;
	OWNED_FD slave = -1;

	if (state->slaves != PTY_OPEN)
		return 0;
	ret = pty_slave_open(master, &slave, err);
	if (ret < 0)
		return ret;
	if (ioctl(slave, TIOCGEXCL, &exclusive) < 0)
		return err_sys(err, "pty: TIOCGEXCL");
	state->exclusive[0] = exclusive;
	return 0;
}

int pty_state_read(int master, const char *path, uint32_t index, struct arena *arena,
	struct pty_state *state, struct err *err)
{
	int locked = 0, packet = 0, exclusive = 0;

	/* Asked at the master, the first three are those of the slave. */
	if (ioctl(master, TCGETS2, &state->termios) < 0 ||
		ioctl(master, TIOCGLCKTRMIOS, &state->lock) < 0 ||
		ioctl(master, TIOCGWINSZ, &state->winsize) < 0 ||
		ioctl(master, TIOCGPTLCK, &locked) < 0 || ioctl(master, TIOCGPKT, &packet) < 0 ||
		ioctl(master, TIOCGEXCL, &exclusive) < 0)
		return err_sys(err, "pty: attributes of the terminal");
	state->locked = locked;
	state->packet = packet;
	state->exclusive[1] = exclusive;
	if (slave_exclusive(master, state, err) < 0)
		return -err->code;
	return owner_read(pty_slave_path(arena, path, index), index, state, err);
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static int owner_make(const char *path, const struct pty_state *state, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, "pty: stat %s", path);
	if ((st.st_uid != state->uid || st.st_gid != state->gid) &&
		chown(path, state->uid, state->gid) < 0) {
		err_sys(err, "pty: give %s to user %u and group %u", path, state->uid, state->gid);
		return err_hint(err, "restore it as root, or as the user who owned the terminal");
	}
	if ((st.st_mode & 07777) != state->mode && chmod(path, state->mode) < 0)
		return err_sys(err, "pty: mode of %s", path);
	return 0;
}

int pty_state_make(int master, const char *path, uint32_t index, const struct pty_state *state,
	struct err *err)
{
	struct arena *arena = arena_create();
	int ret = owner_make(pty_slave_path(arena, path, index), state, err);

	arena_destroy(arena);
	if (ret < 0)
		return ret;
	if (ioctl(master, TIOCSWINSZ, &state->winsize) < 0)
		return err_sys(err, "pty: window size");
	if (state->exclusive[1] && ioctl(master, TIOCEXCL) < 0)
		return err_sys(err, "pty: TIOCEXCL");
	return 0;
}
