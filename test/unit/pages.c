/* The page store: what goes in comes out, zero pages cost nothing, damage is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/pages.h"
#include "images/snap.h"

enum { PAGE = PAGES_PAGE, FRAME_PAGES = PAGES_FRAME / PAGES_PAGE };

struct store {
	int fd;
	struct snap *snap;
	struct pages_writer *w;
	struct page_index index;
	struct err err;
};

static int store_setup(void **state)
{
	struct store *s = calloc(1, sizeof *s);

	s->fd = memfd_create("pages", MFD_CLOEXEC);
	s->snap = snap_create();
	*state = s;
	return s->fd < 0 || pages_writer_create(s->fd, 1, 2, &s->w, &s->err);
}

static int store_teardown(void **state)
{
	struct store *s = *state;

	pages_writer_destroy(s->w);
	snap_destroy(s->snap);
	close(s->fd);
	free(s);
	return 0;
}

/* Contents that say where they belong, and compress; or noise, which does not. */
static void page_fill(uint8_t *page, uint32_t mem, uint64_t addr, bool noise)
{
	uint64_t x = addr * 31 + mem + 1;

	for (size_t i = 0; i < PAGE; i += 8) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		memcpy(page + i, noise ? &x : &(uint64_t){ addr + mem + 1 }, 8);
	}
}

static bool page_is(const uint8_t *page, uint32_t mem, uint64_t addr, bool noise)
{
	uint8_t want[PAGE];

	page_fill(want, mem, addr, noise);
	return !memcmp(page, want, PAGE);
}

/* Pages of mem from addr; where `zero` has its bit, a zero page. */
static void put(struct store *s, uint32_t mem, uint64_t addr, size_t nr, uint64_t zero, bool noise)
{
	void *room;
	uint8_t *page;

	assert_int_equal(pages_writer_reserve(s->w, nr, &room, &s->err), 0);
	page = room;
	for (size_t i = 0; i < nr; i++) {
		if (zero >> i & 1)
			memset(page + i * PAGE, 0, PAGE);
		else
			page_fill(page + i * PAGE, mem, addr + i * PAGE, noise);
	}
	assert_int_equal(pages_writer_commit(s->w, mem, addr, nr, &s->err), 0);
}

static void finish(struct store *s)
{
	assert_int_equal(pages_writer_finish(s->w, s->snap, &s->index, &s->err), 0);
}

static uint64_t file_size(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

static void check_tiles(const struct store *s)
{
	uint64_t position = 0;

	for (size_t i = 0; i < s->index.nr_frames; i++) {
		assert_int_equal(s->index.frames[i].position, position);
		position += s->index.frames[i].stored;
	}
	assert_int_equal(position, s->index.file_size);
	assert_int_equal(position, file_size(s->fd));
}

static void an_empty_store_is_empty(void **state)
{
	struct store *s = *state;
	uint8_t data[100];

	finish(s);
	assert_int_equal(s->index.nr_runs, 0);
	assert_int_equal(s->index.nr_frames, 0);
	check_tiles(s);
	memset(data, 1, sizeof data);
	assert_int_equal(pages_read(s->fd, &s->index, 0, 5, data, sizeof data, &s->err), 0);
	for (size_t i = 0; i < sizeof data; i++)
		assert_int_equal(data[i], 0);
}

static void zero_pages_are_never_stored(void **state)
{
	struct store *s = *state;

	put(s, 0, 0x10000, 64, UINT64_MAX, false);
	finish(s);
	assert_int_equal(s->index.nr_runs, 0);
	assert_int_equal(s->index.nr_frames, 0);
	assert_int_equal(file_size(s->fd), 0);
}

static void zero_pages_split_runs(void **state)
{
	struct store *s = *state;

	/* z x x z z x x z */
	put(s, 3, 0x10000, 8, 0x99, false);
	finish(s);
	assert_int_equal(s->index.nr_runs, 2);
	assert_int_equal(s->index.runs[0].addr, 0x11000);
	assert_int_equal(s->index.runs[0].nr_pages, 2);
	assert_int_equal(s->index.runs[0].offset, 0);
	assert_int_equal(s->index.runs[1].addr, 0x15000);
	assert_int_equal(s->index.runs[1].nr_pages, 2);
	assert_int_equal(s->index.runs[1].offset, 2 * PAGE);
	assert_int_equal(s->index.frames[0].size, 4 * PAGE);
}

static void a_page_with_one_byte_is_not_zero(void **state)
{
	struct store *s = *state;
	uint8_t *room, back[PAGE];
	void *p;

	assert_int_equal(pages_writer_reserve(s->w, 2, &p, &s->err), 0);
	room = p;
	memset(room, 0, 2 * PAGE);
	room[PAGE - 1] = 1;
	room[PAGE] = 1;
	assert_int_equal(pages_writer_commit(s->w, 0, 0, 2, &s->err), 0);
	finish(s);
	assert_int_equal(s->index.nr_runs, 1);
	assert_int_equal(s->index.runs[0].nr_pages, 2);
	assert_int_equal(pages_read(s->fd, &s->index, 0, 0, back, PAGE, &s->err), 0);
	assert_int_equal(back[PAGE - 1], 1);
}

static void noise_is_stored_raw(void **state)
{
	struct store *s = *state;
	uint8_t back[PAGE];

	put(s, 0, 0, 64, 0, true);
	put(s, 0, 64 * PAGE, 64, 0, false);
	finish(s);
	assert_int_equal(s->index.nr_frames, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct page_frame *f = &s->index.frames[s->index.runs[i].frame];

		assert_int_equal(f->codec, i ? PAGES_ZSTD : PAGES_RAW);
		assert_int_equal(f->size, PAGES_FRAME);
		assert_true(i ? f->stored < PAGES_FRAME / 10 : f->stored == PAGES_FRAME);
	}
	for (uint64_t i = 0; i < 128; i += 63) {
		assert_int_equal(pages_read(s->fd, &s->index, 0, i * PAGE, back, PAGE, &s->err), 0);
		assert_true(page_is(back, 0, i * PAGE, i < 64));
	}
}

static void level_0_stores_all_raw(void **state)
{
	struct store *s = *state;

	pages_writer_destroy(s->w);
	s->w = NULL;
	assert_int_equal(pages_writer_create(s->fd, 0, 2, &s->w, &s->err), 0);
	put(s, 0, 0, 64, 0, false);
	finish(s);
	assert_int_equal(s->index.nr_frames, 1);
	assert_int_equal(s->index.frames[0].codec, PAGES_RAW);
	assert_int_equal(s->index.file_size, PAGES_FRAME);
}

static void neighbours_become_one_run(void **state)
{
	struct store *s = *state;

	put(s, 0, 0x1000, 3, 0, false);
	put(s, 0, 0x4000, 3, 0, false);
	put(s, 1, 0x7000, 1, 0, false);
	put(s, 0, 0x7000, 1, 0, false);
	finish(s);
	assert_int_equal(s->index.nr_runs, 3);
	assert_int_equal(s->index.runs[0].nr_pages, 6);
	assert_int_equal(s->index.runs[1].addr, 0x7000);
	assert_int_equal(s->index.runs[1].mem, 0);
	assert_int_equal(s->index.runs[2].mem, 1);
}

static void a_page_twice_is_refused(void **state)
{
	struct store *s = *state;

	put(s, 0, 0x1000, 3, 0, false);
	put(s, 0, 0x3000, 1, 0, false);
	assert_int_equal(pages_writer_finish(s->w, s->snap, &s->index, &s->err), -EINVAL);
	assert_non_null(strstr(s->err.msg, "twice"));
}

/* 4000 pages of three objects, backwards, with holes: many frames in whatever order the threads
 * write. */
static void put_many(struct store *s)
{
	for (int i = 499; i >= 0; i--)
		put(s, (uint32_t)i % 3, (uint64_t)i * 16 * PAGE, 8, i % 7 == 0 ? 0x18 : 0,
			i % 5 == 0);
}

static void many_frames_come_back(void **state)
{
	struct store *s = *state;
	uint8_t *back = malloc(16 * PAGE);
	struct pages_reader *r;

	put_many(s);
	finish(s);
	assert_true(s->index.nr_frames > 50);
	check_tiles(s);
	for (uint64_t i = 0; i < 500; i++) {
		uint32_t mem = (uint32_t)i % 3;

		assert_int_equal(
			pages_read(s->fd, &s->index, mem, i * 16 * PAGE, back, 16 * PAGE, &s->err),
			0);
		for (uint64_t j = 0; j < 16; j++) {
			bool zero = j >= 8 || (i % 7 == 0 && (j == 3 || j == 4));
			static const uint8_t zeroes[PAGE];

			assert_true(zero ? !memcmp(back + j * PAGE, zeroes, PAGE)
					 : page_is(back + j * PAGE, mem, (i * 16 + j) * PAGE,
						   i % 5 == 0));
		}
	}
	r = pages_reader_create(s->fd, &s->index);
	for (uint32_t i = 0; i < s->index.nr_frames; i++) {
		const void *data;

		assert_int_equal(pages_reader_frame(r, i, &data, &s->err), 0);
	}
	pages_reader_destroy(r);
	free(back);
}

static void runs_are_sorted_and_found_by_mem(void **state)
{
	struct store *s = *state;
	size_t nr, all = 0;

	put_many(s);
	finish(s);
	for (size_t i = 1; i < s->index.nr_runs; i++) {
		const struct page_run *a = &s->index.runs[i - 1], *b = &s->index.runs[i];

		assert_true(a->mem < b->mem || (a->mem == b->mem && a->addr < b->addr));
	}
	for (uint32_t mem = 0; mem < 5; mem++) {
		const struct page_run *runs = pages_runs_of(&s->index, mem, &nr);

		all += nr;
		assert_true(mem >= 3 ? nr == 0 : nr > 100);
		for (size_t i = 0; i < nr; i++)
			assert_int_equal(runs[i].mem, mem);
	}
	assert_int_equal(all, s->index.nr_runs);
	pages_runs_of(&s->index, UINT32_MAX, &nr);
	assert_int_equal(nr, 0);
}

static void reads_need_not_be_aligned(void **state)
{
	struct store *s = *state;
	uint8_t back[2 * PAGE], want[PAGE];

	put(s, 0, 0x2000, 3, 2, false);
	finish(s);
	/* The end of a stored page, a hole, and the beginning of a stored page. */
	assert_int_equal(pages_read(s->fd, &s->index, 0, 0x2ff0, back, PAGE + 32, &s->err), 0);
	page_fill(want, 0, 0x2000, false);
	assert_memory_equal(back, want + PAGE - 16, 16);
	for (size_t i = 16; i < PAGE + 16; i++)
		assert_int_equal(back[i], 0);
	page_fill(want, 0, 0x4000, false);
	assert_memory_equal(back + PAGE + 16, want, 16);
}

static void damage(int fd, uint64_t position)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)position), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)position), 1);
}

static void a_damaged_frame_is_found(void **state)
{
	struct store *s = *state;
	struct pages_reader *r;
	const void *data;

	put(s, 0, 0, 64, 0, true);
	put(s, 0, 64 * PAGE, 64, 0, false);
	put(s, 0, 128 * PAGE, 1, 0, false);
	finish(s);
	r = pages_reader_create(s->fd, &s->index);
	for (uint32_t i = 0; i < s->index.nr_frames; i++) {
		const struct page_frame *f = &s->index.frames[i];

		damage(s->fd, f->position + f->stored - 1);
		assert_int_equal(pages_reader_frame(r, i, &data, &s->err), -EBADMSG);
		assert_non_null(strstr(s->err.msg, "checksum"));
		assert_non_null(strstr(s->err.hint, "damaged"));
		damage(s->fd, f->position + f->stored - 1);
		assert_int_equal(pages_reader_frame(r, i, &data, &s->err), 0);
	}
	pages_reader_destroy(r);
}

/* Frames whose checksum is right, but which are not what the index says. */
static void a_wrong_frame_is_found(void **state)
{
	struct store *s = *state;
	struct pages_reader *r;
	const void *data;

	put(s, 0, 0, 64, 0, false);
	finish(s);
	r = pages_reader_create(s->fd, &s->index);
	s->index.frames[0].size -= PAGE;
	assert_int_equal(pages_reader_frame(r, 0, &data, &s->err), -EBADMSG);
	s->index.frames[0].size += PAGE;
	assert_int_equal(ftruncate(s->fd, (off_t)s->index.file_size - 1), 0);
	assert_int_equal(pages_reader_frame(r, 0, &data, &s->err), -ENODATA);
	assert_int_equal(pages_reader_frame(r, 1, &data, &s->err), -EINVAL);
	pages_reader_destroy(r);
}

static void impossible_requests_are_refused(void **state)
{
	struct store *s = *state;
	struct pages_writer *w;
	void *room;

	assert_int_equal(pages_writer_reserve(s->w, FRAME_PAGES + 1, &room, &s->err), -EINVAL);
	assert_int_equal(pages_writer_reserve(s->w, 0, &room, &s->err), -EINVAL);
	assert_int_equal(pages_writer_commit(s->w, 0, 0, 1, &s->err), -EINVAL);
	assert_int_equal(pages_writer_reserve(s->w, 1, &room, &s->err), 0);
	assert_int_equal(pages_writer_commit(s->w, 0, 0, 2, &s->err), -EINVAL);
	assert_int_equal(pages_writer_commit(s->w, 0, 12, 1, &s->err), -EINVAL);
	assert_int_equal(pages_writer_create(s->fd, 99, 1, &w, &s->err), -EINVAL);
	assert_non_null(strstr(s->err.msg, "level 99"));
}

/* A descriptor that cannot be written to: every thread fails, the producer learns it and never
 * hangs. */
static void a_failing_file_is_reported(void **state)
{
	struct store *s = *state;
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), ret = 0;
	struct pages_writer *w;
	void *room;

	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW), 0);
	assert_int_equal(pages_writer_create(fd, 1, 3, &w, &s->err), 0);
	for (uint64_t i = 0; ret == 0 && i < 1000; i++) {
		ret = pages_writer_reserve(w, 64, &room, &s->err);
		if (ret == 0) {
			page_fill(room, 0, i, true);
			ret = pages_writer_commit(w, 0, i * PAGES_FRAME, 64, &s->err);
		}
	}
	assert_int_equal(ret, -EPERM);
	assert_non_null(strstr(s->err.msg, "write the file of pages"));
	assert_int_equal(pages_writer_finish(w, s->snap, &s->index, &s->err), -EPERM);
	pages_writer_destroy(w);
	close(fd);
}

static void a_writer_may_be_dropped_at_any_time(void **state)
{
	struct store *s = *state;

	pages_writer_destroy(NULL);
	put(s, 0, 0, 64, 0, true);
	put(s, 0, 64 * PAGE, 64, 0, true);
	put(s, 0, 128 * PAGE, 5, 0, true);
	/* The teardown destroys it while the threads are at work. */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_store_is_empty),
		TEST(zero_pages_are_never_stored),
		TEST(zero_pages_split_runs),
		TEST(a_page_with_one_byte_is_not_zero),
		TEST(noise_is_stored_raw),
		TEST(level_0_stores_all_raw),
		TEST(neighbours_become_one_run),
		TEST(a_page_twice_is_refused),
		TEST(many_frames_come_back),
		TEST(runs_are_sorted_and_found_by_mem),
		TEST(reads_need_not_be_aligned),
		TEST(a_damaged_frame_is_found),
		TEST(a_wrong_frame_is_found),
		TEST(impossible_requests_are_refused),
		TEST(a_failing_file_is_reported),
		TEST(a_writer_may_be_dropped_at_any_time),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
