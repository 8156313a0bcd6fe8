/*
 * --until=signal=SIG: the program raises a signal, as a mark of its own choice; like those that say
 * raise(SIGSTOP) when they have started. A mark is taken away: neither the original nor what is
 * restored gets it. A signal that the kernel raises (a fault, a timer) is no mark: it is delivered
 * when the program goes on. Those from outside the tree do not count and are delivered as ever.
 */
#include "dump/until/condition.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct awaited {
	int number;
	const char *name;
};

/* "USR1", "SIGUSR1", "RTMIN+3", "10". */
static int signal_number(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end != text && !*end)
		return number > 0 && number <= SIGRTMAX ? (int)number : -1;
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	if (!strncasecmp(text, "RTMIN+", 6)) {
		number = strtol(text + 6, &end, 10);
		return end != text + 6 && !*end && number >= 0 && number <= SIGRTMAX - SIGRTMIN
			       ? SIGRTMIN + (int)number
			       : -1;
	}
	for (int sig = 1; sig < 32; sig++)
		if (sigabbrev_np(sig) && !strcasecmp(sigabbrev_np(sig), text))
			return sig;
	return !strcasecmp(text, "RTMIN") ? SIGRTMIN : -1;
}

static int signal_parse(struct wait *w, const char *arg, struct err *err)
{
	struct awaited *awaited = arena_alloc(w->arena, sizeof *awaited);

	awaited->number = signal_number(arg);
	if (awaited->number < 0) {
		err_set(err, EINVAL, "--until: there is no signal '%s'", arg);
		return err_hint(err, "write USR1, SIGUSR1, RTMIN+3 or a number");
	}
	if (awaited->number == SIGKILL)
		return err_set(err, EINVAL, "--until: nobody can be stopped at a SIGKILL");
	awaited->name = awaited->number < 32
				? arena_printf(w->arena, "SIG%s", sigabbrev_np(awaited->number))
				: arena_printf(w->arena, "SIGRTMIN+%d", awaited->number - SIGRTMIN);
	w->own = awaited;
	return 0;
}

/* sigaction(2): si_code is positive where the kernel has raised it. */
static bool signal_tell(struct wait *w, const struct tracee_note *note)
{
	const struct awaited *awaited = w->own;
	const siginfo_t *info = &note->th->held_info;
	bool by_kernel = info->si_code > 0 || info->si_code == SI_TIMER;

	if (note->event != TRACEE_SIGNAL || note->th->held_signal != awaited->number ||
		(!by_kernel && !until_has(w->until, info->si_pid)))
		return false;
	if (!by_kernel)
		note->th->held_signal = 0;
	w->found = arena_printf(
		w->arena, "signal %s%s", awaited->name, by_kernel ? " of the kernel" : "");
	return true;
}

static void signal_words(const struct wait *w, struct buf *out)
{
	buf_printf(out, "it raised %s", ((const struct awaited *)w->own)->name);
}

static const char *signal_value(size_t i)
{
	return sigabbrev_np((int)i + 1);
}

const struct condition condition_signal = {
	.name = "signal",
	.usage = "signal=SIG",
	.summary = "it sends itself this signal",
	.value = signal_value,
	.arg = ARG_MUST,
	.exact = true,
	.parse = signal_parse,
	.tell = signal_tell,
	.words = signal_words,
};
