/*
 * io_uring(7), with nothing under way: as many completions as submissions, and nothing registered.
 * The kernel goes on counting where it was, and so does the program, in memory of its own: so a new
 * ring does nothing (IORING_OP_NOP) as often as the old one did something. Then what was in the two
 * rings is put there.
 *
 * Nothing shows whether it was set up with IORING_SETUP_SUBMIT_ALL, _COOP_TASKRUN or _TASKRUN_FLAG;
 * without the latter two the kernel does more than it has to.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

enum {
	/* Newer than Debian 12's headers; linux/io_uring.h of 6.8 and 6.9. */
	REGISTER_PBUF_STATUS = 26,
	REGISTER_NAPI = 27,
	NR_BUFFER_GROUPS = 65536,
	ENTRIES_MOST = 65536,
	SQE_LEN = sizeof(struct io_uring_sqe),
	FDINFO_LIMIT = 16 * 1024 * 1024,
};

/* Five seconds. */
static const uint32_t TURNS_MOST = 32 << 20;

struct ring_priv {
	uint32_t sq_entries, cq_entries;
	uint32_t turns;       /* how many were submitted, and completed */
	uint32_t cqes, array; /* where they are in rings */
	uint8_t *rings;       /* IORING_OFF_SQ_RING */
	uint8_t *sqes;
	size_t nr_rings, nr_sqes; /* bytes */
};

static bool ring_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[io_uring]");
}

/* ---- a ring that is mapped here -------------------------------------------------------------- */

struct ring {
	struct io_uring_params p; /* of a plain ring with as many entries */
	uint8_t *rings, *sqes;
	size_t nr_rings, nr_mapped, nr_sqes;
};

static int ring_setup(uint32_t sq_entries, uint32_t cq_entries, struct io_uring_params *p)
{
	*p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = cq_entries };
	return (int)syscall(SYS_io_uring_setup, sq_entries, p);
}

static void ring_unmap(struct ring *r)
{
	if (r->rings)
		munmap(r->rings, r->nr_mapped);
	if (r->sqes)
		munmap(r->sqes, r->nr_sqes);
}

static uint8_t *map(int fd, size_t len, off_t at)
{
	void *mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

	return mapped == MAP_FAILED ? NULL : mapped;
}

/* More may be mapped than there is (io_region_mmap()); a touch of that would end us (SIGBUS). */
static bool is_there(const uint8_t *at)
{
	uint8_t byte;
	struct iovec ours = { &byte, 1 }, theirs = { (void *)(uintptr_t)at, 1 };

	return process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) == 1;
}

static int ring_map(int fd, struct ring *r, struct err *err)
{
	r->nr_mapped = r->nr_rings = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	r->nr_sqes = (size_t)r->p.sq_entries * SQE_LEN;
	r->rings = map(fd, r->nr_mapped, IORING_OFF_SQ_RING);
	/* IORING_SETUP_NO_SQARRAY: it ends before that. */
	if (r->rings && !is_there(r->rings + r->nr_rings - 1))
		r->nr_rings = r->p.sq_off.array;
	r->sqes = map(fd, r->nr_sqes, (off_t)IORING_OFF_SQES);
	return r->rings && r->sqes ? 0 : err_sys(err, "map an io_uring");
}

static uint32_t *word(const struct ring *r, uint32_t offset)
{
	return (uint32_t *)(void *)(r->rings + offset);
}

/* ---- alive -> record: what is in its way ----------------------------------------------------- */

static int ring_refuse(
	const struct fd_seen *seen, const char *what, const char *remedy, struct err *err)
{
	char name[256];

	err_set(err, ENOTSUP, "%s is an io_uring %s", fd_seen_name(seen, name, sizeof name), what);
	return err_hint(err, "%s", remedy);
}

static bool field(const char *fdinfo, const char *key, int64_t *value)
{
	const char *text = text_field(fdinfo, key);

	if (text)
		*value = strtoll(text, NULL, 0);
	return text != NULL;
}

/* What fdinfo shows. */
static int shown_check(const struct fd_seen *seen, struct err *err)
{
	static const char SWITCH_OFF[] =
		"switch io_uring off in the program (libuv: UV_USE_IO_URING=0), or for the "
		"machine: sysctl kernel.io_uring_disabled=2";
	int64_t submitted, completed, thread, files, buffers;
	const char *info = seen->fdinfo;

	if (!field(info, "CachedSqHead", &submitted) || !field(info, "CachedCqTail", &completed) ||
		!field(info, "SqThread", &thread) || !field(info, "UserFiles", &files) ||
		!field(info, "UserBufs", &buffers))
		return ring_refuse(seen, "of which this kernel shows too little", SWITCH_OFF, err);
	if (thread != -1)
		return ring_refuse(
			seen, "with a thread of the kernel (IORING_SETUP_SQPOLL)", SWITCH_OFF, err);
	if (files || buffers || text_field(info, "Personalities"))
		return ring_refuse(seen,
			"with registered files, buffers or personalities, which is not supported "
			"yet",
			SWITCH_OFF, err);
	if (text_field(info, "NAPI") && !text_starts(text_field(info, "NAPI"), "disabled"))
		return ring_refuse(seen, "that polls network devices (NAPI)", SWITCH_OFF, err);
	if (submitted != completed || !strstr(info, "PollList:\nCqOverflowList:\n") ||
		strstr(info, "CqOverflowList:\n "))
		return ring_refuse(
			seen, "with operations under way", "try again when they are done", err);
	if (submitted > TURNS_MOST)
		return ring_refuse(seen,
			"that has done too many operations to be counted up to again", SWITCH_OFF,
			err);
	return 0;
}

/* What only an attempt tells; none of them does anything. The program stands still. */
static int hidden_check(const struct fd_seen *seen, struct err *err)
{
	struct {
		uint32_t group, head, reserved[8];
	} status = { 0 };
	OWNED_FD event = eventfd(0, EFD_CLOEXEC);
	const char *remedy = "set it up without that, or close it before the dump";

	if (syscall(SYS_io_uring_register, seen->fd, IORING_REGISTER_EVENTFD, &event, 1) < 0)
		return ring_refuse(seen,
			errno == EBUSY    ? "with a registered eventfd"
			: errno == EEXIST ? "for one thread only (IORING_SETUP_SINGLE_ISSUER)"
			: errno == EACCES ? "with restrictions"
					  : "that cannot be asked",
			remedy, err);
	syscall(SYS_io_uring_register, seen->fd, IORING_UNREGISTER_EVENTFD, NULL, 0);
	if (syscall(SYS_io_uring_enter, seen->fd, 0, 0, 0, NULL, 0) < 0)
		return ring_refuse(seen,
			errno == EBADFD ? "that is not enabled yet (IORING_SETUP_R_DISABLED)"
					: "that cannot be entered",
			remedy, err);
	/* Looked at before the argument is. */
	if (syscall(SYS_io_uring_register, seen->fd, REGISTER_NAPI, 1, 1) < 0 && errno == EINVAL)
		return ring_refuse(
			seen, "that polls for completions (IORING_SETUP_IOPOLL)", remedy, err);
	for (; status.group < NR_BUFFER_GROUPS; status.group++)
		if (syscall(SYS_io_uring_register, seen->fd, REGISTER_PBUF_STATUS, &status, 1) ==
				0 ||
			errno != ENOENT)
			return ring_refuse(seen, "with provided buffers", remedy, err);
	return 0;
}

static int fdinfo_again(int fd, struct arena *arena, char **out, struct err *err)
{
	char path[64], *text;
	OWNED_FD info = -1;
	size_t len;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return err_sys(err, "open %s", path);
	if (fd_read_text(info, FDINFO_LIMIT, &text, &len, err) < 0)
		return -err->code;
	*out = arena_strdup(arena, text);
	free(text);
	return 0;
}

/* IORING_SETUP_NO_SQARRAY: no entry is printed, but whether there are more pages of them shows. */
static int bare_check(const struct fd_seen *seen, const struct ring *r, struct err *err)
{
	enum { PAGE = 4096 };
	size_t wide = 2 * r->nr_sqes;
	uint8_t *more;
	bool there;

	if (wide <= PAGE)
		return ring_refuse(seen,
			"without an array of indices (IORING_SETUP_NO_SQARRAY) and so small that "
			"the size of its entries does not show",
			"set it up with the array, or with 64 entries or more", err);
	more = map(seen->fd, wide, (off_t)IORING_OFF_SQES);
	there = more && is_there(more + wide - 1);
	if (more)
		munmap(more, wide);
	if (!there)
		return 0;
	return ring_refuse(seen, "with entries of twice the size (IORING_SETUP_SQE128)",
		"set it up without that, or close it before the dump", err);
}

/*
 * fdinfo prints entries between head and tail, wide ones with what they have more: so for a moment
 * there is one of each kind. Nobody else looks: the program stands still, and the kernel has
 * counters of its own.
 */
static int wide_check(const struct fd_seen *seen, const struct ring *r, struct err *err)
{
	const uint32_t offsets[] = { r->p.sq_off.head, r->p.sq_off.tail, r->p.cq_off.head,
		r->p.cq_off.tail };
	uint32_t was[4];
	char *text = "";
	int ret;

	for (uint32_t i = 0; i < 4; i++) {
		was[i] = *word(r, offsets[i]);
		*word(r, offsets[i]) = i % 2;
	}
	ret = fdinfo_again(seen->fd, seen->dump->snap->arena, &text, err);
	for (int i = 0; i < 4; i++)
		*word(r, offsets[i]) = was[i];
	if (ret < 0)
		return ret;
	if (!strstr(text, "opcode:") && bare_check(seen, r, err) < 0)
		return -err->code;
	if (strstr(text, "\nCQEs:\t1\n") && !strstr(text, "extra1:") && !strstr(text, ", e0:"))
		return 0;
	return ring_refuse(seen, "with entries of twice the size (IORING_SETUP_SQE128, CQE32)",
		"set it up without that, or close it before the dump", err);
}

static int ring_check(const struct fd_seen *seen, struct err *err)
{
	return shown_check(seen, err);
}

/* ---- alive -> record ------------------------------------------------------------------------- */

static int ring_copy(
	const struct fd_seen *seen, struct ring *r, struct ring_priv *priv, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;

	if (ring_map(seen->fd, r, err) < 0)
		return ring_refuse(seen, "whose rings cannot be mapped (IORING_SETUP_NO_MMAP)",
			"let the kernel allocate them, or close it before the dump", err);
	if (wide_check(seen, r, err) < 0)
		return -err->code;
	priv->nr_rings = r->nr_rings;
	priv->rings = arena_copy(arena, r->rings, r->nr_rings);
	priv->nr_sqes = r->nr_sqes;
	priv->sqes = arena_copy(arena, r->sqes, r->nr_sqes);
	return 0;
}

static int ring_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct ring_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);
	int64_t sq_mask = 0, cq_mask = 0, turns = 0;
	struct ring r = { 0 };
	OWNED_FD like = -1;
	int ret;

	if (shown_check(seen, err) < 0 || hidden_check(seen, err) < 0)
		return -err->code;
	field(seen->fdinfo, "SqMask", &sq_mask);
	field(seen->fdinfo, "CqMask", &cq_mask);
	field(seen->fdinfo, "CachedSqHead", &turns);
	like = ring_setup((uint32_t)sq_mask + 1, (uint32_t)cq_mask + 1, &r.p);
	if (like < 0)
		return err_sys(err, "io_uring_setup");
	priv->sq_entries = (uint32_t)sq_mask + 1;
	priv->cq_entries = (uint32_t)cq_mask + 1;
	priv->turns = (uint32_t)turns;
	priv->cqes = r.p.cq_off.cqes;
	priv->array = r.p.sq_off.array;
	ret = ring_copy(seen, &r, priv, err);
	ring_unmap(&r);
	ofd->priv = priv;
	return ret;
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static int ring_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct ring_priv *priv = ofd->priv;
	Pb__IoUringFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__io_uring_fd__init(m);
	m->has_sq_entries = m->has_cq_entries = m->has_turns = true;
	m->sq_entries = priv->sq_entries;
	m->cq_entries = priv->cq_entries;
	m->turns = priv->turns;
	m->has_cqes = m->has_array = m->has_rings = m->has_sqes = true;
	m->cqes = priv->cqes;
	m->array = priv->array;
	m->rings = (ProtobufCBinaryData){ priv->nr_rings, priv->rings };
	m->sqes = (ProtobufCBinaryData){ priv->nr_sqes, priv->sqes };
	msg->io_uring = m;
	return 0;
}

static bool entries_valid(uint32_t entries)
{
	return entries && entries <= ENTRIES_MOST && !(entries & (entries - 1));
}

static int ring_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct ring_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__IoUringFd *m = msg->io_uring;

	if (!m)
		return message_missing("io_uring", err);
	if (!entries_valid(m->sq_entries) || !entries_valid(m->cq_entries) || m->turns > TURNS_MOST)
		return err_set(err, EBADMSG, "io_uring: %u and %u entries, %u turns", m->sq_entries,
			m->cq_entries, m->turns);
	if (m->sqes.len != (size_t)m->sq_entries * SQE_LEN || m->array > m->rings.len ||
		m->rings.len - m->array > m->sq_entries * sizeof(uint32_t) || m->cqes > m->array)
		return err_set(err, EBADMSG, "io_uring: rings of %zu and %zu bytes", m->rings.len,
			m->sqes.len);
	*priv = (struct ring_priv){ m->sq_entries, m->cq_entries, m->turns, m->cqes, m->array,
		arena_copy(snap->arena, m->rings.data, m->rings.len),
		arena_copy(snap->arena, m->sqes.data, m->sqes.len), m->rings.len, m->sqes.len };
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------- */

/* Which entry is in which place: nobody changes that, where it is there at all. */
static void array_fill(struct ring *r)
{
	for (uint32_t i = 0; i < r->p.sq_entries; i++)
		word(r, r->p.sq_off.array)[i] = i;
}

/* Heads and tails count on, up to where they were. A fresh entry is IORING_OP_NOP. */
static int ring_turn(int fd, struct ring *r, uint32_t turns, struct err *err)
{
	uint32_t *tail = word(r, r->p.sq_off.tail);

	for (uint32_t done = 0; done < turns;) {
		uint32_t nr = turns - done < r->p.sq_entries ? turns - done : r->p.sq_entries;

		__atomic_store_n(tail, done + nr, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, fd, nr, 0, 0, NULL, 0) != (long)nr)
			return err_sys(err, "io_uring_enter");
		done += nr;
		*word(r, r->p.cq_off.head) = done;
	}
	return 0;
}

static bool is_zero(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i])
			return false;
	return true;
}

static int ring_refill(int fd, struct ring *r, const struct ring_priv *priv, struct err *err)
{
	bool has_array = !is_zero(priv->rings + priv->array, priv->nr_rings - priv->array);

	if (ring_map(fd, r, err) < 0)
		return -err->code;
	if (r->nr_rings < priv->nr_rings)
		return err_set(err, ENOTSUP, "io_uring: rings of this kernel are smaller");
	array_fill(r);
	if (ring_turn(fd, r, priv->turns, err) < 0)
		return -err->code;
	memcpy(r->rings, priv->rings, has_array ? priv->nr_rings : priv->array);
	memcpy(r->sqes, priv->sqes, priv->nr_sqes);
	return 0;
}

static int ring_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct ring_priv *priv = ofd->priv;
	struct ring r = { 0 };
	OWNED_FD fresh = ring_setup(priv->sq_entries, priv->cq_entries, &r.p);
	int ret;

	(void)m;
	if (fresh < 0) {
		err_sys(err, "io_uring_setup");
		if (err->code == EPERM)
			err_hint(err, "the program uses io_uring: allow it with sysctl "
				      "kernel.io_uring_disabled=0");
		return -err->code;
	}
	if (r.p.cq_off.cqes != priv->cqes || r.p.sq_off.array != priv->array)
		return err_set(err, ENOTSUP,
			"io_uring: this kernel's rings are laid out "
			"differently from those of the kernel of the dump");
	ret = ring_refill(fresh, &r, priv, err);
	ring_unmap(&r);
	if (ret < 0)
		return ret;
	*fd = take_fd(&fresh);
	return 0;
}

static char *ring_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct ring_priv *priv = ofd->priv;

	(void)snap;
	return arena_printf(arena, "%u entries, %u operations done", priv->sq_entries, priv->turns);
}

const struct fd_kind fd_io_uring = {
	.name = "io_uring",
	.is = ring_is,
	.check = ring_check,
	.save = ring_save,
	.pack = ring_pack,
	.unpack = ring_unpack,
	.make = ring_make,
	.describe = ring_describe,
};
