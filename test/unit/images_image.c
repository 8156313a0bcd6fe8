/*
 * Images as directories: they appear whole or not at all, replace nothing but an older image, and
 * are read only when they are sound, of a version we know, and of an owner one may trust.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "test/unit/images_sample.h"

struct scratch {
	char dir[64], image[80];
	struct err err;
};

/* ---- a scratch directory --------------------------------------------------------------------- */

static int place_setup(void **state)
{
	struct scratch *p = calloc(1, sizeof *p);

	strcpy(p->dir, "/tmp/images_image.XXXXXX");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->image, sizeof p->image, "%s/image", p->dir);
	return 0;
}

/* Two levels are all that these tests make. */
static void remove_tree(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir))) {
		char below[600];

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
		if (unlink(below) < 0)
			remove_tree(below);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int place_teardown(void **state)
{
	struct scratch *p = *state;

	remove_tree(p->dir);
	free(p);
	return 0;
}

static unsigned nr_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr < 2 ? 0 : nr - 2;
}

static char *file_of(const struct scratch *p, const char *name)
{
	static char path[600];

	snprintf(path, sizeof path, "%s/%s", p->image, name);
	return path;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int put_pages(struct image_writer *w, unsigned seed, struct err *err)
{
	struct pages_writer *pages = image_writer_pages(w);
	void *room;
	int ret = pages_writer_reserve(pages, 3, &room, err);

	if (ret < 0)
		return ret;
	memset(room, (int)seed, 3 * PAGES_PAGE);
	return pages_writer_commit(pages, SAMPLE_PRIVATE, SAMPLE_HEAP, 3, err);
}

static int write_image(const char *path, bool force, unsigned seed, struct err *err)
{
	struct image_writer *w;
	struct snap *snap = sample_create();
	int ret = image_writer_create(path, force, 1, 0, &w, err);

	if (ret == 0) {
		ret = put_pages(w, seed, err);
		if (ret == 0)
			ret = image_writer_commit(w, snap, err);
		image_writer_destroy(w);
	}
	snap_destroy(snap);
	return ret;
}

static void must_write(struct scratch *p, unsigned seed)
{
	if (write_image(p->image, true, seed, &p->err) < 0)
		fail_msg("%s", p->err.msg);
}

static uint8_t first_byte(const char *path, struct err *err)
{
	struct image img;
	uint8_t byte = 0;

	if (image_open(path, &img, err) < 0)
		fail_msg("%s", err->msg);
	assert_int_equal(
		pages_read(img.pages_fd, &img.index, SAMPLE_PRIVATE, SAMPLE_HEAP, &byte, 1, err),
		0);
	image_close(&img);
	return byte;
}

static void an_image_is_written_and_read(void **state)
{
	struct scratch *p = *state;
	struct image img;
	struct stat st;

	must_write(p, 7);
	assert_int_equal(nr_entries(p->dir), 1);
	assert_int_equal(nr_entries(p->image), 3);
	assert_int_equal(stat(p->image, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		assert_int_equal(stat(file_of(p, image_file_names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(image_open(p->image, &img, &p->err), 0);
	assert_string_equal(img.path, p->image);
	assert_int_equal(img.snap->procs[0].pid, 4242);
	assert_int_equal(img.index.nr_runs, 1);
	image_close(&img);
	image_close(&img);
	assert_int_equal(image_verify(p->image, NULL, &p->err), 0);
	assert_int_equal(first_byte(p->image, &p->err), 7);
}

static void closing_a_zeroed_image_is_fine(void **state)
{
	struct image img = { 0 };

	(void)state;
	image_close(&img);
	assert_true(fcntl(0, F_GETFD) >= 0 || errno == EBADF);
}

static void slashes_at_the_end_are_fine(void **state)
{
	struct scratch *p = *state;
	char path[100];

	snprintf(path, sizeof path, "%s//", p->image);
	assert_int_equal(write_image(path, false, 1, &p->err), 0);
	assert_int_equal(nr_entries(p->image), 3);
	assert_int_equal(first_byte(path, &p->err), 1);
}

static void an_image_is_replaced_only_with_force(void **state)
{
	struct scratch *p = *state;

	must_write(p, 1);
	assert_int_equal(write_image(p->image, false, 2, &p->err), -EEXIST);
	assert_non_null(strstr(p->err.hint, "--force"));
	assert_int_equal(first_byte(p->image, &p->err), 1);
	assert_int_equal(write_image(p->image, true, 2, &p->err), 0);
	assert_int_equal(first_byte(p->image, &p->err), 2);
	assert_int_equal(nr_entries(p->dir), 1);
}

static void refuse(struct scratch *p, const char *path, int code, const char *word)
{
	int ret = write_image(path, true, 2, &p->err);

	if (ret != -code || !strstr(p->err.msg, word) || !p->err.hint[0])
		fail_msg("%s: %d, %s (%s)", path, ret, p->err.msg, p->err.hint);
}

static void touch(const char *path)
{
	OWNED_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

static void nothing_else_is_ever_replaced(void **state)
{
	struct scratch *p = *state;
	char path[200];

	touch(p->image);
	refuse(p, p->image, EEXIST, "not (only) an image");
	unlink(p->image);
	mkdir(p->image, 0700);
	refuse(p, p->image, EEXIST, "not (only) an image");
	touch(file_of(p, "inventory"));
	refuse(p, p->image, EEXIST, "not (only) an image");
	unlink(file_of(p, "inventory"));
	rmdir(p->image);
	/* An image with something of the user's in it. */
	must_write(p, 1);
	touch(file_of(p, "notes"));
	refuse(p, p->image, EEXIST, "not (only) an image");
	assert_int_equal(nr_entries(p->image), 4);
	/* A link to an image. */
	unlink(file_of(p, "notes"));
	snprintf(path, sizeof path, "%s/link", p->dir);
	assert_int_equal(symlink("image", path), 0);
	refuse(p, path, EEXIST, "not (only) an image");
	assert_int_equal(nr_entries(p->dir), 2);
}

static void impossible_places_are_explained(void **state)
{
	struct scratch *p = *state;
	char path[200];

	snprintf(path, sizeof path, "%s/missing/image", p->dir);
	refuse(p, path, ENOENT, "missing");
	assert_non_null(strstr(p->err.hint, "mkdir -p"));
	refuse(p, ".", EINVAL, "cannot be the name");
	refuse(p, "..", EINVAL, "cannot be the name");
	refuse(p, "/", EINVAL, "cannot be the name");
	refuse(p, "", EINVAL, "cannot be the name");
	refuse(p, "/proc/image", ENOENT, "/proc/image");
}

static void a_long_name_is_fine(void **state)
{
	struct scratch *p = *state;
	char path[400];
	int len = snprintf(path, sizeof path, "%s/", p->dir);

	memset(path + len, 'n', 255);
	path[len + 255] = '\0';
	assert_int_equal(write_image(path, false, 1, &p->err), 0);
	assert_int_equal(write_image(path, true, 2, &p->err), 0);
	assert_int_equal(first_byte(path, &p->err), 2);
	assert_int_equal(nr_entries(p->dir), 1);
}

/* A file of the user's comes into the old image while the new one is written. */
static void what_comes_during_the_dump_is_kept(void **state)
{
	struct scratch *p = *state;
	struct snap *snap = sample_create();
	struct image_writer *w;

	must_write(p, 1);
	assert_int_equal(image_writer_create(p->image, true, 1, 0, &w, &p->err), 0);
	touch(file_of(p, "notes"));
	assert_int_equal(put_pages(w, 2, &p->err), 0);
	assert_int_equal(image_writer_commit(w, snap, &p->err), -EEXIST);
	image_writer_destroy(w);
	assert_int_equal(nr_entries(p->image), 4);
	assert_int_equal(nr_entries(p->dir), 1);
	unlink(file_of(p, "notes"));
	assert_int_equal(first_byte(p->image, &p->err), 1);
	snap_destroy(snap);
}

static void without_commit_nothing_stays(void **state)
{
	struct scratch *p = *state;
	struct image_writer *w;

	image_writer_destroy(NULL);
	assert_int_equal(image_writer_create(p->image, false, 1, 0, &w, &p->err), 0);
	assert_int_equal(put_pages(w, 1, &p->err), 0);
	assert_int_equal(nr_entries(p->dir), 1);
	image_writer_destroy(w);
	assert_int_equal(nr_entries(p->dir), 0);
}

static void what_could_not_be_read_is_not_written(void **state)
{
	struct scratch *p = *state;
	struct snap *snap = sample_create();
	struct image_writer *w;

	snap->mms[0].vmas[3].mem = 77;
	assert_int_equal(image_writer_create(p->image, false, 1, 0, &w, &p->err), 0);
	assert_int_equal(image_writer_commit(w, snap, &p->err), -EBADMSG);
	assert_non_null(strstr(p->err.msg, "memory object 77"));
	assert_non_null(strstr(p->err.hint, "report"));
	image_writer_destroy(w);
	assert_int_equal(nr_entries(p->dir), 0);
	snap_destroy(snap);
}

/* A writer that was killed leaves a directory without a lock; one that lives has it locked. */
/* fstat(2) of a descriptor fails from now on. */
static bool fstat_breaks(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AT_EMPTY_PATH, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void a_directory_that_cannot_be_used_goes(void **state)
{
	struct scratch *p = *state;
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(!fstat_breaks() || write_image(p->image, false, 1, &p->err) != -ENOMEM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(nr_entries(p->dir), 0);
}

static void leftovers_of_the_dead_are_removed(void **state)
{
	struct scratch *p = *state;
	struct image_writer *alive;
	char path[200];

	snprintf(path, sizeof path, "%s/.image.0123456789abcdef.tmp", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/.image.0123456789abcdef.tmp/pages", p->dir);
	touch(path);
	snprintf(path, sizeof path, "%s/.image.0123456789abcdeX.tmp", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/.other.0123456789abcdef.tmp", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(image_writer_create(p->image, false, 1, 0, &alive, &p->err), 0);
	assert_int_equal(nr_entries(p->dir), 3);
	must_write(p, 1);
	assert_int_equal(nr_entries(p->dir), 4);
	assert_int_equal(put_pages(alive, 2, &p->err), 0);
	image_writer_destroy(alive);
	assert_int_equal(nr_entries(p->dir), 3);
}

/* ---- full and read-only file systems --------------------------------------------------------- */

/* Runs f(p) in a process with a tmpfs of its own over p->dir; 0: all was well. Skips where we may
 * not. */
static void on_tmpfs(
	struct scratch *p, const char *options, unsigned long flags, int (*f)(struct scratch *))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("none", p->dir, "tmpfs", flags, options) < 0)
			_exit(77);
		_exit(f(p));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int put_noise(struct image_writer *w, struct err *err)
{
	struct pages_writer *pages = image_writer_pages(w);
	int ret = 0;

	for (uint64_t i = 0; ret == 0 && i < 64; i++) {
		OWNED_FD noise = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
		void *room;

		ret = pages_writer_reserve(pages, 64, &room, err);
		if (ret == 0)
			ret = fd_pread_all(noise, room, PAGES_FRAME, 0, err);
		if (ret == 0)
			ret = pages_writer_commit(
				pages, SAMPLE_PRIVATE, SAMPLE_HEAP + i * PAGES_FRAME, 64, err);
	}
	return ret;
}

static int full_disk(struct scratch *p)
{
	struct snap *snap = sample_create();
	struct image_writer *w;
	int ret;

	if (image_writer_create(p->image, false, 1, 0, &w, &p->err) < 0)
		return 1;
	ret = put_noise(w, &p->err);
	if (ret == 0)
		ret = image_writer_commit(w, snap, &p->err);
	image_writer_destroy(w);
	snap_destroy(snap);
	if (ret != -ENOSPC || !strstr(p->err.hint, "free some space"))
		return fprintf(stderr, "%d %s (%s)\n", ret, p->err.msg, p->err.hint), 2;
	return nr_entries(p->dir) == 0 ? 0 : 3;
}

/* Room for the pages, but not for the state. */
static int nearly_full_disk(struct scratch *p)
{
	int ret = write_image(p->image, false, 1, &p->err);

	if (ret != -ENOSPC || !strstr(p->err.hint, "free some space"))
		return fprintf(stderr, "%d %s (%s)\n", ret, p->err.msg, p->err.hint), 2;
	return nr_entries(p->dir) == 0 ? 0 : 3;
}

static int read_only_disk(struct scratch *p)
{
	int ret = write_image(p->image, false, 1, &p->err);

	if (ret != -EROFS || !strstr(p->err.hint, "-o"))
		return fprintf(stderr, "%d %s (%s)\n", ret, p->err.msg, p->err.hint), 2;
	return 0;
}

static void a_full_disk_leaves_nothing(void **state)
{
	on_tmpfs(*state, "size=2m", 0, full_disk);
}

static void a_nearly_full_disk_leaves_nothing(void **state)
{
	on_tmpfs(*state, "size=16k", 0, nearly_full_disk);
}

static void a_read_only_disk_is_explained(void **state)
{
	on_tmpfs(*state, NULL, MS_RDONLY, read_only_disk);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void refuse_open(struct scratch *p, const char *path, int code, const char *word)
{
	struct image img = { .dirfd = 1234 };
	int ret = image_open(path, &img, &p->err);

	if (ret != -code || !strstr(p->err.msg, word) || !p->err.hint[0])
		fail_msg("%s: %d, %s (%s)", path, ret, p->err.msg, p->err.hint);
	assert_int_equal(img.dirfd, 1234);
}

static void what_is_not_an_image_is_refused(void **state)
{
	struct scratch *p = *state;
	char path[200];

	refuse_open(p, p->image, ENOENT, "open the image");
	touch(p->image);
	refuse_open(p, p->image, ENOTDIR, "open the image");
	unlink(p->image);
	mkdir(p->image, 0700);
	refuse_open(p, p->image, ENOENT, "inventory");
	assert_non_null(strstr(p->err.hint, "not an image"));
	touch(file_of(p, "inventory"));
	refuse_open(p, p->image, EBADMSG, "inventory");
	unlink(file_of(p, "inventory"));
	assert_int_equal(mkfifo(file_of(p, "inventory"), 0600), 0);
	refuse_open(p, p->image, EBADMSG, "regular");
	must_write((unlink(file_of(p, "inventory")), rmdir(p->image), p), 1);
	snprintf(path, sizeof path, "%s/link", p->dir);
	assert_int_equal(symlink("image", path), 0);
	refuse_open(p, path, ENOTDIR, "open the image");
	assert_non_null(strstr(p->err.hint, "symbolic link"));
}

static void files_of_others_are_refused(void **state)
{
	struct scratch *p = *state;
	struct image img;

	must_write(p, 1);
	for (unsigned i = 0; i <= IMAGE_NR_FILES; i++) {
		const char *name = i < IMAGE_NR_FILES ? image_file_names[i] : ".";

		assert_int_equal(chmod(file_of(p, name), 0720), 0);
		refuse_open(p, p->image, EPERM, "others may write");
		assert_int_equal(chmod(file_of(p, name), 0702), 0);
		refuse_open(p, p->image, EPERM, "others may write");
		assert_int_equal(chmod(file_of(p, name), 0755), 0);
		assert_int_equal(image_open(p->image, &img, &p->err), 0);
		image_close(&img);
		if (geteuid() != 0)
			continue;
		assert_int_equal(chown(file_of(p, name), 4321, 0), 0);
		refuse_open(p, p->image, EPERM, "user 4321");
		assert_int_equal(chown(file_of(p, name), 0, 0), 0);
	}
}

static void links_are_not_followed(void **state)
{
	struct scratch *p = *state;
	char elsewhere[200];

	must_write(p, 1);
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		snprintf(elsewhere, sizeof elsewhere, "%s/%s", p->dir, image_file_names[i]);
		assert_int_equal(rename(file_of(p, image_file_names[i]), elsewhere), 0);
		assert_int_equal(symlink(elsewhere, file_of(p, image_file_names[i])), 0);
		assert_int_equal(image_open(p->image, &(struct image){ 0 }, &p->err), -ELOOP);
		assert_int_equal(rename(elsewhere, file_of(p, image_file_names[i])), 0);
	}
}

static void swapped_and_missing_files_are_found(void **state)
{
	struct scratch *p = *state;
	char other[200], from[300], to[300], keep[300];
	const char *second = "other";

	must_write(p, 1);
	snprintf(other, sizeof other, "%s/%s", p->dir, second);
	assert_int_equal(write_image(other, false, 2, &p->err), 0);
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		snprintf(from, sizeof from, "%s/%s", other, image_file_names[i]);
		snprintf(to, sizeof to, "%s/%s", p->image, image_file_names[i]);
		snprintf(keep, sizeof keep, "%s/keep", p->dir);
		assert_int_equal(rename(to, keep), 0);
		assert_int_equal(image_verify(p->image, NULL, &p->err), -ENOENT);
		assert_non_null(strstr(p->err.msg, image_file_names[i]));
		assert_int_equal(rename(from, to), 0);
		assert_int_equal(image_verify(p->image, NULL, &p->err), -EBADMSG);
		assert_non_null(strstr(p->err.hint, "damaged"));
		assert_int_equal(rename(to, from), 0);
		assert_int_equal(rename(keep, to), 0);
		assert_int_equal(image_verify(p->image, NULL, &p->err), 0);
	}
}

/* Another version, with digests that are right. */
static void set_version(struct scratch *p, uint32_t major, uint32_t minor)
{
	OWNED_FD fd = open(file_of(p, "inventory"), O_RDWR | O_CLOEXEC);
	struct buf bytes = BUF_EMPTY;
	struct inventory inv;
	char old[4096];
	ssize_t len = read(fd, old, sizeof old);

	assert_true(len > 0);
	assert_int_equal(inventory_parse(old, (size_t)len, &inv, &p->err), 0);
	inv.major = major;
	inv.minor = minor;
	inventory_pack(&inv, &bytes);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes.data, bytes.len, 0), bytes.len);
	buf_finish(&bytes);
}

static void other_versions_are_refused(void **state)
{
	struct scratch *p = *state;

	must_write(p, 1);
	set_version(p, IMAGE_MAJOR, IMAGE_MINOR + 1);
	refuse_open(p, p->image, ENOTSUP, "format 1.4");
	must_write(p, 1);
	set_version(p, IMAGE_MAJOR + 1, 0);
	refuse_open(p, p->image, ENOTSUP, "format 2.0");
	must_write(p, 1);
	set_version(p, 0, 0);
	refuse_open(p, p->image, ENOTSUP, "format 0.0");
}

/* verify reads what open does not: the pages. */
static void verify_reads_every_frame(void **state)
{
	struct scratch *p = *state;
	struct image img;
	uint8_t byte;
	int fd;

	must_write(p, 1);
	fd = open(file_of(p, "pages"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &byte, 1, 9), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, 9), 1);
	close(fd);
	assert_int_equal(image_open(p->image, &img, &p->err), 0);
	image_close(&img);
	assert_int_equal(image_verify(p->image, NULL, &p->err), -EBADMSG);
	assert_non_null(strstr(p->err.msg, "pages: frame 0: its checksum"));
	assert_non_null(strstr(p->err.hint, "damaged"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_image_is_written_and_read),
		TEST(closing_a_zeroed_image_is_fine),
		TEST(slashes_at_the_end_are_fine),
		TEST(an_image_is_replaced_only_with_force),
		TEST(nothing_else_is_ever_replaced),
		TEST(impossible_places_are_explained),
		TEST(a_long_name_is_fine),
		TEST(what_comes_during_the_dump_is_kept),
		TEST(without_commit_nothing_stays),
		TEST(what_could_not_be_read_is_not_written),
		TEST(a_directory_that_cannot_be_used_goes),
		TEST(leftovers_of_the_dead_are_removed),
		TEST(a_full_disk_leaves_nothing),
		TEST(a_nearly_full_disk_leaves_nothing),
		TEST(a_read_only_disk_is_explained),
		TEST(what_is_not_an_image_is_refused),
		TEST(files_of_others_are_refused),
		TEST(links_are_not_followed),
		TEST(swapped_and_missing_files_are_found),
		TEST(other_versions_are_refused),
		TEST(verify_reads_every_frame),
	};

	return cmocka_run_group_tests_name("images_image", tests, NULL, NULL);
}
