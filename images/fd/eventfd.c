/* eventfd(2): a counter. All of it is in fdinfo, except EFD_SEMAPHORE before Linux 6.5. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

struct eventfd_priv {
	uint64_t count;
	bool semaphore;
};

static bool eventfd_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[eventfd]");
}

/* ---- alive -> record ------------------------------------------------------------------------ */

static int counter_add(int fd, uint64_t n, struct err *err)
{
	if (n && write(fd, &n, sizeof n) != sizeof n)
		return err_sys(err, "eventfd: write");
	return 0;
}

static int counter_take(int fd, uint64_t *got, struct err *err)
{
	if (read(fd, got, sizeof *got) != sizeof *got)
		return err_sys(err, "eventfd: read");
	return 0;
}

/* From a counter of at least 2 a semaphore gives 1, a plain one everything. Leaves it as it was. */
static int semaphore_probe(int fd, uint64_t count, bool *semaphore, struct err *err)
{
	uint64_t extra = count < 2 ? 2 - count : 0, got;

	if (counter_add(fd, extra, err) < 0 || counter_take(fd, &got, err) < 0)
		return -err->code;
	*semaphore = got == 1;
	if (!*semaphore)
		return counter_add(fd, count, err);
	/* Now at count + extra - 1. */
	if (extra == 2)
		return counter_take(fd, &got, err);
	return counter_add(fd, extra == 0, err);
}

static int eventfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct eventfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);
	uint64_t semaphore;

	if (!text_field_hex(seen->fdinfo, "eventfd-count", &priv->count))
		return err_set(err, EPROTO, "eventfd: no count in fdinfo");
	if (text_field_dec(seen->fdinfo, "eventfd-semaphore", &semaphore))
		priv->semaphore = semaphore;
	else if (semaphore_probe(seen->fd, priv->count, &priv->semaphore, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int eventfd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct eventfd_priv *priv = ofd->priv;
	Pb__EventFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__event_fd__init(m);
	m->has_count = true;
	m->count = priv->count;
	m->has_semaphore = true;
	m->semaphore = priv->semaphore;
	msg->eventfd = m;
	return 0;
}

static int eventfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	const Pb__EventFd *m = msg->eventfd;
	struct eventfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!m)
		return message_missing("eventfd", err);
	if (m->count == UINT64_MAX)
		return err_set(err, EBADMSG, "eventfd: a counter cannot be that high");
	priv->count = m->count;
	priv->semaphore = m->semaphore;
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static int eventfd_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct eventfd_priv *priv = ofd->priv;
	unsigned now = priv->count > UINT32_MAX ? UINT32_MAX : (unsigned)priv->count;
	uint64_t rest = priv->count - now;
	OWNED_FD fresh = eventfd(now,
		EFD_CLOEXEC | (priv->semaphore ? EFD_SEMAPHORE : 0) | (ofd->flags & EFD_NONBLOCK));

	(void)m;
	if (fresh < 0)
		return err_sys(err, "eventfd");
	/* eventfd(2) takes only 32 bits of initial count; the rest has to be written. */
	if (rest && write(fresh, &rest, sizeof rest) != sizeof rest)
		return err_sys(err, "eventfd: write %llu", (unsigned long long)rest);
	*fd = take_fd(&fresh);
	return 0;
}

static char *eventfd_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct eventfd_priv *priv = ofd->priv;

	(void)snap;
	return arena_printf(arena, "count %llu%s", (unsigned long long)priv->count,
		priv->semaphore ? ", semaphore" : "");
}

const struct fd_kind fd_eventfd = {
	.name = "eventfd",
	.is = eventfd_is,
	.save = eventfd_save,
	.pack = eventfd_pack,
	.unpack = eventfd_unpack,
	.make = eventfd_make,
	.describe = eventfd_describe,
};
