/* --until=probe=CMD: a shell command succeeds. It is run again and again, one at a time. */
#include "dump/until/condition.h"

#include <errno.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/until/command.h"

struct probe {
	const char *text;
	struct command command;
	uint64_t next_ms; /* when it is tried again */
	unsigned tries;
	int status; /* of the last try */
};

static int probe_parse(struct wait *w, const char *arg, struct err *err)
{
	struct probe *p = arena_alloc(w->arena, sizeof *p);

	if (!*arg)
		return err_set(err, EINVAL, "--until: probe= needs a shell command");
	p->text = arena_strdup(w->arena, arg);
	w->own = p;
	return 0;
}

static int probe_start(struct wait *w, struct probe *p, uint64_t now, struct err *err)
{
	if (now < p->next_ms) {
		w->next_ms = p->next_ms;
		return 0;
	}
	p->next_ms = now + w->d->opts->probe_interval_ms;
	p->tries++;
	return command_start(&p->command, p->text, w->d->target->pid, !log_enabled(LOG_INFO), err);
}

/* The end of a command is a SIGCHLD, which ends the sleep of the loop. */
static int probe_look(struct wait *w, uint64_t now, struct err *err)
{
	struct probe *p = w->own;
	int ret;

	if (!p->command.pid)
		return probe_start(w, p, now, err);
	ret = command_poll(&p->command, &p->status, err);
	if (ret <= 0)
		return ret;
	if (p->status == 0) {
		w->found = arena_printf(w->arena, "probe `%s`, try %u", p->text, p->tries);
		return 1;
	}
	w->next_ms = p->next_ms;
	return 0;
}

static void probe_finish(struct wait *w)
{
	command_stop(&((struct probe *)w->own)->command);
}

static void probe_words(const struct wait *w, struct buf *out)
{
	const struct probe *p = w->own;

	buf_printf(out, "`%s` succeeded", p->text);
	if (!p->tries)
		return;
	if (p->command.pid)
		buf_printf(out, " (try %u was under way)", p->tries);
	else if (WIFSIGNALED(p->status))
		buf_printf(out, " (try %u was killed by signal %d)", p->tries, WTERMSIG(p->status));
	else
		buf_printf(out, " (try %u: status %d)", p->tries, WEXITSTATUS(p->status));
}

const struct condition condition_probe = {
	.name = "probe",
	.usage = "probe=CMD",
	.summary = "a shell command succeeds, tried again and again",
	.arg = ARG_MUST,
	.stirs = true,
	.parse = probe_parse,
	.look = probe_look,
	.finish = probe_finish,
	.words = probe_words,
};
