/* Seccomp of one thread: strict mode, or a chain of filters that threads share; see seccomp.h. */
#include "dump/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "tracee/access.h"

/* What we are under ourselves. */
static int own_status(struct proc_status *own, struct arena *a, struct err *err)
{
	OWNED_FD self = -1;
	int ret = proc_open(getpid(), &self, err);

	return ret < 0 ? ret : proc_status(self, "status", a, own, err);
}

static bool is_ours(const struct proc_status *status, const struct proc_status *own)
{
	return own->seccomp == SECCOMP_MODE_FILTER && status->seccomp == own->seccomp &&
	       status->seccomp_filters == own->seccomp_filters;
}

static int refused(const struct proc_status *status, const char *why, struct err *err)
{
	err_set(err, ENOTSUP, "is confined by seccomp (%s), which %s",
		status->seccomp == SECCOMP_MODE_STRICT ? "strict mode" : "a filter", why);
	return err_hint(err, "dump as root, outside of any sandbox, or start the program without "
			     "its own");
}

/* dump/until/sieve.h: we may read and suspend filters then. */
static bool is_sieve(const struct dumping *d, const struct proc_status *status)
{
	return d->sieved && status->seccomp == SECCOMP_MODE_FILTER;
}

int seccomp_check_thread(const struct dumping *d, const struct proc_status *status, struct err *err)
{
	struct proc_status own;
	struct arena *a;
	int ret;

	if (!status->seccomp || is_sieve(d, status))
		return 0;
	a = arena_create();
	ret = own_status(&own, a, err);
	if (!ret && is_ours(status, &own))
		ret = 0;
	else if (!ret && own.seccomp)
		ret = refused(
			status, "nobody may read who is under seccomp, as snapctl is here", err);
	else if (!ret && (!(own.cap_eff >> CAP_SYS_ADMIN & 1) || !access_userns_is_initial()))
		ret = refused(status, "only CAP_SYS_ADMIN may read and suspend", err);
	arena_destroy(a);
	return ret;
}

/* ---- filters ---------------------------------------------------------------------------- */

/* Somebody with a descriptor for it answers in the kernel's place, and who that is nobody tells. */
static bool asks_somebody(const struct thread_filter *filter)
{
	for (size_t i = 0; i < filter->nr_insns; i++)
		if (filter->insns[i].code == (BPF_RET | BPF_K) &&
			(filter->insns[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

static bool is_same(const struct snap_seccomp *known, const struct snap_seccomp *filter)
{
	return known->before == filter->before && known->flags == filter->flags &&
	       known->nr_program == filter->nr_program &&
	       !memcmp(known->program, filter->program, filter->nr_program);
}

/* Number of a filter in the snap, counted from 1. The same one after the same ones is shared. */
static uint32_t filter_add(struct snap *snap, const struct snap_seccomp *filter)
{
	for (size_t i = 0; i < snap->nr_seccomp; i++)
		if (is_same(&snap->seccomp[i], filter))
			return (uint32_t)i + 1;
	snap->seccomp = arena_grow(snap->arena, snap->seccomp, snap->nr_seccomp, &snap->cap_seccomp,
		sizeof *snap->seccomp);
	snap->seccomp[snap->nr_seccomp] = *filter;
	snap->seccomp[snap->nr_seccomp].program = arena_copy(
		snap->arena, filter->program, filter->nr_program);
	return (uint32_t)++snap->nr_seccomp;
}

static int filter_collect(struct snap *snap, const struct thread_filter *filter,
	struct snap_task *task, struct err *err)
{
	if (asks_somebody(filter)) {
		err_set(err, ENOTSUP,
			"a seccomp filter asks another program about system calls "
			"(SECCOMP_RET_USER_NOTIF)");
		return err_hint(err, "start the program without that supervisor");
	}
	task->seccomp = filter_add(
		snap, &(struct snap_seccomp){
			      .before = task->seccomp,
			      .flags = filter->flags,
			      .program = (uint8_t *)filter->insns,
			      .nr_program = filter->nr_insns * sizeof *filter->insns,
		      });
	return 0;
}

static int filters_collect(
	struct snap *snap, int tid, size_t index, struct snap_task *task, struct err *err)
{
	for (;; index++) {
		struct thread_filter filter;
		bool there;
		int ret = thread_get_seccomp(tid, index, &filter, &there, err);

		if (ret < 0 || !there)
			return ret;
		ret = filter_collect(snap, &filter, task, err);
		free(filter.insns);
		if (ret < 0)
			return ret;
	}
}

int seccomp_collect(struct dumping_proc *p, int tid, const struct proc_status *status,
	struct snap_task *task, struct err *err)
{
	struct arena *a;
	struct proc_status own;
	bool ours;
	int ret;

	if (!status->seccomp)
		return 0;
	if (is_sieve(p->d, status))
		return filters_collect(p->d->snap, tid, 1, task, err);
	a = arena_create();
	ret = own_status(&own, a, err);
	ours = !ret && is_ours(status, &own);
	arena_destroy(a);
	if (ours)
		log_info("thread %d: seccomp filters as snapctl's own, left to whoever restores",
			tid);
	if (ret < 0 || ours)
		return ret;
	task->seccomp_strict = status->seccomp == SECCOMP_MODE_STRICT;
	return task->seccomp_strict ? 0 : filters_collect(p->d->snap, tid, 0, task, err);
}
