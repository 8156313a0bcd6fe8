/* Locks that several processes of a tree hold and wait for. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lock(int fd, int command, short type, off_t start, off_t len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, command, &lock);
}

/* Who has a lock that stands in the way of writing at start? 0: nobody, -1: an open file. */
static pid_t holder(int fd, off_t start)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = start, .l_len = 1 };

	must(fcntl(fd, F_GETLK, &lock));
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

static void kid_posix(void *arg)
{
	int fd = *(int *)arg;

	must(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	must(lock(fd, F_SETLK, F_RDLCK, 40, 0));
	kid_wait();
	expect(holder(fd, 0) == getppid(), "the parent's lock");
}

static void kid_posix_only(void *arg)
{
	int fd = *(int *)arg;

	must(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	kid_wait();
	expect(holder(fd, 15) == 0, "a lock of the parent");
}

static void treelock_posix(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);
	pid_t pid;

	must(lock(fd, F_SETLK, F_WRLCK, 0, 5));
	pid = kid(kid_posix, &fd);
	target_wait();
	expect(holder(fd, 15) == pid && holder(fd, 45) == pid, "the child's locks");
	expect(holder(fd, 25) == 0, "a lock that nobody has");
	must(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	expect(holder(fd, 15) == pid, "the child's lock went with ours");
	must(lock(fd, F_SETLK, F_WRLCK, 0, 5));
	kids_check();
	expect(holder(fd, 15) == 0, "a lock outlives the child");
}

static void kid_flock_own(void *arg)
{
	int fd = (int)must(open("locked", O_RDONLY)), shared = *(int *)arg;

	expect(flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "before");
	kid_wait();
	expect(flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "the lock is gone");
	must(flock(shared, LOCK_UN));
	must(flock(fd, LOCK_EX | LOCK_NB));
}

/* One flock for parent and child: the child unlocks it. */
static void treelock_flock(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);

	must(flock(fd, LOCK_EX));
	kid(kid_flock_own, &fd);
	target_wait();
	kids_check();
	must(flock(fd, LOCK_EX | LOCK_NB));
}

static void kid_flock_alone(void *arg)
{
	int fd = (int)must(open("locked", O_RDONLY));

	(void)arg;
	must(flock(fd, LOCK_SH));
	kid_wait();
}

/* Only the children have it. */
static void treelock_flock_kids(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);

	kid(kid_flock_alone, NULL);
	kid(kid_flock_alone, NULL);
	target_wait();
	expect(flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "the locks are gone");
	must(flock(fd, LOCK_SH | LOCK_NB));
	kids_check();
	must(flock(fd, LOCK_EX | LOCK_NB));
}

static void kid_ofd(void *arg)
{
	int fd = (int)must(open("locked", O_RDWR));

	(void)arg;
	must(lock(fd, F_OFD_SETLK, F_WRLCK, 20, 10));
	kid_wait();
	expect(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10) == -1, "the parent's lock");
}

static void treelock_ofd(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);

	must(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	kid(kid_ofd, NULL);
	target_wait();
	expect(holder(fd, 25) == -1, "the child's lock");
	kids_check();
	expect(holder(fd, 25) == 0, "a lock outlives the child");
}

static void waits_posix(void *arg)
{
	int fd = *(int *)arg;

	kid_ready();
	must(lock(fd, F_SETLKW, F_WRLCK, 0, 5));
}

static void waits_flock(void *arg)
{
	int fd = (int)must(open("locked", O_RDONLY));

	(void)arg;
	kid_ready();
	must(flock(fd, LOCK_EX));
}

/* Children blocked on locks of their parent. */
static void treelock_waits(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);
	pid_t posix, bsd;

	must(lock(fd, F_SETLK, F_WRLCK, 0, 5));
	must(flock(fd, LOCK_EX));
	posix = kid(waits_posix, &fd);
	bsd = kid(waits_flock, &fd);
	process_waits_in(posix, SYS_fcntl);
	process_waits_in(bsd, SYS_flock);
	target_wait();
	must(lock(fd, F_SETLK, F_UNLCK, 0, 5));
	must(flock(fd, LOCK_UN));
	kid_reap(posix, 0);
	kid_reap(bsd, 0);
}

static volatile sig_atomic_t nr_broken;

static void count_broken(int signal)
{
	(void)signal;
	nr_broken++;
}

static void kid_lease(void *arg)
{
	int fd = (int)must(open("leased", O_RDONLY));

	(void)arg;
	must(sigaction(SIGIO,
		&(struct sigaction){ .sa_handler = count_broken, .sa_flags = SA_RESTART }, NULL));
	must(fcntl(fd, F_SETLEASE, F_RDLCK));
	kid_wait();
	expect(fcntl(fd, F_GETLEASE) == F_RDLCK || nr_broken == 1, "lease");
	expect(nr_broken == 1, "%d signals", nr_broken);
	must(fcntl(fd, F_SETLEASE, F_UNLCK));
}

static void treelock_lease(void)
{
	close(file_make("leased", 100, 1, O_RDONLY));
	kid(kid_lease, NULL);
	target_wait();
	expect(open("leased", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK, "no lease");
	kids_check();
}

/* The parent has the file open, but no lock on it. */
static void treelock_kids_only(void)
{
	int fd = file_make("locked", 100, 1, O_RDWR);
	pid_t pid = kid(kid_posix_only, &fd);

	target_wait();
	expect(holder(fd, 15) == pid, "the lock is %d's", holder(fd, 15));
	kids_check();
	expect(holder(fd, 15) == 0, "a lock outlives the child");
}

const struct target targets_tree_lock[] = {
	{ "treelock_posix", treelock_posix, "POSIX locks of two processes", 0 },
	{ "treelock_kids_only", treelock_kids_only, "a POSIX lock of a child alone", 0 },
	{ "treelock_flock", treelock_flock, "one flock for both", 0 },
	{ "treelock_flock_kids", treelock_flock_kids, "flocks of the children", 0 },
	{ "treelock_ofd", treelock_ofd, "locks of open files", 0 },
	{ "treelock_waits", treelock_waits, "blocked on a lock of the parent", 0 },
	{ "treelock_lease", treelock_lease, "a lease of the child", 0 },
	{ NULL, NULL, NULL, 0 },
};
