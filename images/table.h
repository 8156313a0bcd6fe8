#ifndef IMAGES_TABLE_H
#define IMAGES_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * A table for people: columns as wide as their widest cell, two blanks between. Cells are texts of
 * the caller, which must live until it is printed. Columns whose title begins with '>' are
 * right-aligned.
 */

struct arena;

enum { TABLE_COLUMNS = 8 };

struct table {
	struct arena *arena;
	const char *(*rows)[TABLE_COLUMNS];
	size_t nr_rows, cap_rows, nr_columns;
};

/* titles: TABLE_COLUMNS at most, ends with NULL. */
void table_init(struct table *t, struct arena *arena, const char *const *titles);
/* An empty row, to be filled before the next one is asked for. */
const char **table_row(struct table *t);
void table_print(const struct table *t, FILE *out);

#endif
