/* Locks: flock(2), POSIX, open file description, leases. A child process tells what others see. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
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

const struct target targets_fd_lock[] = {
	{ "lock_flock", lock_flock, "flock exclusive and shared", 0 },
	{ "lock_posix", lock_posix, "POSIX record locks", 0 },
	{ "lock_ofd", lock_ofd, "open file description locks", 0 },
	{ "lock_lease", lock_lease, "a lease", TARGET_EITHER },
	{ "lock_deleted", lock_deleted, "flock on a deleted file", TARGET_EITHER },
	{ NULL, NULL, NULL, 0 },
};
