/* The new process from its birth to its exec; see child.h. */
#include "restore/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/creds.h"
#include "restore/fds.h"
#include "restore/files.h"
#include "restore/job.h"
#include "restore/tree.h"

static bool any_stopped(const struct snap *snap)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].stop == PROC_STOPPED)
			return true;
	return false;
}

/* A session or group of its own is made again; what was the launcher's is the caller's (D10). */
static int child_session(struct job *job, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	/*
	 * When we are gone, a stopped program in our group would be alone in it, and the kernel
	 * ends such orphans (setpgid(2)): detached, it gets a session of its own.
	 */
	bool orphan = job->opts->detach && any_stopped(job->snap);

	if (orphan || (tree_leads_session(proc) && !job->session_waits)) {
		if (setsid() < 0)
			return err_sys(err, "setsid");
	} else if (!tree_leads_session(proc) && !proc->group_inherited && proc->pgid == proc->pid &&
		   setpgid(0, 0) < 0) {
		return err_sys(err, "setpgid");
	}
	return 0;
}

/* A small number in a file of /proc/self, written only where it differs from what we inherited. */
int child_proc_number(const char *path, int base, long value, struct err *err)
{
	OWNED_FD fd = open(path, O_RDWR | O_CLOEXEC);
	char text[32] = "";
	int len;

	if (fd < 0)
		return err_sys(err, "open %s", path);
	if (read(fd, text, sizeof text - 1) < 0)
		return err_sys(err, "read %s", path);
	if (strtol(text, NULL, base) == value)
		return 0;
	len = snprintf(text, sizeof text, "%ld", value);
	if (pwrite(fd, text, (size_t)len, 0) != len)
		return err_sys(err, "write %ld to %s", value, path);
	return 0;
}

static int child_cwd(struct job *job, struct err *err)
{
	OWNED_FD fd = -1;

	if (files_open(&job->make, job->proc->cwd, O_RDONLY | O_DIRECTORY | O_PATH, &fd, err) < 0)
		return err_wrap(err, "working directory");
	if (fchdir(fd) < 0) {
		err_sys(err, "working directory %s", job->snap->files[job->proc->cwd].path);
		return err_hint(err, "see that you may enter it (chmod u+x)");
	}
	return 0;
}

static int child_attributes(struct job *job, struct err *err)
{
	if (child_proc_number("/proc/self/oom_score_adj", 10, job->proc->oom_score_adj, err) < 0 ||
		child_proc_number(
			"/proc/self/coredump_filter", 16, (long)job->mm->coredump_filter, err) < 0)
		return -err->code;
	umask((mode_t)job->proc->umask);
	return child_cwd(job, err);
}

static int child_exec(struct job *job, struct err *err)
{
	const struct snap_file *exe = &job->snap->files[job->mm->exe];
	char *const argv[] = { "", NULL }, *const envp[] = { NULL };
	int fd;

	if (files_open(&job->make, job->mm->exe, O_RDONLY, &fd, err) < 0)
		return err_wrap(err, "the program");
	if (creds_keep_over_exec(job, err) < 0)
		return -err->code;
	/* One that was there already is traced. */
	if (job->gate < 0 && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		return err_sys(err, "ptrace");
	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	err_sys(err, "execute %s", exe->path);
	return err->code == EACCES
		       ? err_hint(err, "it may have lost its mode (chmod +x), or its file system "
				       "is mounted noexec")
		       : -err->code;
}

void child_run(void *arg)
{
	struct job *job = arg;
	struct err *err = &job->child_err;
	/* The libc's own signals too, which sigprocmask(3) leaves alone. */
	const uint64_t all_but_trap = ~(1ull << (SIGTRAP - 1));

	log_hold();
	/* Until EXITKILL holds us, this does: no half-made process may outlive snapctl. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(125);
	/* Blocked until each thread has its registers; but the stop at the exec is a SIGTRAP. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_but_trap, NULL, sizeof all_but_trap);
	umask(0);
	if (child_session(job, err) < 0 || fds_make(job, err) < 0 ||
		files_open_mapped(job, err) < 0 || files_open_others(job, err) < 0 ||
		child_attributes(job, err) < 0 || child_exec(job, err) < 0)
		_exit(125);
	_exit(125);
}
