#ifndef IMAGES_DIFF_DIFF_H
#define IMAGES_DIFF_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "images/image.h"
#include "images/snap.h"
#include "proto/state.pb-c.h"

/*
 * `snapctl diff`: what is different between two images, A and B. Both are looked at as the messages
 * of proto/, field by field (message.c), so that nothing a new kind brings can be forgotten; a
 * table says which fields are called or meant otherwise (rules.c). Pages are compared by what is in
 * them (pages.c). What is found is kept as a list, and printed at the end (print.c).
 */

struct arena;
struct err;

/* Where in the images. */
struct diff_at {
	int32_t pid, tid; /* 0: of no process, no thread */
	int64_t fd;       /* -1: no descriptor */
	const char *name; /* of a file or of shared memory; or NULL */
};

#define DIFF_NOWHERE ((struct diff_at){ .fd = -1 })

struct difference {
	struct diff_at at;
	const char *what;         /* "umask", "mapping 7f... [heap], prot" */
	const char *a, *b;        /* its values; NULL: only the other one has it */
	struct snap_range *pages; /* or these pages have other contents; a and b are NULL */
	size_t nr_pages;          /* how many ranges */
	uint64_t nr_looked_at;    /* pages that are stored in A or in B */
};

/* Tables of an image that others point into; proto/state.proto. */
enum diff_table { DIFF_FILES, DIFF_MEMS, DIFF_OFDS, DIFF_MMS, DIFF_PROCS, DIFF_NR_TABLES };

/* An entry of A that stands where one of B stands, to be compared as well. */
struct diff_pair {
	enum diff_table table;
	uint32_t a, b;
	struct diff_at at;
};

struct diff {
	struct arena *arena;
	const struct image *img[2];
	Pb__State msg[2];
	struct difference *found;
	size_t nr_found, cap_found;
	struct diff_pair *queue;
	size_t nr_queue, cap_queue;
	uint32_t *partner[2][DIFF_NR_TABLES]; /* by side and id: id on the other side plus 1 */
	struct pages_reader *reader[2];
	int64_t frame[2]; /* that reader holds, -1: none */
	const void *contents[2];
	struct progress *progress;
	struct err *err;
	int ret; /* of what could not be read */
};

/* ---- diff.c ---------------------------------------------------------------------------------- */

struct difference *diff_add(
	struct diff *d, const struct diff_at *at, const char *what, const char *a, const char *b);
/* Entry a of a table stands where b stands: compare them once. False: they do already, or one of
 * them stands elsewhere with another one, which is said of open files. */
bool diff_pair(
	struct diff *d, const struct diff_at *at, enum diff_table table, uint32_t a, uint32_t b);
/* What entry id of a table of A (side 0) or B is called. */
const char *diff_label(struct diff *d, int side, enum diff_table table, uint32_t id);

/* ---- message.c ------------------------------------------------------------------------------- */

void diff_messages(struct diff *d, const struct diff_at *at, const char *prefix,
	const ProtobufCMessage *a, const ProtobufCMessage *b);

/* ---- rules.c --------------------------------------------------------------------------------- */

enum diff_how {
	DIFF_PLAIN,
	DIFF_SKIP,  /* says nothing of the program, or is looked at elsewhere */
	DIFF_REF,   /* index into a table */
	DIFF_KEYED, /* a list whose elements are known by a field */
};

/* What an element of a list is the place of. */
enum diff_enter { DIFF_STAY, DIFF_PROC, DIFF_TASK, DIFF_FD, DIFF_VMA };

struct diff_rule {
	const char *message, *field; /* field NULL: all that have no rule of their own */
	enum diff_how how;
	enum diff_table table; /* DIFF_REF */
	const char *key;       /* DIFF_KEYED: "tid", "owner.id" */
	enum diff_enter enter;
	bool first_is_first; /* the first elements belong together, whatever their keys */
	const char *word;    /* what it is called; NULL: the field's name */
	/* Words for a number or for bytes; NULL: as they are. */
	char *(*number)(struct arena *a, uint64_t value);
	char *(*bytes)(struct arena *a, const uint8_t *data, size_t len);
	const char *const
		*elements; /* names of the elements of a list of numbers, ends with NULL */
	size_t ignored_at, nr_ignored; /* bytes that say nothing */
};

/* Never NULL. */
const struct diff_rule *diff_rule(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field);

/* ---- pages.c --------------------------------------------------------------------------------- */

/* The private memory of two address spaces, where both have some. */
void diff_private(struct diff *d, const struct diff_at *at, uint32_t mm_a, uint32_t mm_b);
/* Objects of shared memory, and contents of files. */
void diff_shared(struct diff *d, const struct diff_at *at, uint32_t mem_a, uint32_t mem_b);

/* ---- print.c --------------------------------------------------------------------------------- */

void diff_print(const struct diff *d, FILE *out);
int diff_print_json(const struct diff *d, FILE *out, struct err *err);

#endif
