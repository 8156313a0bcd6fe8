/*
 * --until=output=REGEX: a line on standard output or error matches a POSIX extended regular
 * expression. Several of these share the relays, which belong to the first.
 */
#include "dump/until/condition.h"

#include <errno.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "dump/until/relay.h"

enum { RETRY_MS = 20, SHOWN_MAX = 120 };

struct output {
	const char *text;
	regex_t regex;
	bool compiled;
	bool first;  /* relays are ours */
	bool joined; /* both are the same (2>&1): one pipe keeps their lines in order */
	struct relay relays[2];
};

static int output_parse(struct wait *w, const char *arg, struct err *err)
{
	struct output *o = arena_alloc(w->arena, sizeof *o);
	char why[128];
	int code;

	o->text = arena_strdup(w->arena, arg);
	for (size_t i = 0; i < 2; i++)
		o->relays[i].from = o->relays[i].inner = -1;
	w->own = o;
	code = regcomp(&o->regex, arg, REG_EXTENDED | REG_NOSUB);
	if (code) {
		regerror(code, &o->regex, why, sizeof why);
		err_set(err, EINVAL, "--until: output=%s: %s", arg, why);
		return err_hint(err, "it is an extended regular expression, see regex(7)");
	}
	o->compiled = true;
	return 0;
}

static void output_finish(struct wait *w)
{
	struct output *o = w->own;

	if (o->compiled)
		regfree(&o->regex);
	for (size_t i = 0; i < 2; i++)
		relay_finish(&o->relays[i]);
}

static int output_arm(struct wait *w, struct err *err)
{
	struct output *o = w->own;
	int ret;

	o->first = until_first(w->until, &condition_output) == w;
	if (!o->first)
		return 0;
	o->joined = fds_same(STDOUT_FILENO, STDERR_FILENO) == 1;
	ret = relay_open(&o->relays[0], STDOUT_FILENO, err);
	if (!ret && !o->joined)
		ret = relay_open(&o->relays[1], STDERR_FILENO, err);
	return ret;
}

static int output_enter(struct wait *w)
{
	const struct output *o = w->own;
	int code;

	if (!o->first)
		return 0;
	code = relay_enter(&o->relays[0], STDOUT_FILENO);
	return code ? code : relay_enter(&o->relays[!o->joined], STDERR_FILENO);
}

/* ---- lines ------------------------------------------------------------------------------ */

static void output_line(void *arg, const char *line)
{
	struct wait *first = arg, *w;

	for (size_t i = 0; (w = until_nth(first->until, i)); i++) {
		const struct output *o = w->own;

		if (w->condition != &condition_output || w->holds ||
			regexec(&o->regex, line, 0, NULL, 0))
			continue;
		w->holds = true;
		w->found = arena_printf(w->arena, "output \"%.*s\"", SHOWN_MAX, line);
	}
}

static int output_look(struct wait *w, uint64_t now, struct err *err)
{
	struct output *o = w->own;

	(void)err;
	for (size_t i = 0; o->first && i < 2; i++) {
		bool passed = relay_pass(&o->relays[i], output_line, w);

		/* Nobody tells when there is room again. */
		w->fds[i] = passed ? o->relays[i].from : -1;
		if (!passed)
			w->next_ms = now + RETRY_MS;
	}
	return w->holds;
}

static int output_undo(struct wait *w, struct err *err)
{
	struct output *o = w->own;
	int ret = relay_undo(&o->relays[0], w->d->tracer, err);

	return ret < 0 ? ret : relay_undo(&o->relays[1], w->d->tracer, err);
}

static void output_words(const struct wait *w, struct buf *out)
{
	buf_printf(out, "a line of its output matched /%s/", ((const struct output *)w->own)->text);
}

const struct condition condition_output = {
	.name = "output",
	.usage = "output=REGEX",
	.summary = "a line of its output matches",
	.arg = ARG_MUST,
	.parse = output_parse,
	.arm = output_arm,
	.enter = output_enter,
	.look = output_look,
	.undo = output_undo,
	.finish = output_finish,
	.words = output_words,
};
