/*
 * Packed images: what their trailer says is believed only as far as it fits the file; and files
 * that appear whole or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/image.h"
#include "images/pack/packed.h"
#include "images/place.h"

struct scratch {
	char dir[64], path[80];
	struct err err;
};

static int scratch_setup(void **state)
{
	struct scratch *s = calloc(1, sizeof *s);

	strcpy(s->dir, "/tmp/images_packed.XXXXXX");
	*state = s;
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->path, sizeof s->path, "%s/file", s->dir);
	return 0;
}

static int scratch_teardown(void **state)
{
	struct scratch *s = *state;
	struct dirent *entry;
	DIR *dir = opendir(s->dir);

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(s->dir);
	free(s);
	return 0;
}

static unsigned nr_entries(const struct scratch *s)
{
	DIR *dir = opendir(s->dir);
	unsigned nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr - 2;
}

/* ---- the trailer ----------------------------------------------------------------------------- */

enum { PROGRAM = 5000, PAGES = 300, STATE = 20, INVENTORY = 97 };
enum { WHOLE = 8192 + PAGES + STATE + INVENTORY + PACKED_TRAILER };

static struct packed sample(void)
{
	struct packed p = { .program_size = PROGRAM };

	p.size[IMAGE_PAGES] = PAGES;
	p.size[IMAGE_STATE] = STATE;
	p.size[IMAGE_INVENTORY] = INVENTORY;
	memset(p.program_digest, 7, sizeof p.program_digest);
	return p;
}

/* A file of that size with that trailer at its end. */
static int file_with(const struct scratch *s, const struct packed *p, off_t size)
{
	uint8_t trailer[PACKED_TRAILER];
	int fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	packed_trailer(p, trailer);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(
		pwrite(fd, trailer, sizeof trailer, size - PACKED_TRAILER), sizeof trailer);
	return fd;
}

static void refuse(struct scratch *s, const struct packed *p, off_t size)
{
	OWNED_FD fd = file_with(s, p, size);
	struct packed out = { .program_size = 77 };

	assert_int_equal(packed_read(fd, &out, &s->err), -EBADMSG);
	assert_true(s->err.hint[0]);
	assert_int_equal(out.program_size, 77);
}

static void what_was_written_is_read(void **state)
{
	struct scratch *s = *state;
	struct packed p = sample(), out;
	OWNED_FD fd = file_with(s, &p, WHOLE);

	assert_int_equal(packed_read(fd, &out, &s->err), 0);
	assert_memory_equal(&p, &out, sizeof p);
	assert_int_equal(packed_start(&out, IMAGE_PAGES), 8192);
	assert_int_equal(packed_start(&out, IMAGE_STATE), 8192 + PAGES);
	assert_int_equal(packed_start(&out, IMAGE_INVENTORY), 8192 + PAGES + STATE);
}

/* With digests that are right. */
static void sizes_that_do_not_fit_are_refused(void **state)
{
	static const uint64_t wrong[] = { 0, 1, WHOLE - 1, WHOLE, WHOLE + 1, INT64_MAX, UINT64_MAX,
		UINT64_MAX - 4095, UINT64_MAX - WHOLE, (uint64_t)1 << 63, (uint64_t)1 << 32 };
	struct scratch *s = *state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		for (unsigned part = 0; part <= IMAGE_NR_FILES; part++) {
			struct packed p = sample();

			*(part < IMAGE_NR_FILES ? &p.size[part] : &p.program_size) = wrong[i];
			refuse(s, &p, WHOLE);
		}
}

/* Sums that come out right only because they overflow. */
static void sums_that_overflow_are_refused(void **state)
{
	struct scratch *s = *state;
	struct packed p = sample();

	p.size[IMAGE_PAGES] += (uint64_t)1 << 63;
	p.size[IMAGE_STATE] += (uint64_t)1 << 63;
	refuse(s, &p, WHOLE);
	p = sample();
	p.program_size = UINT64_MAX;
	p.size[IMAGE_PAGES] += 8192;
	refuse(s, &p, WHOLE);
}

static void other_lengths_are_refused(void **state)
{
	struct scratch *s = *state;
	struct packed p = sample();

	refuse(s, &p, WHOLE - 1);
	refuse(s, &p, WHOLE + 1);
	refuse(s, &p, PACKED_TRAILER);
	for (off_t size = 0; size < PACKED_TRAILER; size++) {
		OWNED_FD fd = file_with(s, &p, WHOLE);

		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(packed_read(fd, &p, &s->err), -EBADMSG);
	}
}

static void every_byte_of_the_trailer_counts(void **state)
{
	struct scratch *s = *state;
	struct packed p = sample(), out;
	OWNED_FD fd = file_with(s, &p, WHOLE);

	for (off_t at = WHOLE - PACKED_TRAILER; at < WHOLE; at++) {
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_int_equal(packed_read(fd, &out, &s->err), -EBADMSG);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_int_equal(packed_read(fd, &out, &s->err), 0);
}

static void this_program_is_not_packed(void **state)
{
	struct scratch *s = *state;
	OWNED_FD fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct image img = { .dirfd = 1234 };

	assert_false(image_is_self());
	assert_false(packed_has_mark(fd));
	assert_int_equal(image_open_self("me", &img, &s->err), -EBADMSG);
	assert_non_null(strstr(s->err.msg, "me: "));
	assert_int_equal(img.dirfd, 1234);
}

/* ---- files that appear ----------------------------------------------------------------------- */

static bool is_ours(int fd)
{
	char byte;

	return pread(fd, &byte, 1, 0) == 1 && byte == 'x';
}

static int file_new(struct scratch *s, bool force, struct newfile *file)
{
	return newfile_create(s->path, force, is_ours, "one of ours", file, &s->err);
}

static void put(const struct scratch *s, const char *text)
{
	OWNED_FD fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect_mode(const struct scratch *s, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void a_file_appears_when_it_is_complete(void **state)
{
	struct scratch *s = *state;
	struct newfile file = { 0 };

	newfile_finish(&file);
	assert_int_equal(file_new(s, false, &file), 0);
	assert_int_equal(nr_entries(s), 1);
	assert_int_equal(access(s->path, F_OK), -1);
	umask(077);
	assert_int_equal(newfile_commit(&file, 0755, &s->err), 0);
	newfile_finish(&file);
	newfile_finish(&file);
	expect_mode(s, 0755);
	assert_int_equal(nr_entries(s), 1);
}

static void without_commit_no_file_stays(void **state)
{
	struct scratch *s = *state;
	struct newfile file;

	assert_int_equal(file_new(s, false, &file), 0);
	newfile_finish(&file);
	assert_int_equal(nr_entries(s), 0);
}

static void only_ours_is_replaced_and_with_force(void **state)
{
	struct scratch *s = *state;
	struct newfile file;

	put(s, "x");
	assert_int_equal(file_new(s, false, &file), -EEXIST);
	assert_non_null(strstr(s->err.hint, "--force"));
	assert_int_equal(file_new(s, true, &file), 0);
	assert_int_equal(newfile_commit(&file, 0600, &s->err), 0);
	newfile_finish(&file);
	assert_int_equal(file_new(s, true, &file), -EEXIST); /* it is empty */
	assert_non_null(strstr(s->err.msg, "not one of ours"));
	assert_int_equal(nr_entries(s), 1);
}

/* What is there in the end is judged, not what was there in the beginning. */
static void what_comes_meanwhile_is_kept(void **state)
{
	struct scratch *s = *state;
	struct newfile file;

	assert_int_equal(file_new(s, false, &file), 0);
	put(s, "x");
	assert_int_equal(newfile_commit(&file, 0600, &s->err), -EEXIST);
	newfile_finish(&file);
	assert_int_equal(file_new(s, true, &file), 0);
	put(s, "y");
	assert_int_equal(newfile_commit(&file, 0600, &s->err), -EEXIST);
	newfile_finish(&file);
	assert_int_equal(nr_entries(s), 1);
}

static void leftovers_of_the_dead_go(void **state)
{
	struct scratch *s = *state;
	struct newfile alive, file;
	char path[200];

	snprintf(path, sizeof path, "%s/.file.0123456789abcdef.tmp", s->dir);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(file_new(s, false, &alive), 0);
	assert_int_equal(nr_entries(s), 1);
	assert_int_equal(file_new(s, false, &file), 0);
	assert_int_equal(nr_entries(s), 2);
	assert_int_equal(newfile_commit(&alive, 0600, &s->err), 0);
	newfile_finish(&alive);
	newfile_finish(&file);
	assert_int_equal(nr_entries(s), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),
		TEST(sizes_that_do_not_fit_are_refused),
		TEST(sums_that_overflow_are_refused),
		TEST(other_lengths_are_refused),
		TEST(every_byte_of_the_trailer_counts),
		TEST(this_program_is_not_packed),
		TEST(a_file_appears_when_it_is_complete),
		TEST(without_commit_no_file_stays),
		TEST(only_ours_is_replaced_and_with_force),
		TEST(what_comes_meanwhile_is_kept),
		TEST(leftovers_of_the_dead_go),
	};

	return cmocka_run_group_tests_name("images_packed", tests, NULL, NULL);
}
