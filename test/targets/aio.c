/* Contexts of asynchronous I/O (io_setup(2)): their places, and events that nobody has read. */
#include <linux/aio_abi.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"
#include "tree.h"

struct ring {
	uint32_t id, nr, head, tail, magic, compat, incompat, len;
	struct io_event events[];
};

static struct ring *ring_of(aio_context_t c)
{
	return (struct ring *)c;
}

static aio_context_t context(unsigned nr)
{
	aio_context_t c = 0;

	if (syscall(SYS_io_setup, nr, &c) != 0)
		target_skip("io_setup");
	return c;
}

static void submit(aio_context_t c, int fd, uint16_t opcode, uint64_t buf, uint64_t data)
{
	struct iocb cb = { .aio_data = data,
		.aio_lio_opcode = opcode,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = buf,
		.aio_nbytes = opcode == IOCB_CMD_PREAD ? 100 : 0 };
	struct iocb *list[1] = { &cb };

	must(syscall(SYS_io_submit, c, 1L, list));
}

/* Something that is done at once. */
static void done(aio_context_t c, unsigned nr, uint64_t first)
{
	static int writable = -1;

	if (writable < 0)
		writable = (int)must(eventfd(0, EFD_CLOEXEC));
	for (unsigned i = 0; i < nr; i++)
		submit(c, writable, IOCB_CMD_POLL, POLLOUT, first + i);
}

static void taken(aio_context_t c, unsigned nr, uint64_t first)
{
	struct io_event event;

	for (unsigned i = 0; i < nr; i++) {
		must(syscall(SYS_io_getevents, c, 1L, 1L, &event, NULL));
		expect(event.data == first + i, "event %llu, not %lu", event.data, first + i);
	}
}

static void work(aio_context_t c)
{
	for (unsigned i = 0; i < 300; i++) {
		done(c, 1 + i % 3, i);
		taken(c, 1 + i % 3, i);
	}
}

/* As many as it had room for at first: none is lost to the dump or the restore. */
static unsigned room(aio_context_t c)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLOUT },
		    *list[1] = { &cb };
	int fd = (int)must(eventfd(0, EFD_CLOEXEC));
	struct ring *r = ring_of(c);
	unsigned nr = 0;

	cb.aio_fildes = (uint32_t)fd;
	while (syscall(SYS_io_submit, c, 1L, list) == 1)
		nr++;
	expect(errno == EAGAIN, "io_submit: %s", strerror(errno));
	r->head = r->tail;
	close(fd);
	return nr;
}

static void expect_place(aio_context_t c, const struct ring *was)
{
	const struct ring *r = ring_of(c);

	expect(!memcmp(r, was, sizeof *r), "head %u tail %u of %u, not %u, %u, %u", r->head,
		r->tail, r->nr, was->head, was->tail, was->nr);
}

/* One where nothing was done, one with events, one full, one that was moved, one of many pages. */
static void aio_idle(void)
{
	aio_context_t fresh = context(1), used = context(10), full = context(8), moved = context(5),
		      large = context(2000), c[] = { fresh, used, full, moved, large };
	int file = file_make("file", 100, 6, O_RDONLY);
	char buf[100];
	struct ring was[5];
	unsigned nr_full;
	void *to = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(mremap((void *)moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (char *)to + 8 * PAGE) != MAP_FAILED,
		"mremap");
	c[3] = moved = (aio_context_t)to + 8 * PAGE;
	must(madvise((void *)moved, PAGE, MADV_DONTFORK));
	work(used);
	done(used, 7, 500);
	taken(used, 2, 500);
	done(moved, 100, 0);
	taken(moved, 100, 0);
	done(moved, 50, 900); /* around its end */
	for (int i = 0; i < 4; i++) {
		done(large, 700, 0);
		taken(large, 700, 0);
	}
	done(large, 1500, 0);
	nr_full = room(full);
	ring_of(full)->head = (ring_of(full)->tail + ring_of(full)->nr - nr_full) %
			      ring_of(full)->nr;
	for (int i = 0; i < 5; i++)
		was[i] = *ring_of(c[i]);
	target_wait();
	for (int i = 0; i < 5; i++)
		expect_place(c[i], &was[i]);
	expect(room(full) == 0, "the full one takes more");
	expect(room(full) == nr_full, "room");
	done(used, 3, 507);
	taken(used, 8, 502);
	taken(moved, 50, 900);
	taken(large, 1500, 0);
	submit(fresh, file, IOCB_CMD_PREAD, (uintptr_t)buf, 77);
	taken(fresh, 1, 77);
	expect(pattern_is(buf, sizeof buf, 6), "contents");
	for (int i = 0; i < 5; i++) {
		work(c[i]);
		must(syscall(SYS_io_destroy, c[i]));
	}
	work(context(1));
}

static aio_context_t waited;

static void *waiter(void *arg)
{
	*(int *)arg = gettid();
	thread_arrived();
	taken(waited, 3, 40);
	return NULL;
}

/* A thread waits for events of one; another context is a child's, who sees its parent's ring. */
static void child(void *arg)
{
	aio_context_t own = context(3), theirs = *(aio_context_t *)arg;

	done(own, 4, 60);
	kid_wait();
	taken(own, 4, 60);
	work(own);
	expect(ring_of(theirs)->events[0].data == 80, "the parent's ring");
	expect(syscall(SYS_io_getevents, theirs, 0L, 0L, NULL, NULL) == -1 && errno == EINVAL,
		"the parent's context in the child");
}

static void aio_shared(void)
{
	aio_context_t own = context(3);
	pthread_t thread;
	int tid;

	waited = context(3);
	kid(child, &own);
	thread = thread_start(waiter, &tid);
	thread_waits_in(tid, SYS_io_getevents);
	target_wait();
	done(own, 1, 80);
	kids_check();
	taken(own, 1, 80);
	done(waited, 3, 40);
	thread_join(thread);
	work(own);
}

/* A poll that is not over: refused, and it is over as before. */
static void aio_busy(void)
{
	aio_context_t c = context(3);
	int fd = (int)must(eventfd(0, EFD_CLOEXEC));
	struct ring was;

	done(c, 7, 10);
	taken(c, 3, 10);
	submit(c, fd, IOCB_CMD_POLL, POLLIN, 99);
	was = *ring_of(c);
	target_wait();
	expect_place(c, &was);
	taken(c, 4, 13);
	must(eventfd_write(fd, 1));
	taken(c, 1, 99);
	work(c);
}

const struct target targets_aio[] = {
	{ "aio_idle", aio_idle, "contexts of asynchronous I/O, and events that nobody has read",
		0 },
	{ "aio_shared", aio_shared, "contexts of a child, and one that a thread waits for", 0 },
	{ "aio_busy", aio_busy, "a context with a poll under way", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
