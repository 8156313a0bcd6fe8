/* Children that run another program. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* argv with its input and output at these descriptors; all others above 2 are closed. */
static pid_t run(int in, int out, char *const argv[])
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		must(dup2(in, 0));
		must(dup2(out, 1));
		close_range(3, ~0u, 0);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static void ends_well(pid_t pid)
{
	int status = -1;

	expect(waitpid(pid, &status, 0) > 0 && status == 0, "status %x", (unsigned)status);
}

static void treeexec_sleep(void)
{
	pid_t pid = run(0, 1, (char *[]){ "/bin/sleep", "1000", NULL });
	int status;

	process_waits_in(pid, SYS_clock_nanosleep);
	target_wait();
	must(kill(pid, SIGTERM));
	expect(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM, "status");
}

/* As many of them as `nr`, one after the other: what goes in comes out, and an end goes through. */
static void cats(int nr)
{
	int in[2], between[2], from;
	pid_t pids[8];
	char got[16];

	must(pipe(in));
	from = in[0];
	for (int i = 0; i < nr; i++) {
		must(pipe(between));
		fcntl(in[1], F_SETFD, FD_CLOEXEC);
		pids[i] = run(from, between[1], (char *[]){ "/bin/cat", NULL });
		close(from);
		close(between[1]);
		from = between[0];
	}
	must(write(in[1], "before", 6));
	for (int i = 0; i < nr; i++)
		process_waits_in(pids[i], SYS_read);
	target_wait();
	must(write(in[1], "after", 5));
	close(in[1]);
	for (size_t at = 0; at < 11;)
		at += (size_t)must(read(from, got + at, 11 - at));
	expect(!memcmp(got, "beforeafter", 11), "%.11s", got);
	expect(read(from, got, 1) == 0, "no end");
	for (int i = 0; i < nr; i++)
		ends_well(pids[i]);
}

static void treeexec_cat(void)
{
	cats(1);
}

static void treeexec_pipeline(void)
{
	cats(6);
}

/* A shell with subshells and programs below. */
static void treeexec_shell(void)
{
	static char script[] = "x=41; cat <fifo | sed s/in/out/ & echo up; read line; "
			       "x=$((x+1)); echo got $line $x; echo in >fifo; wait; echo done";
	int in[2], out[2];
	FILE *from;
	char line[64], all[512] = "";
	pid_t pid;

	must(mkfifo("fifo", 0600));
	must(pipe(in));
	must(pipe(out));
	pid = run(in[0], out[1], (char *[]){ "/bin/sh", "-c", script, NULL });
	close(out[1]);
	from = fdopen(out[0], "r");
	expect(from && fgets(line, sizeof line, from) && !strcmp(line, "up\n"), "before");
	process_waits_in(pid, SYS_read);
	target_wait();
	must(write(in[1], "hello\n", 6));
	while (fgets(line, sizeof line, from))
		strncat(all, line, sizeof all - strlen(all) - 1);
	expect(strstr(all, "got hello 42\n") && strstr(all, "out\n") && strstr(all, "done\n"), "%s",
		all);
	ends_well(pid);
}

/* The child runs the same program, which the kernel has placed elsewhere. */
static void treeexec_again(void)
{
	int in[2], out[2];
	char got[32] = "";
	pid_t pid;

	if (getenv("TARGET_AGAIN")) {
		char line[16] = "";

		must(write(1, "up", 2));
		must(read(0, line, sizeof line));
		must(write(1, line, strlen(line)));
		_exit(0);
	}
	must(pipe(in));
	must(pipe(out));
	must(setenv("TARGET_AGAIN", "1", 1));
	pid = run(in[0], out[1], (char *[]){ "/proc/self/exe", "treeexec_again", NULL });
	must(read(out[0], got, 2));
	target_wait();
	must(write(in[1], "good", 4));
	must(read(out[0], got, 4));
	expect(!strcmp(got, "good"), "%s", got);
	ends_well(pid);
}

/* fork in the child that has executed another program: it has kids of its own. */
static void treeexec_subshells(void)
{
	int in[2], out[2];
	char got[64] = "";
	pid_t pid;

	must(pipe(in));
	must(pipe(out));
	pid = run(in[0], out[1],
		(char *[]){ "/bin/sh", "-c",
			"(x=1; (x=2; (x=3; echo up; read y; echo $y $x); echo $x); echo $x)",
			NULL });
	close(out[1]);
	must(read(out[0], got, 3));
	target_wait();
	must(write(in[1], "deep\n", 5));
	for (size_t at = 0; at < 11;)
		at += (size_t)must(read(out[0], got + at, 11 - at));
	expect(!strcmp(got, "deep 3\n2\n1\n"), "%s", got);
	ends_well(pid);
}

/* ---- shared anonymous memory of cousins ------------------------------------------------------ */

struct family {
	char *at;
	int in[2];               /* what the other programs read */
	int stands[2], judge[2]; /* a byte from each cousin, and for each */
};

/* Its parent is another program since: no process that lives has both of its memory. */
static void cousin(const struct family *f)
{
	char byte = 0;

	close(f->in[1]);
	must(munmap(f->at + 2 * PAGE, PAGE));
	must(mprotect(f->at + 4 * PAGE, PAGE, PROT_READ));
	f->at[0]++;
	must(write(f->stands[1], &byte, 1));
	must(read(f->judge[0], &byte, 1));
	expect(f->at[0] == 2 && pattern_is(f->at + 5 * PAGE, 2 * PAGE, 5), "contents");
	expect(read_faults(f->at + 2 * PAGE) && write_faults(f->at + 4 * PAGE), "pieces");
	f->at[1]++;
	_exit(0);
}

static void kid_becomes_cat(void *arg)
{
	const struct family *f = arg;
	char byte;

	if (must(fork()) == 0)
		cousin(f);
	must(read(f->stands[0], &byte, 1));
	kid_ready();
	must(dup2(f->in[0], STDIN_FILENO));
	close(f->in[1]);
	execl("/bin/cat", "cat", NULL);
}

static void treeexec_cousins(void)
{
	struct family f = { .at = map_anon(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED) };
	pid_t cats[2];

	must(pipe(f.in));
	must(pipe(f.stands));
	must(pipe(f.judge));
	pattern_fill(f.at + 5 * PAGE, 2 * PAGE, 5);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; i < 2; i++) {
		cats[i] = kid(kid_becomes_cat, &f);
		process_waits_in(cats[i], SYS_read);
	}
	must(munmap(f.at + 7 * PAGE, PAGE));
	target_wait();
	expect(f.at[0] == 2, "contents");
	close(f.in[1]);
	ends_well(cats[0]);
	ends_well(cats[1]);
	must(write(f.judge[1], "xx", 2));
	ends_well(-1);
	ends_well(-1);
	expect(f.at[1] == 2, "it is no longer shared");
}

const struct target targets_tree_exec[] = {
	{ "treeexec_sleep", treeexec_sleep, "sleep(1)", 0 },
	{ "treeexec_cat", treeexec_cat, "cat(1) between pipes", 0 },
	{ "treeexec_pipeline", treeexec_pipeline, "six cats in a row", 0 },
	{ "treeexec_shell", treeexec_shell, "a shell with programs", 0 },
	{ "treeexec_subshells", treeexec_subshells, "nested subshells", 0 },
	{ "treeexec_cousins", treeexec_cousins,
		"shared memory of processes whose parents are other programs", 0 },
	{ "treeexec_again", treeexec_again, "the same program, placed elsewhere", 0 },
	{ NULL, NULL, NULL, 0 },
};
