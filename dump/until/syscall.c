/* --until=syscall=NAME[:N]: the Nth time that any thread of the tree is about to make this call. */
#include "dump/until/condition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/until/count.h"
#include "dump/until/where.h"
#include "tracee/proc.h"

enum { SYSCALLS_END = 1024 };

struct call {
	const char *name;
	int64_t nr;
	struct count count;
};

static int64_t call_number(const char *name)
{
	for (int64_t nr = 0; nr < SYSCALLS_END; nr++)
		if (!strcmp(syscall_name(nr), name))
			return nr;
	return -1;
}

static int call_parse(struct wait *w, const char *arg, struct err *err)
{
	struct call *call = arena_alloc(w->arena, sizeof *call);
	size_t len = strcspn(arg, ":");

	call->name = arena_strndup(w->arena, arg, len);
	call->nr = call_number(call->name);
	if (call->nr < 0) {
		err_set(err, EINVAL, "--until: x86-64 has no system call '%s'", call->name);
		return err_hint(err, "the names are those of syscalls(2): openat, accept4, "
				     "epoll_wait");
	}
	w->own = call;
	return count_parse(&call->count, "syscall", arg[len] ? arg + len + 1 : NULL, err);
}

static bool call_wants(const struct wait *w, int64_t nr)
{
	return nr == ((const struct call *)w->own)->nr;
}

static bool call_tell(struct wait *w, const struct tracee_note *note)
{
	struct call *call = w->own;

	if (note->event != TRACEE_CALL || note->nr != call->nr || !count_up(&call->count))
		return false;
	w->found = arena_printf(w->arena, "syscall %s, the %s, at %s", call->name,
		count_ordinal(&call->count), where_words(note, w->arena));
	return true;
}

static void call_words(const struct wait *w, struct buf *out)
{
	const struct call *call = w->own;

	buf_printf(out, "its %s call of %s", count_ordinal(&call->count), call->name);
	count_so_far(&call->count, out);
}

static const char *call_value(size_t i)
{
	static const char unknown[] = "syscall_";

	/* There are gaps between the numbers: the next name is as good. */
	for (; i < SYSCALLS_END; i++)
		if (strncmp(syscall_name((int64_t)i), unknown, sizeof unknown - 1))
			return syscall_name((int64_t)i);
	return NULL;
}

const struct condition condition_syscall = {
	.name = "syscall",
	.usage = "syscall=NAME[:N]",
	.summary = "right before the Nth time it makes this system call",
	.value = call_value,
	.arg = ARG_MUST,
	.exact = true,
	.wants = call_wants,
	.parse = call_parse,
	.tell = call_tell,
	.words = call_words,
};
