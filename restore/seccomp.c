/* Seccomp filters as steps; see seccomp.h. */
#include "restore/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "restore/job.h"
#include "tracee/access.h"
#include "tracee/kernel_abi.h"

static bool proc_is_confined(const struct snap_proc *proc)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (proc->tasks[i].seccomp || proc->tasks[i].seccomp_strict)
			return true;
	return false;
}

static bool is_confined(const struct snap *snap)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (proc_is_confined(&snap->procs[i]))
			return true;
	return false;
}

static bool may_suspend(void)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, CAP_SYS_ADMIN, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

int seccomp_possible(const struct snap *snap, struct err *err)
{
	if (!is_confined(snap))
		return 0;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_DISABLED) {
		err_set(err, EPERM,
			"the program is confined by seccomp, which cannot be made "
			"again by who is under seccomp itself");
		return err_hint(err, "restore outside of the sandbox (container)");
	}
	if (may_suspend() && access_userns_is_initial())
		return 0;
	err_set(err, EPERM,
		"the program is confined by seccomp, which takes CAP_SYS_ADMIN to make again");
	return err_hint(err, "restore as root");
}

unsigned long seccomp_ptrace_options(const struct snap *snap)
{
	return is_confined(snap) ? ABI_PTRACE_O_SUSPEND_SECCOMP : 0;
}

static void filter_plan(struct job *job, size_t thread, const struct snap_seccomp *filter)
{
	struct sock_fprog program = {
		.len = (unsigned short)(filter->nr_program / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)plan_data(
			&job->plan, filter->program, filter->nr_program),
	};

	/* SPEC_ALLOW: speculation control is a setting of its own, not a by-product of this. */
	plan_syscall(&job->plan, thread, SYS_seccomp,
		(struct plan_args){
			{ SECCOMP_SET_MODE_FILTER, filter->flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
				plan_data(&job->plan, &program, sizeof program) } });
}

/* Those of a chain that ends with `newest` and come behind `base` (0: all), the oldest first. */
static void chain_plan(struct job *job, size_t thread, uint32_t newest, uint32_t base)
{
	const struct snap *snap = job->snap;
	size_t nr = 0, cap = 0;
	uint32_t *chain = NULL;

	for (uint32_t at = newest; at != base; at = snap->seccomp[at - 1].before) {
		chain = arena_grow(snap->arena, chain, nr, &cap, sizeof *chain);
		chain[nr++] = at;
	}
	while (nr)
		filter_plan(job, thread, &snap->seccomp[chain[--nr] - 1]);
}

/* The newest filter that both chains have. A filter has a higher number than those before it. */
static uint32_t common_of(const struct snap *snap, uint32_t a, uint32_t b)
{
	while (a != b) {
		if (a > b)
			a = snap->seccomp[a - 1].before;
		else
			b = snap->seccomp[b - 1].before;
	}
	return a;
}

static uint32_t common_of_all(const struct job *job)
{
	uint32_t common = job->proc->tasks[0].seccomp;

	for (size_t i = 1; i < job->proc->nr_tasks; i++)
		common = common_of(job->snap, common, job->proc->tasks[i].seccomp);
	return common;
}

void seccomp_plan_common(struct job *job)
{
	chain_plan(job, 0, common_of_all(job), 0);
}

void seccomp_plan(struct job *job, size_t thread)
{
	const struct snap_task *task = &job->proc->tasks[thread];

	chain_plan(job, thread, task->seccomp, common_of_all(job));
	if (task->seccomp_strict)
		plan_syscall(&job->plan, thread, SYS_prctl,
			(struct plan_args){ { PR_SET_SECCOMP, SECCOMP_MODE_STRICT } });
}
