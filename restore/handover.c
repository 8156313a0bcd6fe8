/* The blob goes in and does its plan; see handover.h, and handover_out.c for how it goes out. */
#include "restore/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/creds.h"
#include "restore/fill.h"
#include "restore/job.h"
#include "restore/mm.h"
#include "restore/mm_fork.h"
#include "restore/stages.h"
#include "restore/stops.h"
#include "restore/tasks.h"
#include "restore/timers.h"
#include "tracee/proc.h"
#include "tracee/kernel_abi.h"
#include "tracee/tracee.h"

/* How much the new process has to do by itself: what strace(1) of snapctl does not see. */
static void plan_log(const struct job *job)
{
	size_t steps = 0;

	for (size_t i = 0; log_enabled(LOG_DEBUG) && i < job->plan.nr_threads; i++)
		steps += plan_nr_steps(&job->plan, i);
	log_debug("restorer: %zu steps in %zu threads", steps, job->plan.nr_threads);
}

/* What comes behind the mappings of the first part, and the second. */
static int plan_rest(struct job *job, size_t *uffd_step, struct err *err)
{
	*uffd_step = SIZE_MAX;
	if (fill_wants_uffd(job)) {
		*uffd_step = plan_nr_steps(&job->plan, 0);
		plan_syscall(&job->plan, 0, SYS_userfaultfd,
			(struct plan_args){ { 1 /* UFFD_USER_MODE_ONLY */ } })
			->tolerate = BLOB_ANY_ERRNO;
	}
	plan_step(&job->plan, 0, BLOB_PARK);
	/* The rest comes when it has left its last stage. */
	if (!job->stage && tasks_plan(job, err) < 0)
		return -err->code;
	plan_log(job);
	return 0;
}

static int fresh_read(const struct job *job, struct mm_fresh *fresh, struct err *err)
{
	OWNED_FD procfd = -1;

	if (proc_open(job->pid, &procfd, err) < 0)
		return -err->code;
	return proc_maps(procfd, job->snap->arena, &fresh->vmas, &fresh->nr, err);
}

static int plan_build(struct job *job, size_t *uffd_step, struct err *err)
{
	struct mm_fresh fresh;
	uint64_t base;

	if (fresh_read(job, &fresh, err) < 0)
		return -err->code;
	base = mm_hole(job, &fresh, PLAN_ROOM, 0);
	if (!base)
		return err_set(err, ENOMEM, "the address space has no hole for the restorer");
	plan_init(&job->plan, base, job->proc->nr_tasks);
	if (mm_plan_map(job, &fresh, err) < 0)
		return -err->code;
	return plan_rest(job, uffd_step, err);
}

static int plan_build_forked(
	struct job *job, const struct job *base, size_t *uffd_step, struct err *err)
{
	struct mm_fresh fresh;

	if (fresh_read(job, &fresh, err) < 0)
		return -err->code;
	plan_init(&job->plan, base->plan.base, job->proc->nr_tasks);
	if (mm_fork_plan(job, base, &fresh, err) < 0)
		return -err->code;
	return plan_rest(job, uffd_step, err);
}

static int blob_map(struct job *job, uint64_t insn, int fixed, struct err *err)
{
	struct remote call = { SYS_mmap,
		{ job->plan.base, plan_size(&job->plan), PROT_READ | PROT_WRITE | PROT_EXEC,
			(uint64_t)(MAP_PRIVATE | MAP_ANONYMOUS | fixed), (uint64_t)-1, 0 } };
	int64_t ret;

	if (stops_syscall(job, insn, &call, &ret, err) < 0)
		return err_wrap(err, "map the restorer");
	if (ret != (int64_t)job->plan.base)
		return err_ret(err, ret < 0 ? ret : -EEXIST, "map the restorer at %" PRIx64,
			job->plan.base);
	return 0;
}

/*
 * The first code page of whatever the exec mapped gets a syscall instruction; the page is a private
 * copy and about to go.
 */
static int executed_insn(const struct job *job, uint64_t *at, struct err *err)
{
	const uint64_t insn = 0xcc050f; /* syscall; int3 */
	struct user_regs_struct regs;

	if (thread_get_regs(job->pid, &regs, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_POKETEXT, job->pid, regs.rip, insn) < 0)
		return err_sys(err, "write into the new process");
	*at = regs.rip;
	return 0;
}

static int blob_map_executed(struct job *job, struct err *err)
{
	uint64_t insn;

	if (executed_insn(job, &insn, err) < 0)
		return -err->code;
	return blob_map(job, insn, MAP_FIXED_NOREPLACE, err);
}

/* A file with set-id bits has given its ids to the new process, which began with ours. */
static int executed_ids(struct job *job, struct err *err)
{
	struct remote calls[2];
	struct user_regs_struct before;
	uint64_t insn;

	if (!creds_of_file(job, calls))
		return 0;
	if (thread_get_regs(job->pid, &before, err) < 0 || executed_insn(job, &insn, err) < 0)
		return -err->code;
	for (int i = 0; i < 2; i++) {
		int64_t ret;

		if (stops_syscall(job, insn, &calls[i], &ret, err) < 0)
			return err_wrap(err, "ids of a set-id program");
		if (ret < 0)
			return err_ret(err, ret, "ids of a set-id program");
	}
	return thread_set_regs(job->pid, &before, err);
}

/* The old blob of a copy is overwritten, with the stop at the end of the call in it. */
static int blob_map_forked(struct job *job, struct err *err)
{
	return blob_map(job, job->plan.base + BLOB_SYSCALL_INSN, MAP_FIXED, err);
}

/* The maker's blob makes the call; its plan is no concern of ours. */
static int blob_map_sharing(struct job *job, struct err *err)
{
	return blob_map(job, job->maker_insn, MAP_FIXED_NOREPLACE, err);
}

static int blob_insert(struct job *job, int (*map)(struct job *, struct err *), struct err *err)
{
	struct user_regs_struct regs;
	struct buf bytes = BUF_EMPTY;
	int ret;

	plan_layout(&job->plan, &bytes);
	ret = map(job, err);
	if (!ret)
		ret = thread_get_regs(job->pid, &regs, err);
	if (!ret)
		ret = stops_write(job, job->plan.base, bytes.data, bytes.len, err);
	buf_finish(&bytes);
	if (ret)
		return ret;
	regs.rip = job->plan.base;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = job->plan.base + plan_code_size();
	regs.rsi = 0;
	regs.rsp = regs.rdi + job->plan.threads[0].stack_top;
	return thread_set_regs(job->pid, &regs, err);
}

/* ---- through
 * ----------------------------------------------------------------------------------------------------------
 */

static int step_explain(const struct blob_step *step, int32_t failed, struct err *err)
{
	if (step->nr == SYS_mmap && step->args[3] & MAP_HUGETLB)
		return err_hint(err, "give the machine more huge pages (sysctl vm.nr_hugepages)");
	if ((step->nr == SYS_sched_setattr || step->nr == SYS_setpriority) && failed == EPERM)
		return err_hint(err,
			"it had a better priority than snapctl has here, which only root "
			"(CAP_SYS_NICE) can give: do not run snapctl under nice(1)");
	if (step->nr == SYS_setgroups && failed == EPERM)
		return err_hint(err, "this user namespace does not let anybody choose groups: "
				     "restore outside of it");
	return -err->code;
}

/* What a failed step was about, for a person. */
static int step_failed(struct job *job, size_t thread, const struct blob_thread *t, struct err *err)
{
	const struct blob_step *step = plan_step_at(&job->plan, thread, t->failed_step - 1);
	int32_t tid = job->proc->tasks[thread].tid;

	if (step->op == BLOB_SPAWN) {
		err_ret(err, -t->failed_errno, "make thread %d",
			job->proc->tasks[step->args[0]].tid);
		if (t->failed_errno == EEXIST)
			err_hint(err, "its id is in use: --pids=ns or --pids=new gets round that");
		return -err->code;
	}
	err_ret(err, -t->failed_errno,
		"thread %d: %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", tid,
		syscall_name(step->nr), step->args[0], step->args[1], step->args[2], step->args[3]);
	return step_explain(step, t->failed_errno, err);
}

static int blob_check(struct job *job, struct err *err)
{
	size_t nr = job->proc->nr_tasks;

	if (stops_read(job, plan_threads_addr(&job->plan), job->plan.threads,
		    nr * sizeof *job->plan.threads, err) < 0)
		return -err->code;
	for (size_t i = 0; i < nr; i++)
		if (job->plan.threads[i].failed_step)
			return step_failed(job, i, &job->plan.threads[i], err);
	return 0;
}

static int uffd_fetch(struct job *job, size_t step, int *uffd, struct err *err)
{
	int64_t num;

	*uffd = -1;
	if (step == SIZE_MAX)
		return 0;
	if (stops_read(job,
		    plan_step_addr(&job->plan, 0, step) + offsetof(struct blob_step, result), &num,
		    sizeof num, err) < 0)
		return -err->code;
	if (num < 0) {
		log_debug("userfaultfd: %s; filling through /proc/PID/mem", strerror((int)-num));
		return 0;
	}
	*uffd = (int)syscall(SYS_pidfd_getfd, job->pidfd, (int)num, 0);
	return *uffd < 0 ? err_sys(err, "userfaultfd of the new process") : 0;
}

static int first_part(struct job *job, size_t uffd_step, struct err *err)
{
	OWNED_FD uffd = -1;

	if (stops_continue(job->pid, err) < 0 || stops_wait(job, job->pid, SIGTRAP, err) < 0 ||
		blob_check(job, err) < 0 || uffd_fetch(job, uffd_step, &uffd, err) < 0)
		return -err->code;
	if (fill_run(job, uffd, err) < 0)
		return -err->code;
	return thread_get_regs(job->pid, &job->parked_at, err);
}

/* One stop of any thread: new threads go on, a parked one is counted. */
static int second_part_event(
	struct job *job, pid_t tid, int status, size_t *parked, struct err *err)
{
	bool makes;

	if (!WIFSTOPPED(status))
		return stops_ended(job, status, err);
	if (status >> 16 || WSTOPSIG(status) == SIGSTOP)
		return stops_continue(tid, err);
	if (WSTOPSIG(status) != SIGTRAP)
		return stops_unexpected(job, tid, WSTOPSIG(status), err);
	if (++*parked == job->proc->nr_tasks)
		return 0;
	/* Who failed early has not made all threads, or others wait for it. */
	makes = tid == job->pid || job->proc->nr_thread_files || job->proc->nr_thread_fs;
	return makes ? blob_check(job, err) : 0;
}

static int second_part(struct job *job, struct err *err)
{
	size_t parked = 0;

	if (thread_set_regs(job->pid, &job->parked_at, err) < 0 ||
		stops_continue(job->pid, err) < 0)
		return -err->code;
	while (parked < job->proc->nr_tasks) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return err_sys(err, "wait for the new process");
		if (second_part_event(job, tid, status, &parked, err) < 0)
			return -err->code;
	}
	return blob_check(job, err);
}

/* ---- the parts ---------------------------------------------------------------------------------
 */

int handover_executed(struct job *job, struct err *err)
{
	size_t uffd_step;

	if (executed_ids(job, err) < 0 || plan_build(job, &uffd_step, err) < 0 ||
		blob_insert(job, blob_map_executed, err) < 0)
		return -err->code;
	return first_part(job, uffd_step, err);
}

int handover_forked(struct job *job, const struct job *base, struct err *err)
{
	size_t uffd_step;

	if (plan_build_forked(job, base, &uffd_step, err) < 0 ||
		blob_insert(job, blob_map_forked, err) < 0)
		return -err->code;
	return first_part(job, uffd_step, err);
}

int handover_again(struct job *job, struct stage *stage, struct err *err)
{
	struct job before = *job;
	int ret;

	job->stage = stage;
	job->mm = stage ? &stage->mm : &job->snap->mms[job->proc->mm];
	job->forked = true; /* from what it was */
	job->fork_runs = NULL;
	job->nr_fork_runs = 0;
	job->plan = (struct plan){ 0 };
	ret = handover_forked(job, &before, err);
	plan_finish(&before.plan);
	return ret;
}

int handover_sharing(struct job *job, const struct job *maker, uint64_t above, struct err *err)
{
	struct mm_fresh fresh;
	size_t uffd_step;
	uint64_t base;

	job->maker_insn = maker->plan.base + BLOB_SYSCALL_INSN;
	if (fresh_read(job, &fresh, err) < 0)
		return -err->code;
	base = mm_hole(job, &fresh, PLAN_ROOM, above);
	if (!base)
		return err_set(err, ENOMEM, "the address space has no second hole");
	plan_init(&job->plan, base, job->proc->nr_tasks);
	if (plan_rest(job, &uffd_step, err) < 0 || blob_insert(job, blob_map_sharing, err) < 0)
		return -err->code;
	return first_part(job, uffd_step, err);
}

int handover_second(struct job *job, struct err *err)
{
	return second_part(job, err) < 0 ? -err->code : timers_check(job, err);
}
