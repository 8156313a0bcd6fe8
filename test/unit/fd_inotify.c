/* inotify: watches with the same numbers, found by handle and by search. */
#include <errno.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "images/fd/inode_path.h"
#include "images/fd/inotify_queue.h"
#include "test/unit/fd_fake.h"

static char dir[] = "/tmp/snapctl-fd-inotify-XXXXXX";

static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void file_make(const char *name)
{
	int fd = open(below(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || mkdir(below("sub"), 0700) < 0)
		return -1;
	file_make("file");
	file_make("sub/deep");
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(below("sub/deep"));
	unlink(below("file"));
	rmdir(below("sub"));
	return rmdir(dir);
}

/*
 * The search begins at what the dump knows: let it know the directory, as it would a working one.
 */
static struct fake *fake_in_dir(void)
{
	struct fake *f = fake_create();

	snap_add_file(f->snap)->path = arena_strdup(f->snap->arena, dir);
	return f;
}

static int queued(int fd)
{
	int len = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &len), 0);
	return len;
}

static int watch(int fd, const char *name, uint32_t mask)
{
	int wd = inotify_add_watch(fd, *name ? below(name) : dir, mask);

	assert_true(wd > 0);
	return wd;
}

static void round_trip(struct fake *f, int fd)
{
	struct arena *arena = arena_create();
	char *before;

	fake_save(f, fd, &fd_inotify);
	before = fake_canonical(fake_fdinfo(fd, arena), arena);
	fake_carry(f);
	fake_make(f);
	assert_string_equal(fake_canonical(fake_fdinfo(fd, arena), arena), before);
	assert_int_equal(queued(fd), 0);
	arena_destroy(arena);
}

static void watches_survive(void **state)
{
	char buf[512] __attribute__((aligned(8)));
	struct inotify_event *event = (struct inotify_event *)buf;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), wd;
	struct fake *f = fake_in_dir();

	(void)state;
	watch(fd, "", IN_CREATE | IN_EXCL_UNLINK);
	wd = watch(fd, "sub/deep", IN_ATTRIB | IN_ONESHOT);
	round_trip(f, fd);
	assert_int_equal(chmod(below("sub/deep"), 0640), 0);
	assert_true(read(fd, buf, sizeof buf) >= (ssize_t)sizeof *event);
	assert_int_equal(event->wd, wd);
	assert_int_equal(event->mask, IN_ATTRIB);
	fake_destroy(f);
}

static void numbers_with_gaps_survive(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), wd = 0;
	struct fake *f = fake_in_dir();
	char drained[4096];

	(void)state;
	watch(fd, "file", IN_MODIFY);
	/* Used up and given back; IN_IGNORED is queued for each. */
	while (wd < 5000) {
		wd = watch(fd, "sub", IN_CREATE);
		inotify_rm_watch(fd, wd);
		if (queued(fd) > 2000)
			assert_true(read(fd, drained, sizeof drained) > 0);
	}
	wd = watch(fd, "sub", IN_CREATE);
	watch(fd, "", IN_DELETE);
	while (queued(fd) > 0)
		assert_true(read(fd, drained, sizeof drained) > 0);
	round_trip(f, fd);
	assert_int_equal(watch(fd, "sub", IN_CREATE), wd);
	fake_destroy(f);
}

static void nothing_watched(void **state)
{
	struct fake *f = fake_in_dir();

	(void)state;
	round_trip(f, inotify_init1(IN_CLOEXEC));
	assert_string_equal(
		fd_inotify.describe(f->snap, &f->snap->ofds[0], f->snap->arena), "watches nothing");
	fake_destroy(f);
}

static void a_link_is_not_followed(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_in_dir();

	(void)state;
	assert_int_equal(symlink("file", below("link")), 0);
	watch(fd, "link", IN_DELETE_SELF | IN_DONT_FOLLOW);
	round_trip(f, fd);
	assert_string_equal(fd_inotify.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		arena_printf(f->snap->arena, "watches %s", below("link")));
	unlink(below("link"));
	fake_destroy(f);
}

/* ---- finding paths -------------------------------------------------------------------------- */

static void expect_found(const struct snap *snap, const char *name, bool found)
{
	struct inode_path wanted = { 0 };
	struct stat st;

	assert_int_equal(lstat(below(name), &st), 0);
	wanted.dev = st.st_dev;
	wanted.ino = st.st_ino;
	inode_paths_find(snap, &wanted, 1);
	if (!found) {
		assert_null(wanted.path);
		return;
	}
	assert_non_null(wanted.path);
	assert_string_equal(wanted.path, below(name));
}

static void search_without_handles(void **state)
{
	struct snap *snap = snap_create();

	(void)state;
	expect_found(snap, "file", false);
	snap_add_file(snap)->path = arena_strdup(snap->arena, below("file"));
	expect_found(snap, "file", true);
	/* Beside a known file, and below that. */
	expect_found(snap, "sub", true);
	expect_found(snap, "sub/deep", true);
	snap_destroy(snap);
}

static void search_finds_several_at_once(void **state)
{
	struct snap *snap = snap_create();
	const char *const names[] = { "sub/deep", "sub", "file" };
	struct inode_path wanted[4] = { 0 };
	struct stat st;

	(void)state;
	snap_add_file(snap)->path = arena_strdup(snap->arena, below("file"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lstat(below(names[i]), &st), 0);
		wanted[i].dev = st.st_dev;
		wanted[i].ino = st.st_ino;
	}
	/* One that is wanted twice. */
	wanted[3] = wanted[0];
	inode_paths_find(snap, wanted, 4);
	assert_string_equal(wanted[0].path, below("sub/deep"));
	assert_string_equal(wanted[1].path, below("sub"));
	assert_string_equal(wanted[2].path, below("file"));
	assert_string_equal(wanted[3].path, below("sub/deep"));
	snap_destroy(snap);
}

/* ---- events that nobody has read ------------------------------------------------------------ */

static void expect_event(int fd, int wd, uint32_t mask, const char *name, uint32_t *cookie)
{
	char buf[sizeof(struct inotify_event) + 256] __attribute__((aligned(8)));
	struct inotify_event *event = (struct inotify_event *)buf;
	size_t len = name ? (strlen(name) / 16 + 1) * 16 : 0;

	/* As little room as one takes. */
	assert_int_equal(read(fd, buf, sizeof *event + len), (ssize_t)(sizeof *event + len));
	assert_int_equal(event->wd, wd);
	assert_int_equal(event->mask, mask);
	if (name)
		assert_string_equal(event->name, name);
	if (cookie)
		*cookie = event->cookie;
}

static void expect_events(int fd)
{
	uint32_t from = 0, to = 0;

	expect_event(fd, 1, IN_CREATE, "new", NULL);
	expect_event(fd, 1, IN_ATTRIB, "new", NULL);
	expect_event(fd, 1, IN_MOVED_FROM, "new", &from);
	expect_event(fd, 2, IN_MOVED_TO, "old", &to);
	assert_int_not_equal(from, 0);
	assert_int_equal(from, to);
	expect_event(fd, 2, IN_DELETE, "old", NULL);
	expect_event(fd, 3, IN_IGNORED, NULL, NULL);
	expect_event(fd, 1, IN_CREATE | IN_ISDIR, "dir", NULL);
	expect_event(fd, 1, IN_DELETE | IN_ISDIR, "dir", NULL);
	assert_int_equal(queued(fd), 0);
}

static char *join(struct fake *f, const char *name)
{
	return arena_strdup(f->snap->arena, below(name));
}

static void queue_some(struct fake *f, int fd)
{
	char *new = join(f, "new"), *old = join(f, "sub/old"), *sub = join(f, "dir");
	int file, third;

	watch(fd, "", IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MOVE);
	watch(fd, "sub", IN_DELETE | IN_MOVE);
	third = watch(fd, "sub/deep", IN_MODIFY);
	file = open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(fchmod(file, 0644), 0);
	close(file);
	assert_int_equal(rename(new, old), 0);
	assert_int_equal(unlink(old), 0);
	assert_int_equal(inotify_rm_watch(fd, third), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(rmdir(sub), 0);
}

static void queued_events_survive(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), len;
	struct fake *f = fake_in_dir();

	(void)state;
	queue_some(f, fd);
	len = queued(fd);
	fake_save(f, fd, &fd_inotify);
	fake_carry(f);
	/* Still there for the program, which may go on. */
	assert_int_equal(queued(fd), len);
	expect_events(fd);
	assert_int_equal(watch(fd, "sub/deep", IN_MODIFY), 4);
	inotify_rm_watch(fd, 4);
	fake_make(f);
	assert_int_equal(queued(fd), len);
	expect_events(fd);
	assert_int_equal(watch(fd, "sub/deep", IN_MODIFY), 4);
	fake_destroy(f);
}

/* In a user namespace with room for so many watches. */
static bool watches_limit(const char *nr)
{
	int fd = unshare(CLONE_NEWUSER) < 0
			 ? -1
			 : open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, nr, strlen(nr)) > 0;

	close(fd);
	return done;
}

static _Noreturn void save_without_room(void)
{
	struct fake *f = fake_in_dir();
	int fd, len, ret;

	if (!watches_limit("1"))
		_exit(77);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	watch(fd, "", IN_CREATE | IN_DELETE);
	file_make("new");
	unlink(below("new"));
	len = queued(fd);
	ret = fake_try_save(f, fd) < 0 ? -1 : fake_try_save_links(f);
	if (ret < 0)
		fprintf(stderr, "# %s; %s\n", f->err.msg, f->err.hint);
	_exit(ret < 0 && strstr(f->err.hint, "max_user_watches") && queued(fd) == len ? 0 : 1);
}

/* The queue is read and made again with more watches than the program's own. */
static void no_watches_are_left(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		save_without_room();
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* That we have looked at a file is no event of the program's. */
static void our_reading_is_left_out(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_in_dir();
	char byte;

	(void)state;
	watch(fd, "file", IN_ALL_EVENTS);
	assert_int_equal(chmod(below("file"), 0640), 0);
	fake_save(f, fd, &fd_inotify);
	for (int i = 0; i < 2; i++) {
		int file = open(below("file"), O_RDONLY | O_CLOEXEC);

		assert_true(read(file, &byte, 1) >= 0);
		close(file);
	}
	assert_int_equal(chmod(below("file"), 0600), 0);
	fake_carry(f);
	fake_make(f);
	expect_event(fd, 1, IN_ATTRIB, NULL, NULL);
	assert_int_equal(queued(fd), 0);
	fake_destroy(f);
}

static void events_that_nothing_makes(void **state)
{
	static const struct inotify_saved bad[] = {
		{ 1, 0, 0, NULL },
		{ 0, IN_OPEN, 0, NULL },
		{ -1, IN_OPEN, 0, NULL },
		{ 1, IN_Q_OVERFLOW, 0, NULL },
		{ -1, IN_Q_OVERFLOW, 0, "x" },
		{ 1, IN_OPEN | IN_CREATE, 0, "x" },
		{ 1, IN_CREATE, 0, NULL },
		{ 1, IN_IGNORED, 0, "x" },
		{ 1, IN_CREATE, 0, "a/b" },
		{ 1, IN_CREATE, 0, ".." },
		{ 1, IN_CREATE, 0, "" },
		{ 1, 1u << 25, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(inotify_saved_valid(&bad[i]));
}

static void damaged_events(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_in_dir();
	Pb__Ofd *msg;

	(void)state;
	queue_some(f, fd);
	fake_save(f, fd, &fd_inotify);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->inotify->events[0]->name.data[1] = '/';
	fake_expect_bad(f, &fd_inotify, msg, "event 0x100");
	msg = fake_message(f, 0);
	msg->inotify->events[0]->name.data[1] = '\0';
	fake_expect_bad(f, &fd_inotify, msg, "event 0x100");
	msg = fake_message(f, 0);
	msg->inotify->events[0]->wd = -7;
	fake_expect_bad(f, &fd_inotify, msg, "watch descriptor -7");
	msg = fake_message(f, 0);
	msg->inotify->next_wd = -7;
	fake_expect_bad(f, &fd_inotify, msg, "next watch descriptor -7");
	fake_destroy(f);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void unknown_inode_is_refused(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_create();

	(void)state;
	watch(fd, "file", IN_ATTRIB);
	fake_save(f, fd, &fd_inotify);
	/* As the kernel shows it where file systems have no handles. */
	*strstr((char *)(uintptr_t)f->seen[0].fdinfo, "fhandle-bytes") = '\n';
	fake_expect_words(f, fake_try_save_links(f), ENOTSUP, "no path of it could be found");
	fake_destroy(f);
}

static void very_high_numbers(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_in_dir();

	(void)state;
	watch(fd, "file", IN_ATTRIB);
	fake_save(f, fd, &fd_inotify);
	f->seen[0].fdinfo = arena_printf(f->snap->arena, "inotify wd:fffffff%s",
		strstr(strstr(fake_fdinfo(fd, f->snap->arena), "inotify wd:1"), " ino"));
	if (fake_try_save_links(f) < 0) { /* a kernel without INOTIFY_IOC_SETNEXTWD */
		fake_expect_words(f, -f->err.code, ENOTSUP, "too high");
	} else {
		fake_carry(f);
		fake_make(f);
		assert_non_null(strstr(fake_fdinfo(fd, f->snap->arena), "inotify wd:fffffff "));
	}
	fake_destroy(f);
}

static void gone_at_restore(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct fake *f = fake_in_dir();

	(void)state;
	file_make("passing");
	watch(fd, "passing", IN_ATTRIB);
	fake_save(f, fd, &fd_inotify);
	fake_carry(f);
	unlink(below("passing"));
	fake_expect_words(f, fake_try_make(f), ENOENT, "/passing");
	fake_destroy(f);
}

/* Its name is gone, and it is open: found by that, watched by that. */
static void deleted_file_that_is_open(void **state)
{
	struct fake *f = fake_in_dir();
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), file;
	struct inotify_event event;

	(void)state;
	file_make("gone");
	file = open(below("gone"), O_RDWR | O_CLOEXEC);
	watch(fd, "gone", IN_MODIFY);
	assert_int_equal(unlink(below("gone")), 0);
	fake_add(f, file);
	fake_add(f, fd);
	fake_save(f, file, &fd_reg);
	fake_save(f, fd, &fd_inotify);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(write(file, "x", 1), 1);
	assert_int_equal(read(fd, &event, sizeof event), (ssize_t)sizeof event);
	assert_int_equal(event.wd, 1);
	assert_int_equal(event.mask, IN_MODIFY);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_in_dir();
	int fd = inotify_init1(IN_CLOEXEC);
	Pb__Ofd *msg;

	(void)state;
	watch(fd, "file", IN_ATTRIB);
	watch(fd, "sub", IN_ATTRIB);
	fake_save(f, fd, &fd_inotify);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->inotify->watches[1]->wd = 1;
	fake_expect_bad(f, &fd_inotify, msg, "watch descriptor 1 after 1");
	msg = fake_message(f, 0);
	msg->inotify->watches[1]->wd = -5;
	fake_expect_bad(f, &fd_inotify, msg, "after 1");
	msg = fake_message(f, 0);
	msg->inotify->watches[0]->has_ofd = true;
	msg->inotify->watches[0]->ofd = 9;
	fake_expect_bad(f, &fd_inotify, msg, "does not exist");
	msg = fake_message(f, 0);
	msg->inotify->watches[0]->path.data[0] = '.';
	fake_expect_bad(f, &fd_inotify, msg, "absolute");
	msg = fake_message(f, 0);
	pb__inotify_fd__free_unpacked(msg->inotify, NULL);
	msg->inotify = NULL;
	fake_expect_bad(f, &fd_inotify, msg, "missing");
	/* Twice the same file cannot have two numbers: an error, not an endless loop. */
	msg = fake_message(f, 0);
	free(msg->inotify->watches[1]->path.data);
	msg->inotify->watches[1]->path.len = msg->inotify->watches[0]->path.len;
	msg->inotify->watches[1]->path.data = malloc(msg->inotify->watches[0]->path.len);
	memcpy(msg->inotify->watches[1]->path.data, msg->inotify->watches[0]->path.data,
		msg->inotify->watches[0]->path.len);
	assert_int_equal(fd_inotify.unpack(f->snap, msg, &f->snap->ofds[0], &f->err), 0);
	pb__ofd__free_unpacked(msg, NULL);
	assert_int_equal(fd_inotify.make(&f->make, &f->snap->ofds[0], &f->made[0], &f->err), 0);
	fake_expect_words(f, fd_inotify.make_link(&f->make, &f->snap->ofds[0], f->made[0], &f->err),
		EEXIST, "watched already");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watches_survive),
		cmocka_unit_test(numbers_with_gaps_survive),
		cmocka_unit_test(nothing_watched),
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(search_without_handles),
		cmocka_unit_test(search_finds_several_at_once),
		cmocka_unit_test(queued_events_survive),
		cmocka_unit_test(our_reading_is_left_out),
		cmocka_unit_test(no_watches_are_left),
		cmocka_unit_test(events_that_nothing_makes),
		cmocka_unit_test(damaged_events),
		cmocka_unit_test(unknown_inode_is_refused),
		cmocka_unit_test(very_high_numbers),
		cmocka_unit_test(deleted_file_that_is_open),
		cmocka_unit_test(gone_at_restore),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
