/* Descriptors that come from the caller; see fds_internal.h. */
#include "restore/fds_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/job.h"

/* What --inherit=N=M says about recorded descriptor n, else n itself. */
static int inherit_from(const struct restore_opts *opts, int n)
{
	for (const char *const *i = opts->inherit; i && *i; i++) {
		char *end;
		long from = strtol(*i, &end, 10);

		if (from == n && *end == '=')
			return atoi(end + 1);
	}
	return n;
}

static bool stays_in_place(const struct job *job, int num)
{
	const struct snap_fd *slot = fds_slot(job->proc, (uint32_t)num);

	return slot && job->snap->ofds[slot->ofd].inherited >= 0 &&
	       inherit_from(job->opts, job->snap->ofds[slot->ofd].inherited) == num;
}

/*
 * Standard descriptors have to be there. Others are mostly strays that a launcher left open (a
 * jobserver's, a test runner's): without one here, the program gets /dev/null, and the user is
 * told.
 */
static int inherit_missing(struct job *job, uint32_t ofd, int from, struct err *err)
{
	int wanted = job->snap->ofds[ofd].inherited;

	if (wanted <= STDERR_FILENO) {
		err_set(err, EBADF,
			"descriptor %d of the caller is to become the program's %d, but it is "
			"not open",
			from, wanted);
		return err_hint(err, "open it (%d</dev/null), or name another: --inherit=%d=N",
			from, wanted);
	}
	log_warn("the program got descriptor %d from its launcher; it is not open here, so it "
		 "becomes "
		 "/dev/null (--inherit=%d=N names another)",
		wanted, wanted);
	from = open("/dev/null", O_RDWR | O_CLOEXEC);
	job->make.made[ofd] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, job->park);
	fd_close(&from);
	return job->make.made[ofd] < 0 ? err_sys(err, "open /dev/null") : 0;
}

/* What we have opened ourselves is all O_CLOEXEC, and what exec has left to us is not. */
static bool is_of_caller(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static int inherit_one(struct job *job, uint32_t ofd, struct err *err)
{
	int from = inherit_from(job->opts, job->snap->ofds[ofd].inherited);
	bool in_place = stays_in_place(job, from) &&
			fds_slot(job->proc, (uint32_t)from)->ofd == ofd;

	if (!is_of_caller(from))
		return inherit_missing(job, ofd, from, err);
	job->make.made[ofd] = in_place ? from : fcntl(from, F_DUPFD_CLOEXEC, job->park);
	return job->make.made[ofd] < 0 ? err_sys(err, "inherit descriptor %d", from) : 0;
}

/* The N of an --inherit=N=M that the program did not have from its launcher is a slip. */
static int inherit_check(const struct job *job, struct err *err)
{
	for (const char *const *i = job->opts->inherit; i && *i; i++) {
		int n = atoi(*i);
		uint32_t j = 0;

		while (j < job->snap->nr_ofds && job->snap->ofds[j].inherited != n)
			j++;
		if (j < job->snap->nr_ofds)
			continue;
		err_set(err, EINVAL,
			"--inherit=%s: descriptor %d of the program did not come from its launcher",
			*i, n);
		return err_hint(err, "`snapctl show` lists the descriptors and which of them are "
				     "inherited");
	}
	return 0;
}

int fds_inherit(struct job *job, struct err *err)
{
	if (inherit_check(job, err) < 0)
		return -err->code;
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (job->snap->ofds[i].inherited >= 0 && inherit_one(job, i, err) < 0)
			return -err->code;
	for (int num = 0, start = 0; num <= job->park; num++) {
		if (num < job->park && !stays_in_place(job, num))
			continue;
		if (num > start)
			syscall(SYS_close_range, start, num - 1, 0);
		start = num + 1;
	}
	return 0;
}
