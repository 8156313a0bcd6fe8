/* From a live process to an image: the phases. */
#include "dump/dump.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "dump/check.h"
#include "dump/connections.h"
#include "dump/dumping.h"
#include "dump/enter.h"
#include "dump/fds.h"
#include "dump/files.h"
#include "dump/flocks.h"
#include "dump/found.h"
#include "dump/ipc.h"
#include "dump/launch.h"
#include "dump/left.h"
#include "dump/process.h"
#include "dump/shared.h"
#include "dump/terminal.h"
#include "dump/until/until.h"
#include "dump/tree.h"
#include "dump/worker.h"
#include "images/image.h"
#include "tracee/access.h"
#include "tracee/proc.h"

enum { REAP_LIMIT_MS = 3000, REAP_LOOK_MS = 5, AGAIN_LIMIT_MS = 5000, AGAIN_PAUSE_MS = 10 };

double dumping_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* ---- before anything is opened, and after everything ------------------------------------ */

static int dumping_init(struct dumping *d, const struct dump_opts *opts,
	const struct stop_requests *stop, struct dump_result *result, struct err *err)
{
	*d = (struct dumping){ .opts = opts, .stop = stop, .result = result };
	d->snap = snap_create();
	d->files = file_table_create(d);
	d->slots = slot_table_create(d);
	fds_hooks_init(d);
	if (connections_begin(d, err) < 0)
		return -err->code;
	if (launch_note_fds(d, err) < 0)
		return err_wrap(err, "own descriptors");
	d->mems = mem_table_create(d, err);
	if (!d->mems)
		return err ? -err->code : -EIO;
	d->tracer = tracer_create();
	return 0;
}

/* Lets go of the target, whatever has happened: attached ones run on, launched ones are killed. */
static void dumping_finish(struct dumping *d)
{
	connections_finish(d);
	flocks_finish(d);
	slot_table_finish(d->slots);
	/* There was no image: whoever waits for it has to know. Not for launched ones: they end. */
	if (d->tracer && d->area.pid)
		area_tell(d, SNAPCTL_FAILED, NULL);
	tracer_destroy(d->tracer);
	until_destroy(d->until);
	image_writer_destroy(d->writer);
	snap_destroy(d->snap);
}

/* ---- phases ----------------------------------------------------------------------------- */

static int image_begin(struct dumping *d, struct err *err)
{
	int ret = image_writer_create(
		d->opts->image, d->opts->force, d->opts->level, d->opts->threads, &d->writer, err);

	if (ret < 0)
		return ret;
	d->pages = d->fd_dump.pages = image_writer_pages(d->writer);
	return cpu_collect(d->snap, err);
}

static int processes_collect(struct dumping *d, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < d->nr_procs; i++)
		ret = process_collect(&d->procs[i], err);
	if (!ret)
		ret = fds_collect(d, err);
	for (size_t i = 0; !ret && i < d->nr_procs; i++)
		ret = process_collect_memory(&d->procs[i], err);
	if (!ret)
		ret = ipc_collect(d, err);
	return ret < 0 ? ret : flocks_collect(d, err);
}

static int collect(struct dumping *d, struct err *err)
{
	int ended, ret;

	flocks_begin(d);
	ret = info_collect(d, err);

	if (!ret)
		ret = tree_begin(d, err);
	if (!ret)
		ret = processes_collect(d, err);
	for (size_t i = 0; i < d->nr_procs; i++) {
		process_end(&d->procs[i]);
		ended = tracee_scratch_end(d->procs[i].t, ret < 0 ? NULL : err);
		if (!ret)
			ret = ended;
	}
	if (!ret)
		found_describe(d);
	if (!ret)
		terminal_collect(d);
	return ret;
}

/*
 * A process whose parent has ended with it is init's to reap, which some do only now and then;
 * until that its id is taken, and a restore would have to wait instead.
 */
static void await_init(pid_t pid)
{
	for (int ms = 0; ms < REAP_LIMIT_MS; ms += REAP_LOOK_MS) {
		OWNED_FD fd = -1;
		struct proc_stat stat;

		if (proc_open(pid, &fd, NULL) < 0 || proc_stat(fd, "stat", &stat, NULL) < 0 ||
			stat.state != 'Z' || stat.ppid != 1)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = REAP_LOOK_MS * 1000000L }, NULL);
	}
}

/* Zombies of the tree keep the ids of its groups and sessions, too. */
static void await_ids(const struct dumping *d)
{
	const struct snap *snap = d->snap;

	for (size_t i = 0; i < d->nr_procs; i++)
		await_init(d->procs[i].status.pid);
	/* Their ids are the program's, which are ours where it is in our PID namespace. */
	if (d->nr_procs && d->procs[0].status.pid == snap->procs[0].pid)
		for (size_t i = 0; i < snap->nr_zombies; i++)
			await_init(snap->zombies[i].pid);
}

/*
 * The tree is no longer needed: its contents are in the page store. All of it gets the signal
 * before any is waited for, so that none of it can see another one end.
 */
static void let_go(struct dumping *d)
{
	struct tracer *tr = d->tracer;

	if (d->opts->pid == 1 && !d->opts->early && !d->opts->leave_running)
		log_say("%s is written; process 1 ends now, and with it all of its namespace, us "
			"too",
			d->opts->image);
	/* Children of what we launched become ours when their parents go, so their ids are free at
	 * once; elsewhere that is up to init. */
	if (!d->opts->leave_running && d->opts->argv)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; !d->opts->leave_running && i < tr->nr_tracees; i++)
		if (!tr->tracees[i]->ended)
			kill(tr->tracees[i]->pid, SIGKILL);
	while (tr->nr_tracees) {
		struct tracee *t = tr->tracees[tr->nr_tracees - 1];

		if (d->opts->leave_running)
			tracee_release(t);
		else
			tracee_kill(t);
	}
	while (d->opts->argv && waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
	d->target = NULL;
}

static void frozen_until_now(struct dumping *d)
{
	d->result->frozen_ms = dumping_now_ms() - d->frozen_at;
}

/* From here on only the disk can fail, and it is asked before. */
static int collect_last(struct dumping *d, struct err *err)
{
	size_t bytes = 0;

	if (fds_collect_last(d, &bytes, err) < 0)
		return -err->code;
	if (!bytes)
		return 0;
	if (image_writer_reserve(d->writer, d->snap, bytes, err) < 0)
		return -err->code;
	return fds_collect_last(d, NULL, err);
}

static int image_commit(struct dumping *d, struct err *err)
{
	int ret = 0;

	/* A program that goes on need not wait for the disk; the terminal may be its own, too. */
	if (d->opts->leave_running) {
		progress_end(d->opts->progress);
		connections_finish(d);
		area_tell(d, SNAPCTL_WENT_ON, NULL);
		d->area.pid = 0;
		let_go(d);
		frozen_until_now(d);
		return image_writer_commit(d->writer, d->snap, err);
	}
	progress_phase(d->opts->progress, "bringing the image to the disk", 0);
	ret = connections_keep(d, err);
	if (!ret)
		ret = collect_last(d, err);
	if (!ret)
		ret = image_writer_commit(d->writer, d->snap, err);
	if (ret < 0)
		connections_forget(d);
	return ret < 0 ? ret : connections_silence(d, err);
}

static int dump_phases(struct dumping *d, struct err *err)
{
	/* Before the program is started: that may take a minute. */
	int ret = image_writer_look(d->opts->image, d->opts->force, err);

	if (!ret)
		ret = d->opts->argv ? launch_start(d, err) : launch_attach(d, err);

	if (!ret)
		ret = ipc_enter(d, err);
	if (!ret)
		ret = check_refuse(d, err);
	if (!ret)
		ret = image_begin(d, err);
	if (ret < 0)
		return ret;
	d->frozen_at = dumping_now_ms();
	progress_phase(d->opts->progress, "reading memory", 0);
	left_sample(d);
	ret = tree_freeze(d, err);
	if (!ret)
		left_confirm(d);
	if (!ret)
		ret = area_tell(d, SNAPCTL_RESTORED, err);
	if (!ret)
		ret = collect(d, err);
	log_debug("collected in %.2f ms", dumping_now_ms() - d->frozen_at);
	if (!ret)
		ret = stop_requested(d->stop, err);
	if (!ret)
		ret = image_commit(d, err);
	d->result->committed = !ret;
	if (!d->opts->leave_running)
		frozen_until_now(d);
	if (!ret && d->opts->early)
		*d->opts->early = *d->result;
	if (ret < 0 || d->opts->leave_running)
		return ret;
	let_go(d);
	frozen_until_now(d);
	return 0;
}

/* ---- sizes ------------------------------------------------------------------------------ */

/* The target has ended by now: an image that nobody can measure any more is no failure. */
static void image_measure(const char *path, struct dump_result *result)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (!fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
			S_ISREG(st.st_mode))
			result->image_bytes += (unsigned long long)st.st_size;
	if (dir)
		closedir(dir);
}

static int dump_once(const struct dump_opts *opts, const struct stop_requests *stop,
	struct dump_result *result, struct err *err)
{
	struct dumping d;
	int ret = dumping_init(&d, opts, stop, result, err);

	if (!ret)
		ret = dump_phases(&d, err);
	/* With an init, all goes when we end. */
	if (!ret && !opts->leave_running && opts->pid != 1)
		await_ids(&d);
	dumping_finish(&d);
	return ret;
}

/*
 * What was only just so (EAGAIN: a connection that nobody had accepted yet) may have come between
 * the check and the freeze. The target runs on as before a dump that fails, so there can be
 * another.
 */
static int dump_work(const struct dump_opts *opts, const struct stop_requests *stop,
	struct dump_result *result, struct err *err)
{
	double start = dumping_now_ms();
	int ret = dump_once(opts, stop, result, err);

	while (ret == -EAGAIN && !opts->argv && dumping_now_ms() < start + AGAIN_LIMIT_MS) {
		log_info("%s; once more", err->msg);
		*err = (struct err){ 0 };
		nanosleep(&(struct timespec){ .tv_nsec = AGAIN_PAUSE_MS * 1000000L }, NULL);
		ret = dump_once(opts, stop, result, err);
	}
	if (!ret)
		image_measure(opts->image, result);
	result->total_ms = dumping_now_ms() - start;
	return ret;
}

/* A worker that goes there, and the worker of that one. */
static int dump_work_inside(const struct dump_opts *opts, const struct stop_requests *stop,
	struct dump_result *result, struct err *err)
{
	OWNED_FD target = (int)syscall(SYS_pidfd_open, opts->pid, 0);
	struct dump_opts inner;
	int ret;

	(void)stop; /* worker_run() below waits for the same signals */
	if (enter(opts, &inner, err) < 0)
		return -err->code;
	inner.early = mmap(NULL, sizeof *inner.early, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (inner.early == MAP_FAILED)
		return err_nomem(err);
	log_info("dumping from inside: it is process %d there", inner.pid);
	ret = worker_run(dump_work, &inner, result, err);
	/* The end of the target may be the end of the namespace's init, and that of all inside. */
	if (ret < 0 && inner.early->committed) {
		*result = *inner.early;
		image_measure(inner.image, result);
		ret = 0;
	}
	munmap(inner.early, sizeof *inner.early);
	/* An init ends with its tracer. */
	if (!ret && !opts->leave_running)
		poll(&(struct pollfd){ .fd = target, .events = POLLIN }, 1, REAP_LIMIT_MS);
	return ret;
}

/* A launched program has our terminal, and with us ends before it could put that back. */
static int dump_launched(const struct dump_opts *opts, struct dump_result *result, struct err *err)
{
	struct terminal_before terminal;
	int ret;

	terminal_note(&terminal);
	ret = worker_run(dump_work, opts, result, err);
	if (!result->ended && !(result->committed && opts->leave_running))
		terminal_reset(&terminal);
	return ret;
}

int dump_run(const struct dump_opts *opts, struct dump_result *result, struct err *err)
{
	int ret;

	*result = (struct dump_result){ 0 };
	if (opts->argv)
		ret = dump_launched(opts, result, err);
	else
		ret = worker_run(
			enter_needed(opts->pid) ? dump_work_inside : dump_work, opts, result, err);
	return ret < 0 ? proc_explain(err) : ret;
}

/* ---- snapctl check ---------------------------------------------------------------------- */

static int objections_print(const struct objections *o, FILE *out)
{
	for (size_t i = 0; i < o->nr; i++) {
		fprintf(out, "%s\n", o->all[i].what);
		if (o->all[i].remedy[0])
			fprintf(out, "    %s\n", o->all[i].remedy);
	}
	return (int)o->nr;
}

static int check_attached(struct dumping *d, struct objections *o, struct err *err)
{
	int ret = tracee_seize(d->tracer, d->opts->pid, &d->target, err);

	if (!ret)
		ret = tree_seize(d, err);
	if (!ret)
		ret = ipc_enter(d, err);
	return ret < 0 ? ret : check_collect(d, o, err);
}

static int check_here(pid_t pid, const struct dump_opts *opts, FILE *out, struct err *err)
{
	struct objections o = { .arena = arena_create() };
	struct dump_result unused = { 0 };
	struct dump_opts with_pid = *opts;
	struct dumping d;
	struct err why = { 0 };
	int ret;

	with_pid.pid = pid;
	with_pid.argv = NULL;
	ret = dumping_init(&d, &with_pid, NULL, &unused, err);
	if (!ret && access_check(pid, &why) < 0) {
		if (why.code == ESRCH) { /* nothing stands against it: there is nothing */
			*err = why;
			ret = -ESRCH;
		} else {
			objections_add(&o, &why);
		}
	} else if (!ret) {
		ret = check_attached(&d, &o, err);
	}
	dumping_finish(&d);
	if (!ret)
		ret = objections_print(&o, out);
	arena_destroy(o.arena);
	return ret;
}

/* What the child in the other namespaces has found: shared with it. */
struct check_answer {
	int ret;
	struct err err;
};

static _Noreturn void check_inside(
	const struct dump_opts *opts, FILE *out, struct check_answer *answer)
{
	struct dump_opts inner;
	pid_t child;

	answer->ret = enter(opts, &inner, &answer->err);
	child = answer->ret < 0 ? -1 : fork();
	if (child == 0) {
		answer->ret = check_here(inner.pid, &inner, out, &answer->err);
		fflush(out);
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int check_where_it_is(pid_t pid, const struct dump_opts *opts, FILE *out, struct err *err)
{
	struct dump_opts with_pid = *opts;
	struct check_answer *answer;
	pid_t child;
	int ret;

	if (!enter_needed(pid))
		return check_here(pid, opts, out, err);
	with_pid.pid = pid;
	answer = mmap(
		NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED)
		return err_nomem(err);
	answer->ret = err_set(&answer->err, EIO, "the look from inside ended without a word");
	fflush(out);
	child = fork();
	if (child == 0)
		check_inside(&with_pid, out, answer);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	ret = answer->ret;
	if (ret < 0)
		*err = answer->err;
	munmap(answer, sizeof *answer);
	return ret;
}

int dump_check(pid_t pid, const struct dump_opts *opts, FILE *out, struct err *err)
{
	int ret = check_where_it_is(pid, opts, out, err);

	return ret < 0 ? proc_explain(err) : ret;
}
