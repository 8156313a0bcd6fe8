/* Open file descriptions: what they have in common; the rest is their kind's. Part of the file
 * "state". */
#include <errno.h>
#include <sys/stat.h>
#include <string.h>

#include "base/arena.h"
#include "images/fd/kind.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

enum { LOCK_TYPE_MAX = 2, OWNER_TYPE_MAX = 2, LABEL_MAX = 8192 };

static void locks_pack(struct arena *arena, const struct snap_ofd *ofd, Pb__Ofd *m)
{
	m->n_locks = ofd->nr_locks;
	m->locks = arena_array(arena, ofd->nr_locks, sizeof *m->locks);
	for (size_t i = 0; i < ofd->nr_locks; i++) {
		const struct snap_lock *lock = &ofd->locks[i];
		Pb__Lock *out = m->locks[i] = arena_alloc(arena, sizeof *out);

		pb__lock__init(out);
		PUT(out, kind, (uint32_t)lock->kind);
		PUT(out, type, lock->type);
		PUT(out, start, lock->start);
		PUT(out, len, lock->len);
		PUT(out, proc, lock->proc);
	}
}

/*
 * Does the kind keep something of it? What came from the launcher may be of any kind, known to us
 * or not: it will be a descriptor of whoever restores, so nothing but its number is kept.
 */
static bool has_record(const struct snap_ofd *ofd)
{
	return ofd->inherited < 0;
}

static int ofd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *m, struct err *err)
{
	if (!ofd->kind && has_record(ofd))
		return err_set(err, EINVAL, "it has no kind");
	pb__ofd__init(m);
	PUT(m, id, ofd->id);
	m->kind = ofd->kind ? (char *)ofd->kind->name : NULL;
	PUT(m, flags, ofd->flags);
	PUT(m, offset, ofd->offset);
	PUT(m, owner_type, ofd->owner_type);
	PUT(m, owner, ofd->owner);
	PUT(m, signal, ofd->signal);
	if (ofd->mode) {
		PUT(m, mode, ofd->mode);
		PUT(m, uid, ofd->uid);
		PUT(m, gid, ofd->gid);
	}
	locks_pack(snap->arena, ofd, m);
	/* 0 is a descriptor, so this one is always there. */
	m->has_inherited = 1;
	m->inherited = ofd->inherited;
	m->label = ofd->label;
	return has_record(ofd) && ofd->kind->pack ? ofd->kind->pack(snap, ofd, m, err) : 0;
}

int ofds_pack(const struct snap *snap, Pb__State *m, struct err *err)
{
	m->n_ofds = snap->nr_ofds;
	m->ofds = arena_array(snap->arena, snap->nr_ofds, sizeof *m->ofds);
	for (size_t i = 0; i < snap->nr_ofds; i++) {
		m->ofds[i] = arena_alloc(snap->arena, sizeof **m->ofds);
		if (ofd_pack(snap, &snap->ofds[i], m->ofds[i], err) < 0)
			return err_wrap(err, "open file %zu (%s)", i,
				snap->ofds[i].label ? snap->ofds[i].label : "?");
	}
	return 0;
}

static void locks_unpack(struct snap *snap, const Pb__Ofd *m, struct snap_ofd *ofd)
{
	ofd->nr_locks = m->n_locks;
	ofd->locks = arena_array(snap->arena, m->n_locks, sizeof *ofd->locks);
	for (size_t i = 0; i < m->n_locks; i++) {
		const Pb__Lock *lock = m->locks[i];

		ofd->locks[i].kind = lock->kind;
		ofd->locks[i].type = lock->type;
		ofd->locks[i].start = lock->start;
		ofd->locks[i].len = lock->len;
		ofd->locks[i].proc = lock->proc;
	}
}

static int ofd_unpack(struct snap *snap, const Pb__Ofd *m, struct snap_ofd *ofd, struct err *err)
{
	ofd->inherited = m->has_inherited ? m->inherited : -1;
	ofd->kind = m->kind ? fd_kind_by_name(m->kind) : NULL;
	if (!ofd->kind && (m->kind || has_record(ofd)))
		return BAD(err, "of a kind that does not exist");
	if (m->label && strlen(m->label) > LABEL_MAX)
		return BAD(err, "label of %zu bytes", strlen(m->label));
	ofd->id = m->id;
	ofd->flags = m->flags;
	ofd->offset = m->offset;
	ofd->owner_type = m->owner_type;
	ofd->owner = m->owner;
	ofd->signal = m->signal;
	ofd->mode = m->mode;
	ofd->uid = m->uid;
	ofd->gid = m->gid;
	locks_unpack(snap, m, ofd);
	if (m->label)
		ofd->label = arena_strdup(snap->arena, m->label);
	return 0;
}

int ofds_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_ofds = snap->cap_ofds = m->n_ofds;
	snap->ofds = arena_array(snap->arena, m->n_ofds, sizeof *snap->ofds);
	for (size_t i = 0; i < m->n_ofds; i++)
		if (ofd_unpack(snap, m->ofds[i], &snap->ofds[i], err) < 0)
			return err_wrap(err, "open file %zu", i);
	return 0;
}

int ofds_unpack_kinds(struct snap *snap, const Pb__State *m, struct err *err)
{
	for (size_t i = 0; i < m->n_ofds; i++) {
		struct snap_ofd *ofd = &snap->ofds[i];

		if (!has_record(ofd) || !ofd->kind->unpack)
			continue;
		if (ofd->kind->unpack(snap, m->ofds[i], ofd, err) < 0)
			return err_wrap(err, "open file %zu (%s)", i, ofd->kind->name);
	}
	return 0;
}

static int lock_check(const struct snap *snap, const struct snap_lock *lock, struct err *err)
{
	bool owned = lock->kind == LOCK_POSIX || lock->kind == LOCK_LEASE;

	if ((unsigned)lock->kind > LOCK_LEASE || lock->type < 0 || lock->type > LOCK_TYPE_MAX)
		return BAD(err, "unknown kind or type");
	if (lock->start > INT64_MAX || lock->len > INT64_MAX - lock->start)
		return BAD(err, "impossible range");
	if (owned && lock->proc >= snap->nr_procs)
		return BAD(err, "process %u does not exist", lock->proc);
	return 0;
}

static int ofd_check(
	const struct snap *snap, const struct snap_ofd *ofd, size_t index, struct err *err)
{
	if (ofd->id != index)
		return BAD(err, "its id is %u", ofd->id);
	if (ofd->offset > INT64_MAX)
		return BAD(err, "impossible position");
	if (ofd->owner_type < 0 || ofd->owner_type > OWNER_TYPE_MAX || ofd->owner < 0 ||
		ofd->signal < 0 || ofd->signal > SNAP_NSIG)
		return BAD(err, "impossible owner or signal");
	if (ofd->mode & ~07777u && !S_ISFIFO(ofd->mode) && !S_ISSOCK(ofd->mode))
		return BAD(err, "impossible mode %#o", ofd->mode);
	if (ofd->inherited < -1)
		return BAD(err, "inherited as descriptor %d", ofd->inherited);
	for (size_t i = 0; i < ofd->nr_locks; i++)
		if (lock_check(snap, &ofd->locks[i], err) < 0)
			return err_wrap(err, "lock %zu", i);
	return 0;
}

int ofds_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_ofds; i++)
		if (ofd_check(snap, &snap->ofds[i], i, err) < 0)
			return err_wrap(err, "open file %zu", i);
	return 0;
}
