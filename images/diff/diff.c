/* `snapctl diff`: what belongs together, and the order in which it is compared; see diff.h. */
#include "images/diff/diff.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/progress.h"
#include "base/text.h"
#include "images/fd/kind.h"
#include "images/show.h"
#include "images/state.h"

struct difference *diff_add(
	struct diff *d, const struct diff_at *at, const char *what, const char *a, const char *b)
{
	struct difference *new;

	d->found = arena_grow(d->arena, d->found, d->nr_found, &d->cap_found, sizeof *d->found);
	new = &d->found[d->nr_found++];
	*new = (struct difference){ .at = *at, .what = what, .a = a, .b = b };
	return new;
}

/* ---- what entries are called ----------------------------------------------------------------- */

/* "pipe:[123]" without the number of the inode, which is another one after each restore. */
static char *label_plain(struct arena *a, const char *label)
{
	char *out = show_clean(a, label), *to = out;

	for (const char *from = out; *from; from++) {
		if (to > out && to[-1] == '[' && isdigit((unsigned char)*from))
			from += strspn(from, "0123456789") - 1;
		else
			*to++ = *from;
	}
	*to = '\0';
	return out;
}

static const char *ofd_label(struct diff *d, const struct snap_ofd *ofd)
{
	const char *label = label_plain(d->arena, ofd->label);

	if (!ofd->kind || text_starts(label, ofd->kind->name))
		return label;
	return arena_printf(d->arena, "%s%s%s", ofd->kind->name, *label ? " " : "", label);
}

static const char *mem_label(struct diff *d, const struct snap_mem *mem)
{
	const char *name = show_clean(d->arena, mem->name);

	return arena_printf(d->arena, "%s%s%s", show_mem_kind(mem->kind), *name ? " " : "", name);
}

const char *diff_label(struct diff *d, int side, enum diff_table table, uint32_t id)
{
	const struct snap *snap = d->img[side]->snap;

	switch (table) {
	case DIFF_FILES:
		return show_clean(d->arena, snap->files[id].path);
	case DIFF_MEMS:
		return mem_label(d, &snap->mems[id]);
	case DIFF_OFDS:
		return ofd_label(d, &snap->ofds[id]);
	case DIFF_PROCS:
		/* The root of a tree is the root, whatever its id. */
		return id ? arena_printf(d->arena, "process %d", snap->procs[id].pid) : "the first";
	default:
		return ""; /* each process has one */
	}
}

/* ---- what belongs together ------------------------------------------------------------------- */

static size_t table_size(const struct snap *snap, enum diff_table table)
{
	switch (table) {
	case DIFF_FILES:
		return snap->nr_files;
	case DIFF_MEMS:
		return snap->nr_mems;
	case DIFF_OFDS:
		return snap->nr_ofds;
	case DIFF_MMS:
		return snap->nr_mms;
	default:
		return snap->nr_procs;
	}
}

static void queue_add(struct diff *d, const struct diff_pair *pair)
{
	d->queue = arena_grow(d->arena, d->queue, d->nr_queue, &d->cap_queue, sizeof *d->queue);
	d->queue[d->nr_queue++] = *pair;
}

/* One image has one open file where the other one has two. */
static void shared_otherwise(struct diff *d, const struct diff_at *at, bool in_a)
{
	static const char one[] = "the same as another descriptor's", own[] = "its own";

	diff_add(d, at, "open file", in_a ? one : own, in_a ? own : one);
}

bool diff_pair(
	struct diff *d, const struct diff_at *at, enum diff_table table, uint32_t a, uint32_t b)
{
	uint32_t *of_a = &d->partner[0][table][a], *of_b = &d->partner[1][table][b];

	if (table == DIFF_PROCS || (*of_a == b + 1 && *of_b == a + 1))
		return false;
	if (*of_a || *of_b) {
		if (table == DIFF_OFDS)
			shared_otherwise(d, at, *of_a != 0);
		return false;
	}
	*of_a = b + 1;
	*of_b = a + 1;
	queue_add(d, &(struct diff_pair){ table, a, b, *at });
	return true;
}

/* The first open file that is an end of the same pipe. */
static uint32_t pipe_of(const Pb__State *m, const Pb__PipeFd *pipe)
{
	for (uint32_t i = 0; i < m->n_ofds; i++)
		if (m->ofds[i]->pipe && m->ofds[i]->pipe->ino == pipe->ino &&
			m->ofds[i]->pipe->dev == pipe->dev)
			return i;
	return ID_NONE;
}

static void pipe_diff(struct diff *d, const struct diff_at *at, const Pb__Ofd *a, const Pb__Ofd *b)
{
	if (a->pipe && b->pipe)
		diff_pair(d, at, DIFF_OFDS, pipe_of(&d->msg[0], a->pipe),
			pipe_of(&d->msg[1], b->pipe));
}

/* Directories and devices are as they are, whoever has changed what is in them. */
static Pb__File file_plain(const Pb__File *m)
{
	Pb__File out = *m;

	if (!S_ISREG(m->mode))
		out.has_size = out.has_mtime_sec = out.has_mtime_nsec = 0;
	return out;
}

static void file_diff(struct diff *d, uint32_t a, uint32_t b)
{
	Pb__File x = file_plain(d->msg[0].files[a]), y = file_plain(d->msg[1].files[b]);
	struct diff_at at = DIFF_NOWHERE;

	at.name = arena_printf(d->arena, "file %s", diff_label(d, 0, DIFF_FILES, a));
	diff_messages(d, &at, "", &x.base, &y.base);
}

/* ---- the entries of tables ------------------------------------------------------------------- */

static void pair_diff(struct diff *d, const struct diff_pair *p)
{
	const Pb__State *a = &d->msg[0], *b = &d->msg[1];
	struct diff_at at = p->at;

	switch (p->table) {
	case DIFF_MMS:
		diff_messages(d, &at, "", &a->mms[p->a]->base, &b->mms[p->b]->base);
		diff_private(d, &at, p->a, p->b);
		break;
	case DIFF_OFDS:
		diff_messages(d, &at, "", &a->ofds[p->a]->base, &b->ofds[p->b]->base);
		pipe_diff(d, &at, a->ofds[p->a], b->ofds[p->b]);
		break;
	case DIFF_FILES:
		file_diff(d, p->a, p->b);
		break;
	case DIFF_MEMS:
		if (!at.name) {
			at = DIFF_NOWHERE;
			at.name = arena_printf(
				d->arena, "memory %s", diff_label(d, 0, DIFF_MEMS, p->a));
		}
		diff_messages(d, &at, "", &a->mems[p->a]->base, &b->mems[p->b]->base);
		diff_shared(d, &at, p->a, p->b);
		break;
	default:
		break;
	}
}

static void diff_run(struct diff *d)
{
	diff_messages(d, &DIFF_NOWHERE, "", &d->msg[0].base, &d->msg[1].base);
	/* It grows while it is worked off. */
	for (size_t i = 0; !d->ret && i < d->nr_queue; i++) {
		struct diff_pair pair = d->queue[i];

		pair_diff(d, &pair);
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int side_init(struct diff *d, int side, const struct image *img, struct err *err)
{
	int ret = state_message(img->snap, &d->msg[side], err);

	d->img[side] = img;
	d->frame[side] = -1;
	d->reader[side] = pages_reader_create(img->pages_fd, &img->index);
	for (enum diff_table t = 0; t < DIFF_NR_TABLES; t++)
		d->partner[side][t] = arena_array(
			d->arena, table_size(img->snap, t) + 1, sizeof *d->partner[side][t]);
	return ret < 0 || d->reader[side] ? ret : err_nomem(err);
}

int image_diff(const struct image *a, const struct image *b, bool json, FILE *out, bool *same,
	struct progress *progress, struct err *err)
{
	struct diff d = { .arena = arena_create(), .progress = progress, .err = err };
	int ret = side_init(&d, 0, a, err);

	if (!ret)
		ret = side_init(&d, 1, b, err);
	if (!ret) {
		progress_phase(progress, "comparing pages", 0);
		diff_run(&d);
		progress_end(progress);
		ret = d.ret;
	}
	if (!ret && json)
		ret = diff_print_json(&d, out, err);
	else if (!ret)
		diff_print(&d, out);
	*same = d.nr_found == 0;
	pages_reader_destroy(d.reader[0]);
	pages_reader_destroy(d.reader[1]);
	arena_destroy(d.arena);
	return ret;
}
