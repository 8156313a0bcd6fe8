/*
 * Core files: vector registers of CPUs with different layouts, what is known of which mapping, and
 * what the notes say. That gdb takes them is tested in roundtrip/core.bats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

#include "base/arena.h"
#include "base/buf.h"
#include "images/core/core.h"
#include "test/unit/images_sample.h"

struct cores {
	struct image img;
	struct core c;
	struct err err;
};

static int cores_setup(void **state)
{
	struct cores *s = calloc(1, sizeof *s);
	struct snap *snap = sample_create();

	s->img = (struct image){ .dirfd = -1, .pages_fd = -1, .snap = snap };
	s->c = (struct core){ .img = &s->img,
		.snap = snap,
		.proc = &snap->procs[0],
		.mm = &snap->mms[snap->procs[0].mm],
		.fds = arena_array(snap->arena, snap->nr_files, sizeof(int)) };
	for (size_t i = 0; i < snap->nr_files; i++)
		s->c.fds[i] = CORE_CHANGED;
	*state = s;
	return 0;
}

static int cores_teardown(void **state)
{
	struct cores *s = *state;

	snap_destroy(s->img.snap);
	free(s);
	return 0;
}

/* ---- vector registers ------------------------------------------------------------------------ */

/* As it comes from ptrace(2), every byte telling its place. */
static struct snap_task task_with(struct cores *s, uint64_t xcr0, size_t len)
{
	struct snap_task task = { .nr_xstate = len,
		.xstate = arena_alloc(s->c.snap->arena, len ? len : 1) };

	for (size_t i = 0; i < len; i++)
		task.xstate[i] = (uint8_t)(i / 8 * 31 + i);
	if (len >= 512)
		memcpy(task.xstate + 464, &xcr0, sizeof xcr0);
	return task;
}

static void same_layout(struct cores *s, uint64_t xcr0, size_t len)
{
	struct snap_task task = task_with(s, xcr0, len);
	size_t out;

	assert_ptr_equal(core_xstate(&s->c, &task, &out), task.xstate);
	assert_int_equal(out, len);
}

/* x87, SSE, AVX; MPX; AVX-512; PKRU; AMX */
enum { AVX = 7, MPX = 3 << 3, AVX512 = 7 << 5, PKRU = 1 << 9, AMX = 3 << 17 };

static void layouts_with_the_hole_stay(void **state)
{
	struct cores *s = *state;

	same_layout(s, 3, 576);
	same_layout(s, AVX, 832);
	same_layout(s, AVX | AVX512, 2688);
	same_layout(s, AVX | AVX512 | PKRU, 2696);
	same_layout(s, AVX | MPX | AVX512 | PKRU, 2696);
	same_layout(s, AVX | PKRU, 2696);
	same_layout(s, AVX | AVX512 | PKRU | AMX, 11008);
}

static void what_makes_no_sense_stays(void **state)
{
	struct cores *s = *state;

	same_layout(s, AVX | AVX512, 0);
	same_layout(s, AVX | AVX512, 512);
	same_layout(s, AVX | AVX512, 831);
	same_layout(s, AVX | AVX512, 2431);
	same_layout(s, AVX | AVX512, 2433);
	same_layout(s, 3 | AVX512, 2432);
	same_layout(s, AVX | MPX | AVX512, 2432);
	same_layout(s, UINT64_MAX, 2432);
}

static void layouts_without_the_hole_get_one(void **state)
{
	static const struct {
		uint64_t xcr0;
		size_t len, wanted;
	} cpus[] = {
		{ AVX | AVX512, 2432, 2688 },
		{ AVX | AVX512 | PKRU, 2440, 2696 },
		{ AVX | PKRU, 840, 2696 },
	};
	struct cores *s = *state;

	for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
		struct snap_task task = task_with(s, cpus[i].xcr0, cpus[i].len);
		const uint8_t *from = task.xstate;
		size_t len;
		const uint8_t *to = core_xstate(&s->c, &task, &len);

		assert_int_equal(len, cpus[i].wanted);
		assert_memory_equal(to, from, 832);
		if (cpus[i].xcr0 & AVX512)
			assert_memory_equal(to + 1088, from + 832, 1600);
		if (cpus[i].xcr0 & PKRU)
			assert_memory_equal(to + 2688, from + cpus[i].len - 8, 8);
	}
}

/* ---- segments -------------------------------------------------------------------------------- */

static const struct core_segment *segment_at(const struct cores *s, uint64_t addr)
{
	for (size_t i = 0; i < s->c.nr_segments; i++)
		if (s->c.segments[i].start <= addr && addr < s->c.segments[i].end)
			return &s->c.segments[i];
	return NULL;
}

/* They follow each other as the mappings do, and leave nothing out but the vsyscall page. */
static void segments_cover_all(const struct cores *s)
{
	for (size_t i = 0; i < s->c.mm->nr_vmas; i++) {
		const struct snap_vma *vma = &s->c.mm->vmas[i];

		if (vma->kind == VMA_VSYSCALL)
			continue;
		for (uint64_t addr = vma->start; addr < vma->end;) {
			const struct core_segment *found = segment_at(s, addr);

			assert_non_null(found);
			assert_ptr_equal(found->vma, vma);
			assert_int_equal(found->start, addr);
			addr = found->end;
		}
	}
}

static void every_mapping_is_there(void **state)
{
	struct cores *s = *state;

	core_segments(&s->c);
	segments_cover_all(s);
	assert_true(segment_at(s, SAMPLE_HEAP)->contents);
}

static struct snap_vma *heap(struct cores *s)
{
	size_t i = 0;

	while (s->c.mm->vmas[i].start != SAMPLE_HEAP)
		i++;
	return &s->c.mm->vmas[i];
}

static void with_runs(struct cores *s, const struct page_run *runs, size_t nr)
{
	s->img.index.runs = arena_copy(s->c.snap->arena, runs, nr * sizeof *runs);
	s->img.index.nr_runs = nr;
}

static void what_is_reserved_is_there_where_it_was_used(void **state)
{
	struct cores *s = *state;
	const struct page_run runs[] = {
		{ .mem = SAMPLE_PRIVATE, .nr_pages = 2, .addr = SAMPLE_HEAP - PAGES_PAGE },
		{ .mem = SAMPLE_PRIVATE, .nr_pages = 1, .addr = SAMPLE_HEAP + 3 * PAGES_PAGE },
	};

	assert_true(heap(s)->end - SAMPLE_HEAP > 4 * PAGES_PAGE);
	heap(s)->prot = PROT_NONE;
	with_runs(s, runs, 2);
	core_segments(&s->c);
	segments_cover_all(s);
	assert_true(segment_at(s, SAMPLE_HEAP)->contents);
	assert_int_equal(segment_at(s, SAMPLE_HEAP)->end, SAMPLE_HEAP + PAGES_PAGE);
	assert_false(segment_at(s, SAMPLE_HEAP + PAGES_PAGE)->contents);
	assert_true(segment_at(s, SAMPLE_HEAP + 3 * PAGES_PAGE)->contents);
	assert_false(segment_at(s, SAMPLE_HEAP + 4 * PAGES_PAGE)->contents);
}

static void what_is_not_to_be_seen_is_not_there(void **state)
{
	struct cores *s = *state;
	const struct page_run run = { .mem = SAMPLE_PRIVATE, .nr_pages = 1, .addr = SAMPLE_HEAP };

	heap(s)->vmflags |= VMF_DONTDUMP;
	with_runs(s, &run, 1);
	core_segments(&s->c);
	segments_cover_all(s);
	assert_false(segment_at(s, SAMPLE_HEAP)->contents);
}

/* ---- notes ----------------------------------------------------------------------------------- */

static unsigned notes_count(const struct buf *notes, uint32_t type)
{
	unsigned nr = 0;

	for (size_t at = 0; at < notes->len;) {
		Elf64_Nhdr note;

		assert_true(notes->len - at >= sizeof note);
		memcpy(&note, notes->data + at, sizeof note);
		at += sizeof note + ((note.n_namesz + 3) & ~3u) + ((note.n_descsz + 3) & ~3u);
		assert_true(at <= notes->len);
		nr += note.n_type == type;
	}
	return nr;
}

static void every_thread_has_its_notes(void **state)
{
	struct cores *s = *state;
	struct buf notes = BUF_EMPTY;

	assert_int_equal(core_notes(&s->c, &notes, &s->err), 0);
	assert_int_equal(notes_count(&notes, NT_PRSTATUS), s->c.proc->nr_tasks);
	assert_int_equal(notes_count(&notes, NT_PRPSINFO), 1);
	assert_int_equal(notes_count(&notes, NT_AUXV), 1);
	assert_int_equal(notes_count(&notes, NT_FILE), 1);
	buf_finish(&notes);
}

static void the_first_note_is_of_the_first_thread(void **state)
{
	struct cores *s = *state;
	struct buf notes = BUF_EMPTY;
	struct elf_prstatus status;

	assert_int_equal(core_notes(&s->c, &notes, &s->err), 0);
	memcpy(&status, notes.data + sizeof(Elf64_Nhdr) + 8, sizeof status);
	assert_int_equal(status.pr_pid, s->c.proc->tasks[0].tid);
	assert_memory_equal(&status.pr_reg, &s->c.proc->tasks[0].regs, sizeof status.pr_reg);
	buf_finish(&notes);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, cores_setup, cores_teardown)
	const struct CMUnitTest tests[] = {
		TEST(layouts_with_the_hole_stay),
		TEST(what_makes_no_sense_stays),
		TEST(layouts_without_the_hole_get_one),
		TEST(every_mapping_is_there),
		TEST(what_is_reserved_is_there_where_it_was_used),
		TEST(what_is_not_to_be_seen_is_not_there),
		TEST(every_thread_has_its_notes),
		TEST(the_first_note_is_of_the_first_thread),
	};

	return cmocka_run_group_tests_name("images_core", tests, NULL, NULL);
}
