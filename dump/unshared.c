/* What threads have for themselves, alone or together; see unshared.h. */
#include "dump/unshared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/check.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "dump/files.h"

static int compare(pid_t a, pid_t b, int type)
{
	return (int)syscall(SYS_kcmp, a, b, type, 0, 0);
}

static bool has_own(const struct dumping_proc *p, pid_t tid, int type)
{
	return tid != p->t->pid && tid != p->th->tid && compare(p->th->tid, tid, type) > 0;
}

/* ---- who shares with whom ----------------------------------------------------------------------
 */

/* One thread of each of those that share, in the order of kcmp(2): many threads, few looks. */
struct owners {
	int type;
	pid_t *tids;
	size_t nr;
};

/* The thread before it that has the same; 0: it is the first. */
static pid_t owners_find(struct owners *owners, pid_t tid)
{
	size_t low = 0, high = owners->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(tid, owners->tids[middle], owners->type);

		if (order <= 0) /* below 0: it has just ended */
			return order < 0 ? 0 : owners->tids[middle];
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	memmove(owners->tids + low + 1, owners->tids + low,
		(owners->nr - low) * sizeof *owners->tids);
	owners->tids[low] = tid;
	owners->nr++;
	return 0;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

struct look {
	struct dumping_proc *p;
	struct owners files, fs;
	size_t cap_files, cap_fs;
};

static struct owners owners_begin(struct arena *a, int type, size_t nr)
{
	return (struct owners){ .type = type, .tids = arena_array(a, nr, sizeof(pid_t)) };
}

/* Of another one than that of the first thread: chroot(2) needs no unshare before. */
static int root_look(struct look *look, int dir, uint32_t *root, struct err *err)
{
	struct stat own, process;

	*root = ID_NONE;
	if (fstatat(dir, "root", &own, 0) < 0 || fstatat(look->p->dir, "root", &process, 0) < 0)
		return err_sys(err, "root directory");
	if (own.st_dev == process.st_dev && own.st_ino == process.st_ino)
		return 0;
	return files_add_link_at(look->p->d, dir, "root", root, err);
}

static int fs_look(struct look *look, int dir, pid_t tid, struct err *err)
{
	struct dumping *d = look->p->d;
	struct snap_thread_fs fs = { .tid = tid, .with = owners_find(&look->fs, tid) };
	struct snap_proc *proc;
	struct proc_status status;
	int ret = files_add_link_at(d, dir, "cwd", &fs.cwd, err);

	if (!ret)
		ret = root_look(look, dir, &fs.root, err);
	if (!ret)
		ret = proc_status(dir, "status", d->snap->arena, &status, err);
	if (ret < 0)
		return ret;
	fs.umask = status.umask;
	proc = dumping_snap_proc(look->p);
	proc->thread_fs = arena_grow(
		d->snap->arena, proc->thread_fs, proc->nr_thread_fs, &look->cap_fs, sizeof fs);
	proc->thread_fs[proc->nr_thread_fs++] = fs;
	return 0;
}

static int files_look(struct look *look, int dir, pid_t tid, struct err *err)
{
	struct slots_look slots = { look->p, dir, tid };
	struct snap_thread_files files = { .tid = tid, .with = owners_find(&look->files, tid) };
	struct snap_proc *proc;
	int ret = files.with ? 0 : fds_look_slots(&slots, &files.fds, &files.nr_fds, err);

	if (ret < 0)
		return ret;
	proc = dumping_snap_proc(look->p);
	proc->thread_files = arena_grow(look->p->d->snap->arena, proc->thread_files,
		proc->nr_thread_files, &look->cap_files, sizeof files);
	proc->thread_files[proc->nr_thread_files++] = files;
	return 0;
}

/* It has given up what it shared, as threads may while they run. */
static bool is_ending(int dir)
{
	struct proc_stat stat;

	return proc_stat(dir, "stat", &stat, NULL) < 0 || proc_is_ending(&stat);
}

static int thread_look(struct look *look, pid_t tid, struct err *err)
{
	bool files = has_own(look->p, tid, KCMP_FILES), fs = has_own(look->p, tid, KCMP_FS);
	OWNED_FD dir = -1;
	char name[32];
	int ret = 0;

	if (!files && !fs)
		return 0;
	snprintf(name, sizeof name, "task/%d", tid);
	dir = openat(look->p->t->procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0; /* ended meanwhile */
	if (files)
		ret = files_look(look, dir, tid, err);
	if (!ret && fs)
		ret = fs_look(look, dir, tid, err);
	if (ret < 0 && is_ending(dir))
		return 0;
	return ret < 0 ? err_wrap(err, "thread %d", tid) : 0;
}

int unshared_look(struct dumping_proc *p, struct err *err)
{
	struct arena *a = p->d->snap->arena;
	size_t nr;
	pid_t *tids;
	int ret = proc_tasks(p->t->procfd, a, &tids, &nr, err);
	struct look look = { .p = p };

	if (ret < 0)
		return ret;
	look.files = owners_begin(a, KCMP_FILES, nr);
	look.fs = owners_begin(a, KCMP_FS, nr);
	for (size_t i = 0; !ret && i < nr; i++)
		ret = thread_look(&look, tids[i], err);
	return ret;
}

/* ---- objections --------------------------------------------------------------------------------
 */

static const struct {
	int type;
	const char *what, *remedy;
} tables[] = {
	{ KCMP_FILES, "a descriptor table", "start the process without CLONE_FILES" },
	{ KCMP_FS, "a working directory and umask", "start the process without CLONE_FS" },
};

/* A thread of process q with the same; 0: none. */
static pid_t same_in(const struct dumping_proc *q, pid_t tid, int type, struct arena *a)
{
	pid_t *tids;
	size_t nr;

	if (proc_tasks(q->t->procfd, a, &tids, &nr, NULL) < 0)
		return 0;
	for (size_t i = 0; i < nr; i++)
		if (compare(tids[i], tid, type) == 0)
			return tids[i];
	return 0;
}

void unshared_check(struct dumping_proc *p, pid_t tid, const char *name, struct objections *o)
{
	const struct dumping *d = p->d;

	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		if (!has_own(p, tid, tables[t].type))
			continue;
		for (size_t i = 0; i < d->nr_procs; i++) {
			const struct dumping_proc *q = &d->procs[i];
			pid_t other = q == p ? 0 : same_in(q, tid, tables[t].type, o->arena);

			struct err err = { 0 };

			if (!other)
				continue;
			err_set(&err, ENOTSUP,
				"%s shares %s with process %d (thread %d), and its first thread "
				"does not, which is not supported yet",
				name, tables[t].what, q->t->pid, other);
			err_hint(&err, "%s", tables[t].remedy);
			objections_add(o, &err);
		}
	}
}
