/* Stops of children that are about to happen, and what waits behind them. */
#include "target.h"
#include "tree.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigset_t set_of(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return set;
}

static void stop_and_wait(pid_t pid)
{
	int status;

	must(kill(pid, SIGSTOP));
	expect(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "it does not stop");
}

/* Is this signal in the shared queue of process pid? */
static bool waits_for(pid_t pid, int signal)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	status = fopen(path, "re");
	expect(status, "no %s", path);
	while (fgets(line, sizeof line, status))
		if (!strncmp(line, "ShdPnd:", 7))
			mask = strtoull(line + 7, NULL, 16);
	fclose(status);
	return mask >> (signal - 1) & 1;
}

/* A SIGSTOP for one that is stopped already waits, until SIGCONT takes it away. */
static void stopped_again(void)
{
	pid_t pid = kid(kid_idle, NULL);

	stop_and_wait(pid);
	must(kill(pid, SIGSTOP));
	expect(waits_for(pid, SIGSTOP), "the kernel does not keep it");
	target_wait();
	state_stands(pid, 'T');
	expect(waits_for(pid, SIGSTOP), "the second SIGSTOP is lost");
	must(kill(pid, SIGCONT));
	kids_check();
}

static void kid_blocks(void *arg)
{
	sigset_t set = set_of(*(int *)arg), pending;

	must(sigprocmask(SIG_BLOCK, &set, NULL));
	kid_wait();
	must(sigpending(&pending));
	expect(sigismember(&pending, *(int *)arg), "signal %d is lost", *(int *)arg);
}

/* One goes on after a stop, which its parent has not asked for yet; the signal behind it is
 * blocked. */
static void continued_blocked(void)
{
	int signals[] = { SIGCONT, SIGTSTP, SIGTTIN }, status;
	pid_t pids[3];

	for (int i = 0; i < 3; i++) {
		pids[i] = kid(kid_blocks, &signals[i]);
		stop_and_wait(pids[i]);
		must(kill(pids[i], SIGCONT));
		if (i)
			must(kill(pids[i], signals[i]));
	}
	target_wait();
	for (int i = 0; i < 3; i++)
		expect(waitpid(pids[i], &status, WCONTINUED | WNOHANG) == pids[i] &&
				WIFCONTINUED(status),
			"nobody says that kid %d went on", i);
	kids_check();
}

/* ---- a mill of stops ---------------------------------------------------------------------------
 */

static volatile int *nr_rounds;

static void stopped_all_the_time(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	while (1)
		pause();
}

static void kid_mill(void *arg)
{
	pid_t parent = getppid(), pid = (pid_t)must(fork());
	int status;

	(void)arg;
	if (pid == 0)
		stopped_all_the_time();
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	kid_ready();
	for (; getppid() == parent; ++*nr_rounds) {
		stop_and_wait(pid);
		must(kill(pid, SIGCONT));
		must(waitpid(pid, &status, WCONTINUED));
	}
}

/* Wherever it is held, it goes on: the SIGSTOP that was on its way stops, the parent hears of it.
 */
static void stop_mill(void)
{
	time_t end;
	pid_t mill;
	int before;

	nr_rounds = (int *)mmap(
		NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mill = kid(kid_mill, NULL);
	target_wait();
	before = *nr_rounds;
	for (end = time(NULL) + 10; *nr_rounds < before + 3; sched_yield())
		expect(time(NULL) < end, "it stands after %d rounds", before);
	must(kill(mill, SIGKILL));
	must(waitpid(mill, NULL, 0));
}

const struct target targets_tree_stop[] = {
	{ "stopped_again", stopped_again, "a SIGSTOP for a stopped child", 0 },
	{ "continued_blocked", continued_blocked, "a blocked signal behind a SIGCONT", 0 },
	{ "stop_mill", stop_mill, "a child that is stopped all the time",
		TARGET_BUSY | TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
