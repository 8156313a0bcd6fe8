/* What belongs to the process as a whole. Most of it is compared by the visible state too. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void proc_rlimits(void)
{
	struct rlimit limit, before[RLIM_NLIMITS];

	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 300, 4000 }));
	must(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 12345 * 1024 }));
	must(setrlimit(RLIMIT_STACK, &(struct rlimit){ 5 << 20, RLIM_INFINITY }));
	must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 20, 1 << 30 }));
	must(setrlimit(RLIMIT_CPU, &(struct rlimit){ 5000, 6000 }));
	must(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 100, 200 }));
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		must(getrlimit(i, &before[i]));
	target_wait();
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		must(getrlimit(i, &limit));
		expect(limit.rlim_cur == before[i].rlim_cur && limit.rlim_max == before[i].rlim_max,
			"limit %d: %lu %lu, was %lu %lu", i, limit.rlim_cur, limit.rlim_max,
			before[i].rlim_cur, before[i].rlim_max);
	}
}

static void proc_chroot(void)
{
	struct stat before, after;
	char cwd[64];

	if (geteuid() != 0)
		target_skip("chroot");
	target_keep_out();
	must(chroot("/usr"));
	must(chdir("/share"));
	must(stat("/", &before));
	target_wait();
	must(stat("/", &after));
	expect(before.st_ino == after.st_ino && before.st_dev == after.st_dev, "another root");
	expect(getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/share"), "working directory %s", cwd);
	expect(access("/bin/env", X_OK) == 0, "/bin/env is not below this root");
}

/* More descriptors open than the limit now allows. */
static void proc_rlimit_exceeded(void)
{
	int fd = (int)must(dup2(0, 900));

	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 10, 1000 }));
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor 900");
	expect(dup(0) >= 0 || errno == EMFILE, "dup");
	expect(fcntl(0, F_DUPFD, 10) == -1 && errno == EINVAL, "the limit is not 10");
}

static void proc_umask(void)
{
	umask(0137);
	target_wait();
	expect(umask(0) == 0137, "umask");
}

static void proc_cwd(void)
{
	char before[512], after[512];

	must(mkdir("a directory", 0755));
	must(chdir("a directory"));
	must((long)getcwd(before, sizeof before));
	target_wait();
	must((long)getcwd(after, sizeof after));
	expect(strcmp(before, after) == 0, "working directory %s", after);
}

static void proc_cwd_deleted(void)
{
	char cwd[512];

	must(mkdir("gone", 0755));
	must(chdir("gone"));
	must(rmdir("../gone"));
	target_wait();
	expect(!getcwd(cwd, sizeof cwd) && errno == ENOENT, "working directory %s", cwd);
}

static void proc_nice(void)
{
	must(setpriority(PRIO_PROCESS, 0, 7));
	target_wait();
	expect(getpriority(PRIO_PROCESS, 0) == 7, "nice %d", getpriority(PRIO_PROCESS, 0));
}

/* linux/ioprio.h: class best effort (2), level 6 */
static void proc_ioprio(void)
{
	long value = 2 << 13 | 6;

	must(syscall(SYS_ioprio_set, 1, 0, value));
	target_wait();
	expect(syscall(SYS_ioprio_get, 1, 0) == value, "ioprio %lx", syscall(SYS_ioprio_get, 1, 0));
}

static void proc_personality(void)
{
	unsigned before = (unsigned)personality(0xffffffff) | ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS |
			  UNAME26;

	must(personality(before));
	target_wait();
	expect((unsigned)personality(0xffffffff) == before, "personality %x",
		personality(0xffffffff));
}

static void proc_dumpable(void)
{
	if (geteuid() == 0)
		must(prctl(PR_SET_DUMPABLE, 0));
	target_wait();
	expect(prctl(PR_GET_DUMPABLE) == (geteuid() ? 1 : 0), "dumpable %d",
		prctl(PR_GET_DUMPABLE));
}

static void proc_pdeathsig(void)
{
	int sig = 0;

	must(prctl(PR_SET_PDEATHSIG, SIGURG));
	target_wait();
	must(prctl(PR_GET_PDEATHSIG, &sig));
	expect(sig == SIGURG, "PR_GET_PDEATHSIG %d", sig);
}

static volatile sig_atomic_t nr_deaths;

static void on_death(int sig)
{
	(void)sig;
	nr_deaths++;
}

/* Who restores it is its parent, and may end before it does. */
static void proc_pdeathsig_told(void)
{
	int sig = 0;

	signal(SIGUSR1, on_death);
	must(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	target_wait();
	must(prctl(PR_GET_PDEATHSIG, &sig));
	expect(sig == SIGUSR1, "PR_GET_PDEATHSIG %d", sig);
	expect(nr_deaths == 0, "its parent has ended %d times", (int)nr_deaths);
}

static void proc_subreaper(void)
{
	int on = 0;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	target_wait();
	must(prctl(PR_GET_CHILD_SUBREAPER, &on));
	expect(on == 1, "PR_GET_CHILD_SUBREAPER %d", on);
}

static void write_proc(const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/%s", name);
	fd = (int)must(open(path, O_WRONLY | O_CLOEXEC));
	must(write(fd, text, strlen(text)));
	close(fd);
}

static void proc_oom(void)
{
	write_proc("oom_score_adj", "321");
	target_wait();
	expect(proc_number("oom_score_adj", "", 10) == 321, "oom_score_adj");
}

static void proc_coredump_filter(void)
{
	write_proc("coredump_filter", "0x75");
	target_wait();
	expect(proc_number("coredump_filter", "", 16) == 0x75, "coredump_filter");
}

static void proc_title(void)
{
	char comm[16], cmdline[64] = "";
	int fd;

	/* What setproctitle does: argv[1] ("proc_title") stands right before NULL, then the
	 * environment. */
	strcpy(environ[-2], "other");
	must(prctl(PR_SET_NAME, "a new name"));
	target_wait();
	must(prctl(PR_GET_NAME, comm));
	expect(strcmp(comm, "a new name") == 0, "name %s", comm);
	fd = (int)must(open("/proc/self/cmdline", O_RDONLY));
	must(read(fd, cmdline, sizeof cmdline - 1));
	expect(strcmp(cmdline + strlen(cmdline) + 1, "other") == 0, "second argument %s",
		cmdline + strlen(cmdline) + 1);
}

/* PR_SET_MM_ARG_START, _END: where /proc/self/cmdline is read from; needs CAP_SYS_RESOURCE. */
static void proc_cmdline_moved(void)
{
	static const char title[] = "moved: title";
	char text[64] = "";
	char *p = map_anon(PAGE, 3, 0);
	int fd;
	bool moved;

	memcpy(p, title, sizeof title);
	moved = prctl(PR_SET_MM, PR_SET_MM_ARG_START, p, 0, 0) == 0 &&
		prctl(PR_SET_MM, PR_SET_MM_ARG_END, p + sizeof title, 0, 0) == 0;
	target_wait();
	fd = (int)must(open("/proc/self/cmdline", O_RDONLY));
	must(read(fd, text, sizeof text - 1));
	expect(!moved || strcmp(text, title) == 0, "cmdline %s", text);
}

static void proc_setsid(void)
{
	pid_t sid = setsid();

	target_wait();
	expect(sid < 0 || (getsid(0) == getpid() && getpgid(0) == getpid()), "session %d group %d",
		getsid(0), getpgid(0));
}

static void proc_pgid(void)
{
	must(setpgid(0, 0));
	target_wait();
	expect(getpgid(0) == getpid(), "process group %d", getpgid(0));
}

static void proc_clock(void)
{
	struct timespec before[3], after;
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME };

	for (int i = 0; i < 3; i++)
		must(clock_gettime(clocks[i], &before[i]));
	target_wait();
	for (int i = 0; i < 3; i++) {
		must(clock_gettime(clocks[i], &after));
		expect(after.tv_sec > before[i].tv_sec ||
				(after.tv_sec == before[i].tv_sec &&
					after.tv_nsec > before[i].tv_nsec),
			"clock %d went backwards", clocks[i]);
	}
}

/* After the restore the process can do all that others can: fork, exec, wait. */
static void proc_fork(void)
{
	int status = -1;

	target_wait();
	if (must(fork()) == 0) {
		execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
		_exit(1);
	}
	must(wait(&status));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 42, "child gave %x", status);
	expect(wait(&status) == -1 && errno == ECHILD, "there is another child");
}

/* Run a copy of ourselves and remove it. */
static void proc_exe_deleted(void)
{
	if (!getenv("TARGET_AGAIN")) {
		expect(system("cp /proc/$PPID/exe copy") == 0, "cp");
		must(setenv("TARGET_AGAIN", "1", 1));
		execl("copy", "copy", "proc_exe_deleted", (char *)NULL);
		fail("exec: %s", strerror(errno));
	}
	must(unlink("copy"));
	target_wait();
	expect(access("copy", F_OK) == -1, "the deleted program has its name again");
}

/* linux/prctl.h of 6.3 */
enum { MY_PR_SET_MDWE = 65, MY_PR_GET_MDWE = 66 };

static void proc_mdwe(void)
{
	bool set = prctl(MY_PR_SET_MDWE, 1, 0, 0, 0) == 0;

	target_wait();
	expect(!set || prctl(MY_PR_GET_MDWE, 0, 0, 0, 0) == 1, "PR_GET_MDWE");
}

static void proc_tsc(void)
{
	int mode = 0;

	must(prctl(PR_GET_TSC, &mode));
	target_wait();
	must(prctl(PR_GET_TSC, &mode));
	expect(mode == PR_TSC_ENABLE, "PR_GET_TSC %d", mode);
}

/* linux/prctl.h: PR_SET_IO_FLUSHER 57 needs CAP_SYS_RESOURCE; PR_SET_MEMORY_MERGE 67 */
enum { MY_PR_SET_MEMORY_MERGE = 67, MY_PR_GET_MEMORY_MERGE = 68 };

static void proc_memory_merge(void)
{
	bool set = prctl(MY_PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;

	target_wait();
	expect(!set || prctl(MY_PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1, "PR_GET_MEMORY_MERGE");
}

/* ---- children -------------------------------------------------------------------------------- */

static void proc_child(void)
{
	int gate[2], status;
	pid_t child;
	char byte;

	must(pipe(gate));
	child = (pid_t)must(fork());
	if (child == 0) {
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) == 1 ? 7 : 8);
	}
	close(gate[0]);
	target_wait();
	must(write(gate[1], "x", 1));
	must(waitpid(child, &status, 0));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "child ended with %x", status);
}

static void proc_zombie(void)
{
	pid_t child = (pid_t)must(fork());
	siginfo_t info;
	int status;

	if (child == 0)
		_exit(5);
	must(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	target_wait();
	must(waitpid(child, &status, 0));
	expect(WEXITSTATUS(status) == 5, "status %x", status);
}

const struct target targets_proc[] = {
	{ "proc_rlimits", proc_rlimits, "limits, soft and hard", 0 },
	{ "proc_rlimit_exceeded", proc_rlimit_exceeded, "a descriptor above the limit", 0 },
	{ "proc_umask", proc_umask, "umask", 0 },
	{ "proc_cwd", proc_cwd, "working directory", 0 },
	{ "proc_cwd_deleted", proc_cwd_deleted, "a deleted working directory", 0 },
	{ "proc_chroot", proc_chroot, "another root directory", 0 },
	{ "proc_nice", proc_nice, "nice", 0 },
	{ "proc_ioprio", proc_ioprio, "ioprio", 0 },
	{ "proc_personality", proc_personality, "personality", 0 },
	{ "proc_dumpable", proc_dumpable, "PR_SET_DUMPABLE 0", 0 },
	{ "proc_pdeathsig", proc_pdeathsig, "PR_SET_PDEATHSIG", 0 },
	{ "proc_pdeathsig_told", proc_pdeathsig_told, "PR_SET_PDEATHSIG, and no parent's end", 0 },
	{ "proc_subreaper", proc_subreaper, "PR_SET_CHILD_SUBREAPER", 0 },
	{ "proc_oom", proc_oom, "oom_score_adj", 0 },
	{ "proc_coredump_filter", proc_coredump_filter, "coredump_filter", 0 },
	{ "proc_title", proc_title, "title written over argv", 0 },
	{ "proc_cmdline_moved", proc_cmdline_moved, "PR_SET_MM_ARG_START", 0 },
	{ "proc_setsid", proc_setsid, "leader of a session of its own", 0 },
	{ "proc_pgid", proc_pgid, "leader of a process group of its own", 0 },
	{ "proc_clock", proc_clock, "clocks go on", 0 },
	{ "proc_fork", proc_fork, "can fork, exec and wait", 0 },
	{ "proc_exe_deleted", proc_exe_deleted, "the executable was deleted", 0 },
	{ "proc_mdwe", proc_mdwe, "PR_SET_MDWE", 0 },
	{ "proc_tsc", proc_tsc, "PR_GET_TSC", 0 },
	{ "proc_memory_merge", proc_memory_merge, "PR_SET_MEMORY_MERGE", 0 },
	{ "proc_child", proc_child, "a child process", 0 },
	{ "proc_zombie", proc_zombie, "a child that has ended", 0 },
	{ NULL, NULL, NULL, 0 },
};
