/* Locks: flock(2), POSIX, open file description, leases. A child process tells what others see. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child; true if it said so. */
static bool child_says(bool (*fn)(void))
{
	int status = 0;

	if (must(fork()) == 0)
		_exit(fn() ? 0 : 1);
	must(wait(&status));
	return status == 0;
}

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};
}

static void set_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = range(type, start, len);

	must(fcntl(fd, cmd, &lock));
}

static bool flock_is_busy(void)
{
	int fd = (int)must(open("data", O_RDWR));

	return flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK;
}

static void lock_flock(void)
{
	int fd = file_make("data", 10, 1, O_RDWR), shared = file_make("shared", 10, 1, O_RDONLY);

	must(flock(fd, LOCK_EX));
	must(flock(shared, LOCK_SH));
	target_wait();
	expect(child_says(flock_is_busy), "the lock is gone");
	must(flock(fd, LOCK_UN));
	expect(!child_says(flock_is_busy), "the lock was not this descriptor's");
	shared = (int)must(open("shared", O_RDONLY));
	must(flock(shared, LOCK_SH | LOCK_NB));
	expect(flock(shared, LOCK_EX | LOCK_NB) == -1, "the shared lock is gone");
}

static bool is_locked(int cmd, short type, off_t at)
{
	struct flock lock = range(type, at, 1);
	int fd = (int)must(open("data", O_RDWR));

	must(fcntl(fd, cmd, &lock));
	close(fd);
	return lock.l_type != F_UNLCK;
}

static bool posix_locks_stand(void)
{
	return is_locked(F_GETLK, F_RDLCK, 15) && !is_locked(F_GETLK, F_RDLCK, 5) &&
	       !is_locked(F_GETLK, F_RDLCK, 20) && is_locked(F_GETLK, F_WRLCK, 105) &&
	       !is_locked(F_GETLK, F_RDLCK, 105) && is_locked(F_GETLK, F_RDLCK, 1l << 40);
}

static void lock_posix(void)
{
	int fd = file_make("data", 10, 1, O_RDWR);

	set_lock(fd, F_SETLK, F_WRLCK, 10, 10);
	set_lock(fd, F_SETLK, F_RDLCK, 100, 10);
	set_lock(fd, F_SETLK, F_WRLCK, 1000, 0);
	target_wait();
	expect(child_says(posix_locks_stand), "not the same locks");
	set_lock(fd, F_SETLK, F_UNLCK, 0, 0);
	expect(!child_says(posix_locks_stand), "not the owner of the locks");
}

static void lock_ofd(void)
{
	int fd = file_make("data", 10, 1, O_RDWR), other = (int)must(open("data", O_RDWR));

	set_lock(fd, F_OFD_SETLK, F_WRLCK, 10, 10);
	set_lock(other, F_OFD_SETLK, F_WRLCK, 30, 5);
	target_wait();
	expect(is_locked(F_OFD_GETLK, F_RDLCK, 15) && !is_locked(F_OFD_GETLK, F_RDLCK, 20),
		"first lock");
	expect(is_locked(F_OFD_GETLK, F_RDLCK, 32), "second lock");
	close(fd);
	expect(!is_locked(F_OFD_GETLK, F_RDLCK, 15) && is_locked(F_OFD_GETLK, F_RDLCK, 32),
		"locks of the wrong descriptor");
}

static void lock_lease(void)
{
	int fd = file_make("data", 10, 1, O_RDONLY);

	must(fcntl(fd, F_SETLEASE, F_RDLCK));
	target_wait();
	expect(fcntl(fd, F_GETLEASE) == F_RDLCK, "lease %d", fcntl(fd, F_GETLEASE));
}

/* On a file that was deleted. */
static void lock_deleted(void)
{
	int fd = file_make("data", 10, 1, O_RDWR), other = (int)must(open("data", O_RDWR));

	must(flock(fd, LOCK_EX));
	must(unlink("data"));
	target_wait();
	expect(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "the lock is gone");
	close(fd);
	must(flock(other, LOCK_EX | LOCK_NB));
}

/* The mapping keeps the open file, and with it the lock. */
static void lock_mapped(void)
{
	int fd = file_make("data", PAGE, 1, O_RDWR);
	char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	expect(map != MAP_FAILED, "mmap");
	must(flock(fd, LOCK_EX));
	close(fd);
	target_wait();
	expect(pattern_is(map, PAGE, 1), "contents");
	expect(child_says(flock_is_busy), "the lock is gone");
	must(munmap(map, PAGE));
	expect(!child_says(flock_is_busy), "the lock was not the mapping's");
}

/* Of a child that has the same open file: only the child's fdinfo shows them. */
static void lock_child(void)
{
	int fd = file_make("data", 10, 1, O_RDWR), ready[2], go[2], status;
	pid_t child;
	char byte;

	must(pipe(ready));
	must(pipe(go));
	set_lock(fd, F_SETLK, F_WRLCK, 100, 10);
	child = (pid_t)must(fork());
	if (child == 0) {
		close(go[1]);
		set_lock(fd, F_SETLK, F_WRLCK, 10, 10);
		must(write(ready[1], "x", 1));
		_exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(go[0]);
	must(read(ready[0], &byte, 1));
	target_wait();
	expect(is_locked(F_GETLK, F_RDLCK, 15), "the child's lock is gone, or ours");
	expect(!is_locked(F_GETLK, F_RDLCK, 105), "our lock is the child's");
	close(go[1]);
	must(waitpid(child, &status, 0));
	expect(status == 0, "status %x", status);
	expect(!is_locked(F_GETLK, F_RDLCK, 15), "the lock was not the child's");
}

/* dnotify: what was asked for cannot be seen. */
static void lock_notify(void)
{
	int fd = (int)must(open(".", O_RDONLY | O_DIRECTORY));

	if (fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) < 0)
		target_skip("F_NOTIFY");
	signal(SIGIO, SIG_IGN);
	target_wait();
	expect(fcntl(fd, F_GETOWN) == getpid(), "owner");
}

const struct target targets_fd_lock[] = {
	{ "lock_flock", lock_flock, "flock exclusive and shared", 0 },
	{ "lock_posix", lock_posix, "POSIX record locks", 0 },
	{ "lock_ofd", lock_ofd, "open file description locks", 0 },
	{ "lock_lease", lock_lease, "a lease", 0 },
	{ "lock_deleted", lock_deleted, "flock on a deleted file", 0 },
	{ "lock_mapped", lock_mapped, "flock held by a mapping alone", 0 },
	{ "lock_child", lock_child, "POSIX locks of a child through a shared descriptor", 0 },
	{ "lock_notify", lock_notify, "a directory watched with F_NOTIFY", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
