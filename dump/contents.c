/* Page contents into the page store; see contents.h. */
#include "dump/contents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "dump/dumping.h"
#include "images/pages.h"

enum { CHUNK_PAGES = PAGES_FRAME / PAGES_PAGE };

/* process_vm_readv is the fast way; only /proc/PID/mem reads what the target itself may not
 * (PROT_NONE). */
static int read_target(struct tracee *t, uint64_t addr, void *data, size_t len, struct err *err)
{
	struct iovec local = { data, len }, remote = { (void *)(uintptr_t)addr, len };

	if (process_vm_readv(t->pid, &local, 1, &remote, 1, 0) == (ssize_t)len)
		return 0;
	return tracee_read(t, addr, data, len, err);
}

static void contents_count(struct dumping *d, uint64_t bytes)
{
	d->result->pages_bytes += bytes;
	progress_add(d->opts->progress, bytes);
}

int contents_save_memory(struct dumping_proc *p, uint32_t mem, uint64_t start, uint64_t end,
	uint64_t to, bool over_file, struct err *err)
{
	while (start < end) {
		uint64_t left = (end - start) / PAGES_PAGE;
		size_t nr = left < CHUNK_PAGES ? (size_t)left : CHUNK_PAGES;
		void *room;
		int ret = stop_requested(p->d->stop, err);

		if (!ret)
			ret = pages_writer_reserve(p->d->pages, nr, &room, err);
		if (!ret)
			ret = read_target(p->t, start, room, nr * PAGES_PAGE, err);
		if (!ret)
			ret = over_file ? pages_writer_commit_all(p->d->pages, mem, to, nr, err)
					: pages_writer_commit(p->d->pages, mem, to, nr, err);
		if (ret < 0)
			return ret;
		contents_count(p->d, nr * PAGES_PAGE);
		start += nr * PAGES_PAGE;
		to += nr * PAGES_PAGE;
	}
	return 0;
}

/* Where the base has no memory or may not be read, nothing is shared with that. */
static int save_forked_chunk(struct dumping_proc *p, uint32_t mem, uint64_t at, size_t nr,
	struct tracee *base, void *theirs, struct pages_like *like, struct err *err)
{
	void *room;
	int ret = pages_writer_reserve(p->d->pages, nr, &room, err);

	if (!ret)
		ret = read_target(p->t, at, room, nr * PAGES_PAGE, err);
	if (ret < 0)
		return ret;
	like->theirs = read_target(base, at, theirs, nr * PAGES_PAGE, NULL) ? NULL : theirs;
	return pages_writer_commit_like(p->d->pages, mem, at, nr, like, err);
}

/* Does the process with this private memory, frozen as all are, have that page there? */
static bool relative_holds(void *arg, uint32_t mem, uint64_t addr, const void *page)
{
	const struct dumping *d = arg;
	char theirs[PAGES_PAGE];

	for (size_t i = 0; i < d->snap->nr_procs; i++)
		if (d->snap->mms[d->snap->procs[i].mm].mem == mem)
			return !read_target(d->procs[i].t, addr, theirs, sizeof theirs, NULL) &&
			       !memcmp(theirs, page, sizeof theirs);
	return false;
}

int contents_save_forked(struct dumping_proc *p, uint32_t mem, const struct snap_range *range,
	bool over_file, struct tracee *base, uint32_t base_mem, bool *aside, struct err *err)
{
	void *theirs = malloc(PAGES_FRAME);
	struct pages_like like = {
		.of = base_mem, .all = over_file, .holds = relative_holds, .arg = p->d
	};
	int ret = theirs ? 0 : err_nomem(err);

	for (uint64_t at = range->start; !ret && at < range->end;) {
		uint64_t left = (range->end - at) / PAGES_PAGE;
		size_t nr = left < CHUNK_PAGES ? (size_t)left : CHUNK_PAGES;

		ret = stop_requested(p->d->stop, err);
		if (!ret)
			ret = save_forked_chunk(p, mem, at, nr, base, theirs, &like, err);
		contents_count(p->d, nr * PAGES_PAGE);
		at += nr * PAGES_PAGE;
	}
	*aside = *aside || like.aside;
	free(theirs);
	return ret;
}

/*
 * What lies behind the end of the file in its last page: whoever maps it may have written there.
 * Through process_vm_readv(2), which fails where others have cut the file off meanwhile.
 */
static void tail_read(int fd, uint64_t end, char *to, size_t len)
{
	const uint64_t in_page = end % PAGES_PAGE;
	char *page = mmap(NULL, PAGES_PAGE, PROT_READ, MAP_SHARED, fd, (off_t)(end - in_page));
	struct iovec local = { to, len }, remote = { page + in_page, len };

	if (page == MAP_FAILED || process_vm_readv(getpid(), &local, 1, &remote, 1, 0) < 0)
		memset(to, 0, len);
	if (page != MAP_FAILED)
		munmap(page, PAGES_PAGE);
}

/* One piece of data of at most a frame. */
static int save_fd_chunk(struct dumping *d, uint32_t mem, int fd, uint64_t at, uint64_t end,
	size_t *done, struct err *err)
{
	size_t nr = (size_t)((end - at + PAGES_PAGE - 1) / PAGES_PAGE);
	size_t len;
	void *room;
	int ret = stop_requested(d->stop, err);

	if (nr > CHUNK_PAGES)
		nr = CHUNK_PAGES;
	len = end - at < nr * PAGES_PAGE ? (size_t)(end - at) : nr * PAGES_PAGE;
	if (!ret)
		ret = pages_writer_reserve(d->pages, nr, &room, err);
	if (ret < 0)
		return ret;
	if (len % PAGES_PAGE)
		tail_read(fd, at + len, (char *)room + len, nr * PAGES_PAGE - len);
	for (size_t got = 0; got < len;) {
		ssize_t n = pread(fd, (char *)room + got, len - got, (off_t)(at + got));

		if (n < 0 && errno != EINTR)
			return err_sys(err, "read contents");
		if (n == 0)
			return err_set(err, EAGAIN, "the file shrank while it was read");
		got += n > 0 ? (size_t)n : 0;
	}
	*done = len;
	contents_count(d, nr * PAGES_PAGE);
	return pages_writer_commit(d->pages, mem, at, nr, err);
}

/* The next stretch of data at or behind *from; 0 when there is none. File systems without holes:
 * all. */
static int next_data(int fd, uint64_t size, uint64_t *from, uint64_t *end)
{
	off_t data = lseek(fd, (off_t)*from, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO)
		return 0;
	if (data < 0)
		data = (off_t)*from;
	hole = lseek(fd, data, SEEK_HOLE);
	*from = (uint64_t)data & ~(uint64_t)(PAGES_PAGE - 1);
	*end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
	*end = (*end + PAGES_PAGE - 1) & ~(uint64_t)(PAGES_PAGE - 1);
	if (*end > size)
		*end = size;
	return *from < *end;
}

int contents_save_fd(struct dumping *d, uint32_t mem, int fd, uint64_t size, struct err *err)
{
	uint64_t at = 0, end;

	while (at < size && next_data(fd, size, &at, &end)) {
		while (at < end) {
			size_t done = 0;
			int ret = save_fd_chunk(d, mem, fd, at, end, &done, err);

			if (ret < 0)
				return ret;
			at += done;
		}
	}
	return 0;
}
