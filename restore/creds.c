/* Credentials of threads: what the new process will have, and the steps to what the image says. */
#include "restore/creds.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore/job.h"
#include "restore/stops.h"

enum { MAX_CAPS = 64 };

static bool caps_raw(uint64_t *permitted, uint64_t *effective, uint64_t *inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*effective = data[0].effective | (uint64_t)data[1].effective << 32;
	*inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return true;
}

static uint64_t caps_bounding(void)
{
	uint64_t bounding = 0;

	for (int cap = 0; cap < MAX_CAPS; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has < 0)
			break;
		bounding |= (uint64_t)has << cap;
	}
	return bounding;
}

int creds_privileged(void)
{
	uint64_t permitted, effective, inheritable;

	return caps_raw(&permitted, &effective, &inheritable) &&
	       (effective & (1ull << CAP_CHECKPOINT_RESTORE | 1ull << CAP_SYS_ADMIN));
}

int creds_keep_over_exec(struct job *job, struct err *err)
{
	static const cap_value_t keep[] = { CAP_CHECKPOINT_RESTORE, CAP_SETPCAP };
	cap_t caps;
	int ret;

	if (!job->privileged || geteuid() == 0)
		return 0;
	caps = cap_get_proc();
	ret = caps ? cap_set_flag(caps, CAP_INHERITABLE, 2, keep, CAP_SET) : -1;
	if (!ret)
		ret = cap_set_proc(caps);
	cap_free(caps);
	for (size_t i = 0; !ret && i < 2; i++)
		ret = cap_set_ambient(keep[i], CAP_SET);
	return ret < 0 ? err_sys(err, "keep capabilities over exec") : 0;
}

/* What a thread has when its steps begin: ours, as changed by the exec (capabilities(7)). */
static void creds_at_start(const struct job *job, struct snap_creds *c)
{
	uint64_t permitted = 0, effective = 0, inheritable = 0;
	int nr_groups;

	getresuid(&c->ruid, &c->euid, &c->suid);
	getresgid(&c->rgid, &c->egid, &c->sgid);
	/* exec makes the saved and the file system id equal to the effective one. */
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	nr_groups = getgroups(0, NULL);
	c->groups = arena_array(job->snap->arena, (size_t)nr_groups + 1, sizeof *c->groups);
	c->nr_groups = (size_t)getgroups(nr_groups, c->groups);
	caps_raw(&permitted, &effective, &inheritable);
	c->cap_bounding = caps_bounding();
	c->cap_inheritable = inheritable;
	c->securebits = (uint32_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & ~SECBIT_KEEP_CAPS;
	c->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (c->euid == 0 && !(c->securebits & SECBIT_NOROOT)) {
		c->cap_permitted = c->cap_effective = (c->cap_bounding & permitted) | inheritable;
	} else if (job->privileged) {
		c->cap_ambient = 1ull << CAP_CHECKPOINT_RESTORE | 1ull << CAP_SETPCAP;
		c->cap_permitted = c->cap_effective = c->cap_ambient;
		c->cap_inheritable |= c->cap_ambient;
	}
}

bool creds_of_file(const struct job *job, struct remote *calls)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	/* In a user namespace of our own the file's ids mean nothing, and the kernel leaves them.
	 */
	if (!(job->snap->files[job->mm->exe].mode & (S_ISUID | S_ISGID)) || job->own_userns)
		return false;
	getresuid(&ruid, &euid, &suid);
	getresgid(&rgid, &egid, &sgid);
	calls[0] = (struct remote){ SYS_setresgid, { rgid, egid, egid } };
	calls[1] = (struct remote){ SYS_setresuid, { ruid, euid, euid } };
	return true;
}

static void plan_prctl(struct job *job, size_t thread, uint64_t op, uint64_t a, uint64_t b)
{
	plan_syscall(&job->plan, thread, SYS_prctl, (struct plan_args){ { op, a, b } });
}

static bool ids_same(const struct snap_creds *a, const struct snap_creds *b)
{
	return a->ruid == b->ruid && a->euid == b->euid && a->suid == b->suid &&
	       a->fsuid == b->fsuid && a->rgid == b->rgid && a->egid == b->egid &&
	       a->sgid == b->sgid && a->fsgid == b->fsgid;
}

static bool has_group(const struct snap_creds *c, gid_t group)
{
	for (size_t i = 0; i < c->nr_groups; i++)
		if (c->groups[i] == group)
			return true;
	return false;
}

static bool groups_same(const struct snap_creds *a, const struct snap_creds *b)
{
	if (a->nr_groups != b->nr_groups)
		return false;
	for (size_t i = 0; i < a->nr_groups; i++)
		if (!has_group(b, a->groups[i]))
			return false;
	return true;
}

static void plan_ids(struct job *job, size_t thread, const struct snap_creds *want)
{
	struct plan *p = &job->plan;

	plan_syscall(p, thread, SYS_setresgid,
		(struct plan_args){ { want->rgid, want->egid, want->sgid } });
	plan_syscall(p, thread, SYS_setfsgid, (struct plan_args){ { want->fsgid } });
	plan_prctl(job, thread, PR_SET_KEEPCAPS, 1, 0);
	plan_syscall(p, thread, SYS_setresuid,
		(struct plan_args){ { want->ruid, want->euid, want->suid } });
	plan_syscall(p, thread, SYS_setfsuid, (struct plan_args){ { want->fsuid } });
}

static void plan_capset(struct job *job, size_t thread, uint64_t effective, uint64_t permitted,
	uint64_t inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t at_head, at_data;

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(effective >> 32 * i);
		data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	at_head = plan_data(&job->plan, &head, sizeof head);
	at_data = plan_data(&job->plan, data, sizeof data);
	plan_syscall(&job->plan, thread, SYS_capset, (struct plan_args){ { at_head, at_data } });
}

static void plan_bounding(struct job *job, size_t thread, const struct snap_creds *have,
	const struct snap_creds *want)
{
	/* None can be made inheritable any more that is not in the bounding set (capset(2)). */
	if (want->cap_inheritable & ~have->cap_inheritable & ~want->cap_bounding)
		plan_capset(job, thread, have->cap_permitted, have->cap_permitted,
			want->cap_inheritable);
	for (uint64_t cap = 0; cap < MAX_CAPS; cap++)
		if ((have->cap_bounding & ~want->cap_bounding) >> cap & 1)
			plan_prctl(job, thread, PR_CAPBSET_DROP, cap, 0);
}

static void plan_ambient(struct job *job, size_t thread, const struct snap_creds *have,
	const struct snap_creds *want)
{
	if (have->cap_ambient)
		plan_prctl(job, thread, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);
	for (uint64_t cap = 0; cap < MAX_CAPS; cap++)
		if (want->cap_ambient >> cap & 1)
			plan_prctl(job, thread, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
}

/*
 * Behind the ids, with all we have raised again, which setresuid(2) lowers: the ambient set before
 * the secure bits that forbid it, these while CAP_SETPCAP is effective, SECBIT_KEEP_CAPS together
 * with its lock.
 */
static void plan_caps(struct job *job, size_t thread, const struct snap_creds *have,
	const struct snap_creds *want, bool ids)
{
	bool bits = have->securebits != (want->securebits & ~SECBIT_KEEP_CAPS);
	bool caps = ids || have->cap_permitted != want->cap_permitted ||
		    have->cap_effective != want->cap_effective ||
		    have->cap_inheritable != want->cap_inheritable ||
		    have->cap_ambient != want->cap_ambient;

	if ((ids && bits) || (caps && want->cap_ambient))
		plan_capset(job, thread, have->cap_permitted, have->cap_permitted,
			want->cap_inheritable);
	if (caps)
		plan_ambient(job, thread, have, want);
	if (bits)
		plan_prctl(job, thread, PR_SET_SECUREBITS, want->securebits, 0);
	else if (ids || want->securebits & SECBIT_KEEP_CAPS)
		plan_prctl(
			job, thread, PR_SET_KEEPCAPS, !!(want->securebits & SECBIT_KEEP_CAPS), 0);
	if (caps)
		plan_capset(job, thread, want->cap_effective, want->cap_permitted,
			want->cap_inheritable);
}

static int creds_possible(const struct job *job, const struct snap_creds *have,
	const struct snap_creds *want, struct err *err)
{
	uint64_t missing = want->cap_permitted & ~have->cap_permitted;

	if (!ids_same(have, want) && !(have->cap_permitted >> CAP_SETUID & 1)) {
		err_set(err, EPERM,
			"the program ran as user %u, group %u; this is user %u, group %u",
			want->euid, want->egid, have->euid, have->egid);
		return err_hint(err, "restore as that user, or as root");
	}
	if (missing) {
		char *name = cap_to_name(__builtin_ctzll(missing));

		err_set(err, EPERM, "the program had the capability %s, which is not ours to give",
			name ? name : "?");
		cap_free(name);
		return err_hint(err, "restore as root, or as a user with that capability");
	}
	(void)job;
	return 0;
}

/* In a user namespace of our own, setgroups(2) is denied and the groups stay the caller's. */
static bool groups_stay(const struct job *job)
{
	return job->pids == PIDS_NS && job->own_userns;
}

static void creds_plan_change(struct job *job, size_t thread, const struct snap_creds *have,
	const struct snap_creds *want)
{
	struct plan *p = &job->plan;
	bool ids = !ids_same(have, want);

	plan_bounding(job, thread, have, want);
	if (!groups_stay(job) && !groups_same(have, want)) {
		uint64_t list = plan_data(p, want->groups, want->nr_groups * sizeof *want->groups);

		plan_syscall(
			p, thread, SYS_setgroups, (struct plan_args){ { want->nr_groups, list } });
	}
	if (ids)
		plan_ids(job, thread, want);
	plan_caps(job, thread, have, want, ids);
	if (want->no_new_privs && !have->no_new_privs)
		plan_prctl(job, thread, PR_SET_NO_NEW_PRIVS, 1, 0);
}

void creds_begin(struct job *job)
{
	if (!job->creds_start.groups)
		creds_at_start(job, &job->creds_start);
}

int creds_plan(struct job *job, size_t thread, struct err *err)
{
	const struct snap_creds *want = &job->proc->tasks[thread].creds;

	if (creds_possible(job, &job->creds_start, want, err) < 0)
		return err_wrap(err, "thread %d", job->proc->tasks[thread].tid);
	creds_plan_change(job, thread, &job->creds_start, want);
	return 0;
}
