/*
 * --until=exec[=N]: the Nth time that a process of the tree has executed a new program. The program
 * that snapctl starts does not count: it has had its exec before.
 */
#include "dump/until/condition.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/until/count.h"
#include "tracee/proc.h"

static int exec_parse(struct wait *w, const char *arg, struct err *err)
{
	w->own = arena_alloc(w->arena, sizeof(struct count));
	return count_parse(w->own, "exec", arg, err);
}

/* The thread stands before the first instruction of the new program. */
static bool exec_tell(struct wait *w, const struct tracee_note *note)
{
	struct count *count = w->own;
	char *exe;

	if (note->event != TRACEE_EXEC || !count_up(count))
		return false;
	if (proc_link(note->t->procfd, "exe", w->arena, &exe, NULL) < 0)
		exe = "?";
	w->found = arena_printf(w->arena, "exec %s, the %s", exe, count_ordinal(count));
	return true;
}

static void exec_words(const struct wait *w, struct buf *out)
{
	buf_printf(out, "its %s exec", count_ordinal(w->own));
	count_so_far(w->own, out);
}

const struct condition condition_exec = {
	.name = "exec",
	.usage = "exec[=N]",
	.summary = "right after the Nth time a process of it executes a program",
	.arg = ARG_MAY,
	.exact = true,
	.parse = exec_parse,
	.tell = exec_tell,
	.words = exec_words,
};
