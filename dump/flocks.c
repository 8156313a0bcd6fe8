/* Locks that only a mapping holds; see flocks.h. */
#include "dump/flocks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/dumping.h"

enum { LOCKS_LIMIT = 64 * 1024 * 1024 };

struct flock_line {
	bool exclusive;
	uint64_t pid, ino;
};

/* "4: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF" */
static bool line_read(const char *line, struct flock_line *out)
{
	uint64_t nr, major, minor;
	struct text t = { line };

	if (!text_dec(&t, &nr) || !text_word(&t, ": FLOCK"))
		return false;
	text_blanks(&t);
	if (!text_word(&t, "ADVISORY"))
		return false;
	text_blanks(&t);
	out->exclusive = text_word(&t, "WRITE");
	if (!out->exclusive && !text_word(&t, "READ"))
		return false;
	text_blanks(&t);
	if (!text_dec(&t, &out->pid))
		return false;
	text_blanks(&t);
	return text_hex(&t, &major) && text_char(&t, ':') && text_hex(&t, &minor) &&
	       text_char(&t, ':') && text_dec(&t, &out->ino);
}

/* The one who took it; a lock that its child has inherited still shows the parent. */
static bool is_ours(const struct dumping *d, uint64_t pid)
{
	for (size_t i = 0; i < d->nr_procs; i++)
		if ((uint64_t)d->procs[i].t->pid == pid)
			return true;
	return false;
}

/* The file of this inode, if something of the dump maps it; ID_NONE. */
static uint32_t mapped_file(const struct snap *snap, uint64_t ino)
{
	for (size_t m = 0; m < snap->nr_mms; m++)
		for (size_t i = 0; i < snap->mms[m].nr_vmas; i++) {
			const struct snap_vma *vma = &snap->mms[m].vmas[i];

			if (vma->kind == VMA_FILE && snap->files[vma->file].ino == ino)
				return vma->file;
		}
	return ID_NONE;
}

/* Descriptors of the dump with such a lock on this file. */
static bool descriptor_has(struct dumping *d, const struct flock_line *line)
{
	for (uint32_t i = 0; i < d->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &d->snap->ofds[i];
		int fd = d->fd_dump.fd_of(&d->fd_dump, i);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != line->ino)
			continue;
		for (size_t l = 0; l < ofd->nr_locks; l++)
			if (ofd->locks[l].kind == LOCK_FLOCK &&
				(ofd->locks[l].type == F_WRLCK) == line->exclusive)
				return true;
	}
	return false;
}

static void flock_note(struct dumping *d, const struct flock_line *line)
{
	uint32_t file;

	if (!is_ours(d, line->pid) || descriptor_has(d, line))
		return;
	file = mapped_file(d->snap, line->ino);
	if (file != ID_NONE)
		d->snap->files[file].mapped_flock = line->exclusive ? LOCK_EX : LOCK_SH;
}

/* ---- reading them ----------------------------------------------------------------------- */

struct flocks {
	pthread_t thread;
	bool runs;
	char *text;
	int ret;
	struct err err;
};

static void *flocks_read(void *arg)
{
	struct flocks *f = arg;
	OWNED_FD fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
	size_t len;

	if (fd < 0)
		f->ret = err_sys(&f->err, "open /proc/locks");
	else if (fd_read_text(fd, LOCKS_LIMIT, &f->text, &len, &f->err) < 0)
		f->ret = err_wrap(&f->err, "/proc/locks");
	return NULL;
}

void flocks_begin(struct dumping *d)
{
	struct flocks *f = arena_alloc(d->snap->arena, sizeof *f);

	d->flocks = f;
	f->runs = pthread_create(&f->thread, NULL, flocks_read, f) == 0;
	if (!f->runs)
		flocks_read(f);
}

static void flocks_await(struct flocks *f)
{
	if (f->runs)
		pthread_join(f->thread, NULL);
	f->runs = false;
}

int flocks_collect(struct dumping *d, struct err *err)
{
	struct flocks *f = d->flocks;
	struct flock_line flock;
	const char *line;
	struct text t;
	size_t len;

	flocks_await(f);
	if (f->ret < 0) {
		*err = f->err;
		return f->ret;
	}
	t.at = f->text;
	while (text_line(&t, &line, &len))
		if (line_read(line, &flock))
			flock_note(d, &flock);
	return 0;
}

void flocks_finish(struct dumping *d)
{
	if (!d->flocks)
		return;
	flocks_await(d->flocks);
	free(d->flocks->text);
	d->flocks = NULL;
}
