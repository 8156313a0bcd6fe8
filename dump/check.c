/* Everything that stands against a dump; see check.h. */
#include "dump/check.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/check_process.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "dump/files.h"
#include "dump/process.h"
#include "dump/shared.h"
#include "dump/timers.h"
#include "dump/tree.h"
#include "dump/vma.h"

enum { LOOKS = 4, LOOK_PAUSE_MS = 10, PASS_LIMIT_MS = 1000 };

void objections_add(struct objections *o, const struct err *err)
{
	o->all = arena_grow(o->arena, o->all, o->nr, &o->cap, sizeof *o->all);
	o->all[o->nr++] = (struct objection){
		arena_strdup(o->arena, err->msg),
		arena_strdup(o->arena, err->hint),
		err->code == EAGAIN,
	};
}

/* Words about this process in front. */
static void object(struct objections *o, const struct dumping_proc *p, struct err *err)
{
	err_wrap(err, "process %d (%s)", p->t->pid, p->stat.comm);
	objections_add(o, err);
}

/* Huge pages have one that nobody can open; vma_check() knows the others. */
static bool has_file(const struct dumping_proc *p, const struct proc_vma *vma)
{
	return vma->ino && vma->path[0] == '/' && !shared_is_object(p->d, vma) &&
	       !(vma_flags(vma->vmflags) & VMF_HUGETLB);
}

static void check_maps(struct dumping_proc *p, struct objections *o)
{
	for (size_t i = 0; i < p->nr_vmas; i++) {
		const struct proc_vma *vma = &p->vmas[i];
		struct err err = { 0 };

		if (vma_check(p->d, vma, &err) < 0 || shared_check(p, vma, &err) < 0 ||
			(has_file(p, vma) && files_check_mapped(p, vma, &err) < 0))
			object(o, p, &err);
	}
}

static const struct dumping_proc *seen_in(const struct dumping *d, const struct fd_seen *seen)
{
	size_t i = 0;

	while (i + 1 < d->nr_procs && d->procs[i].status.nspid != seen->pid)
		i++;
	return &d->procs[i];
}

static int check_fds(struct dumping *d, struct objections *o, struct err *err)
{
	const struct slot_table *table = d->slots;
	int ret = fds_look(d, err);

	for (size_t i = 0; !ret && i < table->nr; i++) {
		const struct fd_seen *seen = &table->seen[i].seen;
		const struct fd_kind *kind;
		struct err why = { 0 };

		if (d->snap->ofds[i].inherited >= 0)
			continue;
		kind = fd_kind_of(seen, &why);
		if (!kind || (kind->check && kind->check(seen, &why) < 0))
			object(o, seen_in(d, seen), &why);
	}
	return ret;
}

static int check_timers(struct dumping_proc *p, struct objections *o, struct err *err)
{
	struct proc_timer *timers;
	size_t nr;
	int ret = proc_timers(p->t->procfd, o->arena, &timers, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++) {
		struct err why = { 0 };
		int32_t tid;

		if (timers_clock(p, &timers[i], &tid, &why) < 0)
			object(o, p, &why);
	}
	return ret;
}

static int check_process(struct dumping_proc *p, struct objections *o, struct err *err)
{
	int ret = check_tree(p, o, err);

	if (!ret)
		ret = check_threads(p, o, err);
	if (!ret)
		ret = check_surroundings(p, o, err);
	if (!ret)
		check_maps(p, o);
	if (!ret)
		ret = check_timers(p, o, err);
	return ret;
}

static int check_processes(struct dumping *d, struct objections *o, struct err *err)
{
	int ret = tree_begin(d, err);

	for (size_t i = 0; !ret && i < d->nr_procs; i++) {
		size_t before = o->nr;

		ret = check_process(&d->procs[i], o, err);
		/* What an ending process looks like does not matter: it will not be there. */
		if ((ret < 0 || o->nr > before) && tree_is_ending(d->procs[i].t->pid)) {
			*err = (struct err){ 0 };
			o->nr = before;
			ret = i ? 0 : err_set(err, ESRCH, "it is just ending");
		}
	}
	if (!ret)
		ret = check_fds(d, o, err);
	for (size_t i = 0; i < d->nr_procs; i++)
		process_end(&d->procs[i]);
	return ret;
}

/* Looking needs tables as a dump has them; these are thrown away. */
static int look(const struct dumping *d, struct objections *o, struct err *err)
{
	struct dumping look = *d;
	int ret = -ENOMEM;

	look.snap = snap_create();
	look.files = file_table_create(&look);
	look.slots = slot_table_create(&look);
	look.mems = mem_table_create(&look, err);
	if (look.mems) {
		fds_hooks_init(&look);
		ret = check_processes(&look, o, err);
	}
	slot_table_finish(look.slots);
	snap_destroy(look.snap);
	return ret;
}

/* Let what is going on come to its end: a child that is just made waits for us, too. */
static int look_away(struct dumping *d, struct err *err)
{
	int ret = tracer_poll(d->tracer, LOOK_PAUSE_MS, NULL, err);

	return ret < 0 ? ret : tree_seize(d, err);
}

/*
 * Nothing stands still yet. In a tree at work the other end of a pipe may be with a child that is
 * just made, or a process may be gone before all of it was looked at; not so a moment later.
 */
int check_collect(struct dumping *d, struct objections *o, struct err *err)
{
	size_t before = o->nr;
	int ret = look(d, o, err);

	for (int i = 1; i < LOOKS && (ret < 0 || o->nr > before) && !d->opts->argv; i++) {
		if (d->tracer->nr_tracees < 2 || d->target->ended)
			break;
		*err = (struct err){ 0 };
		o->nr = before;
		ret = look_away(d, err);
		if (ret >= 0)
			ret = look(d, o, err);
	}
	return ret;
}

static size_t nr_passing(const struct objections *o)
{
	size_t nr = 0;

	for (size_t i = 0; i < o->nr; i++)
		nr += o->all[i].passes;
	return nr;
}

static bool all_pass(const struct objections *o)
{
	return o->nr && nr_passing(o) == o->nr;
}

static int await_passing(struct dumping *d, struct objections *o, struct err *err)
{
	double end = dumping_now_ms() + PASS_LIMIT_MS;
	int ret = 0;

	while ((ret < 0 || all_pass(o)) && !d->target->ended && dumping_now_ms() < end) {
		*err = (struct err){ 0 };
		o->nr = 0;
		ret = look_away(d, err);
		if (ret >= 0)
			ret = look(d, o, err);
	}
	return ret;
}

static int look_at_frozen(struct dumping *d, struct objections *o, struct err *err)
{
	int ret = tree_freeze(d, err);

	if (ret < 0)
		return ret;
	o->nr = 0;
	ret = look(d, o, err);
	return tracer_thaw(d->tracer, err) < 0 ? -err->code : ret;
}

/* A program that we have started is quiet, and so is what passes. */
static int check_patiently(struct dumping *d, struct objections *o, struct err *err)
{
	int ret = check_collect(d, o, err);

	if (!ret && !d->opts->argv)
		ret = await_passing(d, o, err);
	/* Who waits in vfork(2), which passes, cannot be frozen. */
	if (!ret && o->nr && !nr_passing(o) && !d->opts->argv)
		ret = look_at_frozen(d, o, err);
	return ret;
}

int check_refuse(struct dumping *d, struct err *err)
{
	struct objections o = { .arena = arena_create() };
	int ret = check_patiently(d, &o, err);

	if (!ret && o.nr > 1)
		ret = err_set(err, ENOTSUP,
			"%s (and %zu more: `snapctl check --pid` lists all of a "
			"running process)",
			o.all[0].what, o.nr - 1);
	else if (!ret && o.nr)
		ret = err_set(err, ENOTSUP, "%s", o.all[0].what);
	if (o.nr && o.all[0].remedy[0])
		err_hint(err, "%s", o.all[0].remedy);
	arena_destroy(o.arena);
	return ret;
}
