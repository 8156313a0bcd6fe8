/* io_uring, idle: its counters, what was not read yet, and what was not submitted yet. */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"
#include "tree.h"

static uint32_t *word(const struct ring *r, uint32_t offset)
{
	return (uint32_t *)(void *)(r->rings + offset);
}

struct ring *ring_make(unsigned entries, unsigned flags)
{
	struct ring *r = (struct ring *)map_anon(PAGE, PROT_READ | PROT_WRITE, 0);
	size_t len;

	r->p.flags = flags;
	r->fd = (int)syscall(SYS_io_uring_setup, entries, &r->p);
	if (r->fd < 0)
		target_skip("io_uring_setup");
	len = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	r->rings = mmap(NULL, len, 3, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof *r->sqes, 3, MAP_SHARED | MAP_POPULATE, r->fd,
		(off_t)IORING_OFF_SQES);
	expect(r->rings != MAP_FAILED && r->sqes != MAP_FAILED, "mmap: %s", strerror(errno));
	return r;
}

void ring_put(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t at = r->tail & (r->p.sq_entries - 1);

	r->sqes[at] = *sqe;
	if (r->p.sq_off.array)
		word(r, r->p.sq_off.array)[at] = at;
	__atomic_store_n(word(r, r->p.sq_off.tail), ++r->tail, __ATOMIC_RELEASE);
}

void ring_enter(struct ring *r, unsigned nr, unsigned wait)
{
	expect(syscall(SYS_io_uring_enter, r->fd, nr, wait, IORING_ENTER_GETEVENTS, NULL, 0) ==
			(long)nr,
		"io_uring_enter: %s", strerror(errno));
}

unsigned ring_ready(const struct ring *r)
{
	return __atomic_load_n(word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) -
	       *word(r, r->p.cq_off.head);
}

const struct io_uring_cqe *ring_get(struct ring *r)
{
	uint32_t head = *word(r, r->p.cq_off.head);

	expect(ring_ready(r) > 0, "nothing is completed");
	__atomic_store_n(word(r, r->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return (struct io_uring_cqe *)(void *)(r->rings + r->p.cq_off.cqes) +
	       (head & (r->p.cq_entries - 1));
}

static void nops(struct ring *r, unsigned nr, uint64_t first)
{
	for (unsigned i = 0; i < nr; i++)
		ring_put(r,
			&(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = first + i });
}

static void work(struct ring *r, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		nops(r, 3, i * 10);
		ring_enter(r, 3, 3);
		for (unsigned k = 0; k < 3; k++)
			expect(ring_get(r)->user_data == i * 10 + k, "round %u", i);
	}
}

static void expect_read(struct ring *r, int file)
{
	char buf[100];

	ring_put(r, &(struct io_uring_sqe){ .opcode = IORING_OP_READ,
			    .fd = file,
			    .addr = (uintptr_t)buf,
			    .len = sizeof buf,
			    .user_data = 5 });
	ring_enter(r, 1, 1);
	expect(ring_get(r)->res == sizeof buf && pattern_is(buf, sizeof buf, 6), "read");
}

/* Used a while, with completions that nobody has read, and entries that nobody has submitted. */
static void ring_idle(void)
{
	struct ring *used = ring_make(8, 0), *fresh = ring_make(64, 0),
		    *bare = ring_make(512, 1 << 16 /* IORING_SETUP_NO_SQARRAY */);
	int file = file_make("file", 100, 6, O_RDONLY);

	work(used, 1001);
	work(bare, 10);
	nops(used, 5, 100);
	ring_enter(used, 5, 5);
	expect(ring_get(used)->user_data == 100, "first");
	nops(used, 2, 200);
	target_wait();
	expect(ring_ready(used) == 4, "%u completions", ring_ready(used));
	for (uint64_t i = 101; i < 105; i++)
		expect(ring_get(used)->user_data == i, "completion %d", (int)i);
	ring_enter(used, 2, 2);
	expect(ring_get(used)->user_data == 200 && ring_get(used)->user_data == 201, "submitted");
	expect_read(used, file);
	work(fresh, 50);
	work(bare, 10);
	work(used, 50);
}

/* Parent and child use one; a thread of the child waits for completions. */
static void ring_shared(void)
{
	struct ring *r = ring_make(8, 0);
	int go[2], status;
	pid_t child;
	char byte;

	work(r, 7);
	must(pipe(go));
	child = (pid_t)must(fork());
	if (child == 0) {
		close(go[1]);
		ring_enter(r, 0, 1);
		if (ring_get(r)->user_data != 300)
			_exit(1);
		_exit((int)read(go[0], &byte, 1));
	}
	close(go[0]);
	state_stands(child, 'S');
	target_wait();
	nops(r, 1, 300);
	ring_enter(r, 1, 0);
	close(go[1]);
	must(waitpid(child, &status, 0));
	expect(status == 0, "the child: %x", status);
	work(r, 20);
}

/* The kernel's helper for that stays a few seconds, and goes. */
static void ring_worker(void)
{
	struct ring *r = ring_make(8, 0);

	ring_put(r, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .flags = IOSQE_ASYNC });
	ring_enter(r, 1, 1);
	ring_get(r);
	target_wait();
	work(r, 20);
}

const struct target targets_ring[] = {
	{ "ring_idle", ring_idle, "idle io_urings", 0 },
	{ "ring_shared", ring_shared, "an io_uring that a child waits for", 0 },
	{ "ring_worker", ring_worker, "an io_uring with a worker that is left over", 0 },
	{ NULL, NULL, NULL, 0 },
};
