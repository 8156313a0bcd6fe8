/*
 * Why a process may not be traced, in words. The kernel is asked first: opening /proc/PID/mem is
 * judged by the same rules as PTRACE_SEIZE (PTRACE_MODE_ATTACH) and changes nothing; its EACCES is
 * then explained, rule by rule, in the order of ptrace(2), "Ptrace access mode checking".
 */
#include "tracee/access.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "tracee/kernel_abi.h"
#include "tracee/proc.h"

enum { YAMA_NO_ATTACH = 3 };

struct access {
	pid_t pid;
	int procfd, selffd;
	struct arena *arena;
	struct proc_stat stat;
	struct proc_status status, self;
};

static bool access_may(const struct access *x, int cap)
{
	return x->self.cap_eff & (1ULL << cap);
}

/* ---- not a matter of rights --------------------------------------------- */

static int access_exists(const struct access *x, struct err *err)
{
	int ret;

	if (x->status.tgid != x->pid) {
		ret = err_set(err, EINVAL, "%d is a thread of process %d", x->pid, x->status.tgid);
		err_hint(err, "use --pid %d", x->status.tgid);
		return ret;
	}
	if (x->stat.state == 'Z' && x->stat.num_threads <= 1) {
		ret = err_set(err, ESRCH, "process %d (%s) has ended: it is a zombie", x->pid,
			x->stat.comm);
		err_hint(err, "its parent %d has not waited for it yet", x->stat.ppid);
		return ret;
	}
	return 0;
}

static int access_is_user(const struct access *x, struct err *err)
{
	int ret;

	if (!x->status.kthread && !(x->stat.flags & ABI_PF_KTHREAD))
		return 0;
	ret = err_set(err, EPERM, "process %d (%s) is a kernel thread: it has no program", x->pid,
		x->stat.comm);
	err_hint(err, "name a process that shows in ps without brackets");
	return ret;
}

static int access_not_self(const struct access *x, struct err *err)
{
	int ret;

	if (x->status.tgid != x->self.tgid)
		return 0;
	ret = err_set(err, EINVAL, "process %d is snapctl itself", x->pid);
	err_hint(err, "start snapctl from outside of the process that it is to dump");
	return ret;
}

/* Tracing by this process is no obstacle: the caller knows what it holds. */
static int access_not_traced(const struct access *x, struct err *err)
{
	pid_t tracer = x->status.tracer;
	struct proc_stat by = { .comm = "?" };
	struct proc_status status = { 0 };
	OWNED_FD procfd = -1;
	int ret;

	if (!tracer)
		return 0;
	if (proc_open(tracer, &procfd, NULL) == 0) {
		proc_stat(procfd, "stat", &by, NULL);
		proc_status(procfd, "status", x->arena, &status, NULL);
	}
	if (status.tgid == x->self.tgid)
		return 0;
	ret = err_set(err, EBUSY, "process %d (%s) is already traced by %d (%s)", x->pid,
		x->stat.comm, tracer, by.comm);
	err_hint(err, "a process can have one tracer: detach or end %d first", tracer);
	return ret;
}

/* ---- the rules: whom CAP_SYS_PTRACE of this user namespace does not let through ---- */

static bool ids_are(const uint32_t ids[4], uint32_t id)
{
	return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* ptrace compares our real ids with real, effective and saved ids of the target. */
static int rule_ids(const struct access *x, struct err *err)
{
	const struct proc_status *s = &x->status;
	int ret;

	if (access_may(x, CAP_SYS_PTRACE) ||
		(ids_are(s->uid, x->self.uid[0]) && ids_are(s->gid, x->self.gid[0])))
		return 0;
	ret = err_set(err, EPERM,
		"process %d (%s) runs with uid %u/%u/%u and gid %u/%u/%u (real/effective/saved), "
		"snapctl with uid %u and gid %u",
		x->pid, x->stat.comm, s->uid[0], s->uid[1], s->uid[2], s->gid[0], s->gid[1],
		s->gid[2], x->self.uid[0], x->self.gid[0]);
	if (s->uid[0] != s->uid[1] || s->gid[0] != s->gid[1])
		err_hint(err, "it is a set-user-ID or set-group-ID program: run snapctl as root");
	else
		err_hint(err, "run snapctl as that user (sudo -u '#%u' -g '#%u' ...) or as root",
			s->uid[0], s->gid[0]);
	return ret;
}

/* Files of a process that is not dumpable belong to root; only its directory keeps the owner. */
static int rule_dumpable(const struct access *x, struct err *err)
{
	struct stat st;
	int ret;

	if (access_may(x, CAP_SYS_PTRACE) || fstatat(x->procfd, "status", &st, 0) < 0 ||
		(st.st_uid == x->status.uid[1] && st.st_gid == x->status.gid[1]))
		return 0;
	ret = err_set(err, EPERM,
		"process %d (%s) is not dumpable: it has changed its ids or capabilities, its "
		"program file is not readable, or it called prctl(PR_SET_DUMPABLE, 0)",
		x->pid, x->stat.comm);
	err_hint(err, "run snapctl as root (CAP_SYS_PTRACE)");
	return ret;
}

static void caps_name(uint64_t caps, char *names, size_t len)
{
	size_t used = 0;

	names[0] = '\0';
	for (int cap = 0; cap < 64 && used < len; cap++) {
		char *name = caps & (1ULL << cap) ? cap_to_name(cap) : NULL;

		if (!name)
			continue;
		used += (size_t)snprintf(names + used, len - used, "%s%s", used ? ", " : "", name);
		cap_free(name);
	}
}

static int rule_caps(const struct access *x, struct err *err)
{
	uint64_t more = x->status.cap_prm & ~x->self.cap_prm;
	char names[512];
	int ret;

	if (!more || access_may(x, CAP_SYS_PTRACE))
		return 0;
	caps_name(more, names, sizeof names);
	ret = err_set(err, EPERM, "process %d (%s) has capabilities that snapctl lacks: %s", x->pid,
		x->stat.comm, names);
	err_hint(err,
		"run snapctl as root (CAP_SYS_PTRACE), or give it at least these capabilities");
	return ret;
}

/* The ns/user link of a process that we may not trace is hidden, its id map is not (though two
 * namespaces may have equal ones, which rule_unknown mentions). */
static bool access_same_userns(const struct access *x)
{
	char *ours, *theirs;

	if (proc_link(x->procfd, "ns/user", x->arena, &theirs, NULL) == 0 &&
		proc_link(x->selffd, "ns/user", x->arena, &ours, NULL) == 0)
		return !strcmp(ours, theirs);
	if (proc_text(x->procfd, "uid_map", x->arena, &theirs, NULL, NULL) == 0 &&
		proc_text(x->selffd, "uid_map", x->arena, &ours, NULL, NULL) == 0)
		return !strcmp(ours, theirs);
	return true;
}

static int rule_userns(const struct access *x, struct err *err)
{
	int ret;

	if (access_same_userns(x))
		return 0;
	ret = err_set(err, EPERM, "process %d (%s) lives in another user namespace", x->pid,
		x->stat.comm);
	err_hint(err,
		"run snapctl as root outside, or inside that namespace (nsenter -U "
		"--preserve-credentials -t %d)",
		x->pid);
	return ret;
}

/* PROC_USER_INIT_INO of the kernel. */
bool access_userns_is_initial(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino == 0xEFFFFFFDU;
}

static int yama_mode(void)
{
	OWNED_FD fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char digit = '0';

	return fd >= 0 && read(fd, &digit, 1) == 1 ? digit - '0' : 0;
}

int yama_explain(int mode, pid_t pid, const char *comm, struct err *err)
{
	static const char *const what[] = {
		[1] = "only a parent, or whom it names with PR_SET_PTRACER, may trace a process",
		[2] = "only root may trace",
		[3] = "nobody may trace until the next boot",
	};
	int ret;

	if (mode < 1 || mode > 3)
		return 0;
	ret = err_set(err, EPERM, "process %d (%s): Yama mode %d: %s", pid, comm, mode, what[mode]);
	if (mode == 1)
		err_hint(err, "start the program with snapctl dump PROGRAM, run snapctl as root, "
			      "let it call snapctl_listen() and use --ask, or write 0 to "
			      "/proc/sys/kernel/yama/ptrace_scope");
	else if (mode == 2)
		err_hint(err, "run snapctl as root (CAP_SYS_PTRACE)");
	else
		err_hint(err, "reboot with kernel.yama.ptrace_scope below 3");
	return ret;
}

/* Mode 3 spares nobody. */
static int rule_yama(const struct access *x, struct err *err)
{
	int mode = yama_mode();

	if (mode != YAMA_NO_ATTACH && access_may(x, CAP_SYS_PTRACE))
		return 0;
	return yama_explain(mode, x->pid, x->stat.comm, err);
}

/* The label of AppArmor, SELinux or Smack; NULL where none of them has one. */
static const char *access_label(const struct access *x, int procfd)
{
	char *text;

	if (proc_text(procfd, "attr/current", x->arena, &text, NULL, NULL) < 0 || !*text)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static int rule_label(const struct access *x, struct err *err)
{
	const char *ours = access_label(x, x->selffd), *theirs = access_label(x, x->procfd);
	int ret;

	if (!ours || !theirs || (!strcmp(ours, theirs) && text_starts(ours, "unconfined")))
		return 0;
	ret = err_set(err, EPERM,
		"process %d (%s) is confined as '%s', snapctl as '%s': a security module keeps "
		"them apart",
		x->pid, x->stat.comm, theirs, ours);
	err_hint(err,
		"allow it in the policy (the kernel's log tells which rule is missing), or "
		"run snapctl as '%s'",
		theirs);
	return ret;
}

/* Those that are active here and have rules of their own for ptrace(2), as "landlock, bpf". */
static void modules_name(char *names, size_t len)
{
	static const struct {
		uint64_t id;
		const char *name;
	} known[] = { { 101, "SELinux" }, { 102, "Smack" }, { 103, "TOMOYO" }, { 104, "AppArmor" },
		{ 109, "BPF" }, { 110, "Landlock" } };
	uint64_t ids[64];
	uint32_t size = sizeof ids;
	long nr = syscall(ABI_NR_lsm_list_modules, ids, &size, 0); /* Linux 6.8 */
	size_t used = 0;

	names[0] = '\0';
	for (long i = 0; i < nr; i++)
		for (size_t j = 0; j < sizeof known / sizeof *known && used < len; j++)
			if (ids[i] == known[j].id)
				used += (size_t)snprintf(names + used, len - used, "%s%s",
					used ? ", " : "", known[j].name);
}

/* Nobody tells whether it is in a Landlock domain, or that two user namespaces are not the same. */
static int rule_unknown(const struct access *x, struct err *err)
{
	char modules[128];
	int ret;

	modules_name(modules, sizeof modules);
	ret = err_set(err, EPERM,
		"process %d (%s): the kernel forbids to trace it, though ids, capabilities and its "
		"dumpable flag allow it",
		x->pid, x->stat.comm);
	if (modules[0])
		err_hint(err,
			"a security module (%s) that confines snapctl, or another user namespace "
			"with the same id map, may be the reason: run snapctl outside of that "
			"sandbox, or as root outside of all of them",
			modules);
	else
		err_hint(err, "another user namespace with the same id map, or a security module, "
			      "may be the reason: run snapctl as root outside of all of them");
	return ret;
}

static int access_explain(const struct access *x, struct err *err)
{
	static int (*const rules[])(const struct access *, struct err *) = {
		rule_userns,
		rule_ids,
		rule_dumpable,
		rule_caps,
		rule_yama,
		rule_label,
		rule_unknown,
	};
	int ret = 0;

	for (size_t i = 0; ret == 0; i++)
		ret = rules[i](x, err);
	return ret;
}

/* 0, EACCES, or ESRCH where the thread has no memory any more. */
static int access_try(const struct access *x, pid_t tid)
{
	OWNED_FD mem = -1;
	char name[64];

	snprintf(name, sizeof name, "task/%d/mem", tid);
	mem = openat(x->procfd, name, O_RDONLY | O_CLOEXEC);
	return mem >= 0 ? 0 : errno == ENOENT ? ESRCH : errno;
}

/* A leader that has exited has no memory: then any other thread will do. */
static int access_rights(const struct access *x, struct err *err)
{
	int code = ESRCH;
	pid_t *tids;
	size_t nr;
	int ret = proc_tasks(x->procfd, x->arena, &tids, &nr, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < nr && code == ESRCH; i++)
		code = access_try(x, tids[i]);
	if (code == EACCES || code == EPERM)
		return access_explain(x, err);
	if (code)
		return err_ret(
			err, -code, "process %d (%s): open its memory", x->pid, x->stat.comm);
	return 0;
}

/* A filter that we are under ourselves answers before the kernel looks at the process: there is no
 * process 0. */
static int access_not_filtered(const struct access *x, struct err *err)
{
	int ret;

	if (!x->self.seccomp || ptrace(PTRACE_SEIZE, 0, NULL, NULL) == 0 || errno == ESRCH)
		return 0;
	ret = err_set(err, EPERM,
		"process %d (%s): a seccomp filter that snapctl runs under forbids ptrace(2): %s",
		x->pid, x->stat.comm, strerror(errno));
	err_hint(err, "run snapctl outside of that sandbox; for a container, start it with "
		      "--cap-add=SYS_PTRACE or another seccomp profile");
	return ret;
}

/* ---- what we cannot dump anyway ----------------------------------------- */

static int access_is_64bit(const struct access *x, struct err *err)
{
	OWNED_FD exe = openat(x->procfd, "exe", O_RDONLY | O_CLOEXEC);
	unsigned char ident[EI_NIDENT];
	int ret;

	if (exe < 0 || read(exe, ident, sizeof ident) != sizeof ident ||
		ident[EI_CLASS] != ELFCLASS32)
		return 0;
	ret = err_set(err, ENOTSUP, "process %d (%s) is a 32-bit program", x->pid, x->stat.comm);
	err_hint(err, "only 64-bit programs can be dumped");
	return ret;
}

static int access_no_shadow_stack(const struct access *x, struct err *err)
{
	int ret;

	if (!x->status.shadow_stack)
		return 0;
	ret = err_set(err, ENOTSUP,
		"process %d (%s) has a shadow stack (CET), which cannot be restored", x->pid,
		x->stat.comm);
	err_hint(err, "start it with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK");
	return ret;
}

static int access_run(const struct access *x, struct err *err)
{
	static int (*const checks[])(const struct access *, struct err *) = {
		access_exists,
		access_is_user,
		access_not_self,
		access_not_traced,
		access_rights,
		access_not_filtered,
		access_is_64bit,
		access_no_shadow_stack,
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof checks / sizeof checks[0] && ret == 0; i++)
		ret = checks[i](x, err);
	return ret;
}

static int access_hidden(pid_t pid, struct err *err)
{
	int ret;

	if (pid <= 0 || (kill(pid, 0) < 0 && errno != EPERM)) {
		ret = err_set(err, ESRCH, "process %d: no such process", pid);
		err_hint(err, "ps -e lists those that there are");
		return ret;
	}
	ret = err_set(err, EPERM, "process %d is hidden: /proc is mounted with hidepid", pid);
	err_hint(err, "run snapctl as root");
	return ret;
}

static int access_read(struct access *x, struct err *err)
{
	int ret = proc_open(x->pid, &x->procfd, NULL);

	if (ret == -ESRCH)
		return access_hidden(x->pid, err);
	ret = proc_open(getpid(), &x->selffd, err);
	if (ret == 0)
		ret = proc_stat(x->procfd, "stat", &x->stat, err);
	if (ret == 0)
		ret = proc_status(x->procfd, "status", x->arena, &x->status, err);
	if (ret == 0)
		ret = proc_status(x->selffd, "status", x->arena, &x->self, err);
	return ret;
}

int access_check(pid_t pid, struct err *err)
{
	struct access x = { .pid = pid, .procfd = -1, .selffd = -1, .arena = arena_create() };
	int ret = access_read(&x, err);

	if (ret == 0)
		ret = access_run(&x, err);
	fd_close(&x.procfd);
	fd_close(&x.selffd);
	arena_destroy(x.arena);
	return ret;
}
