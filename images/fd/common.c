/* What every open file description has whatever its kind; see common.h. Locks are in locks.c. */
#include "images/fd/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "images/fd/locks.h"

/* What F_SETFL can change; the rest is given to open(2) by the kind. */
enum { SETTABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC };

/* ---- alive -> record ------------------------------------------------------------------------ */

static int save_position(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct text pos = { text_field(seen->fdinfo, "pos") };
	int64_t value;

	if (!pos.at || !text_int(&pos, &value))
		return err_set(err, EPROTO, "fdinfo of descriptor %d has no position", seen->num);
	/*
	 * Pseudo files may have positions above 2^63 (/proc/PID/mem): the bits are kept as they
	 * are.
	 */
	if (S_ISREG(seen->st.st_mode) || S_ISDIR(seen->st.st_mode))
		ofd->offset = (uint64_t)value;
	return 0;
}

static int owner_refused(
	const struct fd_seen *seen, const struct f_owner_ex *owner, struct err *err)
{
	char name[256];

	err_set(err, ENOTSUP, "%s sends its signals (F_SETOWN) to %s %d, %s",
		fd_seen_name(seen, name, sizeof name),
		owner->type == F_OWNER_PGRP  ? "process group"
		: owner->type == F_OWNER_TID ? "thread"
					     : "process",
		owner->pid, "which is not part of the dump");
	return err_hint(err, "let the program use F_SETOWN for itself, or not at all");
}

static bool owner_is_inside(const struct snap *snap, const struct f_owner_ex *owner)
{
	return owner->type == F_OWNER_TID ? snap_has_thread(snap, owner->pid)
					  : snap_has_id(snap, owner->pid);
}

static int save_owner(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct f_owner_ex owner;

	if (fcntl(seen->fd, F_GETOWN_EX, &owner) < 0)
		return err_sys(err, "owner (F_GETOWN_EX) of descriptor %d", seen->num);
	ofd->signal = fcntl(seen->fd, F_GETSIG);
	if (ofd->signal < 0)
		return err_sys(err, "signal (F_GETSIG) of descriptor %d", seen->num);
	if (!owner.pid)
		return 0;
	if (owner.pid != seen->pid && !owner_is_inside(seen->dump->snap, &owner))
		return owner_refused(seen, &owner, err);
	ofd->owner_type = owner.type;
	ofd->owner = owner.pid;
	return 0;
}

/* A pipe or socket that has no name is made 0600 or 0777, and belongs to who makes it. */
static void save_owner_and_mode(const struct fd_seen *seen, struct snap_ofd *ofd)
{
	const struct stat *st = &seen->st;
	bool pipe = S_ISFIFO(st->st_mode) && seen->link[0] != '/';

	if (!pipe && !S_ISSOCK(st->st_mode))
		return;
	if ((st->st_mode & 07777) == (pipe ? 0600 : 0777) && st->st_uid == geteuid() &&
		st->st_gid == getegid())
		return;
	ofd->mode = st->st_mode;
	ofd->uid = st->st_uid;
	ofd->gid = st->st_gid;
}

int ofd_save_common(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	int flags = fcntl(seen->fd, F_GETFL);

	if (flags < 0)
		return err_sys(err, "flags (F_GETFL) of descriptor %d", seen->num);
	ofd->flags = (uint32_t)flags;
	if (!ofd->label)
		ofd->label = arena_strdup(seen->dump->snap->arena, seen->link);
	/* An O_PATH descriptor only names a place: no position, owner or locks. */
	if (flags & O_PATH)
		return 0;
	save_owner_and_mode(seen, ofd);
	if (save_position(seen, ofd, err) < 0 || save_owner(seen, ofd, err) < 0)
		return -err->code;
	return locks_save(seen, ofd, err);
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static int make_flags(const struct snap_ofd *ofd, int fd, struct err *err)
{
	int have = fcntl(fd, F_GETFL), want = (int)ofd->flags;

	if (have < 0)
		return err_sys(err, "F_GETFL");
	if ((have ^ want) & SETTABLE && fcntl(fd, F_SETFL, want & SETTABLE) < 0)
		return err_sys(err, "set flags %#o", want & SETTABLE);
	if ((have ^ want) & ~SETTABLE)
		log_info("%s: flags were %#o, are %#o", ofd->label ? ofd->label : "descriptor",
			want, have);
	return 0;
}

static pid_t owner_now(const struct fd_make *m, const struct snap_ofd *ofd)
{
	/* Groups may be the caller's (D10); ours has been set by now. */
	if (ofd->owner_type == F_OWNER_PGRP && m->snap->nr_procs &&
		ofd->owner == m->snap->procs[0].pgid)
		return getpgrp();
	return m->pid_of(m, ofd->owner);
}

bool ofd_owner_later(const struct snap *snap, const struct snap_ofd *ofd)
{
	const struct snap_proc *first = snap->procs;

	if (!ofd->owner || !snap->nr_procs)
		return false;
	return ofd->owner != (ofd->owner_type == F_OWNER_PGRP ? first->pgid : first->pid);
}

int ofd_set_owner(
	const struct snap_ofd *ofd, int fd, const struct f_owner_ex *owner, struct err *err)
{
	if (owner->pid == 0 && owner->type == F_OWNER_PGRP) {
		log_warn("%s: signals for its owner, process group %d, go to nobody: the group is "
			 "the caller's, outside of the PID namespace",
			ofd->label ? ofd->label : "descriptor", ofd->owner);
		return 0;
	}
	if (owner->pid <= 0)
		return err_set(
			err, ESRCH, "no process stands for %d, who gets its signals", ofd->owner);
	if (fcntl(fd, F_SETOWN_EX, owner) < 0)
		return err_sys(err, "F_SETOWN to %d", owner->pid);
	return 0;
}

static int make_owner(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	struct f_owner_ex owner = { .type = ofd->owner_type, .pid = owner_now(m, ofd) };

	return ofd_set_owner(ofd, fd, &owner, err);
}

/* Without the privilege, it belongs to who restores it. */
static int make_owner_and_mode(const struct snap_ofd *ofd, int fd, struct err *err)
{
	struct stat st;

	if (!ofd->mode)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat");
	if ((st.st_uid != ofd->uid || st.st_gid != ofd->gid) && fchown(fd, ofd->uid, ofd->gid) < 0)
		log_info("%s: owner %u:%u: %m", ofd->label ? ofd->label : "descriptor", ofd->uid,
			ofd->gid);
	if (st.st_mode != ofd->mode && fchmod(fd, ofd->mode & 07777) < 0)
		return err_sys(err, "mode %o", ofd->mode);
	return 0;
}

/* It may stand already where nobody gets any more: a directory that was opened and then removed. */
static int make_position(const struct snap_ofd *ofd, int fd, struct err *err)
{
	off_t at = (off_t)ofd->offset;

	if (lseek(fd, at, SEEK_SET) >= 0 || lseek(fd, 0, SEEK_CUR) == at)
		return 0;
	return err_sys(err, "seek to %lld", (long long)at);
}

int ofd_make_common(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	if (ofd->flags & O_PATH)
		return 0;
	if (make_owner_and_mode(ofd, fd, err) < 0)
		return -err->code;
	if (ofd->offset && make_position(ofd, fd, err) < 0)
		return -err->code;
	if (ofd->owner && !ofd_owner_later(m->snap, ofd) && make_owner(m, ofd, fd, err) < 0)
		return -err->code;
	if (ofd->signal && fcntl(fd, F_SETSIG, ofd->signal) < 0)
		return err_sys(err, "F_SETSIG %d", ofd->signal);
	/* Last, since O_ASYNC may send the signal that was just set. */
	return make_flags(ofd, fd, err);
}

/* ---- helpers of several kinds --------------------------------------------------------------- */

uint32_t ofd_like_inherited(const struct snap *snap, const char *link)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (snap->ofds[i].inherited >= 0 && snap->ofds[i].label &&
			!strcmp(snap->ofds[i].label, link))
			return i;
	return ID_NONE;
}

int ofd_reopen(int fd, uint32_t flags, int *out, struct err *err)
{
	char self[40];
	int fresh;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	fresh = open(self, (int)flags | O_CLOEXEC | O_NOCTTY);
	if (fresh < 0) {
		int ret = err_sys(err, "open %s", self);

		return ret != -EACCES
			       ? ret
			       : err_hint(err, "its mode keeps its owner out: let the "
					       "program change that, or run snapctl as root");
	}
	*out = fresh;
	return 0;
}

int ofd_reopen_made(int fd, uint32_t flags, int *out, struct err *err)
{
	int ret = ofd_reopen(fd, flags, out, err), opened;

	if (ret != -EACCES)
		return ret;
	opened = fd_open_closed(fd, (int)flags | O_CLOEXEC | O_NOCTTY);
	if (opened < 0)
		return ret;
	*out = opened;
	return 0;
}

uint64_t fd_kernel_dev(uint64_t dev)
{
	return makedev((unsigned)(dev >> 20), (unsigned)(dev & 0xfffff));
}

bool snap_has_id(const struct snap *snap, int32_t id)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (proc->pid == id || proc->pgid == id || proc->sid == id)
			return true;
	}
	return false;
}

bool snap_has_thread(const struct snap *snap, int32_t tid)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		for (size_t t = 0; t < snap->procs[i].nr_tasks; t++)
			if (snap->procs[i].tasks[t].tid == tid)
				return true;
	return false;
}

bool snap_has_process(const struct snap *snap, int32_t pid)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == pid)
			return true;
	return false;
}

bool snap_has_zombie(const struct snap *snap, int32_t pid)
{
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == pid)
			return true;
	return false;
}
