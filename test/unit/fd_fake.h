/*
 * The life of a descriptor without ptrace: what dump/ and restore/ do for the kinds of images/fd,
 * in one process. Save descriptors with fake_save, carry them through their messages with
 * fake_carry, make them again in their old slots with fake_make.
 */
#ifndef TEST_UNIT_FD_FAKE_H
#define TEST_UNIT_FD_FAKE_H

#include <fcntl.h>
#include <linux/kcmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/snap.h"
#include "proto/fd.pb-c.h"

enum { FAKE_MOST = 64, FAKE_ABOVE = 300 };

struct fake {
	struct snap *snap; /* being dumped; after fake_carry: being restored */
	struct fd_dump dump;
	struct fd_make make;
	struct fd_opts opts;
	struct fd_seen seen[FAKE_MOST]; /* by ofd */
	int slots[FAKE_MOST];           /* by ofd: its first slot, -1: none */
	int dups[FAKE_MOST];            /* by ofd: our duplicate */
	int files[FAKE_MOST];           /* by snap_file: kept open where it is deleted, else -1 */
	int mems[FAKE_MOST];            /* by snap_mem */
	int made[FAKE_MOST];
	bool no_kcmp;   /* behave as if nobody knew duplicates of ofds */
	struct err err; /* of the last failure */
};

#define FAKE_OF(d) ((struct fake *)(d)->priv)

static inline uint32_t fake_ofd_of_slot(struct fd_dump *d, int pid, int num)
{
	(void)pid;
	for (uint32_t i = 0; i < d->snap->nr_ofds; i++)
		if (FAKE_OF(d)->slots[i] == num)
			return i;
	return ID_NONE;
}

static inline uint32_t fake_ofd_of_inode(
	struct fd_dump *d, uint64_t dev, uint64_t ino, uint32_t except)
{
	for (uint32_t i = 0; i < d->snap->nr_ofds; i++)
		if (i != except && FAKE_OF(d)->seen[i].st.st_dev == dev &&
			FAKE_OF(d)->seen[i].st.st_ino == ino)
			return i;
	return ID_NONE;
}

static inline int fake_fd_of(struct fd_dump *d, uint32_t ofd)
{
	return FAKE_OF(d)->no_kcmp ? -1 : FAKE_OF(d)->dups[ofd];
}

static inline int fake_file_of(
	struct fd_dump *d, int pid, int fd, const char *link, uint32_t *file, struct err *err)
{
	struct snap_file *f = snap_add_file(d->snap);
	size_t len = strlen(link);
	struct stat st;

	(void)pid;
	(void)err;
	*file = (uint32_t)d->snap->nr_files - 1;
	assert_int_equal(fstat(fd, &st), 0);
	f->deleted = st.st_nlink == 0;
	f->path = arena_strndup(
		d->snap->arena, link, f->deleted ? len - strlen(" (deleted)") : len);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->mode = st.st_mode;
	FAKE_OF(d)->files[*file] = f->deleted ? fcntl(fd, F_DUPFD_CLOEXEC, FAKE_ABOVE) : -1;
	return 0;
}

static inline int fake_mem_of(struct fd_dump *d, int fd, const struct stat *st, const char *link,
	uint32_t *mem, struct err *err)
{
	(void)link;
	(void)err;
	for (uint32_t i = 0; i < d->snap->nr_mems; i++) {
		struct stat known;

		if (fstat(FAKE_OF(d)->mems[i], &known) == 0 && known.st_ino == st->st_ino) {
			*mem = i;
			return 0;
		}
	}
	snap_add_mem(d->snap, MEM_MEMFD)->size = (uint64_t)st->st_size;
	*mem = (uint32_t)d->snap->nr_mems - 1;
	FAKE_OF(d)->mems[*mem] = fcntl(fd, F_DUPFD_CLOEXEC, FAKE_ABOVE);
	return 0;
}

static inline pid_t fake_pid_of(const struct fd_make *m, int32_t recorded)
{
	(void)m;
	return recorded == getpid() ? getpid() : 0;
}

static inline int fake_open_file(
	const struct fd_make *m, uint32_t id, int flags, int *fd, struct err *err)
{
	const struct snap_file *f = &m->snap->files[id];

	if (f->deleted)
		return ofd_reopen(
			FAKE_OF(m)->files[id], (uint32_t)flags & ~(uint32_t)O_NOFOLLOW, fd, err);
	*fd = open(f->path, flags | O_CLOEXEC);
	return *fd < 0 ? err_sys(err, "open %s", f->path) : 0;
}

static inline int fake_mem_fd(const struct fd_make *m, uint32_t mem, int *fd, struct err *err)
{
	(void)err;
	*fd = FAKE_OF(m)->mems[mem];
	return 0;
}

static inline int fake_made_fd(const struct fd_make *m, uint32_t ofd, int *fd, struct err *err)
{
	(void)err;
	*fd = fcntl(m->made[ofd], F_DUPFD_CLOEXEC, FAKE_ABOVE);
	return 0;
}

static inline void fake_add_self(struct snap *snap)
{
	struct snap_proc *proc = snap_add_proc(snap);

	proc->pid = getpid();
	proc->pgid = getpgrp();
	proc->sid = getsid(0);
}

static inline struct fd_seen fake_see(struct fake *f, int fd, int dup);

/* In flight: a new ofd is in no slot, and is saved by fake_save_rest(). */
static inline uint32_t fake_add_dup(struct fake *f, int slot, int dup)
{
	struct snap_ofd *ofd = snap_add_ofd(f->snap);
	uint32_t id = (uint32_t)f->snap->nr_ofds - 1;

	assert_true(dup >= 0);
	ofd->id = id;
	ofd->inherited = -1;
	f->slots[id] = slot;
	f->dups[id] = dup;
	f->seen[id] = fake_see(f, slot >= 0 ? slot : dup, dup);
	return id;
}

static inline int fake_ofd_of_fd(
	struct fd_dump *d, const struct fd_seen *via, int fd, uint32_t *ofd, struct err *err)
{
	struct fake *f = FAKE_OF(d);

	(void)via;
	(void)err;
	for (*ofd = 0; *ofd < d->snap->nr_ofds; ++*ofd)
		if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, f->dups[*ofd]) == 0)
			return 0;
	*ofd = fake_add_dup(f, -1, fcntl(fd, F_DUPFD_CLOEXEC, FAKE_ABOVE));
	return 0;
}

static inline struct fake *fake_create(void)
{
	struct fake *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->snap = snap_create();
	fake_add_self(f->snap);
	f->dump = (struct fd_dump){
		.snap = f->snap,
		.opts = &f->opts,
		.ofd_of_slot = fake_ofd_of_slot,
		.ofd_of_inode = fake_ofd_of_inode,
		.fd_of = fake_fd_of,
		.ofd_of_fd = fake_ofd_of_fd,
		.file_of = fake_file_of,
		.mem_of = fake_mem_of,
		.priv = f,
	};
	f->make = (struct fd_make){
		.snap = f->snap,
		.opts = &f->opts,
		.made = f->made,
		.pid_of = fake_pid_of,
		.open_file = fake_open_file,
		.mem_fd = fake_mem_fd,
		.made_fd = fake_made_fd,
		.priv = f,
	};
	for (int i = 0; i < FAKE_MOST; i++)
		f->slots[i] = f->dups[i] = f->files[i] = f->mems[i] = f->made[i] = -1;
	return f;
}

/* Closes everything it opened, also the descriptors that were made. */
static inline void fake_destroy(struct fake *f)
{
	for (int i = 0; i < FAKE_MOST; i++) {
		fd_close(&f->dups[i]);
		fd_close(&f->files[i]);
		fd_close(&f->mems[i]);
		if (f->made[i] != f->slots[i])
			fd_close(&f->made[i]);
		fd_close(&f->slots[i]);
	}
	snap_destroy(f->snap);
	free(f);
}

/* ---- looking -------------------------------------------------------------------------------- */

static inline char *fake_fdinfo(int fd, struct arena *arena)
{
	char path[64], *text, *copy;
	size_t len;
	int info;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(info >= 0);
	assert_int_equal(fd_read_text(info, 1 << 20, &text, &len, NULL), 0);
	close(info);
	copy = arena_strdup(arena, text);
	free(text);
	return copy;
}

static inline char *fake_link(int fd, struct arena *arena)
{
	char path[64], link[4096];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	len = readlink(path, link, sizeof link);
	assert_true(len > 0);
	return arena_strndup(arena, link, (size_t)len);
}

/* What a kind may look at for our descriptor fd. */
static inline struct fd_seen fake_see(struct fake *f, int fd, int dup)
{
	struct fd_seen seen = {
		.fd = dup,
		.pid = getpid(),
		.num = fd,
		.dump = &f->dump,
		.link = fake_link(fd, f->snap->arena),
		.fdinfo = fake_fdinfo(fd, f->snap->arena),
	};

	assert_int_equal(fstat(fd, &seen.st), 0);
	fd_seen_note(&seen);
	return seen;
}

/* ---- saving --------------------------------------------------------------------------------- */

/*
 * Put fd into the tables, before anything is saved; fake_save does it for single ones. The fake
 * takes fd.
 */
static inline uint32_t fake_add(struct fake *f, int fd)
{
	assert_true(fd >= 0);
	return fake_add_dup(f, fd, fcntl(fd, F_DUPFD_CLOEXEC, FAKE_ABOVE));
}

static inline int fake_try_save_id(struct fake *f, uint32_t id)
{
	struct snap_ofd *ofd = &f->snap->ofds[id];
	struct fd_seen *seen = &f->seen[id];

	ofd->kind = fd_kind_of(seen, &f->err);
	if (!ofd->kind)
		return -f->err.code;
	/* Unix sockets look for their peers, so they are asked when all are known, as in dump/. */
	if ((ofd->kind != &fd_unix && ofd->kind->check && ofd->kind->check(seen, &f->err) < 0) ||
		ofd_save_common(seen, ofd, &f->err) < 0 || ofd->kind->save(seen, ofd, &f->err) < 0)
		return -f->err.code;
	return (int)id;
}

/* Returns the id, or a negative errno with f->err. */
static inline int fake_try_save(struct fake *f, int fd)
{
	uint32_t id = fake_ofd_of_slot(&f->dump, 0, fd);

	return fake_try_save_id(f, id == ID_NONE ? fake_add(f, fd) : id);
}

static inline uint32_t fake_save(struct fake *f, int fd, const struct fd_kind *kind)
{
	int id = fake_try_save(f, fd);

	if (id < 0)
		fail_msg("%s", f->err.msg);
	assert_string_equal(f->snap->ofds[id].kind->name, kind->name);
	return (uint32_t)id;
}

static inline int fake_try_save_links(struct fake *f)
{
	/* Those that only turned up in flight. */
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (f->slots[i] < 0 && !f->snap->ofds[i].kind && f->snap->ofds[i].inherited < 0 &&
			fake_try_save_id(f, i) < 0)
			return -f->err.code;
	for (size_t i = 0; i < f->snap->nr_ofds; i++) {
		struct snap_ofd *ofd = &f->snap->ofds[i];

		if (!ofd->kind || !ofd->kind->save_link)
			continue;
		if ((ofd->kind == &fd_unix && ofd->kind->check(&f->seen[i], &f->err) < 0) ||
			ofd->kind->save_link(&f->seen[i], ofd, &f->err) < 0)
			return -f->err.code;
	}
	return 0;
}

/* ---- through the image ---------------------------------------------------------------------- */

/* ofd -> bytes -> message, to be freed with pb__ofd__free_unpacked. */
static inline Pb__Ofd *fake_message(struct fake *f, uint32_t id)
{
	const struct snap_ofd *ofd = &f->snap->ofds[id];
	Pb__Ofd msg = PB__OFD__INIT, *out;
	uint8_t *bytes;
	size_t len;

	assert_int_equal(ofd->kind->pack(f->snap, ofd, &msg, &f->err), 0);
	len = pb__ofd__get_packed_size(&msg);
	bytes = malloc(len + 1);
	assert_non_null(bytes);
	pb__ofd__pack(&msg, bytes);
	out = pb__ofd__unpack(NULL, len, bytes);
	free(bytes);
	assert_non_null(out);
	return out;
}

static inline char *fake_copy(struct snap *snap, const char *text)
{
	return text ? arena_strdup(snap->arena, text) : NULL;
}

/* Tables as the reader of an image leaves them before the kinds unpack. */
static inline struct snap *fake_tables(const struct snap *old)
{
	struct snap *snap = snap_create();

	fake_add_self(snap);
	for (size_t i = 0; i < old->nr_files; i++) {
		struct snap_file *file = snap_add_file(snap);

		*file = old->files[i];
		file->path = fake_copy(snap, file->path);
	}
	for (size_t i = 0; i < old->nr_mems; i++)
		*snap_add_mem(snap, MEM_MEMFD) = old->mems[i];
	for (size_t i = 0; i < old->nr_ofds; i++) {
		struct snap_ofd *ofd = snap_add_ofd(snap);

		*ofd = old->ofds[i];
		ofd->priv = NULL;
		ofd->label = fake_copy(snap, ofd->label);
		if (ofd->nr_locks)
			ofd->locks = arena_copy(
				snap->arena, ofd->locks, ofd->nr_locks * sizeof *ofd->locks);
	}
	return snap;
}

/* Links, packs, unpacks: afterwards f->snap is the one that was read. */
static inline void fake_carry(struct fake *f)
{
	struct snap *read;

	if (fake_try_save_links(f) < 0)
		fail_msg("%s", f->err.msg);
	read = fake_tables(f->snap);
	for (uint32_t i = 0; i < read->nr_ofds; i++) {
		Pb__Ofd *msg;

		if (!read->ofds[i].kind || read->ofds[i].inherited >= 0)
			continue;
		msg = fake_message(f, i);
		if (read->ofds[i].kind->unpack(read, msg, &read->ofds[i], &f->err) < 0)
			fail_msg("%s", f->err.msg);
		pb__ofd__free_unpacked(msg, NULL);
	}
	snap_destroy(f->snap);
	f->snap = read;
	f->make.snap = read;
	f->dump.snap = read;
}

/* Unpack msg into ofd 0 of fresh tables; frees msg. Must fail as a damaged image does. */
static inline void fake_expect_bad(
	struct fake *f, const struct fd_kind *kind, Pb__Ofd *msg, const char *words)
{
	struct snap *read = fake_tables(f->snap);
	int ret;

	if (read->nr_ofds == 0)
		snap_add_ofd(read);
	ret = kind->unpack(read, msg, &read->ofds[0], &f->err);
	assert_int_equal(ret, -EBADMSG);
	assert_non_null(strstr(f->err.msg, words));
	snap_destroy(read);
	pb__ofd__free_unpacked(msg, NULL);
}

/* ---- making --------------------------------------------------------------------------------- */

static inline int fake_try_make_one(struct fake *f, uint32_t id)
{
	const struct snap_ofd *ofd = &f->snap->ofds[id];
	int moved;

	if (f->made[id] < 0 && ofd->kind->make(&f->make, ofd, &f->made[id], &f->err) < 0)
		return -f->err.code;
	assert_true(f->made[id] >= 0);
	assert_true(fcntl(f->made[id], F_GETFD) & FD_CLOEXEC);
	if (ofd_make_common(&f->make, ofd, f->made[id], &f->err) < 0)
		return -f->err.code;
	if (f->made[id] >= FAKE_ABOVE)
		return 0;
	moved = fcntl(f->made[id], F_DUPFD_CLOEXEC, FAKE_ABOVE);
	close(f->made[id]);
	f->made[id] = moved;
	return 0;
}

/* The old descriptors go, new ones stand in their slots. */
static inline int fake_try_make(struct fake *f)
{
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		fd_close(&f->dups[i]);
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (f->slots[i] >= 0 && f->snap->ofds[i].inherited < 0)
			close(f->slots[i]);
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (f->snap->ofds[i].inherited < 0 && fake_try_make_one(f, i) < 0)
			return -f->err.code;
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (f->slots[i] >= 0 && f->snap->ofds[i].inherited < 0)
			assert_int_equal(dup2(f->made[i], f->slots[i]), f->slots[i]);
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++) {
		const struct fd_kind *kind = f->snap->ofds[i].kind;

		if (kind && kind->make_link &&
			kind->make_link(&f->make, &f->snap->ofds[i], f->made[i], &f->err) < 0)
			return -f->err.code;
	}
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (f->made[i] >= 0 &&
			ofd_make_locks(&f->make, &f->snap->ofds[i], f->made[i], &f->err) < 0)
			return -f->err.code;
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &f->snap->ofds[i];
		const struct fd_kind *kind = ofd->kind;

		if (f->made[i] >= 0 && kind && kind->finish &&
			(!kind->finish_needed || kind->finish_needed(f->snap, ofd)) &&
			kind->finish(&f->make, ofd, f->made[i], &f->err) < 0)
			return -f->err.code;
	}
	return 0;
}

static inline void fake_make(struct fake *f)
{
	if (fake_try_make(f) < 0)
		fail_msg("%s", f->err.msg);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static inline int fake_compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* fdinfo with sorted lines, without what may differ: ids and inode numbers. */
static inline char *fake_canonical(const char *fdinfo, struct arena *arena)
{
	static const char *const differ[] = { "mnt_id:", "ino:", "eventfd-id:", "it_value:" };
	struct text t = { fdinfo };
	char *lines[256], *all = arena_strdup(arena, "");
	const char *line;
	size_t len, nr = 0;

	while (text_line(&t, &line, &len) && nr < 256) {
		bool skip = false;
		char *copy = arena_strndup(arena, line, len), *ino = strstr(copy, "  pos:");

		for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
			skip = skip || text_starts(copy, differ[i]);
		if (text_starts(copy, "tfd:") && ino)
			*ino = '\0';
		if (text_starts(copy, "flags:"))
			copy = arena_printf(arena, "flags:\t0%llo",
				strtoull(copy + 7, NULL, 8) & ~(unsigned long long)O_CLOEXEC);
		if (!skip)
			lines[nr++] = copy;
	}
	qsort(lines, nr, sizeof *lines, fake_compare_lines);
	for (size_t i = 0; i < nr; i++)
		all = arena_printf(arena, "%s%s\n", all, lines[i]);
	return all;
}

static inline void fake_expect_words(const struct fake *f, int ret, int code, const char *words)
{
	assert_int_equal(ret, -code);
	if (!strstr(f->err.msg, words))
		fail_msg("\"%s\" is not in: %s", words, f->err.msg);
	if (code == ENOTSUP)
		assert_true(f->err.hint[0] != '\0');
}

/*
 * Save, carry, make fd; its fdinfo and link must be as before. The descriptor stands where it
 * stood.
 */
static inline struct fake *fake_round_trip(int fd, const struct fd_kind *kind)
{
	struct fake *f = fake_create();
	struct arena *arena = arena_create();
	char *before, *link = fake_link(fd, arena);

	fake_save(f, fd, kind);
	before = fake_canonical(fake_fdinfo(fd, arena), arena);
	fake_carry(f);
	fake_make(f);
	assert_string_equal(fake_canonical(fake_fdinfo(fd, arena), arena), before);
	assert_string_equal(fake_link(fd, arena), link);
	arena_destroy(arena);
	return f;
}

#endif
