/* The descriptor table of the target; see fds.h. */
#include "restore/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "restore/job.h"
#include "restore/unshared.h"

/* With fewer above all slots nothing can be made. */
enum { PARK_LEAST = 8 };

/* Ours at one time: one for each ofd, file and memory object, and a few in passing. */
static uint32_t park_need(const struct job *job)
{
	const struct snap *snap = job->snap;

	return (uint32_t)(2 * snap->nr_ofds + 3 * snap->nr_files + 3 * snap->nr_mems +
			  2 * snap->nr_procs + 32);
}

/* One number above all slots of all processes. */
static uint32_t table_end(const struct snap_fd *fds, size_t nr, uint32_t end)
{
	return nr && fds[nr - 1].num >= end ? fds[nr - 1].num + 1 : end;
}

static uint32_t slots_end(const struct snap *snap)
{
	uint32_t end = 0;

	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		end = table_end(proc->fds, proc->nr_fds, end);
		for (size_t t = 0; t < proc->nr_thread_files; t++)
			end = table_end(
				proc->thread_files[t].fds, proc->thread_files[t].nr_fds, end);
	}
	return end;
}

/* ---- the slots of all processes, where there is no room above them --------------------------- */

struct slots {
	uint32_t *nums;
	size_t nr;
};

static void slots_add(struct slots *slots, const struct snap_fd *fds, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		slots->nums[slots->nr++] = fds[i].num;
}

static size_t slots_count(const struct snap *snap)
{
	size_t nr = 0;

	for (size_t i = 0; i < snap->nr_procs; i++) {
		nr += snap->procs[i].nr_fds;
		for (size_t t = 0; t < snap->procs[i].nr_thread_files; t++)
			nr += snap->procs[i].thread_files[t].nr_fds;
	}
	return nr;
}

static int num_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void slots_collect(const struct snap *snap, struct slots *slots)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		slots_add(slots, proc->fds, proc->nr_fds);
		for (size_t t = 0; t < proc->nr_thread_files; t++)
			slots_add(slots, proc->thread_files[t].fds, proc->thread_files[t].nr_fds);
	}
	qsort(slots->nums, slots->nr, sizeof *slots->nums, num_compare);
}

/* Start of the widest gap below limit that has need numbers; 0: none. */
static uint32_t slots_gap(const struct slots *slots, uint32_t need, uint32_t limit)
{
	uint32_t start = 3, best = 0, widest = need;

	for (size_t i = 0; i <= slots->nr; i++) {
		uint32_t end = i < slots->nr ? slots->nums[i] : limit;

		if (end > start && end - start >= widest) {
			best = start;
			widest = end - start;
		}
		if (i < slots->nr && end >= start)
			start = end + 1;
	}
	return best;
}

/* Where no process of the tree has a slot. */
static int park_between(struct job *job, uint32_t limit, struct err *err)
{
	struct slots slots = { calloc(slots_count(job->snap) + 1, sizeof *slots.nums), 0 };

	if (!slots.nums)
		return err_set(err, ENOMEM, "out of memory");
	slots_collect(job->snap, &slots);
	job->park = (int)slots_gap(&slots, park_need(job), limit);
	free(slots.nums);
	return 0;
}

int fds_park(struct job *job, struct err *err)
{
	uint32_t above = slots_end(job->snap);
	uint32_t need = park_need(job);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "limit of open files");
	job->park = above < 3 ? 3 : (int)above;
	if (limit.rlim_cur >= above + need)
		return 0;
	/* The plan sets the target's own limit in the end. */
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "limit of open files");
	if (limit.rlim_max >= above + need)
		return 0;
	if (park_between(job, (uint32_t)limit.rlim_max, err) < 0)
		return -err->code;
	/* Most descriptors are made in their slots at once; if these do not suffice, open(2) says
	 * so. */
	if (!job->park && limit.rlim_max > above + PARK_LEAST)
		job->park = (int)above;
	if (!job->park || limit.rlim_max < above) {
		err_set(err, EMFILE,
			"the limit of open files is %llu here, and the program had descriptor %d "
			"open: some more are needed to make it",
			(unsigned long long)limit.rlim_max, (int)above - 1);
		return err_hint(err, "raise the limit (ulimit -Hn) before the restore");
	}
	return 0;
}

static const struct snap_fd *slot_find(const struct snap_proc *proc, uint32_t num)
{
	size_t low = 0, high = proc->nr_fds;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (proc->fds[mid].num < num)
			low = mid + 1;
		else
			high = mid;
	}
	return low < proc->nr_fds && proc->fds[low].num == num ? &proc->fds[low] : NULL;
}

/* ---- from the caller
 * -------------------------------------------------------------------------------------- */

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
	const struct snap_fd *slot = slot_find(job->proc, (uint32_t)num);

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

static int inherit_one(struct job *job, uint32_t ofd, struct err *err)
{
	int from = inherit_from(job->opts, job->snap->ofds[ofd].inherited);
	bool in_place = stays_in_place(job, from) &&
			slot_find(job->proc, (uint32_t)from)->ofd == ofd;

	if (fcntl(from, F_GETFD) < 0)
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

/* Take what comes from the caller out of the way, then close all else below the parked ones. */
static int fds_inherit(struct job *job, struct err *err)
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

/* ---- made anew
 * ---------------------------------------------------------------------------------------------- */

/* Say which one, unless the message begins with that already. */
static int ofd_wrap(const struct snap_ofd *ofd, struct err *err)
{
	const char *name = ofd->label ? ofd->label : ofd->kind->name;

	return text_starts(err->msg, name) ? -err->code : err_wrap(err, "%s", name);
}

static int ofd_make(struct job *job, struct snap_ofd *ofd, struct err *err)
{
	int *fd = &job->make.made[ofd->id];

	if (*fd < 0)
		*fd = job->born_with[ofd->id];
	if (*fd < 0 && ofd->kind->make(&job->make, ofd, fd, err) < 0)
		return ofd_wrap(ofd, err);
	if (ofd_make_common(&job->make, ofd, *fd, err) < 0)
		return ofd_wrap(ofd, err);
	return 0;
}

static int fds_make_all(struct job *job, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	/* In the order of slots: open(2) takes the lowest free number, which mostly is the slot
	 * itself. */
	for (size_t i = 0; i < proc->nr_fds; i++) {
		struct snap_ofd *ofd = &job->snap->ofds[proc->fds[i].ofd];

		if (ofd->inherited >= 0 || job->settled[ofd->id])
			continue;
		if (ofd_make(job, ofd, err) < 0)
			return -err->code;
		job->settled[ofd->id] = true;
	}
	/* Those in no slot: queued in a socket, or only watched by an epoll. */
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (!job->settled[i] && job->snap->ofds[i].inherited < 0 &&
			ofd_make(job, &job->snap->ofds[i], err) < 0)
			return -err->code;
	return 0;
}

/* A descriptor that happens to sit in a slot of another one is parked. */
static int fds_clear_slots(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		int fd = job->make.made[i], moved;
		const struct snap_fd *slot = slot_find(job->proc, (uint32_t)fd);

		if (!slot || slot->ofd == i)
			continue;
		moved = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
		if (moved < 0)
			return err_sys(err, "move descriptor %d", fd);
		close(fd);
		job->make.made[i] = moved;
	}
	return 0;
}

static bool is_first_slot(const struct snap_proc *proc, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (proc->fds[j].ofd == proc->fds[i].ofd)
			return false;
	return true;
}

/* The kernel notes the number through which O_ASYNC was set: it is the si_fd of the signals. */
static int slot_async(const struct snap_ofd *ofd, int num, struct err *err)
{
	int flags = (int)(ofd->flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME));

	if (fcntl(num, F_SETFL, flags) < 0 || fcntl(num, F_SETFL, flags | O_ASYNC) < 0)
		return err_sys(err, "asynchronous input of descriptor %d", num);
	return 0;
}

static int fds_place(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];
		int fd = job->make.made[slot->ofd];
		int ret = fd == (int)slot->num ? fcntl(fd, F_SETFD, 0) : dup2(fd, (int)slot->num);

		if (ret < 0)
			return err_sys(err, "put descriptor %u in place", slot->num);
		if (ofd->flags & O_ASYNC && ofd->inherited < 0 && is_first_slot(job->proc, i) &&
			slot_async(ofd, (int)slot->num, err) < 0)
			return -err->code;
	}
	return 0;
}

/* Where the program has it, for the same reason: a lease tells by that number (F_SETSIG). */
static int lock_slot(const struct job *job, uint32_t ofd)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++)
		if (job->proc->fds[i].ofd == ofd)
			return (int)job->proc->fds[i].num;
	return job->make.made[ofd];
}

/*
 * What needs the others in their slots. Each once, through its first slot; locks when all links are
 * made, since those use and close other slots for a moment, which loses POSIX locks.
 */
static int fds_link(struct job *job, struct err *err)
{
	struct snap_ofd *ofds = job->snap->ofds;
	const int *made = job->make.made;

	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (ofds[i].inherited < 0 && ofds[i].kind->make_link &&
			ofds[i].kind->make_link(&job->make, &ofds[i], made[i], err) < 0)
			return ofd_wrap(&ofds[i], err);
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (ofds[i].inherited < 0 && ofds[i].nr_locks &&
			ofd_make_locks(&job->make, &ofds[i], lock_slot(job, i), err) < 0)
			return ofd_wrap(&ofds[i], err);
	return 0;
}

static bool has_ofd(const struct snap_fd *fds, size_t nr, uint32_t ofd)
{
	for (size_t i = 0; i < nr; i++)
		if (fds[i].ofd == ofd)
			return true;
	return false;
}

static bool threads_have(const struct snap_proc *proc, uint32_t ofd)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++)
		if (has_ofd(proc->thread_files[i].fds, proc->thread_files[i].nr_fds, ofd))
			return true;
	return false;
}

bool fds_process_has(const struct snap_proc *proc, uint32_t ofd)
{
	return has_ofd(proc->fds, proc->nr_fds, ofd) || threads_have(proc, ofd);
}

static bool is_used_by_others(const struct snap *snap, uint32_t ofd)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (i ? fds_process_has(proc, ofd) : threads_have(proc, ofd))
			return true;
	}
	return false;
}

/* Other processes inherit all of them, over an exec too, and take what they need. */
static int fds_leave(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		if (!is_used_by_others(job->snap, i))
			continue;
		job->parked[i] = fcntl(job->make.made[i], F_DUPFD, job->park);
		if (job->parked[i] >= 0)
			continue;
		err_sys(err, "park descriptor %d", job->make.made[i]);
		return err_hint(err, "so many open files need a higher limit while they are "
				     "restored: raise it before (ulimit -Hn)");
	}
	return 0;
}

int fds_make(struct job *job, struct err *err)
{
	if (fds_inherit(job, err) < 0 || fds_make_all(job, err) < 0 ||
		fds_clear_slots(job, err) < 0 || fds_place(job, err) < 0 ||
		fds_link(job, err) < 0 || fds_leave(job, err) < 0)
		return -err->code;
	return 0;
}

/* ---- after the exec
 * ------------------------------------------------------------------------------------------- */

/* A table as steps of the thread that has it. */
struct table {
	struct job *job;
	size_t thread;
	const struct snap_fd *fds;
	size_t nr;
};

static void plan_close_range(const struct table *t, uint32_t first, uint32_t last, uint32_t flags)
{
	plan_syscall(&t->job->plan, t->thread, SYS_close_range,
		(struct plan_args){ { first, last, flags } });
}

static void plan_cloexec(const struct table *t)
{
	for (size_t i = 0, end; i < t->nr; i = end) {
		end = i + 1;
		if (!t->fds[i].cloexec)
			continue;
		while (end < t->nr && t->fds[end].cloexec &&
			t->fds[end].num == t->fds[end - 1].num + 1)
			end++;
		plan_close_range(t, t->fds[i].num, t->fds[end - 1].num, CLOSE_RANGE_CLOEXEC);
	}
}

/* What the table it begins with does not have in the right slots. */
static void plan_take(const struct table *t, const struct snap_proc *from)
{
	for (size_t i = 0; i < t->nr; i++) {
		const struct snap_fd *slot = &t->fds[i], *there = slot_find(from, slot->num);

		if (!there || there->ofd != slot->ofd)
			plan_syscall(&t->job->plan, t->thread, SYS_dup2,
				(struct plan_args){
					{ (uint64_t)t->job->parked[slot->ofd], slot->num } });
		else if (t->thread && there->cloexec && !slot->cloexec)
			plan_syscall(&t->job->plan, t->thread, SYS_fcntl,
				(struct plan_args){ { slot->num, F_SETFD, 0 } });
	}
}

/* Ours that threads take later, in order; gives how many. */
static size_t kept_for_threads(const struct job *job, uint32_t *kept)
{
	const struct snap *snap = job->snap;
	size_t nr = 0;

	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (threads_have(job->proc, i))
			kept[nr++] = (uint32_t)job->parked[i];
	for (uint32_t i = 0; job->proc->nr_thread_fs && i < snap->nr_files; i++)
		if (unshared_keeps(job, i))
			kept[nr++] = (uint32_t)job->dir_fds[i];
	qsort(kept, nr, sizeof *kept, num_compare);
	return nr;
}

/* A gap of the slots, but for what is kept in it. */
static void plan_close_gap(
	const struct table *t, uint32_t first, uint32_t last, const uint32_t *kept, size_t nr)
{
	for (size_t i = 0; i < nr && first <= last; i++) {
		if (kept[i] < first || kept[i] > last)
			continue;
		if (kept[i] > first)
			plan_close_range(t, first, kept[i] - 1, 0);
		first = kept[i] + 1;
	}
	if (first <= last)
		plan_close_range(t, first, last, 0);
}

/* Our own stand in the gaps between the slots, and above them; some have to stay for threads. */
static void plan_close_others(const struct table *t, bool keep_for_threads)
{
	const struct snap *snap = t->job->snap;
	uint32_t start = 0, *kept = NULL;
	size_t nr_kept = 0;

	if (keep_for_threads && (t->job->proc->nr_thread_files || t->job->proc->nr_thread_fs)) {
		kept = arena_array(snap->arena, snap->nr_ofds + snap->nr_files, sizeof *kept);
		nr_kept = kept_for_threads(t->job, kept);
	}

	for (size_t i = 0; i < t->nr; i++) {
		if (t->fds[i].num > start)
			plan_close_gap(t, start, t->fds[i].num - 1, kept, nr_kept);
		start = t->fds[i].num + 1;
	}
	plan_close_gap(t, start, UINT32_MAX, kept, nr_kept);
}

/*
 * POSIX locks go with the first close(2) of any descriptor of their file (fcntl_locking(2)), and
 * ours have just been closed; so the program itself takes them again.
 */
static void plan_posix_locks(struct job *job, const struct snap_fd *slot)
{
	const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];

	for (size_t i = 0; i < ofd->nr_locks; i++) {
		const struct snap_lock *lock = &ofd->locks[i];
		struct flock want = { .l_type = (short)lock->type,
			.l_whence = SEEK_SET,
			.l_start = (off_t)lock->start,
			.l_len = (off_t)lock->len };

		if (lock->kind == LOCK_POSIX && lock->proc == job->proc - job->snap->procs)
			plan_syscall(&job->plan, 0, SYS_fcntl,
				(struct plan_args){ { slot->num, F_SETLK,
					plan_data(&job->plan, &want, sizeof want) } });
	}
}

void fds_plan(struct job *job)
{
	const struct snap_proc *proc = job->proc;
	struct table t = { job, 0, proc->fds, proc->nr_fds };

	/* All processes begin with the table of the first one. */
	if (proc != job->snap->procs)
		plan_take(&t, job->snap->procs);
	plan_close_others(&t, true);
	plan_cloexec(&t);
	for (size_t i = 0; i < proc->nr_fds; i++)
		if (job->snap->ofds[proc->fds[i].ofd].nr_locks)
			plan_posix_locks(job, &proc->fds[i]);
}

void fds_plan_thread(struct job *job, size_t thread, const struct snap_thread_files *files)
{
	struct table t = { job, thread, files->fds, files->nr_fds };

	/* What it begins with; a table that is another process's, too, is still the first one's. */
	plan_take(&t, job->proc->shares_files ? job->snap->procs : job->proc);
	plan_close_others(&t, false);
	plan_cloexec(&t);
}

void fds_plan_end(struct job *job)
{
	struct table t = { job, 0, job->proc->fds, job->proc->nr_fds };

	plan_close_others(&t, false);
}
