/*
 * Reading a pipe without consuming, and filling one; see pipe_contents.h.
 *
 * tee(2) hands the slots of a pipe to another pipe, one slot for one slot, packets as packets. A
 * pipe with a single slot thus receives exactly the first one. Whether that is a packet shows when
 * it is teed twice into a pipe and read at once: read(2) goes over from one slot to the next but
 * not behind a packet.
 */
#include "images/fd/pipe_contents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/common.h"

enum { SLOT = 4096 };

int pipe_set_size(int fd, uint32_t size, struct err *err)
{
	int have = fcntl(fd, F_GETPIPE_SZ);

	if (have < 0)
		return err_sys(err, "F_GETPIPE_SZ");
	if ((uint32_t)have == size || fcntl(fd, F_SETPIPE_SZ, size) >= 0)
		return 0;
	err_sys(err, "make a pipe %u bytes large", size);
	return err_hint(err,
		"root may; for others raise fs.pipe-max-size or fs.pipe-user-pages-soft "
		"(sysctl)");
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Pipes of our own while contents are read. */
struct tap {
	int copy[2]; /* the whole contents, eaten up slot by slot */
	int one[2];  /* one slot */
	int two[2];  /* two slots */
	char *data;  /* room for everything twice */
	size_t room;
};

static void tap_finish(struct tap *tap)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&tap->copy[i]);
		fd_close(&tap->one[i]);
		fd_close(&tap->two[i]);
	}
	free(tap->data);
}

static int pipe_make(int ends[2], uint32_t size, struct err *err)
{
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		ends[0] = ends[1] = -1;
		return err_sys(err, "pipe");
	}
	return pipe_set_size(ends[1], size, err);
}

static int tap_init(struct tap *tap, uint32_t size, size_t len, struct err *err)
{
	*tap = (struct tap){ .copy = { -1, -1 }, .one = { -1, -1 }, .two = { -1, -1 } };
	tap->room = len * 2;
	tap->data = malloc(tap->room);
	if (!tap->data)
		return err_nomem(err);
	if (pipe_make(tap->copy, size, err) < 0 || pipe_make(tap->one, SLOT, err) < 0 ||
		pipe_make(tap->two, 2 * SLOT, err) < 0)
		return -err->code;
	return 0;
}

static int tap_fill(struct tap *tap, int fd, size_t len, struct err *err)
{
	ssize_t teed = tee(fd, tap->copy[1], tap->room, SPLICE_F_NONBLOCK);

	if (teed < 0)
		return err_sys(err, "tee");
	if ((size_t)teed != len)
		return err_set(err, EAGAIN,
			"the pipe changed while it was read: %zu bytes, then %zd", len, teed);
	return 0;
}

static int tap_is_packet(struct tap *tap, size_t len, bool *packet, struct err *err)
{
	ssize_t n;

	for (int i = 0; i < 2; i++)
		if (tee(tap->copy[0], tap->two[1], len, SPLICE_F_NONBLOCK) != (ssize_t)len)
			return err_sys(err, "tee");
	n = read(tap->two[0], tap->data, 2 * len);
	if (n < 0)
		return err_sys(err, "read the copy of a pipe");
	*packet = (size_t)n == len;
	/* The second packet has to leave too. */
	if (*packet && read(tap->two[0], tap->data, 2 * len) != (ssize_t)len)
		return err_sys(err, "read the copy of a pipe");
	return 0;
}

/* Takes the first slot off the copy. False and no error: there is none left. */
static int tap_next(struct tap *tap, struct arena *arena, struct pipe_buffer *out, struct err *err)
{
	ssize_t len = tee(tap->copy[0], tap->one[1], tap->room, SPLICE_F_NONBLOCK);

	if (len < 0 && errno == EAGAIN)
		return 0;
	if (len <= 0)
		return len ? err_sys(err, "tee") : 0;
	if (read(tap->one[0], tap->data, tap->room) != len)
		return err_sys(err, "read the copy of a pipe");
	out->data = arena_copy(arena, tap->data, (size_t)len);
	out->len = (size_t)len;
	if (tap_is_packet(tap, (size_t)len, &out->packet, err) < 0)
		return -err->code;
	if (read(tap->copy[0], tap->data, (size_t)len) != len)
		return err_sys(err, "read the copy of a pipe");
	return 1;
}

/*
 * FIONREAD works on either end; only where there is something do we need an end that can be read.
 */
static int read_end(int fd, int *end, struct err *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return err_sys(err, "F_GETFL");
	if ((flags & O_ACCMODE) != O_WRONLY)
		return (*end = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0 ? err_sys(err, "dup") : 0;
	return ofd_reopen(fd, O_RDONLY | O_NONBLOCK, end, err);
}

int pipe_contents_read(
	int fd, struct arena *arena, struct pipe_buffer **out, size_t *nr, struct err *err)
{
	int len = 0, size = fcntl(fd, F_GETPIPE_SZ), more;
	struct pipe_buffer *buffers = NULL;
	size_t cap = 0, n = 0;
	OWNED_FD end = -1;
	struct tap tap;

	if (size < 0 || ioctl(fd, FIONREAD, &len) < 0)
		return err_sys(err, "size of a pipe");
	*nr = 0;
	*out = NULL;
	if (len == 0)
		return 0;
	if (read_end(fd, &end, err) < 0)
		return -err->code;
	more = tap_init(&tap, (uint32_t)size, (size_t)len, err) < 0 ||
			       tap_fill(&tap, end, (size_t)len, err) < 0
		       ? -1
		       : 1;
	while (more > 0) {
		buffers = arena_grow(arena, buffers, n, &cap, sizeof *buffers);
		more = tap_next(&tap, arena, &buffers[n], err);
		n += more > 0;
	}
	tap_finish(&tap);
	if (more < 0)
		return err_wrap(err, "contents of a pipe");
	*out = buffers;
	*nr = n;
	return 0;
}

/* ---- filling -------------------------------------------------------------------------------- */

/*
 * Through pipes of our own and splice(2): a direct write would be merged into the last slot.
 * Splicing moves a slot as it is, so that the program's next write still can be.
 */
static int slot_put(int stage[2], int fd, const struct pipe_buffer *b, struct err *err)
{
	for (size_t done = 0; done < b->len;) {
		size_t len = b->len - done < SLOT ? b->len - done : SLOT;
		ssize_t moved;

		if (write(stage[1], (const char *)b->data + done, len) != (ssize_t)len)
			return err_sys(err, "write to a pipe");
		moved = splice(stage[0], NULL, fd, NULL, len, SPLICE_F_NONBLOCK);
		if (moved < 0 && errno != EAGAIN)
			return err_sys(err, "splice into a pipe");
		if (moved != (ssize_t)len)
			return err_set(err, ENOSPC, "the pipe has no room for what was in it");
		done += len;
	}
	return 0;
}

int pipe_contents_write(int fd, const struct pipe_buffer *buffers, size_t nr, struct err *err)
{
	int plain[2] = { -1, -1 }, packets[2] = { -1, -1 };
	int ret = 0;

	if (nr == 0)
		return 0;
	if (pipe2(plain, O_CLOEXEC | O_NONBLOCK) < 0)
		ret = err_sys(err, "pipe");
	else if (pipe2(packets, O_CLOEXEC | O_NONBLOCK | O_DIRECT) < 0)
		ret = err_sys(err, "pipe");
	for (size_t i = 0; i < nr && !ret; i++)
		ret = slot_put(buffers[i].packet ? packets : plain, fd, &buffers[i], err);
	for (int i = 0; i < 2; i++) {
		fd_close(&plain[i]);
		fd_close(&packets[i]);
	}
	return ret;
}
