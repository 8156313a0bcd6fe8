/* Kids: how they are made, wait, and are checked; see tree.h. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

enum { KIDS_MAX = 256, GO = 'x', STAY = 's' };

static struct {
	pid_t pid;
	int gate; /* a byte in it: judge, and end (GO) or stop (STAY) */
} kids[KIDS_MAX];
static unsigned nr_kids;

/* In a kid. */
static int my_gate = -1, my_ready = -1;
static char my_orders;

/* ---- making ------------------------------------------------------------------------------------
 */

static void kid_begin(int gate, int ready)
{
	for (unsigned i = 0; i < nr_kids; i++)
		if (kids[i].gate >= 0)
			close(kids[i].gate);
	nr_kids = 0;
	if (my_gate >= 0)
		close(my_gate);
	my_gate = gate;
	my_ready = ready;
}

struct birth {
	int gate[2], ready[2];
	void (*run)(void *arg);
	void *arg;
};

static void birth_begin(struct birth *birth)
{
	must(pipe(birth->gate));
	must(pipe(birth->ready));
}

static void birth_run(const struct birth *birth)
{
	close(birth->gate[1]);
	close(birth->ready[0]);
	kid_begin(birth->gate[0], birth->ready[1]);
	birth->run(birth->arg);
	if (my_orders == STAY)
		raise(SIGSTOP);
	_exit(0);
}

/* The kid tells its pid, which its maker need not know. */
static pid_t birth_end(struct birth *birth)
{
	pid_t pid = 0;

	close(birth->gate[0]);
	close(birth->ready[1]);
	if (read(birth->ready[0], &pid, sizeof pid) != sizeof pid)
		fail("a kid ended before it was ready");
	close(birth->ready[0]);
	expect(nr_kids < KIDS_MAX, "too many kids");
	kids[nr_kids].pid = pid;
	kids[nr_kids++].gate = birth->gate[1];
	return pid;
}

pid_t kid(void (*run)(void *arg), void *arg)
{
	struct birth birth = { .run = run, .arg = arg };

	birth_begin(&birth);
	if (must(fork()) == 0)
		birth_run(&birth);
	return birth_end(&birth);
}

pid_t kid_clone(unsigned long flags, void (*run)(void *arg), void *arg)
{
	struct birth birth = { .run = run, .arg = arg };

	birth_begin(&birth);
	if (must(syscall(SYS_clone, flags, 0, 0, 0, 0)) == 0)
		birth_run(&birth);
	return birth_end(&birth);
}

pid_t kid_orphan(void (*run)(void *arg), void *arg)
{
	struct birth birth = { .run = run, .arg = arg };
	pid_t middle, pid;

	birth_begin(&birth);
	middle = (pid_t)must(fork());
	if (middle == 0) {
		if (must(fork()) == 0) {
			while (getppid() == middle)
				sched_yield();
			birth_run(&birth);
		}
		_exit(0);
	}
	must(waitpid(middle, NULL, 0));
	pid = birth_end(&birth);
	return pid;
}

/* ---- in the kid --------------------------------------------------------------------------------
 */

void kid_ready(void)
{
	pid_t self = (pid_t)syscall(SYS_getpid);

	must(write(my_ready, &self, sizeof self));
	close(my_ready);
	my_ready = -1;
}

void kid_wait(void)
{
	ssize_t len;

	if (my_ready >= 0)
		kid_ready();
	do
		len = read(my_gate, &my_orders, 1);
	while (len < 0 && errno == EINTR);
	if (len == 0)
		_exit(1); /* its maker has ended, and said why */
	expect(len == 1, "kid %d: read of the gate gave %zd: %s", getpid(), len, strerror(errno));
}

void kid_idle(void *arg)
{
	(void)arg;
	kid_wait();
}

/* ---- judgement ---------------------------------------------------------------------------------
 */

static unsigned kid_of(pid_t pid)
{
	for (unsigned i = 0; i < nr_kids; i++)
		if (kids[i].pid == pid)
			return i;
	fail("no kid %d", pid);
}

static void order(pid_t pid, char what)
{
	unsigned i = kid_of(pid);

	must(write(kids[i].gate, &what, 1));
	close(kids[i].gate);
	kids[i].gate = -1;
}

void kid_tell(pid_t pid)
{
	order(pid, GO);
}

void kid_reap(pid_t pid, int options)
{
	int status = -1;
	pid_t got;

	do
		got = waitpid(pid, &status, options);
	while (got < 0 && errno == EINTR);
	expect(got == pid, "waitpid of kid %d: %s", pid, strerror(errno));
	/* It has said itself what was wrong. */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		_exit(1);
	expect(status == 0, "kid %d ended with status %#x", pid, (unsigned)status);
}

void kid_check(pid_t pid)
{
	kid_tell(pid);
	kid_reap(pid, 0);
}

void kids_check(void)
{
	for (unsigned i = 0; i < nr_kids; i++)
		if (kids[i].gate >= 0)
			kid_check(kids[i].pid);
}

void kids_check_together(void)
{
	for (unsigned i = 0; i < nr_kids; i++) {
		int status;

		order(kids[i].pid, STAY);
		must(waitpid(kids[i].pid, &status, WUNTRACED));
		if (!WIFSTOPPED(status))
			_exit(1); /* it has said why */
	}
	for (unsigned i = 0; i < nr_kids; i++) {
		must(kill(kids[i].pid, SIGCONT));
		kid_reap(kids[i].pid, 0);
	}
}

/* ---- what /proc says ---------------------------------------------------------------------------
 */

static char state_of(pid_t pid)
{
	char path[64], text[512], *end;
	int fd;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = (int)must(open(path, O_RDONLY | O_CLOEXEC));
	len = read(fd, text, sizeof text - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

void state_stands(pid_t pid, char state)
{
	int64_t end = now_ms() + 5000;

	while (state_of(pid) != state) {
		expect(now_ms() < end, "process %d never came into state %c", pid, state);
		sched_yield();
	}
}

void zombie_stands(pid_t pid)
{
	siginfo_t info;

	must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL));
}

static long syscall_nr(pid_t pid)
{
	char path[64], text[64] = "", *end;
	int fd;
	long nr;

	snprintf(path, sizeof path, "/proc/%d/syscall", pid);
	fd = (int)must(open(path, O_RDONLY | O_CLOEXEC));
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	nr = strtol(text, &end, 10);
	return end == text ? -1 : nr;
}

void process_waits_in(pid_t pid, long nr)
{
	int64_t end = now_ms() + 5000;

	while (syscall_nr(pid) != nr) {
		expect(now_ms() < end, "process %d never came into system call %ld", pid, nr);
		sched_yield();
	}
}

/* ---- is a page one with that of another process? -----------------------------------------------
 */

unsigned long pss_of(pid_t pid, const void *addr)
{
	unsigned long start, end, pss = 0;
	bool here = false, found = false;
	char line[512];
	FILE *smaps;

	snprintf(line, sizeof line, "/proc/%d/smaps", pid);
	smaps = fopen(line, "re");

	expect(smaps, "smaps");
	while (!found && fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (unsigned long)addr && (unsigned long)addr < end;
		else if (here)
			found = sscanf(line, "Pss: %lu kB", &pss) == 1;
	}
	fclose(smaps);
	expect(found, "no mapping at %p", addr);
	return pss;
}

unsigned long pss_at(const void *addr)
{
	return pss_of(getpid(), addr);
}

void expect_shared(const void *addr, size_t len, unsigned n)
{
	unsigned long pss = pss_at(addr), want = len / 1024 / n;

	expect(pss <= want + want / 10, "Pss is %lu KiB, not %lu", pss, want);
}
