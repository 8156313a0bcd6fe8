/*
 * --until=effect[=-KIND,...]: right before the first system call with an effect outside of the
 * process, or with an answer that would be another one in another instance; so that all that was
 * computed until then is the same for every instance, and has left no trace. Kinds of effects that
 * do not matter can be left out: effect=-random,-clock.
 *
 * Calls that are no effect whatever their arguments are not even looked at where a seccomp filter
 * can see to that (sieve.h).
 *
 * Not seen: what is no system call. The clock is read through the vdso without one.
 */
#include "dump/until/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "dump/until/effect_call.h"
#include "dump/until/where.h"
#include "tracee/proc.h"

struct effects {
	bool ignored[NR_EFFECTS];
	struct stat *outside; /* descriptors that the program inherits */
	size_t nr_outside;
	unsigned long long seen; /* calls that were looked at so far */
};

static int effect_unknown(const char *name, size_t len, struct err *err)
{
	struct buf names = BUF_EMPTY;

	for (int e = EFFECT_FILES; e < NR_EFFECTS; e++)
		buf_printf(&names, "%s%s", e > EFFECT_FILES ? ", " : "", effect_name(e));
	err_set(err, EINVAL, "--until: effect: there is no '%.*s'", (int)len, name);
	err_hint(err, "write effect=-KIND,-KIND... for kinds that do not count; kinds are %s",
		names.data);
	buf_finish(&names);
	return -EINVAL;
}

/* "-random,-clock" */
static int effect_ignore(struct effects *e, const char *word, size_t len, struct err *err)
{
	for (int kind = EFFECT_FILES; kind < NR_EFFECTS; kind++) {
		const char *name = effect_name(kind);

		if (word[0] != '-' || strlen(name) != len - 1 || strncmp(word + 1, name, len - 1))
			continue;
		e->ignored[kind] = true;
		return 0;
	}
	return effect_unknown(word, len, err);
}

static int effect_parse(struct wait *w, const char *arg, struct err *err)
{
	struct effects *e = arena_alloc(w->arena, sizeof *e);
	int ret = 0;

	e->ignored[EFFECT_NONE] = true;
	w->own = e;
	while (!ret && arg) {
		size_t len = strcspn(arg, ",");

		ret = effect_ignore(e, arg, len, err);
		arg = arg[len] ? arg + len + 1 : NULL;
	}
	return ret;
}

static int effect_arm(struct wait *w, struct err *err)
{
	struct effects *e = w->own;

	e->outside = arena_array(w->arena, w->d->nr_own_fds, sizeof *e->outside);
	for (size_t i = 0; i < w->d->nr_own_fds; i++)
		if (fstat(w->d->own_fds[i], &e->outside[e->nr_outside++]) < 0)
			return err_sys(err, "descriptor %d", w->d->own_fds[i]);
	return 0;
}

static enum effect effect_of(const struct effects *e, const struct tracee_note *note)
{
	const struct effect_look look = { note->t, e->outside, e->nr_outside };
	const struct effect_call *call = effect_call(note->nr);

	return call->judge ? call->judge(&look, note->args) : call->is;
}

/* What it reads from or writes to. */
static char *effect_file(const struct tracee_note *note, struct arena *a)
{
	char name[32], *link;

	snprintf(name, sizeof name, "fd/%d", (int)note->args[0]);
	return proc_link(note->t->procfd, name, a, &link, NULL) < 0
		       ? ""
		       : arena_printf(a, " of %s", link);
}

/* Which argument is the path: the first, or, behind a directory descriptor, the second. */
static char *effect_path(const struct tracee_note *note, enum effect effect, struct arena *a)
{
	const struct effect_call *call = effect_call(note->nr);
	bool opens = call->judge == judge_open || call->judge == judge_openat ||
		     call->judge == judge_openat2;
	bool behind = (int32_t)note->args[0] == AT_FDCWD || note->args[0] < 65536;
	char path[512];

	if (call->judge == judge_read || call->judge == judge_write)
		return effect_file(note, a);
	if (!opens && (call->judge || effect != EFFECT_FILES))
		return "";
	if (!effect_text(note->t, note->args[behind], path, sizeof path))
		return "";
	return arena_printf(a, " \"%s\"", path);
}

/* All but those that never have an effect that counts. */
static bool effect_wants(const struct wait *w, int64_t nr)
{
	const struct effect_call *call = effect_call(nr);

	return call->judge || !((const struct effects *)w->own)->ignored[call->is];
}

static bool effect_tell(struct wait *w, const struct tracee_note *note)
{
	struct effects *e = w->own;
	enum effect effect;

	if (note->event != TRACEE_CALL)
		return false;
	e->seen++;
	effect = effect_of(e, note);
	if (e->ignored[effect])
		return false;
	w->found = arena_printf(w->arena,
		"effect (%s): %s%s, after a look at %llu other calls, at %s", effect_name(effect),
		note->nr < 0 ? "a 32-bit system call" : syscall_name(note->nr),
		effect_path(note, effect, w->arena), e->seen - 1, where_words(note, w->arena));
	return true;
}

static void effect_words(const struct wait *w, struct buf *out)
{
	const struct effects *e = w->own;

	buf_printf(out, "any of its system calls (%llu were looked at) had an effect outside",
		e->seen);
}

static const char *effect_value(size_t i)
{
	return EFFECT_FILES + i < NR_EFFECTS ? effect_name((enum effect)(EFFECT_FILES + i)) : NULL;
}

const struct condition condition_effect = {
	.name = "effect",
	.usage = "effect[=-KIND,...]",
	.summary = "right before a system call with an effect outside of it",
	.value = effect_value,
	.arg = ARG_MAY,
	.exact = true,
	.wants = effect_wants,
	.parse = effect_parse,
	.arm = effect_arm,
	.tell = effect_tell,
	.words = effect_words,
};
