/* Open file descriptions that are in no slot; see in_flight.h. */
#include "dump/in_flight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "images/fd/epoll.h"
#include "images/fd/kinds.h"
#include "images/fd/pidfd.h"
#include "images/fd/reg.h"

/* Looking at the queue has put it into our own table, so our own /proc tells about it. */
static int in_flight_see(
	struct dumping *d, const struct fd_seen *via, int fd, struct fd_seen *seen, struct err *err)
{
	struct arena *a = d->snap->arena;
	OWNED_FD self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[32], *link, *fdinfo;
	size_t len;

	if (self < 0)
		return err_sys(err, "open /proc/self");
	snprintf(name, sizeof name, "fd/%d", fd);
	if (proc_link(self, name, a, &link, err) < 0)
		return -err->code;
	snprintf(name, sizeof name, "fdinfo/%d", fd);
	if (proc_text(self, name, a, &fdinfo, &len, err) < 0)
		return -err->code;
	/* For messages: the slot of the socket it is in. */
	*seen = (struct fd_seen){
		.link = link, .fdinfo = fdinfo, .pid = via->pid, .num = via->num, .dump = via->dump
	};
	if (fstat(fd, &seen->st) < 0)
		return err_sys(err, "fstat");
	seen->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return seen->fd < 0 ? err_sys(err, "duplicate a descriptor") : 0;
}

int in_flight_ofd(
	struct fd_dump *hooks, const struct fd_seen *via, int fd, uint32_t *ofd, struct err *err)
{
	struct dumping *d = hooks->priv;
	struct fd_seen seen;

	if (in_flight_see(d, via, fd, &seen, err) < 0 || fds_add(d, &seen, ofd, err) < 0)
		return -err->code;
	d->in_flight = arena_grow(d->snap->arena, d->in_flight, d->nr_in_flight, &d->cap_in_flight,
		sizeof *d->in_flight);
	d->in_flight[d->nr_in_flight++] = *ofd;
	return 0;
}

static bool in_a_slot(const struct snap *snap, uint32_t ofd)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		for (size_t k = 0; k < snap->procs[i].nr_fds; k++)
			if (snap->procs[i].fds[k].ofd == ofd)
				return true;
	return false;
}

/* A slot is given the right file later, and an epoll set there the rest of what it watches. */
static bool comes_later(const struct snap *snap, const struct snap_ofd *ofd)
{
	uint32_t flags;
	int32_t pid;

	if (pidfd_later(snap, ofd, &flags) || reg_later(snap, ofd, &pid))
		return true;
	return ofd->kind == &fd_epoll && ofd->inherited < 0 && epoll_finish_needed(snap, ofd) &&
	       !in_a_slot(snap, ofd->id);
}

/* Threads have made their own tables when the first descriptor of a thread can be made. */
static int own_tables_check(const struct snap *snap, const struct snap_proc *proc, struct err *err)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++) {
		const struct snap_thread_files *files = &proc->thread_files[i];

		for (size_t k = 0; k < files->nr_fds; k++) {
			const struct snap_ofd *ofd = &snap->ofds[files->fds[k].ofd];
			const char *behind;

			if (!pidfd_thread(snap, ofd) && !reg_thread(ofd, &behind))
				continue;
			err_set(err, ENOTSUP,
				"thread %d has a descriptor table of its own, and there %s of a "
				"thread, which is not supported yet",
				files->tid, ofd->kind == &fd_pidfd ? "the pidfd" : "a file");
			return err_hint(err, "let the program close it after use");
		}
	}
	return 0;
}

int in_flight_check(struct dumping *d, struct err *err)
{
	for (size_t i = 0; i < d->snap->nr_procs; i++)
		if (own_tables_check(d->snap, &d->snap->procs[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < d->nr_in_flight; i++) {
		const struct snap_ofd *ofd = &d->snap->ofds[d->in_flight[i]];

		if (!comes_later(d->snap, ofd))
			continue;
		err_set(err, ENOTSUP,
			"a message that nobody has received (SCM_RIGHTS) holds %s, which can be "
			"opened again only when messages are there already",
			ofd->label ? ofd->label : ofd->kind->name);
		return err_hint(err, "dump the program when it has received its messages");
	}
	return 0;
}
