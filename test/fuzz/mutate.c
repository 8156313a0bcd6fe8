/* Mutants of a state, field by field; see mutate.h. */
#include "test/fuzz/mutate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/state.pb-c.h"

struct mutation {
	struct arena *arena;
	mutate_random *random;
	void *arg;
	/* The one that is picked: each that is seen has the same chance to be it. */
	ProtobufCMessage *message;
	const ProtobufCFieldDescriptor *field;
	uint64_t nr_seen;
};

static uint64_t draw(const struct mutation *m, uint64_t below)
{
	return m->random(m->arg, below);
}

static void *arena_malloc(void *arena, size_t len)
{
	return arena_alloc(arena, len);
}

static void arena_free(void *arena, void *p)
{
	(void)arena, (void)p; /* it goes as a whole */
}

/* ---- picking a field ------------------------------------------------------------------------- */

static void *field_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (char *)message + field->offset;
}

/* Of repeated ones the number, of optional numbers whether they are there. */
static void *quantifier_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (char *)message + field->quantifier_offset;
}

static size_t field_count(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(size_t *)quantifier_at(message, field);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
		return *(void **)field_at(message, field) != NULL;
	return 1;
}

static void pick(struct mutation *m, ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		size_t nr = field_count(message, field);
		ProtobufCMessage **all = field_at(message, field);

		if (nr && draw(m, ++m->nr_seen) == 0) {
			m->message = message;
			m->field = field;
		}
		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			all = *(ProtobufCMessage ***)all;
		for (size_t j = 0; j < nr; j++)
			pick(m, all[j]);
	}
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t number(const struct mutation *m, uint64_t old)
{
	static const uint64_t odd[] = { 0, 1, 2, 3, 7, 64, 255, 4095, 4096, 65535, 65536,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x2eca00000000, 0x7fffffffe000,
		0x7ffffffff000, 0x800000000000, 0xffff800000000000, 0xffffffffff600000, INT64_MAX,
		(uint64_t)INT64_MIN, UINT64_MAX - 4095, UINT64_MAX };

	switch (draw(m, 6)) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old ^ 1ull << draw(m, 64);
	case 3:
		return old + 4096 * (draw(m, 65) - 32);
	case 4:
		return draw(m, 64);
	default:
		return odd[draw(m, sizeof odd / sizeof *odd)];
	}
}

static ProtobufCBinaryData bytes(const struct mutation *m, ProtobufCBinaryData old)
{
	static const char *const odd[] = { "", "/", ".", "..", "../../../../etc/snapctl-was-here",
		"/proc/self/mem", "/proc/1/root/etc", "/dev/mem", "/dev/zero", "//", "a\nb",
		"\33[2J", "/tmp/../etc/x", "%s%n", "user.x", "/etc/passwd" };
	const char *text = odd[draw(m, sizeof odd / sizeof *odd)];
	size_t len = old.len, extra = draw(m, 3) ? 1 : 70000;
	uint8_t *data = arena_alloc(m->arena, len + extra);

	if (len)
		memcpy(data, old.data, len);
	switch (draw(m, 5)) {
	case 0:
		return (ProtobufCBinaryData){ strlen(text),
			(uint8_t *)arena_strdup(m->arena, text) };
	case 1:
		if (len)
			data[draw(m, len)] = (uint8_t)draw(m, 256);
		return (ProtobufCBinaryData){ len, data };
	case 2:
		return (ProtobufCBinaryData){ len ? draw(m, len) : 0, data };
	case 3:
		if (len)
			data[draw(m, len)] = 0;
		return (ProtobufCBinaryData){ len, data };
	default:
		memset(data + len, 'x', extra);
		return (ProtobufCBinaryData){ len + extra, data };
	}
}

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	default:
		return 4;
	}
}

static void value_change(const struct mutation *m, ProtobufCType type, void *at)
{
	ProtobufCBinaryData text;
	uint64_t wide = 0;

	switch (type) {
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)at = bytes(m, *(ProtobufCBinaryData *)at);
		return;
	case PROTOBUF_C_TYPE_STRING:
		text = bytes(m, (ProtobufCBinaryData){ strlen(*(char **)at), *(uint8_t **)at });
		*(char **)at = arena_strndup(m->arena, (char *)text.data, text.len);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at ^= 1;
		return;
	default:
		memcpy(&wide, at, size_of(type));
		wide = number(m, wide);
		memcpy(at, &wide, size_of(type));
	}
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void repeated_change(const struct mutation *m)
{
	static const size_t times[] = { 1, 1, 1, 2, 16, 300 };
	size_t *nr = quantifier_at(m->message, m->field), size = size_of(m->field->type);
	char **all = field_at(m->message, m->field);
	size_t at = draw(m, *nr), other = draw(m, *nr), copies = times[draw(m, 6)];
	char *new = arena_alloc(m->arena, (*nr + copies) * size);

	memcpy(new, *all, *nr * size);
	switch (draw(m, 4)) {
	case 0: /* lost */
		memmove(new + at *size, new + (at + 1) * size, (*nr - at - 1) * size);
		--*nr;
		break;
	case 1: /* exchanged */
		memcpy(new + at *size, *all + other * size, size);
		memcpy(new + other *size, *all + at * size, size);
		break;
	case 2: /* there again */
		for (size_t i = 0; i < copies; i++)
			memcpy(new + (*nr)++ *size, *all + at * size, size);
		break;
	default:
		if (m->field->type == PROTOBUF_C_TYPE_MESSAGE)
			*nr = draw(m, 2) ? 0 : at;
		else
			value_change(m, m->field->type, new + at *size);
	}
	*all = new;
}

static void field_change(const struct mutation *m)
{
	void *at = field_at(m->message, m->field);

	if (m->field->label == PROTOBUF_C_LABEL_REPEATED) {
		repeated_change(m);
	} else if (m->field->type == PROTOBUF_C_TYPE_MESSAGE) {
		*(void **)at = NULL;
	} else {
		value_change(m, m->field->type, at);
		if (m->field->type != PROTOBUF_C_TYPE_STRING)
			*(protobuf_c_boolean *)quantifier_at(m->message, m->field) = draw(m, 4) > 0;
	}
}

void mutate_state(const void *bytes, size_t len, unsigned nr_changes, mutate_random *random,
	void *arg, struct buf *out)
{
	struct mutation m = { .arena = arena_create(), .random = random, .arg = arg };
	ProtobufCAllocator allocator = { arena_malloc, arena_free, m.arena };
	ProtobufCMessage *state = protobuf_c_message_unpack(
		&pb__state__descriptor, &allocator, len, bytes);

	if (!state)
		abort();
	for (; nr_changes > 0; nr_changes--) {
		m.nr_seen = 0;
		pick(&m, state);
		field_change(&m);
	}
	len = protobuf_c_message_get_packed_size(state);
	out->len += protobuf_c_message_pack(state, (uint8_t *)buf_reserve(out, len));
	arena_destroy(m.arena);
}
