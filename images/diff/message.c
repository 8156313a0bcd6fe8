/* Two messages of proto/, field by field; see diff.h. The messages were made from checked models.
 */
#include "images/diff/diff.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "images/show.h"

enum { TEXT_MAX = 60, LIST_MAX = 24 };

/* ---- one field of one message ---------------------------------------------------------------- */

/* Elements of a field: none or one where it is not repeated. */
static size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)m;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(base + f->quantifier_offset);
	if (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING)
		return *(void *const *)(base + f->offset) != NULL;
	return *(const protobuf_c_boolean *)(base + f->quantifier_offset) != 0;
}

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return 8;
	default:
		return 4;
	}
}

static const void *field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const char *at = (const char *)m + f->offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		at = *(const char *const *)at + i * element_size(f);
	return at;
}

static const ProtobufCMessage *message_at(
	const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	return *(const ProtobufCMessage *const *)field_at(m, f, i);
}

/* Sign-extended where the type is signed. */
static uint64_t number_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const void *at = field_at(m, f, i);

	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return *(const protobuf_c_boolean *)at != 0;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		return *(const uint32_t *)at;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return (uint64_t) * (const int32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

static ProtobufCBinaryData bytes_at(
	const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const void *at = field_at(m, f, i);
	ProtobufCBinaryData text;

	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return *(const ProtobufCBinaryData *)at;
	text.data = *(uint8_t *const *)at;
	text.len = text.data ? strlen((const char *)text.data) : 0;
	return text;
}

static bool is_bytes(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_STRING;
}

/* ---- words ----------------------------------------------------------------------------------- */

static char *enum_words(struct diff *d, const ProtobufCFieldDescriptor *f, uint64_t value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
		f->descriptor, (int)value);
	char *words;

	if (!v)
		return arena_printf(d->arena, "%" PRIu64, value);
	words = arena_strdup(d->arena, v->name);
	for (char *c = words; *c; c++)
		*c = *c == '_' ? ' ' : (char)tolower((unsigned char)*c);
	return words;
}

static char *number_words(struct diff *d, const struct diff_rule *rule,
	const ProtobufCFieldDescriptor *f, uint64_t value)
{
	if (f->type == PROTOBUF_C_TYPE_BOOL)
		return value ? "yes" : "no";
	if (f->type == PROTOBUF_C_TYPE_ENUM)
		return enum_words(d, f, value);
	if (rule->number)
		return rule->number(d->arena, value);
	if (f->type == PROTOBUF_C_TYPE_FIXED64 || f->type == PROTOBUF_C_TYPE_FIXED32)
		return arena_printf(d->arena, "0x%" PRIx64, value);
	if (f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_UINT64)
		return arena_printf(d->arena, "%" PRIu64, value);
	return arena_printf(d->arena, "%" PRId64, (int64_t)value);
}

static bool is_text(const ProtobufCBinaryData *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] < 0x20 || b->data[i] == 0x7f)
			return false;
	return b->len <= TEXT_MAX * 8;
}

static char *bytes_words(struct diff *d, const struct diff_rule *rule, const ProtobufCBinaryData *b)
{
	if (rule->bytes)
		return rule->bytes(d->arena, b->data, b->len);
	if (!b->len)
		return "nothing";
	if (is_text(b))
		return arena_printf(d->arena, "\"%s\"",
			show_clean(
				d->arena, arena_strndup(d->arena, (const char *)b->data, b->len)));
	return arena_printf(d->arena, "%zu bytes", b->len);
}

static size_t bytes_differing(
	const struct diff_rule *rule, const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	size_t both = a->len < b->len ? a->len : b->len, nr = 0;

	for (size_t i = 0; i < both; i++)
		if (i < rule->ignored_at || i >= rule->ignored_at + rule->nr_ignored)
			nr += a->data[i] != b->data[i];
	return nr + (a->len > b->len ? a->len : b->len) - both;
}

static const char *field_word(const struct diff_rule *rule, const ProtobufCFieldDescriptor *f)
{
	return rule->word ? rule->word : f->name;
}

/* "PREFIX WORD", where either may be empty. */
static const char *words_join(struct diff *d, const char *prefix, const char *word)
{
	if (!*prefix || !*word)
		return *prefix ? prefix : word;
	return arena_printf(d->arena, "%s %s", prefix, word);
}

/* ---- messages on one side only --------------------------------------------------------------- */

static const char *element_words(
	struct diff *d, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i);

/* "tid 5 cwd ...": what a message says of itself, cut where it gets long. */
static const char *message_words(struct diff *d, const ProtobufCMessage *m)
{
	struct buf out = BUF_EMPTY;
	const char *words;

	buf_printf(&out, "%s", "");
	for (unsigned i = 0; i < m->descriptor->n_fields && out.len < 2 * TEXT_MAX; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const struct diff_rule *rule = diff_rule(m, f);

		if (f->type == PROTOBUF_C_TYPE_MESSAGE || rule->how == DIFF_SKIP ||
			f->label == PROTOBUF_C_LABEL_REPEATED || !field_count(m, f))
			continue;
		buf_printf(&out, "%s%s %s", out.len ? ", " : "", field_word(rule, f),
			element_words(d, m, f, 0));
	}
	words = out.len ? arena_strdup(d->arena, out.data) : "there";
	buf_finish(&out);
	return words;
}

/* Element i of a field of a message of either side; references are numbers here. */
static const char *element_words(
	struct diff *d, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const struct diff_rule *rule = diff_rule(m, f);
	ProtobufCBinaryData bytes;

	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return message_words(d, message_at(m, f, i));
	if (!is_bytes(f))
		return number_words(d, rule, f, number_at(m, f, i));
	bytes = bytes_at(m, f, i);
	return bytes_words(d, rule, &bytes);
}

/* ---- lists whose elements have a key --------------------------------------------------------- */

struct keyed {
	const char *key;
	size_t i;
};

static const ProtobufCFieldDescriptor *field_named(const ProtobufCMessage *m, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
}

/* "pid", or "owner.id": of the message in the field owner. */
static const char *key_of(struct diff *d, const ProtobufCMessage *m, const char *key)
{
	const char *dot = strchr(key, '.');
	const ProtobufCFieldDescriptor *f = field_named(
		m, dot ? arena_strndup(d->arena, key, (size_t)(dot - key)) : key);

	if (!f)
		return "";
	if (dot)
		return field_count(m, f) ? key_of(d, message_at(m, f, 0), dot + 1) : "";
	/* Of equal length, so that sorted they come as numbers do. */
	return arena_printf(d->arena, "%020" PRIu64, field_count(m, f) ? number_at(m, f, 0) : 0);
}

static int keyed_compare(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : x->i < y->i ? -1 : x->i > y->i;
}

static struct keyed *keyed_make(struct diff *d, const struct diff_rule *rule,
	const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t nr = field_count(m, f);
	struct keyed *out = arena_array(d->arena, nr + 1, sizeof *out);

	for (size_t i = 0; i < nr; i++)
		out[i] = (struct keyed){ i == 0 && rule->first_is_first
						 ? ""
						 : key_of(d, message_at(m, f, i), rule->key),
			i };
	qsort(out, nr, sizeof *out, keyed_compare);
	return out;
}

static const struct snap_mm *mm_of(const struct diff *d, int side, const ProtobufCMessage *m)
{
	for (size_t i = 0; i < d->msg[side].n_mms; i++)
		if (&d->msg[side].mms[i]->base == m)
			return &d->img[side]->snap->mms[i];
	return NULL;
}

/* "7f..-7f.. rw-p [heap]" */
static const char *vma_words(struct diff *d, int side, const ProtobufCMessage *m, size_t i)
{
	const struct snap_mm *mm = mm_of(d, side, m);
	const char *name;
	char perms[5];

	if (!mm)
		return "?";
	name = show_clean(d->arena, show_vma_name(d->arena, d->img[side]->snap, mm, i));
	show_perms(&mm->vmas[i], perms);
	return arena_printf(d->arena, "%08" PRIx64 "-%08" PRIx64 " %s%s%s", mm->vmas[i].start,
		mm->vmas[i].end, perms, *name ? " " : "", name);
}

/* An element that only one side has. */
static void keyed_lone(struct diff *d, const struct diff_at *at, int side, const char *prefix,
	const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const struct diff_rule *rule = diff_rule(m, f);
	const ProtobufCMessage *element = message_at(m, f, i);
	const char *key = key_of(d, element, rule->key), *words;

	key += strspn(key, "0");
	key = arena_printf(d->arena, "%s %s", field_word(rule, f), *key ? key : "0");
	switch (rule->enter) {
	case DIFF_PROC:
		words = ((const Pb__Proc *)element)->n_tasks
				? bytes_words(d, rule, &((const Pb__Proc *)element)->tasks[0]->comm)
				: "there";
		break;
	case DIFF_TASK:
		words = bytes_words(d, rule, &((const Pb__Task *)element)->comm);
		break;
	case DIFF_FD:
		words = diff_label(d, side, DIFF_OFDS, ((const Pb__Fd *)element)->ofd);
		break;
	case DIFF_VMA:
		key = field_word(rule, f);
		words = vma_words(d, side, m, i);
		break;
	default:
		words = message_words(d, element);
	}
	diff_add(d, at, words_join(d, prefix, key), side ? NULL : words, side ? words : NULL);
}

static void keyed_pair(struct diff *d, const struct diff_at *at, const char *prefix,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f,
	size_t i, size_t j)
{
	const struct diff_rule *rule = diff_rule(a, f);
	const ProtobufCMessage *x = message_at(a, f, i), *y = message_at(b, f, j);
	const char *key = key_of(d, x, rule->key);
	struct diff_at here = *at;
	int number = atoi(key);

	if (rule->enter == DIFF_PROC)
		here.pid = number;
	else if (rule->enter == DIFF_TASK)
		here.tid = number;
	else if (rule->enter == DIFF_FD)
		here.fd = number;
	else if (rule->enter == DIFF_VMA)
		prefix = arena_printf(d->arena, "mapping %s,", vma_words(d, 0, a, i));
	else
		prefix = arena_printf(
			d->arena, "%s %d,", words_join(d, prefix, field_word(rule, f)), number);
	diff_messages(d, &here, prefix, x, y);
}

static void keyed_diff(struct diff *d, const struct diff_at *at, const char *prefix,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	const struct diff_rule *rule = diff_rule(a, f);
	struct keyed *x = keyed_make(d, rule, a, f), *y = keyed_make(d, rule, b, f);
	size_t nr_x = field_count(a, f), nr_y = field_count(b, f);

	for (size_t i = 0, j = 0; i < nr_x || j < nr_y;) {
		int order = i == nr_x ? 1 : j == nr_y ? -1 : strcmp(x[i].key, y[j].key);

		if (order == 0)
			keyed_pair(d, at, prefix, a, b, f, x[i++].i, y[j++].i);
		else if (order < 0)
			keyed_lone(d, at, 0, prefix, a, f, x[i++].i);
		else
			keyed_lone(d, at, 1, prefix, b, f, y[j++].i);
	}
}

/* ---- references ------------------------------------------------------------------------------ */

static void ref_diff(struct diff *d, const struct diff_at *at, const char *what,
	enum diff_table table, uint32_t a, uint32_t b)
{
	const char *x = a == ID_NONE ? NULL : diff_label(d, 0, table, a);
	const char *y = b == ID_NONE ? NULL : diff_label(d, 1, table, b);

	if (!x && !y)
		return;
	if (x && y && !strcmp(x, y))
		diff_pair(d, at, table, a, b);
	else
		diff_add(d, at, what, x, y);
}

static void refs_diff(struct diff *d, const struct diff_at *at, const char *what,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f,
	enum diff_table table)
{
	size_t nr_a = field_count(a, f), nr_b = field_count(b, f);

	for (size_t i = 0; i < nr_a || i < nr_b; i++)
		ref_diff(d, at, what, table, i < nr_a ? (uint32_t)number_at(a, f, i) : ID_NONE,
			i < nr_b ? (uint32_t)number_at(b, f, i) : ID_NONE);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void bytes_diff(struct diff *d, const struct diff_at *at, const char *what,
	const struct diff_rule *rule, const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	size_t nr = bytes_differing(rule, a, b);
	char *x, *y;

	if (!nr)
		return;
	x = bytes_words(d, rule, a);
	y = bytes_words(d, rule, b);
	if (!strcmp(x, y) || !is_text(a) || !is_text(b))
		y = arena_printf(d->arena, "%s, %zu of them others,", y, nr);
	diff_add(d, at, what, x, y);
}

/* Absent is 0 and empty, as in the model. */
static void scalar_diff(struct diff *d, const struct diff_at *at, const char *what,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	const struct diff_rule *rule = diff_rule(a, f);
	bool in_a = field_count(a, f), in_b = field_count(b, f);

	if (is_bytes(f)) {
		ProtobufCBinaryData none = { 0 }, x = in_a ? bytes_at(a, f, 0) : none,
				    y = in_b ? bytes_at(b, f, 0) : none;

		bytes_diff(d, at, what, rule, &x, &y);
	} else {
		uint64_t x = in_a ? number_at(a, f, 0) : 0, y = in_b ? number_at(b, f, 0) : 0;

		if (x != y)
			diff_add(d, at, what, number_words(d, rule, f, x),
				number_words(d, rule, f, y));
	}
}

static const char *list_words(
	struct diff *d, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t nr = field_count(m, f);
	const char *out = "";

	for (size_t i = 0; i < nr && i < LIST_MAX; i++)
		out = arena_printf(
			d->arena, "%s%s%s", out, i ? " " : "", element_words(d, m, f, i));
	if (nr > LIST_MAX)
		out = arena_printf(d->arena, "%s ... (%zu in all)", out, nr);
	return nr ? out : NULL;
}

static bool lists_equal(
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	size_t nr = field_count(a, f);

	if (nr != field_count(b, f))
		return false;
	for (size_t i = 0; i < nr; i++) {
		if (is_bytes(f)) {
			ProtobufCBinaryData x = bytes_at(a, f, i), y = bytes_at(b, f, i);

			if (x.len != y.len || (x.len && memcmp(x.data, y.data, x.len)))
				return false;
		} else if (number_at(a, f, i) != number_at(b, f, i)) {
			return false;
		}
	}
	return true;
}

/* Numbers or bytes: said as a whole, unless each has a name of its own. */
static void list_diff(struct diff *d, const struct diff_at *at, const char *what,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	const struct diff_rule *rule = diff_rule(a, f);
	size_t nr_a = field_count(a, f), nr_b = field_count(b, f);
	const char *x, *y;

	if (lists_equal(a, b, f))
		return;
	for (size_t i = 0; rule->elements && rule->elements[i]; i++) {
		uint64_t in_a = i < nr_a ? number_at(a, f, i) : 0,
			 in_b = i < nr_b ? number_at(b, f, i) : 0;

		if (in_a != in_b)
			diff_add(d, at, words_join(d, what, rule->elements[i]),
				number_words(d, rule, f, in_a), number_words(d, rule, f, in_b));
	}
	if (rule->elements)
		return;
	x = list_words(d, a, f);
	y = list_words(d, b, f);
	if (x && y && !strcmp(x, y))
		y = arena_printf(d->arena, "%s, with other contents", y);
	diff_add(d, at, what, x, y);
}

/* Messages one after the other. */
static void messages_diff(struct diff *d, const struct diff_at *at, const char *what,
	const ProtobufCMessage *a, const ProtobufCMessage *b, const ProtobufCFieldDescriptor *f)
{
	size_t nr_a = field_count(a, f), nr_b = field_count(b, f);
	bool list = f->label == PROTOBUF_C_LABEL_REPEATED;

	for (size_t i = 0; i < nr_a || i < nr_b; i++) {
		const char *name = list ? arena_printf(d->arena, "%s %zu", what, i) : what;

		if (i < nr_a && i < nr_b)
			diff_messages(d, at, *name ? arena_printf(d->arena, "%s,", name) : name,
				message_at(a, f, i), message_at(b, f, i));
		else
			diff_add(d, at, name,
				i < nr_a ? message_words(d, message_at(a, f, i)) : NULL,
				i < nr_b ? message_words(d, message_at(b, f, i)) : NULL);
	}
}

void diff_messages(struct diff *d, const struct diff_at *at, const char *prefix,
	const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	for (unsigned i = 0; i < a->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &a->descriptor->fields[i];
		const struct diff_rule *rule = diff_rule(a, f);
		const char *what;

		if (rule->how == DIFF_SKIP)
			continue;
		if (rule->how == DIFF_KEYED) {
			keyed_diff(d, at, prefix, a, b, f);
			continue;
		}
		what = words_join(d, prefix, field_word(rule, f));
		if (rule->how == DIFF_REF)
			refs_diff(d, at, what, a, b, f, rule->table);
		else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			messages_diff(d, at, what, a, b, f);
		else if (f->label == PROTOBUF_C_LABEL_REPEATED)
			list_diff(d, at, what, a, b, f);
		else
			scalar_diff(d, at, what, a, b, f);
	}
}
