/* io_uring: counters go on where they were, what was not read stays; and what is refused. */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "test/unit/fd_fake.h"

/* As a program has it. */
struct ring {
	struct io_uring_params p;
	int fd;
	uint8_t *rings;
	struct io_uring_sqe *sqes;
	uint32_t tail;
};

static void ring_map(struct ring *r)
{
	r->rings = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, (off_t)IORING_OFF_SQES);
	assert_true(r->rings != MAP_FAILED && r->sqes != MAP_FAILED);
}

static void ring_unmap(struct ring *r)
{
	munmap(r->rings, 4096);
	munmap(r->sqes, 4096);
}

static struct ring ring_create(unsigned flags)
{
	struct ring r = { .p.flags = flags };

	r.fd = (int)syscall(SYS_io_uring_setup, 8, &r.p);
	if (r.fd < 0)
		skip();
	ring_map(&r);
	return r;
}

static uint32_t *word(const struct ring *r, uint32_t offset)
{
	return (uint32_t *)(void *)(r->rings + offset);
}

static void ring_do(struct ring *r, uint64_t data)
{
	uint32_t at = r->tail & 7;

	memset(&r->sqes[at], 0, sizeof r->sqes[at]);
	r->sqes[at].user_data = data;
	word(r, r->p.sq_off.array)[at] = at;
	__atomic_store_n(word(r, r->p.sq_off.tail), ++r->tail, __ATOMIC_RELEASE);
	assert_int_equal(
		syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
}

static uint64_t ring_done(struct ring *r)
{
	uint32_t head = *word(r, r->p.cq_off.head);
	struct io_uring_cqe *cqes = (void *)(r->rings + r->p.cq_off.cqes);

	assert_true(head != *word(r, r->p.cq_off.tail));
	*word(r, r->p.cq_off.head) = head + 1;
	return cqes[head & (r->p.cq_entries - 1)].user_data;
}

static void counters_and_completions_survive(void **state)
{
	struct ring r = ring_create(0);
	struct fake *f = fake_create();
	struct arena *arena = arena_create();
	char *before;

	(void)state;
	for (uint64_t i = 0; i < 1003; i++) {
		ring_do(&r, i);
		if (i < 1000)
			assert_int_equal(ring_done(&r), i);
	}
	before = fake_canonical(fake_fdinfo(r.fd, arena), arena);
	fake_save(f, r.fd, &fd_io_uring);
	/* Nothing has happened to the one that was looked at. */
	assert_string_equal(fake_canonical(fake_fdinfo(r.fd, arena), arena), before);
	ring_unmap(&r);
	fake_carry(f);
	fake_make(f);
	assert_string_equal(fake_canonical(fake_fdinfo(r.fd, arena), arena), before);
	assert_string_equal(fd_io_uring.describe(f->snap, &f->snap->ofds[0], arena),
		"8 entries, 1003 operations done");
	ring_map(&r);
	for (uint64_t i = 1000; i < 1003; i++)
		assert_int_equal(ring_done(&r), i);
	ring_do(&r, 77);
	assert_int_equal(ring_done(&r), 77);
	ring_unmap(&r);
	arena_destroy(arena);
	fake_destroy(f);
}

static void expect_refused(struct ring *r, const char *words)
{
	struct fake *f = fake_create();

	fake_expect_words(f, fake_try_save(f, r->fd), ENOTSUP, words);
	ring_unmap(r);
	fake_destroy(f);
}

static void what_cannot_be_made_is_refused(void **state)
{
	struct ring r = ring_create(0);
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &fd, 1), 0);
	expect_refused(&r, "with a registered eventfd");
	r = ring_create(0);
	assert_int_equal(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &fd, 1), 0);
	expect_refused(&r, "with registered files");
	r = ring_create(IORING_SETUP_SQPOLL);
	expect_refused(&r, "IORING_SETUP_SQPOLL");
	r = ring_create(IORING_SETUP_CQE32);
	expect_refused(&r, "CQE32");
	r = ring_create(IORING_SETUP_SQE128);
	expect_refused(&r, "SQE128");
	r = ring_create(IORING_SETUP_SQE128 | 1u << 16 /* IORING_SETUP_NO_SQARRAY */);
	expect_refused(&r, "so small");
	r = ring_create(1u << 12 /* IORING_SETUP_SINGLE_ISSUER */ | IORING_SETUP_R_DISABLED);
	expect_refused(&r, "IORING_SETUP_R_DISABLED");
	r = ring_create(IORING_SETUP_R_DISABLED);
	expect_refused(&r, "IORING_SETUP_R_DISABLED");
	close(fd);
}

static void work_under_way_is_refused(void **state)
{
	struct ring r = ring_create(0);
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	r.sqes[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD, .fd = ends[0], .poll_events = 1
	};
	*word(&r, r.p.sq_off.tail) = 1;
	assert_int_equal(syscall(SYS_io_uring_enter, r.fd, 1, 0, 0, NULL, 0), 1);
	expect_refused(&r, "with operations under way");
	close(ends[0]);
	close(ends[1]);
}

static void damaged_messages(void **state)
{
	struct ring r = ring_create(0);
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, r.fd, &fd_io_uring);
	msg = fake_message(f, 0);
	msg->io_uring->sq_entries = 7;
	fake_expect_bad(f, &fd_io_uring, msg, "7 and 16 entries");
	msg = fake_message(f, 0);
	msg->io_uring->turns = UINT32_MAX;
	fake_expect_bad(f, &fd_io_uring, msg, "turns");
	msg = fake_message(f, 0);
	msg->io_uring->sqes.len--;
	fake_expect_bad(f, &fd_io_uring, msg, "rings of");
	msg = fake_message(f, 0);
	msg->io_uring->array = 1 << 30;
	fake_expect_bad(f, &fd_io_uring, msg, "rings of");
	msg = fake_message(f, 0);
	msg->io_uring->array = 0;
	fake_expect_bad(f, &fd_io_uring, msg, "rings of");
	msg = fake_message(f, 0);
	pb__io_uring_fd__free_unpacked(msg->io_uring, NULL);
	msg->io_uring = NULL;
	fake_expect_bad(f, &fd_io_uring, msg, "missing");
	ring_unmap(&r);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_and_completions_survive),
		cmocka_unit_test(what_cannot_be_made_is_refused),
		cmocka_unit_test(work_under_way_is_refused),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
