/*
 * pidfd_open(2) of a process inside the dump. Descriptors are made before there are other processes
 * than the first: until those are born, one of the first process keeps the place (pidfd.h).
 */
#include "images/fd/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
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

struct pidfd_priv {
	int32_t pid; /* as the target sees it; 0: it has ended, and was waited for */
	bool thread;
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

static int pidfd_check(const struct fd_seen *seen, struct err *err)
{
	int64_t pid = pid_read(seen->fdinfo);
	bool thread = fcntl(seen->fd, F_GETFL) & PIDFD_OF_THREAD;
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if ((pid > 0 && pid_inside(seen, pid)) || (pid < 0 && !thread))
		return 0;
	if (pid < 0)
		err_set(err, ENOTSUP,
			"%s is the pidfd of a thread that has ended, which cannot be opened again",
			name);
	else if (thread)
		err_set(err, ENOTSUP,
			"%s is the pidfd of thread %lld, which does not exist yet when "
			"descriptors are made again",
			name, (long long)pid);
	else
		err_set(err, ENOTSUP,
			"%s is the pidfd of process %lld, which is not part of the dump", name,
			(long long)pid);
	return err_hint(err, "let the program close it");
}

static int pidfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct pidfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	if (pidfd_check(seen, err) < 0)
		return -err->code;
	priv->pid = (int32_t)pid_read(seen->fdinfo);
	if (priv->pid < 0)
		priv->pid = 0;
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
	msg->pidfd = m;
	return 0;
}

static int pidfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct pidfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!msg->pidfd)
		return message_missing("pidfd", err);
	priv->pid = msg->pidfd->pid;
	priv->thread = msg->pidfd->thread;
	if (priv->pid < 0 || (priv->pid && !snap_has_process(snap, priv->pid) &&
				     !snap_has_zombie(snap, priv->pid)))
		return err_set(err, EBADMSG, "pidfd: there is no process %d", priv->pid);
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

int32_t pidfd_later(const struct snap *snap, const struct snap_ofd *ofd, uint32_t *flags)
{
	const struct pidfd_priv *priv = ofd->priv;

	if (ofd->kind != &fd_pidfd || ofd->inherited >= 0 || !priv->pid ||
		priv->pid == snap->procs[0].pid)
		return 0;
	*flags = (ofd->flags & O_NONBLOCK) | (priv->thread ? (unsigned)PIDFD_OF_THREAD : 0);
	return priv->pid;
}

/* One of a process that is gone: there has to be one, for a moment. It tells nobody of its end. */
static int gone_make(int *fd, struct err *err)
{
	int fresh = -1;
	long pid = syscall(SYS_clone, CLONE_PIDFD, NULL, &fresh, NULL, 0);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return err_sys(err, "pidfd: clone");
	*fd = fresh;
	if (waitpid((pid_t)pid, NULL, __WALL) < 0)
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
		return gone_make(fd, err);
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
		return arena_strdup(arena, "a process that has ended");
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
