/*
 * Locks of an open file description: flock(2), POSIX and OFD record locks (fcntl_locking(2)),
 * leases. The kernel prints those that were taken through this descriptor in its fdinfo, in the
 * form of /proc/locks:
 *
 *     lock:   1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
 */
#include "images/fd/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/common.h"

/* ---- alive -> record ------------------------------------------------------------------------ */

static bool word_read(struct text *t, char word[16])
{
	size_t len;

	text_blanks(t);
	len = strcspn(t->at, " \t\n");
	if (!len || len >= 16)
		return false;
	memcpy(word, t->at, len);
	word[len] = '\0';
	t->at += len;
	return true;
}

static bool kind_read(const char *word, struct snap_lock *lock)
{
	static const struct {
		const char *word;
		int kind;
	} kinds[] = {
		{ "POSIX", LOCK_POSIX },
		{ "OFDLCK", LOCK_OFD },
		{ "FLOCK", LOCK_FLOCK },
		{ "LEASE", LOCK_LEASE },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(kinds[i].word, word)) {
			lock->kind = kinds[i].kind;
			return true;
		}
	return false;
}

/* "0 EOF" or "10 14": the last byte, which is part of the lock. */
static bool range_read(struct text *t, struct snap_lock *lock)
{
	uint64_t start, last;

	text_blanks(t);
	if (!text_dec(t, &start) || !text_char(t, ' '))
		return false;
	if (lock->kind == LOCK_FLOCK || lock->kind == LOCK_LEASE)
		return true;
	lock->start = start;
	if (text_word(t, "EOF"))
		return true;
	if (!text_dec(t, &last) || last < start)
		return false;
	lock->len = last - start + 1;
	return true;
}

/* Behind "lock:". The kinds of words: POSIX ADVISORY WRITE; LEASE ACTIVE READ. */
static bool lock_read(const char *line, struct snap_lock *lock)
{
	struct text t = { line };
	char kind[16], state[16], type[16], owner[16];
	uint64_t nr;

	text_blanks(&t);
	if (!text_dec(&t, &nr) || !text_char(&t, ':') || !word_read(&t, kind) ||
		!kind_read(kind, lock) || !word_read(&t, state) || !word_read(&t, type) ||
		!word_read(&t, owner))
		return false;
	if (strcmp(state, "ADVISORY") && strcmp(state, "ACTIVE"))
		return false;
	if (!strcmp(type, "WRITE"))
		lock->type = F_WRLCK;
	else if (!strcmp(type, "READ"))
		lock->type = F_RDLCK;
	else
		return false;
	text_blanks(&t);
	t.at += strcspn(t.at, " \n"); /* maj:min:ino */
	return range_read(&t, lock);
}

static int lock_refused(const struct fd_seen *seen, const char *line, struct err *err)
{
	char name[256];

	err_set(err, ENOTSUP, "%s has a lock that cannot be taken again: %.*s",
		fd_seen_name(seen, name, sizeof name), (int)strcspn(line, "\n"), line);
	return err_hint(err,
		"a lease that is being broken is gone a moment later: try again; else let "
		"the program give the lock back first");
}

/*
 * POSIX locks are shown only in fdinfo of the process that owns them, so the owner is who was
 * asked.
 */
static uint32_t owner_of(const struct fd_seen *seen)
{
	const struct snap *snap = seen->dump->snap;

	for (uint32_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == seen->pid)
			return i;
	return 0;
}

static void lock_add(const struct fd_seen *seen, struct snap_ofd *ofd, const struct snap_lock *lock)
{
	size_t cap = ofd->nr_locks ? 8 : 0;

	/* Added one by one, the array has the size that arena_grow() gave it. */
	while (cap < ofd->nr_locks)
		cap *= 2;
	ofd->locks = arena_grow(
		seen->dump->snap->arena, ofd->locks, ofd->nr_locks, &cap, sizeof *ofd->locks);
	ofd->locks[ofd->nr_locks++] = *lock;
}

static bool has_lock(const struct snap_ofd *ofd, const struct snap_lock *lock)
{
	for (size_t i = 0; i < ofd->nr_locks; i++)
		if (ofd->locks[i].kind == lock->kind && ofd->locks[i].proc == lock->proc &&
			ofd->locks[i].start == lock->start && ofd->locks[i].len == lock->len)
			return true;
	return false;
}

int locks_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	const char *line = text_field(seen->fdinfo, "lock");

	for (; line; line = text_field(strchr(line, '\n'), "lock")) {
		struct snap_lock lock = { .proc = owner_of(seen) };

		if (!lock_read(line, &lock))
			return lock_refused(seen, line, err);
		if (!has_lock(ofd, &lock))
			lock_add(seen, ofd, &lock);
	}
	return 0;
}

int locks_save_posix(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	const char *line = seen->fdinfo ? text_field(seen->fdinfo, "lock") : NULL;

	for (; line; line = text_field(strchr(line, '\n'), "lock")) {
		struct snap_lock lock = { .proc = owner_of(seen) };

		if (!lock_read(line, &lock))
			return lock_refused(seen, line, err);
		if (lock.kind == LOCK_POSIX && !has_lock(ofd, &lock))
			lock_add(seen, ofd, &lock);
	}
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static const char *lock_name(const struct snap_lock *lock)
{
	switch (lock->kind) {
	case LOCK_POSIX:
		return "POSIX lock";
	case LOCK_OFD:
		return "lock of the open file description (F_OFD_SETLK)";
	case LOCK_FLOCK:
		return "flock";
	default:
		return "lease";
	}
}

static struct flock lock_range(const struct snap_lock *lock)
{
	return (struct flock){
		.l_type = (short)lock->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = (off_t)lock->len,
	};
}

static int lock_lost(
	const struct snap_ofd *ofd, const struct snap_lock *lock, pid_t holder, struct err *err)
{
	const char *file = ofd->label ? ofd->label : "the file";

	if (holder > 0)
		err_set(err, EAGAIN, "the %s on %s is now held by process %d", lock_name(lock),
			file, holder);
	else
		err_set(err, EAGAIN, "the %s on %s is now held by somebody else", lock_name(lock),
			file);
	return err_hint(err, "end the program that holds it (lslocks shows them), then restore");
}

/* POSIX locks are their process's, which takes them when it has its descriptors; now it is seen
 * whether it can. */
static int posix_lock_test(
	const struct snap_ofd *ofd, const struct snap_lock *lock, int fd, struct err *err)
{
	struct flock who = lock_range(lock);

	if (fcntl(fd, F_GETLK, &who) < 0)
		return err_sys(err, "look for a %s", lock_name(lock));
	return who.l_type == F_UNLCK ? 0 : lock_lost(ofd, lock, who.l_pid, err);
}

static int ofd_lock_take(
	const struct snap_ofd *ofd, const struct snap_lock *lock, int fd, struct err *err)
{
	struct flock want = lock_range(lock), who = want;

	if (fcntl(fd, F_OFD_SETLK, &want) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_sys(err, "take the %s again", lock_name(lock));
	if (fcntl(fd, F_OFD_GETLK, &who) < 0 || who.l_type == F_UNLCK)
		who.l_pid = -1;
	return lock_lost(ofd, lock, who.l_pid, err);
}

static int lock_take(
	const struct snap_ofd *ofd, const struct snap_lock *lock, int fd, struct err *err)
{
	int ret;

	if (lock->kind == LOCK_POSIX)
		return posix_lock_test(ofd, lock, fd, err);
	if (lock->kind == LOCK_OFD)
		return ofd_lock_take(ofd, lock, fd, err);
	if (lock->kind == LOCK_FLOCK)
		ret = flock(fd, (lock->type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
	else
		ret = fcntl(fd, F_SETLEASE, lock->type);
	if (ret == 0)
		return 0;
	/* A lease cannot be had while somebody else has the file open in a conflicting mode. */
	if (errno == EWOULDBLOCK)
		return lock_lost(ofd, lock, -1, err);
	return err_sys(err, "take the %s again", lock_name(lock));
}

int ofd_make_locks(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	(void)m;
	for (size_t i = 0; i < ofd->nr_locks; i++)
		if (lock_take(ofd, &ofd->locks[i], fd, err) < 0)
			return -err->code;
	return 0;
}
