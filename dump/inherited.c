/* Descriptors of the launcher; see inherited.h. */
#include "dump/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/pipe.h"
#include "images/fd/pty.h"
#include "images/fd/sock_diag.h"

enum { NR_STANDARD = 3 };

/* ---- launched: what is the same as one of ours ------------------------------------------ */

/* Number that a slot takes at restore: its own if that is the same file with us, else the lowest.
 */
static int own_number(const struct dumping *d, int num, int fd, int *out, struct err *err)
{
	*out = -1;
	for (size_t i = 0; i < d->nr_own_fds; i++) {
		int same = fds_same(d->own_fds[i], fd);

		if (same < 0)
			return err_ret(err, same, "kcmp");
		if (same && (*out < 0 || d->own_fds[i] == num))
			*out = d->own_fds[i];
	}
	return 0;
}

/* ---- attached: what leads outside ------------------------------------------------------- */

static bool is_terminal(const struct stat *st)
{
	unsigned number = major(st->st_rdev);

	/* Documentation/admin-guide/devices.txt: consoles and serial lines, /dev/tty, pseudo
	 * terminals. */
	return S_ISCHR(st->st_mode) &&
	       (number == 4 || number == 5 || (number >= 136 && number <= 143));
}

/* The other end of a pipe is in the dump if a descriptor of the same pipe has the other direction.
 */
static bool pipe_leads_outside(const struct dumping *d, uint32_t ofd)
{
	const struct slot_table *table = d->slots;
	int mine = fcntl(table->seen[ofd].seen.fd, F_GETFL) & O_ACCMODE;

	if (mine == O_RDWR || table->seen[ofd].seen.link[0] == '/')
		return false;
	for (uint32_t i = 0; i < table->nr; i++) {
		const struct fd_seen *other = &table->seen[i].seen;

		if (other->st.st_ino == table->seen[ofd].seen.st.st_ino &&
			other->st.st_dev == table->seen[ofd].seen.st.st_dev &&
			(fcntl(other->fd, F_GETFL) & O_ACCMODE) != mine)
			return false;
	}
	return true;
}

static bool socket_leads_outside(const struct dumping *d, uint32_t ofd)
{
	const struct fd_seen *seen = &d->slots->seen[ofd].seen;
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	struct diag_unix diag;

	if (getpeername(seen->fd, (struct sockaddr *)&peer, &len) < 0)
		return false;
	if (peer.ss_family != AF_UNIX || sock_diag_unix(seen->st.st_ino, &diag, NULL) < 0)
		return true;
	for (uint32_t i = 0; diag.peer && i < d->slots->nr; i++)
		if (S_ISSOCK(d->slots->seen[i].seen.st.st_mode) &&
			(uint32_t)d->slots->seen[i].seen.st.st_ino == diag.peer)
			return false;
	return true;
}

/* One that is hung up was the launcher's if the whole session is. */
static bool terminal_leads_outside(const struct dumping_proc *p, uint32_t ofd)
{
	const struct fd_seen *seen = &p->d->slots->seen[ofd].seen;

	if (!is_terminal(&seen->st))
		return false;
	return !fd_pty.is(seen) ||
	       (pty_is_hung_up(seen->fd) && !snap_has_process(p->d->snap, p->status.nssid));
}

/* A file that we could not open like this was opened by somebody who may: root's shell, a log. */
static bool file_leads_outside(const struct fd_seen *seen)
{
	int flags = fcntl(seen->fd, F_GETFL), mode = flags & O_ACCMODE;
	int wanted = (mode == O_WRONLY ? 0 : R_OK) | (mode == O_RDONLY ? 0 : W_OK);
	mode_t bits = (wanted & R_OK ? S_IRUSR : 0) | (wanted & W_OK ? S_IWUSR : 0);
	bool only_by_mode = seen->st.st_uid == geteuid() && (seen->st.st_mode & bits) != bits;

	return !(flags & O_PATH) && !only_by_mode &&
	       faccessat(AT_FDCWD, seen->link, wanted, AT_EACCESS) < 0 && errno == EACCES;
}

static bool leads_outside(const struct dumping_proc *p, uint32_t ofd)
{
	const struct stat *st = &p->d->slots->seen[ofd].seen.st;

	if (S_ISREG(st->st_mode))
		return file_leads_outside(&p->d->slots->seen[ofd].seen);
	if (S_ISFIFO(st->st_mode))
		return pipe_leads_outside(p->d, ofd);
	return S_ISSOCK(st->st_mode) ? socket_leads_outside(p->d, ofd)
				     : terminal_leads_outside(p, ofd);
}

/* Slot `num` of the parent, or of ourselves, holds the same: whoever launched it has let it
 * through. */
static bool launcher_has(const struct dumping_proc *p, int num, int fd)
{
	for (size_t i = 0; i < p->d->nr_own_fds; i++)
		if (p->d->own_fds[i] == num && fds_same(num, fd) == 1)
			return true;
	return syscall(SYS_kcmp, getpid(), p->d->outside, KCMP_FILE, fd, num) == 0;
}

/* A pipe or a pair of sockets that nobody has the other end of, neither inside nor outside. */
static bool is_left_alone(const struct fd_seen *seen)
{
	struct sockaddr_storage name;
	struct pollfd p = { .fd = seen->fd, .events = POLLIN };
	socklen_t len = sizeof name;

	if (S_ISFIFO(seen->st.st_mode))
		return pipe_is_broken(seen->fd);
	return S_ISSOCK(seen->st.st_mode) &&
	       getsockname(seen->fd, (struct sockaddr *)&name, &len) == 0 &&
	       name.ss_family == AF_UNIX && poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/*
 * A standard descriptor that leads outside mostly came from the launcher. Not so one that leads to
 * nobody: what is left in `seq 9 | program` when seq has ended.
 */
static bool is_launchers(const struct dumping_proc *p, const struct snap_fd *slot)
{
	const struct fd_seen *seen = &p->d->slots->seen[slot->ofd].seen;

	if (slot->num < NR_STANDARD && !is_left_alone(seen))
		return true;
	return launcher_has(p, (int)slot->num, seen->fd);
}

/* A slot of the launcher's keeps its number, others with the same file follow the first of these.
 */
static int outside_number(const struct dumping_proc *p, const struct snap_fd *slot)
{
	const struct snap_proc *proc = dumping_snap_proc(p);

	if (!leads_outside(p, slot->ofd))
		return -1;
	if (is_launchers(p, slot))
		return (int)slot->num;
	for (size_t i = 0; i < proc->nr_fds; i++) {
		uint32_t ofd = proc->fds[i].ofd, same_as = p->d->slots->seen[ofd].same_as;

		if ((ofd == slot->ofd || same_as == slot->ofd) && is_launchers(p, &proc->fds[i]))
			return (int)proc->fds[i].num;
	}
	return -1;
}

/* ---- both ------------------------------------------------------------------------------- */

/* The entry of the file `ofd` that stands for the launcher's descriptor `number`. */
static uint32_t entry_for(struct dumping *d, uint32_t ofd, int number)
{
	if (d->snap->ofds[ofd].inherited < 0)
		d->snap->ofds[ofd].inherited = number;
	if (d->snap->ofds[ofd].inherited == number)
		return ofd;
	for (uint32_t i = 0; i < d->slots->nr; i++)
		if (d->slots->seen[i].same_as == ofd && d->snap->ofds[i].inherited == number)
			return i;
	ofd = fds_split(d, ofd);
	d->snap->ofds[ofd].inherited = number;
	return ofd;
}

static int table_mark(struct dumping_proc *p, struct snap_fd *fds, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		struct snap_fd *slot = &fds[i];
		int number, ret = 0;

		if (p->t->launched)
			ret = own_number(p->d, (int)slot->num, p->d->slots->seen[slot->ofd].seen.fd,
				&number, err);
		else
			number = outside_number(p, slot);
		if (ret < 0)
			return ret;
		if (number >= 0)
			slot->ofd = entry_for(p->d, slot->ofd, number);
	}
	return 0;
}

int inherited_mark(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	int ret = table_mark(p, proc->fds, proc->nr_fds, err);

	for (size_t i = 0; !ret && i < proc->nr_thread_files; i++)
		ret = table_mark(p, proc->thread_files[i].fds, proc->thread_files[i].nr_fds, err);
	return ret;
}
