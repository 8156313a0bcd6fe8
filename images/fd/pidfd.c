/*
 * pidfd_open(2) of a process inside the dump. Descriptors are made before there are other processes
 * than the first: until those are born, one of the first process keeps the place (pidfd.h).
 */
#include "images/fd/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/* Linux 6.9, linux/pidfd.h: names a thread; the kernel shows it in F_GETFL. */
enum { PIDFD_OF_THREAD = O_EXCL };

/* Linux 6.13, linux/pidfd.h; PIDFD_INFO_EXIT is of 6.15. */
struct pidfd_info_0 {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
static const uint64_t INFO_EXIT = 1 << 3;
#define GET_INFO _IOWR(0xFF, 11, struct pidfd_info_0)

struct pidfd_priv {
	int32_t pid; /* as the target sees it; 0: it has ended, and was waited for */
	bool thread;
	bool has_status; /* of one that has ended: */
	int status;      /* as wait(2) gives it */
};

static bool pidfd_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[pidfd]");
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/*
 * "NSpid:\t4711\t7": from our pid namespace down to that of the process itself; the last is its own
 * view. -1 when it is dead, 0 when it lives outside our namespace.
 */
static int64_t pid_read(const char *fdinfo)
{
	struct text t = { text_field(fdinfo, "NSpid") };
	int64_t pid = 0, next;

	if (!t.at)
		return 0;
	while (text_int(&t, &next)) {
		pid = next;
		text_blanks(&t);
	}
	return pid;
}

static bool pid_inside(const struct fd_seen *seen, int64_t pid)
{
	if (pid == seen->pid)
		return true;
	return snap_has_process(seen->dump->snap, (int32_t)pid) ||
	       snap_has_zombie(seen->dump->snap, (int32_t)pid);
}

/* That thread's process; 0: the kernel is too old to say. */
static int64_t process_of(const struct fd_seen *seen)
{
	struct pidfd_info_0 info = { 0 };

	return ioctl(seen->fd, GET_INFO, &info) < 0 ? 0 : (int64_t)info.tgid;
}

static int pidfd_check(const struct fd_seen *seen, struct err *err)
{
	int64_t pid = pid_read(seen->fdinfo);
	bool thread = fcntl(seen->fd, F_GETFL) & PIDFD_OF_THREAD;
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (pid < 0 || (pid > 0 && pid_inside(seen, thread ? process_of(seen) : pid)))
		return 0;
	err_set(err, ENOTSUP, "%s is the pidfd of %s %lld, which is not part of the dump", name,
		thread ? "thread" : "process", (long long)pid);
	return err_hint(err, "let the program close it");
}

static bool status_read(int fd, int *status)
{
	struct pidfd_info_0 info = { .mask = INFO_EXIT };

	if (ioctl(fd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
		return false;
	*status = info.exit_code;
	return true;
}

static int pidfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct pidfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	if (pidfd_check(seen, err) < 0)
		return -err->code;
	priv->pid = (int32_t)pid_read(seen->fdinfo);
	if (priv->pid < 0) {
		priv->pid = 0;
		priv->has_status = status_read(seen->fd, &priv->status);
	}
	priv->thread = ofd->flags & PIDFD_OF_THREAD;
	ofd->priv = priv;
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int pidfd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct pidfd_priv *priv = ofd->priv;
	Pb__PidFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__pid_fd__init(m);
	m->has_pid = m->has_thread = true;
	m->pid = priv->pid;
	m->thread = priv->thread;
	m->has_wait_status = priv->has_status;
	m->wait_status = (uint32_t)priv->status;
	msg->pidfd = m;
	return 0;
}

static bool is_known(const struct snap *snap, int32_t pid, bool thread)
{
	return snap_has_process(snap, pid) || snap_has_zombie(snap, pid) ||
	       (thread && snap_has_thread(snap, pid));
}

static int pidfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct pidfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!msg->pidfd)
		return message_missing("pidfd", err);
	priv->pid = msg->pidfd->pid;
	priv->thread = msg->pidfd->thread;
	priv->has_status = msg->pidfd->has_wait_status;
	priv->status = (int)msg->pidfd->wait_status;
	if (priv->has_status &&
		(priv->pid || msg->pidfd->wait_status > UINT16_MAX || WIFSTOPPED(priv->status)))
		return err_set(err, EBADMSG, "pidfd: impossible end %x", priv->status);
	if (priv->pid < 0 || (priv->pid && !is_known(snap, priv->pid, priv->thread)))
		return err_set(err, EBADMSG, "pidfd: there is no process %d", priv->pid);
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

int32_t pidfd_thread(const struct snap *snap, const struct snap_ofd *ofd)
{
	const struct pidfd_priv *priv = ofd->priv;

	if (ofd->kind != &fd_pidfd || !priv->thread || snap_has_process(snap, priv->pid) ||
		snap_has_zombie(snap, priv->pid))
		return 0;
	return priv->pid;
}

int32_t pidfd_later(const struct snap *snap, const struct snap_ofd *ofd, uint32_t *flags)
{
	const struct pidfd_priv *priv = ofd->priv;

	if (ofd->kind != &fd_pidfd || ofd->inherited >= 0 || !priv->pid ||
		priv->pid == snap->procs[0].pid)
		return 0;
	*flags = (ofd->flags & O_NONBLOCK) | (priv->thread ? (unsigned)PIDFD_OF_THREAD : 0);
	return priv->pid;
}

/* As it ended before; a core dump is not made again, only its mark is lost. */
static _Noreturn void end_again(int status)
{
	sigset_t set;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	signal(WTERMSIG(status), SIG_DFL);
	prctl(PR_SET_DUMPABLE, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	kill(getpid(), WTERMSIG(status));
	_exit(0);
}

/*
 * One of a process that is gone: there has to be one, for a moment. It tells nobody of its end. One
 * of a thread is of its first thread, and that is gone with it.
 */
static int gone_make(const struct pidfd_priv *priv, int *fd, struct err *err)
{
	int fresh = -1;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &fresh, NULL, 0);

	if (pid == 0)
		end_again(priv->status);
	if (pid < 0)
		return err_sys(err, "pidfd: clone");
	if (priv->thread) {
		close(fresh);
		fresh = (int)syscall(SYS_pidfd_open, pid, PIDFD_OF_THREAD);
	}
	*fd = fresh;
	if (waitpid(pid, NULL, __WALL) < 0 || fresh < 0)
		return err_sys(err, "pidfd: wait for a child");
	return 0;
}

static int pidfd_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct pidfd_priv *priv = ofd->priv;
	uint32_t later;
	pid_t pid = pidfd_later(m->snap, ofd, &later) ? getpid() : m->pid_of(m, priv->pid);
	long fresh;

	if (!priv->pid)
		return gone_make(priv, fd, err);
	if (pid <= 0)
		return err_set(err, ESRCH, "pidfd: no process stands for %d", priv->pid);
	/* Always O_CLOEXEC. */
	fresh = syscall(SYS_pidfd_open, pid,
		(ofd->flags & O_NONBLOCK) | (priv->thread ? (unsigned)PIDFD_OF_THREAD : 0));
	if (fresh < 0)
		return err_sys(err, "pidfd_open of %d", pid);
	*fd = (int)fresh;
	return 0;
}

static char *pidfd_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct pidfd_priv *priv = ofd->priv;

	(void)snap;
	if (!priv->pid)
		return arena_printf(
			arena, "a %s that has ended", priv->thread ? "thread" : "process");
	return arena_printf(arena, "%s %d", priv->thread ? "thread" : "process", priv->pid);
}

const struct fd_kind fd_pidfd = {
	.name = "pidfd",
	.is = pidfd_is,
	.check = pidfd_check,
	.save = pidfd_save,
	.pack = pidfd_pack,
	.unpack = pidfd_unpack,
	.make = pidfd_make,
	.describe = pidfd_describe,
};
