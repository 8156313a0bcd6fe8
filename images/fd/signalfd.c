/* signalfd(2): a set of signals. What can be read from it is pending at the process, not here. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

struct signalfd_priv {
	uint64_t mask; /* bit N-1 is signal N */
};

static bool signalfd_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[signalfd]");
}

static int signalfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct signalfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	if (!text_field_hex(seen->fdinfo, "sigmask", &priv->mask))
		return err_set(err, EPROTO, "signalfd: no mask in fdinfo");
	ofd->priv = priv;
	return 0;
}

static int signalfd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct signalfd_priv *priv = ofd->priv;
	Pb__SignalFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__signal_fd__init(m);
	m->has_mask = true;
	m->mask = priv->mask;
	msg->signalfd = m;
	return 0;
}

static int signalfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct signalfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!msg->signalfd)
		return message_missing("signalfd", err);
	priv->mask = msg->signalfd->mask;
	ofd->priv = priv;
	return 0;
}

static int signalfd_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct signalfd_priv *priv = ofd->priv;
	/* The wrapper of libc takes its own sigset_t; the kernel's is 8 bytes. */
	long fresh = syscall(SYS_signalfd4, -1, &priv->mask, sizeof priv->mask,
		SFD_CLOEXEC | (ofd->flags & SFD_NONBLOCK));

	(void)m;
	if (fresh < 0)
		return err_sys(err, "signalfd");
	*fd = (int)fresh;
	return 0;
}

static char *signalfd_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct signalfd_priv *priv = ofd->priv;
	char *text = "no signals";

	(void)snap;
	for (int nr = 1, first = 1; nr <= SNAP_NSIG; nr++) {
		const char *name = sigabbrev_np(nr);

		if (!(priv->mask >> (nr - 1) & 1))
			continue;
		if (name)
			text = arena_printf(
				arena, "%s%s", first ? "" : arena_printf(arena, "%s ", text), name);
		else
			text = arena_printf(
				arena, "%s%d", first ? "" : arena_printf(arena, "%s ", text), nr);
		first = 0;
	}
	return text;
}

const struct fd_kind fd_signalfd = {
	.name = "signalfd",
	.is = signalfd_is,
	.save = signalfd_save,
	.pack = signalfd_pack,
	.unpack = signalfd_unpack,
	.make = signalfd_make,
	.describe = signalfd_describe,
};
