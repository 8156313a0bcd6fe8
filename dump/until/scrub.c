/* Takes a variable out of environments; see scrub.h. */
#include "dump/until/scrub.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

static const char past[] = "SNAPCTL_PAST=";

/* In place: what is too short for a name and a "=" is only dashes. */
static void variable_blank(char *at, size_t len)
{
	memset(at, '-', len);
	if (len >= sizeof past - 1)
		memcpy(at, past, sizeof past - 1);
}

/* The block as it is in memory; what the program did to it (setproctitle) does not matter. */
static int block_scrub(struct tracee *t, const struct proc_stat *stat, const char *text,
	struct arena *a, struct err *err)
{
	size_t len = stat->env_end - stat->env_start, text_len = strlen(text);
	char *block = arena_alloc(a, len + 1);
	int ret = tracee_read(t, stat->env_start, block, len, err);

	for (size_t at = 0; !ret && at < len; at += strnlen(block + at, len - at) + 1) {
		if (strcmp(block + at, text))
			continue;
		variable_blank(block + at, text_len);
		ret = tracee_write(t, stat->env_start + at, block + at, text_len, err);
	}
	return ret;
}

static int process_scrub(struct tracee *t, const char *text, struct arena *a, struct err *err)
{
	struct proc_stat stat;
	int ret = proc_stat(t->procfd, "stat", &stat, err);

	if (ret < 0)
		return ret;
	/* A zombie has no memory; prctl(PR_SET_MM) can name anything. */
	if (stat.state == 'Z' || stat.state == 'X' || stat.env_end <= stat.env_start ||
		stat.env_end - stat.env_start > 16 << 20)
		return 0;
	return block_scrub(t, &stat, text, a, err);
}

int scrub_env(struct tracer *tr, const char *name, const char *value, struct err *err)
{
	struct arena *a = arena_create();
	const char *text = arena_printf(a, "%s=%s", name, value);
	int ret = 0;

	for (size_t i = 0; !ret && i < tr->nr_tracees; i++) {
		ret = process_scrub(tr->tracees[i], text, a, err);
		if (ret < 0)
			err_wrap(err, "process %d: its environment", tr->tracees[i]->pid);
	}
	arena_destroy(a);
	return ret;
}

/* ---- copies ----------------------------------------------------------------------------- */

enum { CHUNK = 1 << 20 };

struct search {
	struct tracee *t;
	const char *text, *instead; /* NAME=VALUE */
	size_t len, secret_len;
	struct arena *arena;
	char *chunk; /* what was before it, shorter than the text, and CHUNK bytes */
};

/* A secret at data[at], of which data[0] lies at addr. */
static int found_scrub(
	const struct search *s, uint64_t addr, char *data, size_t at, struct err *err)
{
	size_t head = s->len - s->secret_len;

	if (at >= head && !memcmp(data + at - head, s->text, head)) {
		variable_blank(data + at - head, s->len);
		return tracee_write(s->t, addr + at - head, data + at - head, s->len, err);
	}
	memcpy(data + at, s->instead, s->secret_len);
	return tracee_write(s->t, addr + at, data + at, s->secret_len, err);
}

static int chunk_scrub(
	const struct search *s, uint64_t addr, char *data, size_t len, struct err *err)
{
	const char *secret = s->text + s->len - s->secret_len;
	char *at = data;
	int ret = 0;

	while (!ret && (at = memmem(at, len - (size_t)(at - data), secret, s->secret_len))) {
		ret = found_scrub(s, addr, data, (size_t)(at - data), err);
		at += s->secret_len;
	}
	return ret;
}

/* What lies across two chunks is found with the second one. What we cannot read will not be in the
 * image. */
static int run_scrub(const struct search *s, const struct proc_run *run, struct err *err)
{
	size_t kept = 0, len;
	int ret = 0;

	for (uint64_t at = run->start; !ret && at < run->end; at += len) {
		len = run->end - at < CHUNK ? run->end - at : CHUNK;
		if (tracee_read(s->t, at, s->chunk + kept, len, NULL) < 0)
			return 0;
		ret = chunk_scrub(s, at - kept, s->chunk, kept + len, err);
		if (kept + len > s->len) {
			memmove(s->chunk, s->chunk + kept + len - s->len, s->len);
			kept = s->len;
		} else {
			kept += len;
		}
	}
	return ret;
}

static bool vma_may_hold(const struct proc_vma *vma)
{
	return !vma->shared && !text_starts(vma->path, "[v"); /* [vvar], [vdso], [vsyscall] */
}

/* The files of the process itself show nothing where its leader has ended before other threads. */
static int live_dir(const struct tracee *t)
{
	char name[40];

	for (size_t i = 0; i < t->nr_threads; i++) {
		if (t->threads[i].state == TRACEE_EXITED)
			continue;
		snprintf(name, sizeof name, "task/%d", t->threads[i].tid);
		return openat(t->procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

static int copies_scrub(const struct search *s, struct err *err)
{
	size_t nr_vmas, nr = 0, cap = 0;
	struct proc_run *runs = NULL;
	struct proc_vma *vmas;
	OWNED_FD dir = live_dir(s->t);
	OWNED_FD pagemap = dir < 0 ? -1 : proc_pagemap(dir, err);
	int ret;

	if (dir < 0)
		return 0; /* it has ended, and its memory is gone */
	if (pagemap < 0)
		return -err->code;
	ret = proc_maps(dir, s->arena, &vmas, &nr_vmas, err);
	for (size_t i = 0; !ret && i < nr_vmas; i++)
		if (vma_may_hold(&vmas[i]))
			ret = proc_pages(pagemap, vmas[i].start, vmas[i].end, true, s->arena, &runs,
				&nr, &cap, err);
	for (size_t i = 0; !ret && i < nr; i++)
		ret = run_scrub(s, &runs[i], err);
	return ret < 0 ? ret : 0;
}

int scrub_copies(struct tracer *tr, const char *name, const char *value, size_t secret_len,
	const char *instead, struct err *err)
{
	struct search s = { .secret_len = secret_len, .instead = instead };
	int ret = 0;

	s.arena = arena_create();
	s.text = arena_printf(s.arena, "%s=%s", name, value);
	s.len = strlen(s.text);
	s.chunk = arena_alloc(s.arena, s.len + CHUNK);
	for (size_t i = 0; !ret && i < tr->nr_tracees; i++) {
		s.t = tr->tracees[i];
		ret = copies_scrub(&s, err);
		if (ret < 0)
			err_wrap(err, "process %d: copies of its environment", s.t->pid);
	}
	explicit_bzero(s.chunk, s.len + CHUNK);
	arena_destroy(s.arena);
	return ret;
}
