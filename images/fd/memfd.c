/*
 * memfd_create(2). The contents, name and seals belong to the memory object, which mappings share;
 * a descriptor adds its mode, flags and position. dump/ stores the pages, restore/ fills and seals.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

struct memfd_priv {
	uint32_t mem;
};

/* A file "/memfd:x" can be made by hand, but not one that is deleted and has seals. */
static bool memfd_is(const struct fd_seen *seen)
{
	if (!S_ISREG(seen->st.st_mode) || seen->st.st_nlink || !text_starts(seen->link, "/memfd:"))
		return false;
	return fcntl(seen->fd, F_GET_SEALS) >= 0 || fcntl(seen->fd, F_GETFL) & O_PATH;
}

static int memfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct memfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	if (seen->dump->mem_of(seen->dump, seen->fd, &seen->st, seen->link, &priv->mem, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

static int memfd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct memfd_priv *priv = ofd->priv;
	Pb__MemFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__mem_fd__init(m);
	m->has_mem = true;
	m->mem = priv->mem;
	msg->memfd = m;
	return 0;
}

static int memfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct memfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!msg->memfd || !msg->memfd->has_mem)
		return message_missing("memfd", err);
	priv->mem = msg->memfd->mem;
	if (message_id_check(priv->mem, snap->nr_mems, "memfd: memory object", err) < 0)
		return -err->code;
	if (snap->mems[priv->mem].kind != MEM_MEMFD)
		return err_set(err, EBADMSG, "memfd: memory object %u is none", priv->mem);
	ofd->priv = priv;
	return 0;
}

/* As memfd_create(2) gives it; F_SETFL may have changed it since. */
static bool is_as_created(const struct snap_ofd *ofd)
{
	const uint32_t large = 0100000; /* O_LARGEFILE, which is 0 for 64-bit programs */
	const uint32_t settable = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

	return ofd->kind == &fd_memfd && ofd->inherited < 0 &&
	       (ofd->flags & ~(settable | large | O_CLOEXEC)) == O_RDWR;
}

/*
 * The memfd's own descriptor is not counted as open for writing, and what is cannot be executed: so
 * it is given to the first that may have been it. Others have been opened by way of /proc.
 */
static bool is_original(const struct snap *snap, const struct snap_ofd *ofd)
{
	const struct memfd_priv *priv = ofd->priv;

	for (const struct snap_ofd *o = snap->ofds; o < ofd; o++)
		if (is_as_created(o) && ((const struct memfd_priv *)o->priv)->mem == priv->mem)
			return false;
	return is_as_created(ofd);
}

/* A dup would share position and flags with other descriptors of the same memfd: open it again. */
static int memfd_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct memfd_priv *priv = ofd->priv;
	int mem;

	if (m->mem_fd(m, priv->mem, &mem, err) < 0)
		return -err->code;
	if (is_original(m->snap, ofd)) {
		*fd = fcntl(mem, F_DUPFD_CLOEXEC, 0);
		return *fd < 0 ? err_sys(err, "duplicate a memfd") : 0;
	}
	return ofd_reopen_made(mem,
		ofd->flags & ~(uint32_t)(O_ASYNC | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW), fd,
		err);
}

static char *memfd_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct memfd_priv *priv = ofd->priv;
	const struct snap_mem *mem = &snap->mems[priv->mem];

	return arena_printf(
		arena, "%llu bytes%s", (unsigned long long)mem->size, mem->seals ? ", sealed" : "");
}

const struct fd_kind fd_memfd = {
	.name = "memfd",
	.is = memfd_is,
	.save = memfd_save,
	.pack = memfd_pack,
	.unpack = memfd_unpack,
	.make = memfd_make,
	.describe = memfd_describe,
};
