/* Processes. Part of the file "state". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/arena.h"
#include "images/makers.h"
#include "images/state.h"
#include "images/tree.h"
#include "proto/state.pb-c.h"

_Static_assert((int)PROC_STOPPED == (int)PB__PROC__STOP__STOPPED, "numbers of proto/proc.proto");

enum {
	NR_ITIMERS = 3,
	FD_NUM_MAX = 0x3fffffff, /* above the largest fs.nr_open */
	UMASK_MAX = 0777,
	OOM_ADJ_MAX = 1000,
	DUMPABLE_MAX = 2,
	FUTEX_SLOTS_MAX = 1 << 24,
	MDWE_MAX = 3,
	MEMBARRIER_REGISTER = 0x154, /* MEMBARRIER_CMD_REGISTER_... */
};

/* ---- packing --------------------------------------------------------------------------------- */

static Pb__Fd **fds_pack(struct arena *arena, const struct snap_fd *fds, size_t nr)
{
	Pb__Fd **m = arena_array(arena, nr, sizeof *m);

	for (size_t i = 0; i < nr; i++) {
		m[i] = arena_alloc(arena, sizeof **m);
		pb__fd__init(m[i]);
		PUT(m[i], num, fds[i].num);
		PUT_ID(m[i], ofd, fds[i].ofd);
		PUT(m[i], cloexec, fds[i].cloexec);
	}
	return m;
}

static void unshared_pack(struct arena *arena, const struct snap_proc *proc, Pb__Proc *m)
{
	m->n_thread_files = proc->nr_thread_files;
	m->thread_files = arena_array(arena, proc->nr_thread_files, sizeof *m->thread_files);
	for (size_t i = 0; i < proc->nr_thread_files; i++) {
		Pb__ThreadFiles *out = m->thread_files[i] = arena_alloc(arena, sizeof *out);

		pb__thread_files__init(out);
		PUT(out, tid, proc->thread_files[i].tid);
		PUT(out, with, proc->thread_files[i].with);
		out->n_fds = proc->thread_files[i].nr_fds;
		out->fds = fds_pack(arena, proc->thread_files[i].fds, out->n_fds);
	}
	m->n_thread_fs = proc->nr_thread_fs;
	m->thread_fs = arena_array(arena, proc->nr_thread_fs, sizeof *m->thread_fs);
	for (size_t i = 0; i < proc->nr_thread_fs; i++) {
		Pb__ThreadFs *out = m->thread_fs[i] = arena_alloc(arena, sizeof *out);

		pb__thread_fs__init(out);
		PUT(out, tid, proc->thread_fs[i].tid);
		PUT(out, with, proc->thread_fs[i].with);
		PUT_ID(out, cwd, proc->thread_fs[i].cwd);
		PUT_ID(out, root, proc->thread_fs[i].root);
		PUT(out, umask, proc->thread_fs[i].umask);
	}
}

static void actions_pack(struct arena *arena, const struct snap_proc *proc, Pb__Proc *m)
{
	m->actions = arena_array(arena, SNAP_NSIG, sizeof *m->actions);
	for (uint32_t i = 0; i < SNAP_NSIG; i++) {
		const struct snap_sigaction *action = &proc->actions[i];
		Pb__SigAction *out;

		if (!action->handler && !action->flags && !action->restorer && !action->mask)
			continue;
		out = m->actions[m->n_actions++] = arena_alloc(arena, sizeof *out);
		pb__sig_action__init(out);
		PUT(out, signal, i + 1);
		PUT(out, handler, action->handler);
		PUT(out, flags, action->flags);
		PUT(out, restorer, action->restorer);
		PUT(out, mask, action->mask);
	}
}

static void timers_pack(struct arena *arena, const struct snap_proc *proc, Pb__Proc *m)
{
	m->n_timers = proc->nr_timers;
	m->timers = arena_array(arena, proc->nr_timers, sizeof *m->timers);
	for (size_t i = 0; i < proc->nr_timers; i++) {
		const struct snap_posix_timer *timer = &proc->timers[i];
		Pb__PosixTimer *out = m->timers[i] = arena_alloc(arena, sizeof *out);

		pb__posix_timer__init(out);
		PUT(out, id, timer->id);
		PUT(out, clock, timer->clock);
		PUT(out, clock_tid, timer->clock_tid);
		PUT(out, notify, timer->notify);
		PUT(out, signo, timer->signo);
		PUT(out, notify_tid, timer->notify_tid);
		PUT(out, sigval, timer->sigval);
		PUT(out, value, timer->value);
		PUT(out, interval, timer->interval);
	}
}

static void limits_pack(struct arena *arena, const struct snap_proc *proc, Pb__Proc *m)
{
	m->n_itimer_value = m->n_itimer_interval = NR_ITIMERS;
	m->itimer_value = arena_array(arena, NR_ITIMERS, sizeof *m->itimer_value);
	m->itimer_interval = arena_array(arena, NR_ITIMERS, sizeof *m->itimer_interval);
	for (size_t i = 0; i < NR_ITIMERS; i++) {
		m->itimer_value[i] = proc->itimers[i].value;
		m->itimer_interval[i] = proc->itimers[i].interval;
	}
	m->n_rlimit_cur = m->n_rlimit_max = SNAP_NR_RLIMITS;
	m->rlimit_cur = arena_array(arena, SNAP_NR_RLIMITS, sizeof *m->rlimit_cur);
	m->rlimit_max = arena_array(arena, SNAP_NR_RLIMITS, sizeof *m->rlimit_max);
	for (size_t i = 0; i < SNAP_NR_RLIMITS; i++) {
		m->rlimit_cur[i] = proc->rlimits[i].cur;
		m->rlimit_max[i] = proc->rlimits[i].max;
	}
}

static void proc_pack_numbers(const struct snap_proc *proc, Pb__Proc *m)
{
	PUT(m, pid, proc->pid);
	PUT(m, ppid, proc->ppid);
	PUT(m, pgid, proc->pgid);
	PUT(m, sid, proc->sid);
	PUT_ID(m, parent, proc->parent);
	PUT_ID(m, mm, proc->mm);
	PUT(m, umask, proc->umask);
	PUT_ID(m, cwd, proc->cwd);
	PUT_ID(m, root, proc->root);
	PUT(m, oom_score_adj, proc->oom_score_adj);
	PUT(m, personality, proc->personality);
	PUT(m, dumpable, proc->dumpable);
	PUT(m, child_subreaper, proc->child_subreaper);
	PUT(m, stop, (Pb__Proc__Stop)proc->stop);
	PUT(m, stop_signal, proc->stop_signal);
	PUT(m, stop_told, proc->stop_told);
	PUT(m, continued, proc->continued);
	PUT(m, shares_files, proc->shares_files);
	PUT(m, shares_fs, proc->shares_fs);
	PUT(m, shares_sighand, proc->shares_sighand);
	PUT_ID(m, shares_with, proc->shares_with);
	PUT(m, session_inherited, proc->session_inherited);
	PUT(m, group_inherited, proc->group_inherited);
	PUT(m, mdwe, proc->mdwe);
	PUT(m, memory_merge, proc->memory_merge);
	PUT(m, timer_ids_chosen, proc->timer_ids_chosen);
	PUT(m, amx, proc->amx);
	PUT(m, futex_slots, proc->futex_slots);
	PUT(m, exit_signal, proc->exit_signal);
	PUT(m, membarrier, proc->membarrier);
	PUT(m, autogroup_nice, proc->autogroup_nice);
	PUT(m, tty, proc->tty);
	PUT(m, foreground, proc->foreground);
	PUT(m, area, proc->area);
}

void procs_pack(const struct snap *snap, Pb__State *m)
{
	m->n_procs = snap->nr_procs;
	m->procs = arena_array(snap->arena, snap->nr_procs, sizeof *m->procs);
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];
		Pb__Proc *out = m->procs[i] = arena_alloc(snap->arena, sizeof *out);

		pb__proc__init(out);
		proc_pack_numbers(proc, out);
		tasks_pack(snap, proc, out);
		out->n_fds = proc->nr_fds;
		out->fds = fds_pack(snap->arena, proc->fds, proc->nr_fds);
		unshared_pack(snap->arena, proc, out);
		actions_pack(snap->arena, proc, out);
		out->n_pending = proc->nr_pending;
		out->pending = siginfos_pack(snap, proc->pending, proc->nr_pending);
		timers_pack(snap->arena, proc, out);
		sem_undos_pack(snap, proc, out);
		limits_pack(snap->arena, proc, out);
	}
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static struct snap_fd *fds_unpack(struct snap *snap, Pb__Fd *const *m, size_t nr)
{
	struct snap_fd *fds = arena_array(snap->arena, nr, sizeof *fds);

	for (size_t i = 0; i < nr; i++)
		fds[i] = (struct snap_fd){ m[i]->num, GET_ID(m[i], ofd), m[i]->cloexec };
	return fds;
}

static void unshared_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc)
{
	proc->nr_thread_files = m->n_thread_files;
	proc->thread_files = arena_array(
		snap->arena, m->n_thread_files, sizeof *proc->thread_files);
	for (size_t i = 0; i < m->n_thread_files; i++) {
		const Pb__ThreadFiles *in = m->thread_files[i];

		proc->thread_files[i] = (struct snap_thread_files){ in->tid, in->with,
			fds_unpack(snap, in->fds, in->n_fds), in->n_fds };
	}
	proc->nr_thread_fs = m->n_thread_fs;
	proc->thread_fs = arena_array(snap->arena, m->n_thread_fs, sizeof *proc->thread_fs);
	for (size_t i = 0; i < m->n_thread_fs; i++) {
		const Pb__ThreadFs *in = m->thread_fs[i];

		proc->thread_fs[i] = (struct snap_thread_fs){ in->tid, in->with, GET_ID(in, cwd),
			GET_ID(in, root), in->umask };
	}
}

static int actions_unpack(const Pb__Proc *m, struct snap_proc *proc, struct err *err)
{
	uint32_t before = 0;

	for (size_t i = 0; i < m->n_actions; i++) {
		const Pb__SigAction *action = m->actions[i];

		if (action->signal <= before || action->signal > SNAP_NSIG)
			return BAD(err, "action of signal %u: out of order or unknown",
				action->signal);
		before = action->signal;
		proc->actions[before - 1] = (struct snap_sigaction){ action->handler, action->flags,
			action->restorer, action->mask };
	}
	return 0;
}

static void timers_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc)
{
	proc->nr_timers = m->n_timers;
	proc->timers = arena_array(snap->arena, m->n_timers, sizeof *proc->timers);
	for (size_t i = 0; i < m->n_timers; i++) {
		const Pb__PosixTimer *timer = m->timers[i];

		proc->timers[i] = (struct snap_posix_timer){
			.id = timer->id,
			.clock = timer->clock,
			.clock_tid = timer->clock_tid,
			.notify = timer->notify,
			.signo = timer->signo,
			.notify_tid = timer->notify_tid,
			.sigval = timer->sigval,
			.value = timer->value,
			.interval = timer->interval,
		};
	}
}

static void limits_unpack(const Pb__Proc *m, struct snap_proc *proc)
{
	for (size_t i = 0; i < m->n_itimer_value; i++) {
		proc->itimers[i].value = m->itimer_value[i];
		proc->itimers[i].interval = m->itimer_interval[i];
	}
	for (size_t i = 0; i < SNAP_NR_RLIMITS; i++) {
		proc->rlimits[i].cur = m->rlimit_cur[i];
		proc->rlimits[i].max = m->rlimit_max[i];
	}
}

static void proc_unpack_numbers(const Pb__Proc *m, struct snap_proc *proc)
{
	proc->pid = m->pid;
	proc->ppid = m->ppid;
	proc->pgid = m->pgid;
	proc->sid = m->sid;
	proc->parent = GET_ID(m, parent);
	proc->mm = GET_ID(m, mm);
	proc->umask = m->umask;
	proc->cwd = GET_ID(m, cwd);
	proc->root = GET_ID(m, root);
	proc->oom_score_adj = m->oom_score_adj;
	proc->personality = m->personality;
	proc->dumpable = m->dumpable;
	proc->child_subreaper = m->child_subreaper;
	proc->stop = (enum snap_stop)m->stop;
	proc->stop_signal = m->stop_signal;
	proc->stop_told = m->stop_told;
	proc->continued = m->continued;
	proc->shares_files = m->shares_files;
	proc->shares_fs = m->shares_fs;
	proc->shares_sighand = m->shares_sighand;
	proc->shares_with = GET_ID(m, shares_with);
	proc->session_inherited = m->session_inherited;
	proc->group_inherited = m->group_inherited;
	proc->mdwe = m->mdwe;
	proc->memory_merge = m->memory_merge;
	proc->timer_ids_chosen = m->timer_ids_chosen;
	proc->amx = m->amx;
	proc->futex_slots = m->futex_slots;
	proc->exit_signal = m->exit_signal;
	proc->membarrier = m->membarrier;
	proc->autogroup_nice = m->autogroup_nice;
	proc->tty = m->tty;
	proc->foreground = m->foreground;
	proc->area = m->area;
}

static int proc_unpack(
	struct snap *snap, const Pb__Proc *m, struct snap_proc *proc, struct err *err)
{
	int ret;

	proc_unpack_numbers(m, proc);
	limits_unpack(m, proc);
	proc->nr_fds = m->n_fds;
	proc->fds = fds_unpack(snap, m->fds, m->n_fds);
	unshared_unpack(snap, m, proc);
	timers_unpack(snap, m, proc);
	sem_undos_unpack(snap, m, proc);
	ret = actions_unpack(m, proc, err);
	if (ret < 0)
		return ret;
	proc->nr_pending = m->n_pending;
	ret = siginfos_unpack(snap, m->pending, m->n_pending, &proc->pending, err);
	return ret < 0 ? ret : tasks_unpack(snap, m, proc, err);
}

/* Before the table is made: an entry takes 3 KiB of memory, and shall not come for two bytes. */
static int proc_has_parts(const Pb__Proc *m, struct err *err)
{
	if (m->n_tasks == 0 || m->n_rlimit_cur != SNAP_NR_RLIMITS ||
		m->n_rlimit_max != SNAP_NR_RLIMITS || m->n_itimer_value != m->n_itimer_interval ||
		(m->n_itimer_value != 0 && m->n_itimer_value != NR_ITIMERS))
		return BAD(err, "no threads, or not all limits or timers");
	for (size_t i = 0; i < m->n_tasks; i++)
		if (m->tasks[i]->xstate.len == 0)
			return BAD(err, "thread %d: no xstate", m->tasks[i]->tid);
	return 0;
}

int procs_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	for (size_t i = 0; i < m->n_procs; i++)
		if (proc_has_parts(m->procs[i], err) < 0)
			return err_wrap(err, "process %d", m->procs[i]->pid);
	snap->nr_procs = snap->cap_procs = m->n_procs;
	snap->procs = arena_array(snap->arena, m->n_procs, sizeof *snap->procs);
	for (size_t i = 0; i < m->n_procs; i++)
		if (proc_unpack(snap, m->procs[i], &snap->procs[i], err) < 0)
			return err_wrap(err, "process %d", m->procs[i]->pid);
	return 0;
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool proc_has_thread(const struct snap_proc *proc, int32_t tid)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (proc->tasks[i].tid == tid)
			return true;
	return false;
}

static int fds_check(const struct snap *snap, const struct snap_fd *fds, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		if (fds[i].num > FD_NUM_MAX || (i && fds[i].num <= fds[i - 1].num))
			return BAD(
				err, "descriptor %u: too large, twice or out of order", fds[i].num);
		if (fds[i].ofd >= snap->nr_ofds)
			return BAD(err, "descriptor %u: open file %u does not exist", fds[i].num,
				fds[i].ofd);
	}
	return 0;
}

static bool is_directory(const struct snap *snap, uint32_t file)
{
	return file < snap->nr_files && S_ISDIR(snap->files[file].mode);
}

/* Whom a thread shares with is listed before it, and has it from nobody. */
static bool lists_files(const struct snap_proc *proc, int32_t tid, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (proc->thread_files[i].tid == tid)
			return !proc->thread_files[i].with;
	return false;
}

static bool lists_fs(const struct snap_proc *proc, int32_t tid, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (proc->thread_fs[i].tid == tid)
			return !proc->thread_fs[i].with;
	return false;
}

static int unshared_check(const struct snap *snap, const struct snap_proc *proc, struct err *err)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++) {
		const struct snap_thread_files *files = &proc->thread_files[i];

		if (files->tid == proc->pid || !proc_has_thread(proc, files->tid) ||
			(i && files->tid <= files[-1].tid))
			return BAD(err, "descriptor table of thread %d, which is none", files->tid);
		if (files->with && (files->nr_fds || !lists_files(proc, files->with, i)))
			return BAD(err,
				"thread %d shares a descriptor table with %d, which has none",
				files->tid, files->with);
		if (fds_check(snap, files->fds, files->nr_fds, err) < 0)
			return err_wrap(err, "thread %d", files->tid);
	}
	for (size_t i = 0; i < proc->nr_thread_fs; i++) {
		const struct snap_thread_fs *fs = &proc->thread_fs[i];

		if (fs->tid == proc->pid || !proc_has_thread(proc, fs->tid) ||
			(i && fs->tid <= fs[-1].tid) || fs->umask > UMASK_MAX ||
			!is_directory(snap, fs->cwd) ||
			(fs->root != ID_NONE && !is_directory(snap, fs->root)) ||
			(fs->with && !lists_fs(proc, fs->with, i)))
			return BAD(err, "impossible working directory of thread %d", fs->tid);
	}
	if (makers_needed(proc) && !makers_of(snap->arena, proc))
		return BAD(err, "its threads share descriptors and directories in a circle");
	return 0;
}

static int timer_check(
	const struct snap_proc *proc, const struct snap_posix_timer *timer, struct err *err)
{
	bool signals = timer->notify != SIGEV_NONE;
	bool to_thread = timer->notify == SIGEV_THREAD_ID;

	if (timer->id < 0 || (timer->notify != SIGEV_SIGNAL && timer->notify != SIGEV_NONE &&
				     timer->notify != SIGEV_THREAD && !to_thread))
		return BAD(err, "impossible id or notification %d", timer->notify);
	if (signals && (timer->signo < 1 || timer->signo > SNAP_NSIG))
		return BAD(err, "signal %d does not exist", timer->signo);
	if (to_thread && !proc_has_thread(proc, timer->notify_tid))
		return BAD(err, "thread %d does not exist", timer->notify_tid);
	/* Any thread group leader is a thread, so this holds for clocks of the process as well. */
	if (timer->clock_tid && !proc_has_thread(proc, timer->clock_tid))
		return BAD(err, "clock of thread %d, which does not exist", timer->clock_tid);
	if (timer->value > INT64_MAX || timer->interval > INT64_MAX)
		return BAD(err, "impossible time");
	return 0;
}

static int id_compare(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* An id that is twice in ids, which get sorted; -1: none is. */
static int32_t id_twice(int32_t *ids, size_t nr)
{
	qsort(ids, nr, sizeof *ids, id_compare);
	for (size_t i = 1; i < nr; i++)
		if (ids[i] == ids[i - 1])
			return ids[i];
	return -1;
}

static int timers_check(const struct snap *snap, const struct snap_proc *proc, struct err *err)
{
	int32_t *ids = arena_array(snap->arena, proc->nr_timers, sizeof *ids);

	for (size_t i = 0; i < proc->nr_timers; i++) {
		if (timer_check(proc, &proc->timers[i], err) < 0)
			return err_wrap(err, "timer %d", proc->timers[i].id);
		ids[i] = proc->timers[i].id;
	}
	if (id_twice(ids, proc->nr_timers) >= 0)
		return BAD(err, "two timers with one id");
	return 0;
}

static int proc_check_signals(const struct snap_proc *proc, struct err *err)
{
	/* Nobody can change what these two do. */
	if (proc->actions[SIGKILL - 1].handler || proc->actions[SIGSTOP - 1].handler)
		return BAD(err, "a handler of SIGKILL or SIGSTOP");
	if ((unsigned)proc->stop > PROC_STOPPED || proc->stop_signal < 0 ||
		proc->stop_signal > SNAP_NSIG ||
		(proc->stop == PROC_STOPPED && (proc->stop_signal == 0 || proc->continued)))
		return BAD(err, "impossible stop by signal %d", proc->stop_signal);
	return siginfos_check(proc->pending, proc->nr_pending, err);
}

/* As prctl(PR_FUTEX_HASH) takes them: none, or a power of two. */
static bool are_slots(uint32_t nr)
{
	return nr <= FUTEX_SLOTS_MAX && nr != 1 && !(nr & (nr - 1));
}

static int proc_check_numbers(const struct snap_proc *proc, struct err *err)
{
	if (proc->umask > UMASK_MAX || proc->dumpable > DUMPABLE_MAX || proc->mdwe > MDWE_MAX)
		return BAD(err, "impossible umask, dumpable or mdwe");
	if (proc->futex_slots && !are_slots(proc->futex_slots - 1))
		return BAD(err, "impossible futex_slots %u", proc->futex_slots);
	if (proc->membarrier & ~(uint32_t)MEMBARRIER_REGISTER || proc->autogroup_nice < -20 ||
		proc->autogroup_nice > 19)
		return BAD(err, "impossible membarrier registrations or nice of its autogroup");
	if (proc->oom_score_adj < -OOM_ADJ_MAX || proc->oom_score_adj > OOM_ADJ_MAX)
		return BAD(err, "impossible oom_score_adj %d", proc->oom_score_adj);
	for (size_t i = 0; i < SNAP_NR_RLIMITS; i++)
		if (proc->rlimits[i].cur > proc->rlimits[i].max)
			return BAD(err, "limit %zu: soft above hard", i);
	for (size_t i = 0; i < NR_ITIMERS; i++)
		if (proc->itimers[i].value > INT64_MAX || proc->itimers[i].interval > INT64_MAX)
			return BAD(err, "impossible interval timer");
	return 0;
}

/* With whom it shares what, which has to be its parent or a sibling. */
static int proc_check_shared(
	const struct snap *snap, const struct snap_proc *proc, size_t index, struct err *err)
{
	uint32_t with = snap_shares_with(snap, (uint32_t)index);

	if (proc->shares_with != ID_NONE &&
		(proc->shares_with >= index ||
			snap->procs[proc->shares_with].parent != proc->parent))
		return BAD(err, "it shares something with what is no sibling before it");
	if ((proc->shares_files || proc->shares_fs || proc->shares_sighand) && with == ID_NONE)
		return BAD(err, "it shares something with a parent that it does not have");
	for (size_t i = 0; i < index; i++)
		if (snap->procs[i].mm == proc->mm && !snap_shares_vm(snap, (uint32_t)index))
			return BAD(err,
				"its address space is that of process %d, which is not "
				"its parent",
				snap->procs[i].pid);
	if (proc->shares_sighand && proc->mm != snap->procs[with].mm)
		return BAD(err, "it shares signal handlers, but not the memory they are in");
	return 0;
}

static int proc_check_ids(
	const struct snap *snap, const struct snap_proc *proc, size_t index, struct err *err)
{
	if (proc->pid <= 0 || proc->ppid < 0 || proc->pgid < 0 || proc->sid < 0)
		return BAD(err, "impossible ids");
	if (proc->exit_signal < 0 || proc->exit_signal > SNAP_NSIG)
		return BAD(err, "impossible exit signal %d", proc->exit_signal);
	if (proc->parent != ID_NONE && proc->parent >= index)
		return BAD(err, "its parent does not come before it");
	if (proc->mm >= snap->nr_mms)
		return BAD(err, "address space %u does not exist", proc->mm);
	if (!is_directory(snap, proc->cwd))
		return BAD(err, "its working directory is not a directory of this image");
	if (proc->root != ID_NONE && !is_directory(snap, proc->root))
		return BAD(err, "its root is not a directory of this image");
	if (proc->nr_tasks == 0 || proc->tasks[0].tid != proc->pid)
		return BAD(err, "its first thread is not its leader");
	if (proc->nr_tasks == 1 && proc->tasks[0].exited)
		return BAD(err, "it has ended, and is no zombie");
	return 0;
}

static int proc_check(const struct snap *snap, size_t index, struct err *err)
{
	const struct snap_proc *proc = &snap->procs[index];
	int ret;

	if ((ret = proc_check_ids(snap, proc, index, err)) < 0 ||
		(ret = proc_check_shared(snap, proc, index, err)) < 0 ||
		(ret = proc_check_numbers(proc, err)) < 0 ||
		(ret = proc_check_signals(proc, err)) < 0 ||
		(ret = timers_check(snap, proc, err)) < 0 ||
		(ret = fds_check(snap, proc->fds, proc->nr_fds, err)) < 0 ||
		(ret = unshared_check(snap, proc, err)) < 0)
		return ret;
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (task_check(snap, &proc->tasks[i], err) < 0)
			return err_wrap(err, "thread %d", proc->tasks[i].tid);
	return 0;
}

static int tids_check(const struct snap *snap, struct err *err)
{
	size_t nr = 0, n = 0;
	int32_t *tids, twice;

	for (size_t i = 0; i < snap->nr_procs; i++)
		nr += snap->procs[i].nr_tasks;
	nr += snap->nr_zombies;
	tids = arena_array(snap->arena, nr, sizeof *tids);
	for (size_t i = 0; i < snap->nr_procs; i++)
		for (size_t j = 0; j < snap->procs[i].nr_tasks; j++)
			tids[n++] = snap->procs[i].tasks[j].tid;
	for (size_t i = 0; i < snap->nr_zombies; i++)
		tids[n++] = snap->zombies[i].pid;
	twice = id_twice(tids, nr);
	return twice < 0 ? 0 : BAD(err, "two threads with the id %d", twice);
}

int procs_check(const struct snap *snap, struct err *err)
{
	if (snap->nr_procs == 0)
		return BAD(err, "no process");
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (proc_check(snap, i, err) < 0)
			return err_wrap(err, "process %d", snap->procs[i].pid);
	return tids_check(snap, err);
}
