/* Standing in for the restored program; see supervise.h. */
#include "restore/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "restore/terminal.h"

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

struct word {
	uint8_t signal, turn;
};

static bool word_send(const struct supervised *s, int signal)
{
	struct word word = { (uint8_t)signal, s->turn };

	return s->stops >= 0 &&
	       send(s->stops, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof word;
}

/* Continued with all of its group, which the terminal has stopped, too. Between us and the program
 * may be an init, who gets word: the SIGCONT of a shell reaches it before the terminal is ours. */
static void child_continue(struct supervised *s)
{
	s->turn++;
	if (!s->terminal || !word_send(s, SIGCONT))
		kill(s->own_group ? -s->child : s->child, SIGCONT);
}

/*
 * By the signal that has stopped the child, for a shell tells of it. All but SIGSTOP stop nobody in
 * an orphaned group, and nobody who ignores them: then no SIGCONT is waiting for us afterwards.
 */
static bool stopped_by(int signal)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, signal);
	kill(getpid(), signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigpending(&pending) == 0 && sigismember(&pending, SIGCONT) == 1;
}

static bool is_stop_of_terminal(int signal)
{
	return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* The child stopped: so do we, for the shell to see; continued, we continue it. */
static void follow_stop(struct supervised *s, int signal)
{
	terminal_back(s->terminal);
	if (!is_stop_of_terminal(signal) || !stopped_by(signal))
		kill(getpid(), SIGSTOP);
	terminal_again(s->terminal);
	child_continue(s);
}

static void child_stopped(struct supervised *s, int signal)
{
	if (s->terminal)
		follow_stop(s, signal);
	else
		word_send(s, signal);
}

/*
 * The init says that the program has stopped, we say that it goes on. What the shell continues may
 * stop at once (SIGTTIN) and be continued by our word: that stop is over when we hear of it.
 */
static void words_hear(struct supervised *s)
{
	struct word word;

	while (s->stops >= 0 && recv(s->stops, &word, sizeof word, MSG_DONTWAIT) == sizeof word) {
		if (!s->terminal)
			child_continue(s);
		else if (word.turn == s->turn)
			follow_stop(s, word.signal);
	}
}

static void words_listen(struct supervised *s)
{
	if (s->stops < 0)
		return;
	fcntl(s->stops, F_SETOWN, getpid());
	fcntl(s->stops, F_SETFL, O_ASYNC);
	words_hear(s);
}

/* All that is to be reaped now. True when the child itself has ended. */
static bool reap(struct supervised *s, int *status)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG | WUNTRACED)) > 0) {
		if (pid != s->child)
			continue;
		if (WIFSTOPPED(st)) {
			child_stopped(s, WSTOPSIG(st));
			continue;
		}
		*status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
		return true;
	}
	return false;
}

static void signal_came(struct supervised *s, const siginfo_t *info)
{
	switch (info->si_signo) {
	case SIGCHLD:
	case SIGCONT:
		break;
	case SIGIO:
		if (info->si_code != SI_SIGIO && info->si_code < POLL_IN)
			forward(s->child, info, s->own_group);
		words_hear(s);
		break;
	default:
		forward(s->child, info, s->own_group);
	}
}

int supervise(struct supervised *s, int *status, struct err *err)
{
	sigset_t set;

	signals_supervised(&set);
	words_listen(s);
	while (!reap(s, status)) {
		siginfo_t info;

		if (sigwaitinfo(&set, &info) >= 0)
			signal_came(s, &info);
		else if (errno != EINTR)
			return err_sys(err, "wait for process %d", s->child);
	}
	if (s->terminal)
		terminal_back(s->terminal);
	return 0;
}
