/* Children of those that have ended; see adoption.h. */
#include "restore/adoption.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "restore/birth.h"
#include "restore/job.h"
#include "restore/tree_birth.h"

static bool can_make(const struct tree *tree, uint32_t i, uint32_t parent, int32_t session)
{
	const struct job *job = tree->jobs[i];

	return job && job->pid && job->session == session && i != parent &&
	       tree_is_below(tree->snap, i, parent);
}

struct job *adoption_maker(const struct tree *tree, uint32_t parent, uint32_t base, int32_t session)
{
	if (base != ID_NONE && can_make(tree, base, parent, session))
		return tree->jobs[base];
	for (uint32_t i = 0; i < tree->snap->nr_procs; i++)
		if (can_make(tree, i, parent, session))
			return tree->jobs[i];
	return NULL;
}

int adoption_switch(const struct job *parent, bool on, struct err *err)
{
	return parent ? birth_call(parent, SYS_prctl, PR_SET_CHILD_SUBREAPER, on, "prctl", err) : 0;
}

int adoption_birth(struct tree *tree, struct job *maker, const struct job *parent, pid_t vpid,
	pid_t *pid, struct err *err)
{
	struct job helper;
	pid_t helper_vpid, helper_pid;

	if (helper_clone(tree, maker, SIGCHLD, &helper_vpid, &helper_pid, err) < 0)
		return birth_taken(err);
	helper = birth_copy(maker, helper_pid);
	if (birth_clone_id(tree, &helper, vpid, 0, SIGCHLD, pid, err) < 0)
		return birth_taken(err);
	if (adoption_switch(parent, true, err) < 0 ||
		helper_end(tree, maker, &helper, helper_vpid, err) < 0)
		return -err->code;
	return adoption_switch(parent, false, err);
}
