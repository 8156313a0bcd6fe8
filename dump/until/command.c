/* A shell command beside the program; see command.h. */
#include "dump/until/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

/* As a program finds them that a shell has started. */
static void command_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
}

static void command_files(bool silent)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	if (silent) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	if (null > STDERR_FILENO)
		close(null);
}

static _Noreturn void command_child(const char *text, pid_t program, pid_t parent, bool silent)
{
	char pid[16];

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	snprintf(pid, sizeof pid, "%d", program);
	setenv("SNAPCTL_PID", pid, 1);
	command_files(silent);
	command_signals();
	execl("/bin/sh", "sh", "-c", text, (char *)NULL);
	_exit(127);
}

int command_start(struct command *c, const char *text, pid_t program, bool silent, struct err *err)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_sys(err, "fork for `%s`", text);
	if (pid == 0)
		command_child(text, program, parent, silent);
	setpgid(pid, pid); /* whoever of both is first */
	c->pid = pid;
	return 0;
}

int command_poll(struct command *c, int *status, struct err *err)
{
	pid_t got;

	do {
		got = waitpid(c->pid, status, WNOHANG);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(err, "wait for a command");
	if (got > 0)
		c->pid = 0;
	return got > 0;
}

void command_stop(struct command *c)
{
	if (!c->pid)
		return;
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}
