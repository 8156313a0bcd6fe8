/* What `snapctl diff` has found, in words and as JSON; see diff.h. */
#include "images/diff/diff.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/show.h"

enum { RANGES_SHOWN = 6 };

static uint64_t pages_of(const struct difference *f)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < f->nr_pages; i++)
		nr += (f->pages[i].end - f->pages[i].start) / PAGES_PAGE;
	return nr;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *at_words(const struct diff *d, const struct diff_at *at)
{
	if (at->name)
		return at->name;
	if (!at->pid)
		return "the program";
	if (at->tid)
		return arena_printf(d->arena, "process %d, thread %d", at->pid, at->tid);
	if (at->fd >= 0)
		return arena_printf(
			d->arena, "process %d, descriptor %lld", at->pid, (long long)at->fd);
	return arena_printf(d->arena, "process %d", at->pid);
}

static void pages_print(const struct difference *f, FILE *out)
{
	uint64_t nr = pages_of(f);
	size_t shown = f->nr_pages > RANGES_SHOWN ? RANGES_SHOWN - 1 : f->nr_pages;

	fprintf(out, "  %s: %" PRIu64 " of %" PRIu64 " stored %s:", f->what, nr, f->nr_looked_at,
		nr == 1 ? "differs" : "differ");
	for (size_t i = 0; i < shown; i++)
		fprintf(out, "%s %" PRIx64 "-%" PRIx64, i ? "," : "", f->pages[i].start,
			f->pages[i].end);
	if (shown < f->nr_pages)
		fprintf(out, " and %zu more ranges", f->nr_pages - shown);
	fputc('\n', out);
}

static void difference_print(const struct difference *f, FILE *out)
{
	if (f->pages)
		pages_print(f, out);
	else if (f->a && f->b)
		fprintf(out, "  %s: %s in A, %s in B\n", f->what, f->a, f->b);
	else
		fprintf(out, "  %s: only in %s: %s\n", f->what, f->a ? "A" : "B",
			f->a ? f->a : f->b);
}

static void side_print(const struct diff *d, int side, FILE *out)
{
	const struct snap_info *info = &d->img[side]->snap->info;

	fprintf(out, "%c: %s, dumped %s", "AB"[side], show_clean(d->arena, d->img[side]->path),
		show_time(d->arena, info->created));
	for (size_t i = 0; i < info->nr_argv; i++)
		fprintf(out, "%s %s", i ? "" : ":", show_clean(d->arena, info->argv[i]));
	fputc('\n', out);
}

void diff_print(const struct diff *d, FILE *out)
{
	const char *at = "";
	uint64_t pages = 0;

	if (!d->nr_found)
		return;
	side_print(d, 0, out);
	side_print(d, 1, out);
	for (size_t i = 0; i < d->nr_found; i++) {
		const char *here = at_words(d, &d->found[i].at);

		if (strcmp(here, at))
			fprintf(out, "\n%s\n", here);
		at = here;
		difference_print(&d->found[i], out);
		pages += pages_of(&d->found[i]);
	}
	fprintf(out, "\n%zu difference%s, %" PRIu64 " page%s with other contents\n", d->nr_found,
		d->nr_found == 1 ? "" : "s", pages, pages == 1 ? "" : "s");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_text(struct json_object *o, const char *key, const char *text, struct arena *a)
{
	json_object_object_add(o, key, text ? json_object_new_string(show_utf8(a, text)) : NULL);
}

static struct json_object *ranges_json(const struct difference *f)
{
	struct json_object *out = json_object_new_array();
	char text[24];

	for (size_t i = 0; i < f->nr_pages; i++) {
		struct json_object *range = json_object_new_array();

		snprintf(text, sizeof text, "0x%" PRIx64, f->pages[i].start);
		json_object_array_add(range, json_object_new_string(text));
		snprintf(text, sizeof text, "0x%" PRIx64, f->pages[i].end);
		json_object_array_add(range, json_object_new_string(text));
		json_object_array_add(out, range);
	}
	return out;
}

static struct json_object *difference_json(const struct diff *d, const struct difference *f)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "where", at_words(d, &f->at), d->arena);
	if (f->at.pid)
		json_object_object_add(o, "process", json_object_new_int(f->at.pid));
	if (f->at.tid)
		json_object_object_add(o, "thread", json_object_new_int(f->at.tid));
	if (f->at.fd >= 0)
		json_object_object_add(o, "descriptor", json_object_new_int64(f->at.fd));
	add_text(o, "what", f->what, d->arena);
	if (f->pages) {
		json_object_object_add(o, "pages", json_object_new_uint64(pages_of(f)));
		json_object_object_add(o, "ranges", ranges_json(f));
	} else {
		add_text(o, "a", f->a, d->arena);
		add_text(o, "b", f->b, d->arena);
	}
	return o;
}

int diff_print_json(const struct diff *d, FILE *out, struct err *err)
{
	struct json_object *o = json_object_new_object(), *array = json_object_new_array();

	if (!o || !array)
		return err_nomem(err);
	add_text(o, "a", d->img[0]->path, d->arena);
	add_text(o, "b", d->img[1]->path, d->arena);
	json_object_object_add(o, "same", json_object_new_boolean(d->nr_found == 0));
	for (size_t i = 0; i < d->nr_found; i++)
		json_object_array_add(array, difference_json(d, &d->found[i]));
	json_object_object_add(o, "differences", array);
	return show_json_print(o, out, err);
}
