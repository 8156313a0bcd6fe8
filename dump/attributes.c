/* What a process has one of: working directory, and the settings of prctl(2) and /proc. */
#include <asm/prctl.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/files.h"
#include "dump/remote.h"

/* uapi/linux/prctl.h since Linux 6.3. */
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
/* Since Linux 6.4. */
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

/* Since Linux 6.15, and with PR_TIMER_CREATE_RESTORE_IDS_GET. */
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#endif
/* Since Linux 6.16, and with PR_FUTEX_HASH_GET_SLOTS. */
#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78
#endif
enum { TIMER_IDS_GET = 2, FUTEX_SLOTS_GET = 2, FUTEX_SLOTS_AUTO_MIN = 16 };
/* uapi/asm/prctl.h since Linux 5.16. */
#ifndef ARCH_GET_XCOMP_PERM
#define ARCH_GET_XCOMP_PERM 0x1022
#endif
enum { XFEATURE_XTILE_DATA = 18 };

/* uapi/linux/membarrier.h since Linux 6.3. */
enum { MEMBARRIER_GET_REGISTRATIONS = 1 << 9 };

static int number_collect(
	struct dumping_proc *p, const char *name, bool hex, int64_t *value, struct err *err)
{
	uint64_t unsigned_value = 0;
	struct text t;
	char *text;
	size_t len;
	int ret = proc_text(p->t->procfd, name, p->d->snap->arena, &text, &len, err);

	if (ret < 0)
		return ret;
	t.at = text;
	if (hex ? !text_hex(&t, &unsigned_value) : !text_int(&t, value))
		return err_set(err, EPROTO, "/proc/%d/%s: \"%s\"", p->t->pid, name, text);
	if (hex)
		*value = (int64_t)unsigned_value;
	return 0;
}

static int numbers_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	int64_t oom_score_adj, personality;
	int ret = number_collect(p, "oom_score_adj", false, &oom_score_adj, err);

	if (!ret)
		ret = number_collect(p, "personality", true, &personality, err);
	if (ret < 0)
		return ret;
	proc->oom_score_adj = (int32_t)oom_score_adj;
	proc->personality = (uint32_t)personality;
	return 0;
}

static int prctls_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	struct tracee_thread *leader = p->th;
	uint64_t dumpable, mdwe, merge;
	int32_t subreaper;
	int ret = remote_prctl(
		p->t, leader, PR_GET_DUMPABLE, "prctl(PR_GET_DUMPABLE)", &dumpable, err);

	if (!ret)
		ret = remote_prctl_int(p->t, leader, PR_GET_CHILD_SUBREAPER,
			"prctl(PR_GET_CHILD_SUBREAPER)", &subreaper, err);
	if (!ret)
		ret = remote_prctl_maybe(
			p->t, leader, PR_GET_MDWE, "prctl(PR_GET_MDWE)", &mdwe, err);
	if (!ret)
		ret = remote_prctl_maybe(p->t, leader, PR_GET_MEMORY_MERGE,
			"prctl(PR_GET_MEMORY_MERGE)", &merge, err);
	if (ret < 0)
		return ret;
	/* 2 (core dumps readable by root only) comes from the kernel alone; prctl takes 0 and 1. */
	proc->dumpable = dumpable == 1;
	proc->child_subreaper = subreaper;
	proc->mdwe = (uint32_t)mdwe;
	proc->memory_merge = merge == 1;
	return 0;
}

/*
 * The kernel makes 16 to 4 times as many slots as there are CPUs, as threads come
 * (futex_hash_allocate_default() in kernel/futex/core.c): what it would not make, the program has
 * asked for.
 */
static bool is_automatic(const struct dumping_proc *p, uint64_t slots)
{
	uint64_t most = FUTEX_SLOTS_AUTO_MIN;

	while (most < 4 * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN))
		most *= 2;
	if (!slots)
		return p->status.threads <= 1;
	return slots >= FUTEX_SLOTS_AUTO_MIN && slots <= most;
}

/* EINVAL: a kernel that has not got the one or the other yet. */
static int newer_prctls_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	uint64_t at = 0, features = 0;
	size_t room;
	int ret = tracee_scratch(p->t, &at, &room, err);
	struct tracee_call calls[] = {
		{ SYS_prctl, { PR_TIMER_CREATE_RESTORE_IDS, TIMER_IDS_GET }, 0 },
		{ SYS_prctl, { PR_FUTEX_HASH, FUTEX_SLOTS_GET }, 0 },
		{ SYS_arch_prctl, { ARCH_GET_XCOMP_PERM, at }, 0 },
	};

	if (!ret)
		ret = tracee_syscalls(p->t, p->th, calls, sizeof calls / sizeof calls[0], err);
	if (!ret && calls[2].ret == 0)
		ret = tracee_read(p->t, at, &features, sizeof features, err);
	if (ret < 0)
		return ret;
	proc->amx = features >> XFEATURE_XTILE_DATA & 1;
	proc->timer_ids_chosen = calls[0].ret == 1;
	if (calls[1].ret >= 0 && !is_automatic(p, (uint64_t)calls[1].ret))
		proc->futex_slots = (uint32_t)calls[1].ret + 1;
	return 0;
}

/* Which kinds of membarrier(2) it may use; EINVAL: a kernel older than 6.3. */
static int membarrier_collect(struct dumping_proc *p, struct err *err)
{
	int64_t answer;
	int ret = tracee_syscall(p->t, p->th, SYS_membarrier,
		(uint64_t[6]){ MEMBARRIER_GET_REGISTRATIONS }, &answer, err);

	if (ret < 0)
		return err_wrap(err, "membarrier");
	if (answer < 0 && answer != -EINVAL && answer != -ENOSYS)
		return err_ret(err, answer, "membarrier(MEMBARRIER_CMD_GET_REGISTRATIONS)");
	dumping_snap_proc(p)->membarrier = answer < 0 ? 0 : (uint32_t)answer;
	return 0;
}

/* "/autogroup-12 nice 5": a group belongs to a session, so its leader stands for it. */
static int autogroup_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	int64_t nice = 0;
	struct text t;
	char *text;
	int ret;

	if (proc->sid != proc->pid || faccessat(p->t->procfd, "autogroup", F_OK, 0) < 0)
		return 0;
	ret = proc_text(p->t->procfd, "autogroup", p->d->snap->arena, &text, NULL, err);
	t.at = ret < 0 ? NULL : strstr(text, " nice ");
	if (!t.at)
		return ret;
	t.at += strlen(" nice ");
	if (!text_int(&t, &nice))
		return err_set(err, EPROTO, "/proc/%d/autogroup: \"%s\"", p->t->pid, text);
	proc->autogroup_nice = (int32_t)nice;
	return 0;
}

/* modify_ldt(0) gives the bytes of the table in use. */
static int ldt_check(struct dumping_proc *p, struct err *err)
{
	uint64_t scratch;
	int64_t answer;
	size_t room;
	int ret = tracee_scratch(p->t, &scratch, &room, err);

	if (!ret)
		ret = tracee_syscall(
			p->t, p->th, SYS_modify_ldt, (uint64_t[6]){ 0, scratch, 8 }, &answer, err);
	if (ret < 0)
		return err_wrap(err, "modify_ldt");
	if (answer <= 0)
		return 0; /* none, or a kernel that knows none */
	err_set(err, ENOTSUP,
		"it has a local descriptor table (modify_ldt; Wine and DOS emulators use it)");
	return err_hint(err, "there is no way around that");
}

static void stop_collect(struct dumping_proc *p)
{
	struct snap_proc *proc = dumping_snap_proc(p);

	for (size_t i = 0; i < p->t->nr_threads; i++) {
		if (p->t->threads[i].state != TRACEE_GROUP_STOPPED)
			continue;
		proc->stop = PROC_STOPPED;
		proc->stop_signal = p->t->threads[i].stop_signal;
		/* signal->group_exit_code, which do_wait() clears (kernel/exit.c). */
		proc->stop_told = p->stat.exit_code == 0;
	}
}

/* Would it get to know that a child was continued? pid -1: any. */
static int continued_ask(struct dumping_proc *p, int32_t pid, bool *told, struct err *err)
{
	const uint64_t args[6] = { pid < 0 ? P_ALL : P_PID, pid < 0 ? 0 : (uint64_t)pid, 0,
		WCONTINUED | WNOHANG | WNOWAIT | __WALL };
	siginfo_t info = { 0 };
	int ret = remote_get(p->t, p->th, SYS_waitid, args, 2, &info, sizeof info, "waitid", err);

	*told = !ret && info.si_pid != 0;
	return ret;
}

/* Of its children; all are asked about at once first. */
static int continued_collect(struct dumping_proc *p, struct err *err)
{
	struct snap *snap = p->d->snap;
	bool any = false, asked = false;
	int ret = 0;

	for (size_t i = p->id + 1; !ret && i < snap->nr_procs; i++) {
		if (snap->procs[i].parent != p->id)
			continue;
		if (!asked)
			ret = continued_ask(p, -1, &any, err);
		asked = true;
		if (!ret && any)
			ret = continued_ask(p, snap->procs[i].pid, &snap->procs[i].continued, err);
	}
	return ret;
}

/* Paths are recorded as we see them, so another root matters only to what comes later. */
static int root_collect(struct dumping_proc *p, struct err *err)
{
	struct stat theirs, ours;
	uint32_t root = ID_NONE;

	if (fstatat(p->dir, "root", &theirs, 0) < 0 || stat("/", &ours) < 0)
		return err_sys(err, "root directory");
	if ((theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino) &&
		files_add_link(p, "root", &root, err) < 0)
		return err_wrap(err, "root directory");
	dumping_snap_proc(p)->root = root;
	return 0;
}

/* Whoever has loaded libsnapctl may ask it later what a restore has said. */
static void area_collect(struct dumping_proc *p)
{
	struct snap_proc *proc = dumping_snap_proc(p);

	proc->area = p->t->pid == p->d->area.pid ? p->d->area.addr : 0;
	if (!proc->area && area_check(p->t, SNAPCTL_AREA_ADDR, NULL) == 0)
		proc->area = SNAPCTL_AREA_ADDR;
}

int attributes_collect(struct dumping_proc *p, struct err *err)
{
	uint32_t cwd;
	int ret;

	stop_collect(p);
	area_collect(p);
	ret = files_add_link(p, "cwd", &cwd, err);
	if (ret < 0)
		return err_wrap(err, "working directory");
	dumping_snap_proc(p)->cwd = cwd;
	ret = root_collect(p, err);
	if (ret < 0)
		return ret;
	ret = numbers_collect(p, err);
	if (!ret)
		ret = prctls_collect(p, err);
	if (!ret)
		ret = newer_prctls_collect(p, err);
	if (!ret)
		ret = membarrier_collect(p, err);
	if (!ret)
		ret = autogroup_collect(p, err);
	if (!ret)
		ret = continued_collect(p, err);
	return ret < 0 ? ret : ldt_check(p, err);
}
