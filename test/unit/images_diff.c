/* `snapctl diff`: the same is the same wherever it is stored; whatever is changed is found and
 * said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "images/image.h"
#include "test/unit/images_sample.h"

enum { PAGE = PAGES_PAGE };

struct sides {
	struct image img[2];
	struct pages_writer *w[2];
	struct err err;
	char *text;
};

static int sides_setup(void **state)
{
	struct sides *s = calloc(1, sizeof *s);

	for (int i = 0; i < 2; i++) {
		s->img[i] = (struct image){ .dirfd = -1,
			.pages_fd = memfd_create("pages", MFD_CLOEXEC),
			.snap = sample_create(),
			.path = i ? "two" : "one" };
		assert_int_equal(
			pages_writer_create(s->img[i].pages_fd, 1, 1, &s->w[i], &s->err), 0);
	}
	*state = s;
	return 0;
}

static int sides_teardown(void **state)
{
	struct sides *s = *state;

	for (int i = 0; i < 2; i++) {
		pages_writer_destroy(s->w[i]);
		snap_destroy(s->img[i].snap);
		close(s->img[i].pages_fd);
	}
	free(s->text);
	free(s);
	return 0;
}

/* A page full of value. */
static void put(struct sides *s, int side, uint32_t mem, uint64_t addr, int value)
{
	void *room;

	assert_int_equal(pages_writer_reserve(s->w[side], 1, &room, &s->err), 0);
	memset(room, value, PAGE);
	assert_int_equal(pages_writer_commit_all(s->w[side], mem, addr, 1, &s->err), 0);
}

static bool same(struct sides *s, bool json)
{
	size_t len;
	FILE *out;
	bool answer;

	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pages_writer_finish(s->w[i], s->img[i].snap, &s->img[i].index, &s->err), 0);
	out = open_memstream(&s->text, &len);
	assert_int_equal(image_diff(&s->img[0], &s->img[1], json, out, &answer, NULL, &s->err), 0);
	fclose(out);
	return answer;
}

static void says(struct sides *s, const char *line)
{
	if (!strstr(s->text, line))
		fail_msg("no \"%s\" in:\n%s", line, s->text);
}

static void equal_is_equal(void **state)
{
	struct sides *s = *state;

	s->img[1].snap->info.created++;
	s->img[1].snap->info.id[0]++;
	s->img[1].snap->info.hostname = "elsewhere";
	put(s, 0, SAMPLE_PRIVATE, SAMPLE_HEAP, 1);
	put(s, 0, SAMPLE_PRIVATE, SAMPLE_HEAP + 5 * PAGE, 5);
	put(s, 0, SAMPLE_MEMFD, 0, 7);
	put(s, 1, SAMPLE_MEMFD, 0, 7);
	put(s, 1, SAMPLE_PRIVATE, SAMPLE_HEAP + 5 * PAGE, 5);
	put(s, 1, SAMPLE_PRIVATE, SAMPLE_HEAP + 4 * PAGE, 0); /* zero as if it were not stored */
	put(s, 1, SAMPLE_PRIVATE, SAMPLE_HEAP, 1);
	if (!same(s, false))
		fail_msg("%s", s->text);
	assert_string_equal(s->text, "");
}

static void pages_that_differ_are_counted(void **state)
{
	struct sides *s = *state;

	for (int i = 0; i < 8; i++) {
		put(s, 0, SAMPLE_PRIVATE, SAMPLE_HEAP + (uint64_t)i * PAGE, 1);
		put(s, 1, SAMPLE_PRIVATE, SAMPLE_HEAP + (uint64_t)i * PAGE,
			i == 3 || i == 4 ? 2 : 1);
	}
	put(s, 0, SAMPLE_PRIVATE, SAMPLE_HEAP + 20 * PAGE, 3); /* only here */
	put(s, 1, SAMPLE_MEMFD, 0, 9);
	assert_false(same(s, false));
	says(s, "process 4242\n");
	says(s, "  pages of [heap]: 3 of 9 stored differ: 555555603000-555555605000, "
		"555555614000-555555615000\n");
	says(s, "memory memfd buffer\n  pages: 1 of 1 stored differs: 0-1000\n");
	says(s, "2 differences, 4 pages with other contents\n");
}

/* What is not stored of a mapped file is in the file: nobody knows here whether that is the same.
 */
static void a_copy_of_a_file_page_differs(void **state)
{
	struct sides *s = *state;

	put(s, 1, SAMPLE_PRIVATE, 0x555555554000, 0);
	assert_false(same(s, false));
	says(s, "  pages of /usr/bin/thing: 1 of 1 stored differs: 555555554000-555555555000\n");
}

static void fields_are_said_in_words(void **state)
{
	struct sides *s = *state;
	struct snap *b = s->img[1].snap;
	struct snap_proc *proc = &b->procs[0];
	struct snap_task *task = &proc->tasks[1];

	proc->umask ^= 077;
	proc->cwd = SAMPLE_EXE;
	proc->stop = PROC_RUNNING;
	proc->rlimits[7].cur = UINT64_MAX;
	task->regs.rip++;
	task->creds.euid = 12345;
	task->sigmask = 1 << 9;
	strcpy(task->comm, "\033[2J");
	b->files[SAMPLE_EXE].size++;
	b->mms[0].vmas[1].prot = PROT_READ;
	b->mms[0].nr_vmas--;
	assert_false(same(s, false));
	says(s, "process 4242\n");
	says(s, "  cwd: /srv/a b\\012\\033[31m in A, /usr/bin/thing in B\n");
	says(s, "  stop: stopped in A, running in B\n");
	says(s, "  limit NOFILE: ");
	says(s, "unlimited in B\n");
	says(s, "process 4242, thread 4243\n");
	says(s, "  register rip: 0x");
	says(s, "  credentials, euid: ");
	says(s, " in A, 12345 in B\n");
	says(s, "SIGUSR1 in B\n");
	says(s, "file /usr/bin/thing\n  size: ");
	says(s, "  mapping 555555600000-555555700000 rw-p [heap], prot: rw- in A, r-- in B\n");
	says(s, "  mapping: only in A: ffffffffff600000-ffffffffff601000 --xp [vsyscall]\n");
	for (const char *c = s->text; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
}

static void descriptors_are_followed(void **state)
{
	struct sides *s = *state;
	struct snap *b = s->img[1].snap;
	struct snap_proc *proc = &b->procs[0];

	assert_true(proc->nr_fds >= 3);
	proc->fds[proc->nr_fds - 1].cloexec = !proc->fds[proc->nr_fds - 1].cloexec;
	proc->nr_fds--;
	memmove(proc->fds, proc->fds + 1, (proc->nr_fds) * sizeof *proc->fds);
	b->ofds[0].flags ^= O_NONBLOCK;
	assert_false(same(s, false));
	says(s, "  descriptor 0: only in A: ");
	says(s, "  cloexec: ");
	says(s, "  flags: ");
}

static void json_has_the_numbers(void **state)
{
	struct sides *s = *state;

	s->img[1].snap->procs[0].oom_score_adj = 999;
	put(s, 0, SAMPLE_PRIVATE, SAMPLE_HEAP, 1);
	assert_false(same(s, true));
	says(s, "\"same\":false");
	says(s, "\"process\":4242");
	says(s, "\"what\":\"oom_score_adj\"");
	says(s, "\"b\":\"999\"");
	says(s, "\"0x555555600000\"");
}

static void another_root_is_still_the_root(void **state)
{
	struct sides *s = *state;

	s->img[1].snap->procs[0].pid = 77;
	s->img[1].snap->procs[0].tasks[0].tid = 77;
	assert_false(same(s, false));
	says(s, "process 4242\n  pid: 4242 in A, 77 in B\n");
	says(s, "  tid: 4242 in A, 77 in B\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sides_setup, sides_teardown)
	const struct CMUnitTest tests[] = {
		TEST(equal_is_equal),
		TEST(pages_that_differ_are_counted),
		TEST(a_copy_of_a_file_page_differs),
		TEST(fields_are_said_in_words),
		TEST(descriptors_are_followed),
		TEST(json_has_the_numbers),
		TEST(another_root_is_still_the_root),
	};

	return cmocka_run_group_tests_name("images_diff", tests, NULL, NULL);
}
