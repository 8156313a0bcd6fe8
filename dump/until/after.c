/* --until=after=TIME: so long after the start, whatever the program does. */
#include "dump/until/condition.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct after {
	const char *text;
	uint64_t ms, at_ms; /* at_ms 0: not begun */
};

static double unit_ms(const char *unit)
{
	if (!*unit || !strcmp(unit, "s"))
		return 1000;
	if (!strcmp(unit, "ms"))
		return 1;
	return !strcmp(unit, "m") || !strcmp(unit, "min") ? 60000 : -1;
}

static int after_parse(struct wait *w, const char *arg, struct err *err)
{
	struct after *after = arena_alloc(w->arena, sizeof *after);
	char *end;
	double ms = strtod(arg, &end) * unit_ms(end);

	if (!isdigit((unsigned char)*arg) || !(ms >= 0 && ms <= 1e12)) {
		err_set(err, EINVAL, "--until: after=%s is not a duration", arg);
		return err_hint(err, "write after=250ms, 2s or 1m; a bare number is in seconds");
	}
	after->text = arena_strdup(w->arena, arg);
	after->ms = (uint64_t)ms;
	w->own = after;
	return 0;
}

static int after_look(struct wait *w, uint64_t now, struct err *err)
{
	struct after *after = w->own;

	(void)err;
	if (!after->at_ms)
		after->at_ms = now + after->ms;
	w->next_ms = after->at_ms;
	if (now < after->at_ms)
		return 0;
	w->found = arena_printf(w->arena, "after=%s", after->text);
	return 1;
}

static void after_words(const struct wait *w, struct buf *out)
{
	buf_printf(out, "%s had passed", ((const struct after *)w->own)->text);
}

const struct condition condition_after = {
	.name = "after",
	.usage = "after=TIME",
	.summary = "so long after its start",
	.arg = ARG_MUST,
	.parse = after_parse,
	.look = after_look,
	.words = after_words,
};
