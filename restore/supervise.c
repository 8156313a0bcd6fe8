/* Standing in for the restored program; see supervise.h. */
#include "restore/supervise.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

/* Faults of our own must not wait in a queue. */
static void signals_supervised(sigset_t *set)
{
	static const int ours[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

	sigfillset(set);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		sigdelset(set, ours[i]);
}

void supervise_prepare(void)
{
	sigset_t set;

	signals_supervised(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/*
 * The kernel itself signals the whole foreground group (SI_KERNEL: Ctrl-C), in which the child is
 * too, unless it has a group of its own. What a person or program sends to us alone is passed on.
 */
static void forward(pid_t child, const siginfo_t *info, bool own_group)
{
	if (info->si_code == SI_KERNEL && !own_group)
		return;
	if (info->si_code == SI_QUEUE)
		sigqueue(child, info->si_signo, info->si_value);
	else
		kill(child, info->si_signo);
}

/* The child stopped: so do we, for the shell to see; continued, we continue it. */
static void follow_stop(pid_t child, pid_t our_group, bool own_group)
{
	if (own_group && isatty(STDIN_FILENO))
		tcsetpgrp(STDIN_FILENO, our_group);
	kill(getpid(), SIGSTOP);
	if (own_group && isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == our_group)
		tcsetpgrp(STDIN_FILENO, child);
	kill(child, SIGCONT);
}

/* All that is to be reaped now. True when the child itself has ended. */
static bool reap(pid_t child, bool own_group, int *status)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG | WUNTRACED)) > 0) {
		if (pid != child)
			continue;
		if (WIFSTOPPED(st)) {
			if (getpid() != 1)
				follow_stop(child, getpgrp(), own_group);
			continue;
		}
		*status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
		return true;
	}
	return false;
}

int supervise(pid_t child, bool own_group, int *status, struct err *err)
{
	bool foreground = own_group && isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
	pid_t our_group = getpgrp();
	sigset_t set;

	signals_supervised(&set);
	if (foreground)
		tcsetpgrp(STDIN_FILENO, child);
	while (!reap(child, own_group, status)) {
		siginfo_t info;

		if (sigwaitinfo(&set, &info) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "wait for process %d", child);
		}
		if (info.si_signo != SIGCHLD && info.si_signo != SIGCONT)
			forward(child, &info, own_group);
	}
	if (foreground)
		tcsetpgrp(STDIN_FILENO, our_group);
	return 0;
}
