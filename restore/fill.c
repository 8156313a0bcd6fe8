/* Page contents into new mappings; see fill.h. */
#include "restore/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/progress.h"
#include "restore/job.h"
#include "restore/mm.h"
#include "restore/stages.h"

enum { UFFD_MIN_PAGES = 64, THREAD_MIN_FRAMES = 4, MAX_THREADS = 8 };

struct fill {
	struct job *job;
	int mem, uffd;
	const struct page_run **by_frame; /* runs to be filled, frame after frame */
	size_t *first;        /* by frame: index of its first run; one more at the end */
	size_t nr_frames;     /* that have any: a forked process wants few */
	atomic_uint next;     /* frame to do next */
	pthread_mutex_t lock; /* of err */
	struct err err;
};

/* ---- what goes where
 * -------------------------------------------------------------------------------------- */

/* Is it ours to fill? Memfds and files have been filled before. The first page may be mapped. */
static bool run_is_ours(const struct job *job, const struct page_run *run)
{
	return run->mem == job->mm->mem || job->mem_at[run->mem];
}

/* Its address in the target. */
static uint64_t run_addr(const struct job *job, const struct page_run *run)
{
	return run->mem == job->mm->mem ? run->addr : job->mem_at[run->mem] + run->addr;
}

bool fill_wants_uffd(const struct job *job)
{
	uint64_t pages = 0;

	/* The pages of a copy are there, and UFFDIO_COPY does not replace pages. */
	for (size_t i = 0; !job->forked && i < job->img.index.nr_runs; i++)
		pages += job->img.index.runs[i].nr_pages;
	return pages >= UFFD_MIN_PAGES;
}

bool fill_touches(const struct job *job, uint64_t start, uint64_t end)
{
	size_t low = 0, high, nr;
	const struct page_run *runs = pages_runs_of(&job->img.index, job->mm->mem, &nr);

	for (high = nr; low < high;) {
		size_t mid = (low + high) / 2;

		if (runs[mid].addr + (uint64_t)runs[mid].nr_pages * PAGES_PAGE <= start)
			low = mid + 1;
		else
			high = mid;
	}
	return low < nr && runs[low].addr < end;
}

/* What may be to fill: a copy has most pages already. */
static const struct page_run *fill_runs(const struct job *job, size_t *nr)
{
	if (job->forked) {
		*nr = job->nr_fork_runs;
		return job->fork_runs;
	}
	*nr = job->stage ? job->stage->nr_all : job->img.index.nr_runs;
	return job->stage ? job->stage->all : job->img.index.runs;
}

/* Runs grouped by frame: a frame is decoded once, by one thread. */
static void fill_group(struct fill *f)
{
	const struct page_index *index = &f->job->img.index;
	size_t *at, nr_runs;
	const struct page_run *runs = fill_runs(f->job, &nr_runs);

	f->first = calloc(index->nr_frames + 2, sizeof *f->first);
	f->by_frame = calloc(nr_runs + 1, sizeof *f->by_frame);
	at = calloc(index->nr_frames + 2, sizeof *at);
	if (!f->first || !f->by_frame || !at)
		memory_none();
	for (size_t i = 0; i < nr_runs; i++)
		if (run_is_ours(f->job, &runs[i]))
			f->first[runs[i].frame + 1]++;
	for (size_t i = 0; i < index->nr_frames; i++) {
		f->nr_frames += f->first[i + 1] > 0;
		f->first[i + 1] += f->first[i];
	}
	memcpy(at, f->first, (index->nr_frames + 1) * sizeof *at);
	for (size_t i = 0; i < nr_runs; i++)
		if (run_is_ours(f->job, &runs[i]))
			f->by_frame[at[runs[i].frame]++] = &runs[i];
	free(at);
}

/* ---- userfaultfd
 * ------------------------------------------------------------------------------------------- */

static bool takes_small_pages(const struct snap_vma *vma)
{
	return vma->kind == VMA_ANON && !(vma->vmflags & VMF_HUGETLB);
}

/* Where it fails (a sealed or special mapping), /proc/PID/mem does the work. */
static void uffd_register(struct fill *f, const struct uffdio_range *range)
{
	struct uffdio_register reg = { .range = *range, .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (ioctl(f->uffd, UFFDIO_REGISTER, &reg) < 0)
		log_debug("UFFDIO_REGISTER %llx: %m", (unsigned long long)range->start);
}

/* What is still missing may be touched again (by the kernel, for us: UFFD_USER_MODE_ONLY). */
static void uffd_unregister(struct fill *f, const struct uffdio_range *range)
{
	struct uffdio_range copy = *range;

	if (ioctl(f->uffd, UFFDIO_UNREGISTER, &copy) < 0)
		log_debug("UFFDIO_UNREGISTER %llx: %m", (unsigned long long)range->start);
}

static void uffd_each(
	struct fill *f, void (*each)(struct fill *f, const struct uffdio_range *range))
{
	const struct snap_mm *mm = f->job->mm;

	for (size_t i = 0; f->uffd >= 0 && i < mm->nr_vmas; i++) {
		size_t first = i;

		if (!takes_small_pages(&mm->vmas[i]))
			continue;
		while (i + 1 < mm->nr_vmas && takes_small_pages(&mm->vmas[i + 1]) &&
			mm->vmas[i + 1].start == mm->vmas[i].end)
			i++;
		each(f, &(struct uffdio_range){
				mm->vmas[first].start, mm->vmas[i].end - mm->vmas[first].start });
	}
}

static void uffd_begin(struct fill *f)
{
	struct uffdio_api api = { .api = UFFD_API };

	if (f->uffd >= 0 && ioctl(f->uffd, UFFDIO_API, &api) < 0)
		f->uffd = -1;
	uffd_each(f, uffd_register);
}

/* How many of len bytes were copied. ENOENT: not registered; EEXIST: a page is there already. */
static uint64_t uffd_copy(struct fill *f, uint64_t addr, const char *data, uint64_t len)
{
	struct uffdio_copy copy = { .dst = addr,
		.src = (uint64_t)(uintptr_t)data,
		.len = len,
		.mode = UFFDIO_COPY_MODE_DONTWAKE };

	if (f->uffd < 0)
		return 0;
	if (ioctl(f->uffd, UFFDIO_COPY, &copy) < 0) {
		log_debug("UFFDIO_COPY %llx, %llu bytes: %m", (unsigned long long)addr,
			(unsigned long long)len);
		return copy.copy > 0 ? (uint64_t)copy.copy : 0;
	}
	return len;
}

/* ---- filling
 * -------------------------------------------------------------------------------------------------
 */

static int fill_write(
	struct fill *f, uint64_t addr, const char *data, uint64_t len, struct err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(f->mem, data, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "fill memory at %llx", (unsigned long long)addr);
		data += n;
		addr += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* A run may go over the end of a mapping into the next, which may be of another kind. */
static int fill_pages(
	struct fill *f, uint64_t addr, const char *data, uint64_t len, struct err *err)
{
	while (len > 0) {
		/* NULL: of another object; the reader has checked the others. */
		const struct snap_vma *vma = mm_vma_at(f->job->mm, addr);
		uint64_t piece = vma && vma->end - addr < len ? vma->end - addr : len;
		uint64_t done = vma && takes_small_pages(vma) ? uffd_copy(f, addr, data, piece) : 0;

		if (fill_write(f, addr + done, data + done, piece - done, err) < 0)
			return -err->code;
		addr += piece;
		data += piece;
		len -= piece;
	}
	return 0;
}

static int fill_frame(struct fill *f, struct pages_reader *reader, uint32_t frame, struct err *err)
{
	const void *data;

	if (f->first[frame] == f->first[frame + 1])
		return 0;
	if (pages_reader_frame(reader, frame, &data, err) < 0)
		return -err->code;
	progress_add(f->job->opts->progress, f->job->img.index.frames[frame].size);
	for (size_t i = f->first[frame]; i < f->first[frame + 1]; i++) {
		const struct page_run *run = f->by_frame[i];

		if (fill_pages(f, run_addr(f->job, run), (const char *)data + run->offset,
			    (uint64_t)run->nr_pages * PAGES_PAGE, err) < 0)
			return -err->code;
	}
	return 0;
}

static void *fill_thread(void *arg)
{
	struct fill *f = arg;
	struct page_index *index = &f->job->img.index;
	struct pages_reader *reader = pages_reader_create(f->job->img.pages_fd, index);
	struct err err = { 0 };

	for (;;) {
		uint32_t frame = atomic_fetch_add(&f->next, 1);

		if (frame >= index->nr_frames)
			break;
		if (fill_frame(f, reader, frame, &err) < 0) {
			pthread_mutex_lock(&f->lock);
			if (!f->err.code)
				f->err = err;
			pthread_mutex_unlock(&f->lock);
			atomic_store(&f->next, (unsigned)index->nr_frames);
			break;
		}
	}
	pages_reader_destroy(reader);
	return NULL;
}

static unsigned fill_nr_threads(const struct fill *f)
{
	size_t useful = f->nr_frames / THREAD_MIN_FRAMES + 1;
	unsigned nr = f->job->opts->threads;

	if (useful > MAX_THREADS)
		useful = MAX_THREADS;
	/* sysconf(3) reads a file: not for a handful of pages. */
	if (!nr && useful > 1)
		nr = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	return nr < useful ? nr : (unsigned)useful;
}

/* One of the threads is the calling one. A helper that cannot be started is no failure. */
static void fill_threads(struct fill *f)
{
	pthread_t threads[MAX_THREADS];
	unsigned nr = fill_nr_threads(f), started = 0;

	while (started + 1 < nr && !pthread_create(&threads[started], NULL, fill_thread, f))
		started++;
	fill_thread(f);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static int fill_vdso(struct fill *f, struct err *err)
{
	const struct job *job = f->job;
	ssize_t n;

	if (!job->vdso_code || job->forked)
		return 0;
	n = pwrite(f->mem, job->vdso_code, job->vdso_len, (off_t)job->snap->vdso.start);
	return n == (ssize_t)job->vdso_len ? 0 : err_sys(err, "write the recorded vdso");
}

int fill_run(struct job *job, int uffd, struct err *err)
{
	struct fill f = { .job = job, .uffd = uffd, .lock = PTHREAD_MUTEX_INITIALIZER };
	OWNED_FD mem = -1;
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/mem", job->pid);
	f.mem = mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0)
		return err_sys(err, "open %s", path);
	if (fill_vdso(&f, err) < 0)
		return -err->code;
	fill_group(&f);
	uffd_begin(&f);
	fill_threads(&f);
	/* It will be filled again, through /proc/PID/mem. */
	if (job->stage)
		uffd_each(&f, uffd_unregister);
	free(f.first);
	free(f.by_frame);
	if (f.err.code) {
		*err = f.err;
		return err_wrap(err, "pages");
	}
	return 0;
}
