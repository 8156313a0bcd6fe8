/* The file "state" as a whole: the order in which its parts are packed, unpacked and checked. */
#include "images/state.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "images/image_internal.h"
#include "proto/state.pb-c.h"

/*
 * Memory for the generated parser. Two bytes of input can ask for a message of some hundred bytes,
 * so the parser gets a limit that follows from the size of the input: what snapctl writes needs
 * less than a quarter of it.
 */
struct budget {
	struct arena *arena;
	size_t left;
};

enum { BUDGET_BASE = 64 * 1024, BUDGET_FACTOR = 32 };

static void *budget_alloc(void *data, size_t len)
{
	struct budget *budget = data;

	if (len > budget->left)
		return NULL;
	budget->left -= len;
	return arena_alloc(budget->arena, len);
}

static void budget_free(void *data, void *p)
{
	(void)data; /* The arena goes as a whole. */
	(void)p;
}

ProtobufCBinaryData pb_bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)data };
}

ProtobufCBinaryData pb_text(const char *s)
{
	return pb_bytes(s, s ? strlen(s) : 0);
}

int text_unpack(struct snap *snap, bool has, const ProtobufCBinaryData *in, size_t max,
	const char *what, char **out, struct err *err)
{
	*out = NULL;
	if (!has)
		return 0;
	if (in->len > max)
		return BAD(err, "%s of %zu bytes, more than %zu", what, in->len, max);
	if (in->len && memchr(in->data, '\0', in->len))
		return BAD(err, "%s with a NUL in it", what);
	*out = arena_alloc(snap->arena, in->len + 1);
	if (in->len)
		memcpy(*out, in->data, in->len);
	return 0;
}

int texts_unpack(struct snap *snap, const ProtobufCBinaryData *in, size_t nr, size_t max,
	const char *what, char ***out, struct err *err)
{
	char **texts = arena_array(snap->arena, nr, sizeof *texts);

	for (size_t i = 0; i < nr; i++) {
		int ret = text_unpack(snap, true, &in[i], max, what, &texts[i], err);

		if (ret < 0)
			return ret;
	}
	*out = texts;
	return 0;
}

int state_message(const struct snap *snap, Pb__State *m, struct err *err)
{
	pb__state__init(m);
	info_pack(snap, m);
	files_pack(snap, m);
	mems_pack(snap, m);
	mms_pack(snap, m);
	procs_pack(snap, m);
	zombies_pack(snap, m);
	terminal_pack(snap, m);
	seccomp_pack(snap, m);
	ipc_pack(snap, m);
	return ofds_pack(snap, m, err);
}

int image_pack_state(
	const struct snap *snap, const struct page_index *index, struct buf *out, struct err *err)
{
	Pb__State m;
	size_t len;
	int ret = state_message(snap, &m, err);

	if (ret < 0)
		return ret;
	index_pack(snap, index, &m);

	len = pb__state__get_packed_size(&m);
	out->len += pb__state__pack(&m, buf_reserve(out, len));
	return 0;
}

static int state_unpack(
	struct snap *snap, const Pb__State *m, struct page_index *index, struct err *err)
{
	int (*const parts[])(struct snap *, const Pb__State *, struct err *) = {
		info_unpack,
		files_unpack,
		mems_unpack,
		mms_unpack,
		procs_unpack,
		zombies_unpack,
		terminal_unpack,
		seccomp_unpack,
		ipc_unpack,
		ofds_unpack,
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		int ret = parts[i](snap, m, err);

		if (ret < 0)
			return ret;
	}
	return index_unpack(snap, m, index, err);
}

/* Every number and cross-reference of a model, EBADMSG where one is wrong. */
static int snap_check(const struct snap *snap, const struct page_index *index, struct err *err)
{
	int (*const parts[])(const struct snap *, struct err *) = {
		info_check,
		files_check,
		mems_check,
		mms_check,
		procs_check,
		zombies_check,
		seccomp_check,
		ipc_check,
		areas_check,
		ofds_check,
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		int ret = parts[i](snap, err);

		if (ret < 0)
			return ret;
	}
	return index_check(snap, index, err);
}

static int state_read(
	struct snap *snap, const Pb__State *m, struct page_index *index, struct err *err)
{
	int ret = state_unpack(snap, m, index, err);

	if (ret == 0)
		ret = snap_check(snap, index, err);
	if (ret == 0)
		ret = ofds_unpack_kinds(snap, m, err);
	return ret;
}

int image_parse_state(
	const void *bytes, size_t len, struct snap **out, struct page_index *index, struct err *err)
{
	struct budget budget = { .arena = arena_create(),
		.left = BUDGET_BASE + len * BUDGET_FACTOR };
	ProtobufCAllocator allocator = {
		.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget
	};
	struct page_index parsed = { 0 };
	struct snap *snap = NULL;
	Pb__State *m = pb__state__unpack(&allocator, len, bytes);
	int ret;

	if (!m) {
		ret = BAD(err, "not a message of the kind that belongs there");
	} else {
		snap = snap_create();
		ret = state_read(snap, m, &parsed, err);
	}
	arena_destroy(budget.arena);
	if (ret < 0) {
		snap_destroy(snap);
		return ret;
	}
	*out = snap;
	*index = parsed;
	return 0;
}
