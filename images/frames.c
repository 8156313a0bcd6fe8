/* Threads that compress frames of pages and write them; see frames.h. */
#include "images/frames.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/err.h"

enum {
	THREADS_MAX = 64,
	/* Frames that each thread may have waiting, so that it finds work when it is done. */
	FRAMES_PER_THREAD = 3,
	/* A frame that keeps more than 15/16 of its size is stored raw: reading it is free then. */
	RAW_SHIFT = 4,
};

/* What one thread needs. */
struct worker {
	ZSTD_CCtx *zstd;
	void *out;
	size_t cap;
};

struct frame_pool {
	int fd, level;
	unsigned nr_threads, max_threads;
	pthread_t threads[THREADS_MAX];

	/* The lock guards all below. */
	pthread_mutex_t lock;
	pthread_cond_t work;  /* something in the queue, or quit */
	pthread_cond_t ready; /* a frame got free */
	struct frame *free, *queue, **queue_tail;
	unsigned nr_buffers, nr_busy;
	bool quit;
	struct page_frame *frames; /* by id */
	size_t nr_frames, cap_frames;
	uint64_t file_size;
	struct err err; /* the first failure */

	struct worker producer; /* where there can be no threads */
};

int frame_pool_create(
	int fd, int level, unsigned nr_threads, struct frame_pool **out, struct err *err)
{
	struct frame_pool *pool;

	if (level > ZSTD_maxCLevel() || level < 0)
		return err_set(err, EINVAL, "compression level %d: zstd has 1 to %d, 0 is none",
			level, ZSTD_maxCLevel());
	pool = calloc(1, sizeof *pool);
	if (!pool)
		return err_nomem(err);
	pool->fd = fd;
	pool->level = level;
	pool->max_threads = nr_threads < 1             ? 1
			    : nr_threads > THREADS_MAX ? THREADS_MAX
						       : nr_threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->ready, NULL);
	pool->queue_tail = &pool->queue;
	*out = pool;
	return 0;
}

/* ---- in the threads -------------------------------------------------------------------------- */

static int worker_init(struct worker *w, int level, struct err *err)
{
	w->cap = ZSTD_compressBound(PAGES_FRAME);
	w->out = malloc(w->cap);
	w->zstd = ZSTD_createCCtx();
	if (!w->out || !w->zstd)
		return err_nomem(err);
	/* Frames have a checksum of what is stored, which is less to read than what is in them. */
	ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 0);
	ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, level);
	return 0;
}

static void worker_finish(struct worker *w)
{
	ZSTD_freeCCtx(w->zstd);
	free(w->out);
}

/* Gives what to store: the compressed bytes in w->out, or the frame itself. */
static const void *frame_compress(
	struct worker *w, int level, const struct frame *frame, struct page_frame *out)
{
	size_t len = level ? ZSTD_compress2(w->zstd, w->out, w->cap, frame->data, frame->used)
			   : frame->used;
	bool raw = ZSTD_isError(len) || len > frame->used - (frame->used >> RAW_SHIFT);
	const void *data = raw ? frame->data : w->out;

	out->codec = raw ? PAGES_RAW : PAGES_ZSTD;
	out->size = frame->used;
	out->stored = raw ? frame->used : (uint32_t)len;
	out->checksum = XXH3_64bits(data, out->stored);
	return data;
}

static int frame_no_space(uint64_t position, struct err *err)
{
	int ret = err_sys(err, "write the file of pages");

	err_hint(err,
		"more than the %llu MiB that are written are needed: free some space there, "
		"or choose another place with -o",
		(unsigned long long)(position >> 20));
	return ret;
}

static int frame_too_large(struct err *err)
{
	err_sys(err, "write the file of pages");
	return err_hint(err, "files may not get that large here: raise the limit (ulimit -f), or "
			     "choose another place with -o");
}

static int frame_write(int fd, const uint8_t *data, size_t len, uint64_t position, struct err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)position);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return frame_no_space(position, err);
		if (n < 0 && errno == EFBIG)
			return frame_too_large(err);
		if (n < 0)
			return err_sys(err, "write the file of pages");
		data += n;
		len -= (size_t)n;
		position += (uint64_t)n;
	}
	return 0;
}

static void pool_fail(struct frame_pool *pool, const struct err *err)
{
	if (!pool->err.code)
		pool->err = *err;
}

/* With the lock held; returns with it held. */
static void pool_store(struct frame_pool *pool, struct worker *w, const struct frame *frame)
{
	struct page_frame stored = { 0 };
	struct err err = { 0 };
	const void *data;
	int ret;

	pthread_mutex_unlock(&pool->lock);
	data = frame_compress(w, pool->level, frame, &stored);
	pthread_mutex_lock(&pool->lock);
	stored.position = pool->file_size;
	pool->file_size += stored.stored;
	pool->frames[frame->id] = stored;
	pthread_mutex_unlock(&pool->lock);
	ret = frame_write(pool->fd, data, stored.stored, stored.position, &err);
	pthread_mutex_lock(&pool->lock);
	if (ret < 0)
		pool_fail(pool, &err);
}

static struct frame *pool_next(struct frame_pool *pool)
{
	struct frame *frame;

	while (!pool->queue && !pool->quit)
		pthread_cond_wait(&pool->work, &pool->lock);
	frame = pool->quit ? NULL : pool->queue;
	if (frame) {
		pool->queue = frame->next;
		if (!pool->queue)
			pool->queue_tail = &pool->queue;
	}
	return frame;
}

/* With the lock held. After a failure frames are only handed back: the producer must not wait for
 * ever. */
static void pool_do(struct frame_pool *pool, struct worker *w, struct frame *frame)
{
	if (!pool->err.code)
		pool_store(pool, w, frame);
	frame->next = pool->free;
	pool->free = frame;
	pool->nr_busy--;
	pthread_cond_signal(&pool->ready);
}

static void *pool_thread(void *arg)
{
	struct frame_pool *pool = arg;
	struct worker w = { 0 };
	struct err err = { 0 };
	struct frame *frame;
	bool works = worker_init(&w, pool->level, &err) == 0;

	pthread_mutex_lock(&pool->lock);
	if (!works)
		pool_fail(pool, &err);
	while ((frame = pool_next(pool)))
		pool_do(pool, &w, frame);
	pthread_mutex_unlock(&pool->lock);
	worker_finish(&w);
	return NULL;
}

/* ---- in the producer ------------------------------------------------------------------------- */

/* Fewer threads than wanted are slower, but as good; so is none at all. */
static void pool_start_thread(struct frame_pool *pool)
{
	sigset_t all, before;

	/* Signals are for the thread that started us. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&pool->threads[pool->nr_threads], NULL, pool_thread, pool) == 0)
		pool->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The limit of processes or of memory is reached (ulimit -u, -v): the producer does it itself. */
static void pool_do_here(struct frame_pool *pool)
{
	struct err err = { 0 };

	if (!pool->producer.zstd && worker_init(&pool->producer, pool->level, &err) < 0)
		pool_fail(pool, &err);
	while (pool->queue)
		pool_do(pool, &pool->producer, pool_next(pool));
}

static int pool_new_buffer(struct frame_pool *pool, struct frame **out, struct err *err)
{
	struct frame *frame = calloc(1, sizeof *frame);
	void *data = aligned_alloc(PAGES_PAGE, PAGES_FRAME);

	if (!frame || !data) {
		free(frame);
		free(data);
		return err_nomem(err);
	}
	frame->data = data;
	pool->nr_buffers++;
	*out = frame;
	return 0;
}

/* A place for the description of the next frame; with the lock held, since the threads write there.
 */
static int pool_new_id(struct frame_pool *pool, struct frame *frame, struct err *err)
{
	if (pool->nr_frames == UINT32_MAX)
		return err_set(err, EFBIG, "too many pages");
	if (pool->nr_frames == pool->cap_frames) {
		size_t cap = pool->cap_frames ? 2 * pool->cap_frames : 64;
		struct page_frame *frames = realloc(pool->frames, cap * sizeof *frames);

		if (!frames)
			return err_nomem(err);
		pool->frames = frames;
		pool->cap_frames = cap;
	}
	frame->id =
		(uint32_t)pool->nr_frames; /* Counted when it is submitted: it may stay empty. */
	frame->used = 0;
	frame->next = NULL;
	return 0;
}

static int pool_failed(const struct frame_pool *pool, struct err *err)
{
	if (!pool->err.code)
		return 0;
	if (err)
		*err = pool->err;
	return -pool->err.code;
}

static int pool_take_locked(struct frame_pool *pool, struct frame **out, struct err *err)
{
	struct frame *frame, *rest;
	int ret;

	while (!pool->free && !pool->err.code &&
		pool->nr_buffers >= pool->max_threads * FRAMES_PER_THREAD)
		pthread_cond_wait(&pool->ready, &pool->lock);
	ret = pool_failed(pool, err);
	if (ret == 0 && !pool->free)
		ret = pool_new_buffer(pool, &pool->free, err);
	if (ret < 0)
		return ret;
	frame = pool->free;
	rest = frame->next;
	ret = pool_new_id(pool, frame, err);
	if (ret < 0)
		return ret;
	pool->free = rest;
	*out = frame;
	return 0;
}

int frame_pool_take(struct frame_pool *pool, struct frame **out, struct err *err)
{
	int ret;

	pthread_mutex_lock(&pool->lock);
	ret = pool_take_locked(pool, out, err);
	pthread_mutex_unlock(&pool->lock);
	return ret;
}

int frame_pool_submit(struct frame_pool *pool, struct frame *frame, struct err *err)
{
	int ret;

	pthread_mutex_lock(&pool->lock);
	*pool->queue_tail = frame;
	pool->queue_tail = &frame->next;
	pool->nr_frames++;
	pool->nr_busy++;
	if (pool->nr_busy > pool->nr_threads && pool->nr_threads < pool->max_threads)
		pool_start_thread(pool);
	if (!pool->nr_threads)
		pool_do_here(pool);
	ret = pool_failed(pool, err);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return ret;
}

int frame_pool_drain(struct frame_pool *pool, const struct page_frame **frames, size_t *nr,
	uint64_t *file_size, struct err *err)
{
	int ret;

	pthread_mutex_lock(&pool->lock);
	while (pool->nr_busy > 0)
		pthread_cond_wait(&pool->ready, &pool->lock);
	ret = pool_failed(pool, err);
	pthread_mutex_unlock(&pool->lock);
	if (ret < 0)
		return ret;
	*frames = pool->frames;
	*nr = pool->nr_frames;
	*file_size = pool->file_size;
	return 0;
}

static void frames_free(struct frame *list)
{
	while (list) {
		struct frame *next = list->next;

		free(list->data);
		free(list);
		list = next;
	}
}

void frame_pool_destroy(struct frame_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->quit = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nr_threads; i++)
		pthread_join(pool->threads[i], NULL);
	frames_free(pool->free);
	frames_free(pool->queue);
	worker_finish(&pool->producer);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->ready);
	free(pool->frames);
	free(pool);
}
