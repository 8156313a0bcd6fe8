/* States that only an ordinary user can get stuck in: root may open and read everything. */
#include "target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* gunicorn's workers do that: removed, and its mode is a sign of life. */
static void user_unreadable(void)
{
	int a = file_make("gone", 5000, 7, O_RDWR), b = (int)must(open("gone", O_RDONLY));
	struct stat st;
	char contents[4999], byte;

	must(unlink("gone"));
	must(lseek(a, 4321, SEEK_SET));
	must(fchmod(a, 0));
	target_wait();
	must(fstat(a, &st));
	expect((st.st_mode & 07777) == 0 && st.st_size == 5000, "mode %o", st.st_mode);
	expect(lseek(a, 0, SEEK_CUR) == 4321 && lseek(b, 0, SEEK_CUR) == 0, "positions");
	must(pwrite(a, "x", 1, 4999));
	expect(pread(b, &byte, 1, 4999) == 1 && byte == 'x', "one file");
	must(pread(b, contents, sizeof contents, 0));
	expect(pattern_is(contents, sizeof contents, 7), "contents");
}

static void user_write_only(void)
{
	int fd = file_make("gone", 5000, 7, O_WRONLY);

	must(unlink("gone"));
	must(fchmod(fd, 0));
	target_wait();
	must(pwrite(fd, "x", 1, 0));
}

const struct target targets_user[] = {
	{ "user_unreadable", user_unreadable, "a removed file that its owner may not open", 0 },
	{ "user_write_only", user_write_only, "the same, open for writing only", 0 },
	{ NULL, NULL, NULL, 0 },
};
