/* Aligned tables; see table.h. */
#include "images/table.h"

#include "base/arena.h"

const char **table_row(struct table *t)
{
	t->rows = arena_grow(t->arena, t->rows, t->nr_rows, &t->cap_rows, sizeof *t->rows);
	return t->rows[t->nr_rows++];
}

void table_init(struct table *t, struct arena *arena, const char *const *titles)
{
	const char **row;

	*t = (struct table){ .arena = arena };
	row = table_row(t);
	while (titles[t->nr_columns]) {
		row[t->nr_columns] = titles[t->nr_columns];
		t->nr_columns++;
	}
}

static const char *cell_text(const char *cell)
{
	return !cell ? "" : *cell == '>' ? cell + 1 : cell;
}

/* In characters of UTF-8: the bytes that do not continue one. */
static size_t cell_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = 0;

	for (size_t i = 0; i < t->nr_rows; i++) {
		const char *cell = t->rows[i][column];
		size_t width = cell_width(i ? (cell ? cell : "") : cell_text(cell));

		widest = width > widest ? width : widest;
	}
	return widest;
}

static void blanks(FILE *out, size_t nr)
{
	fprintf(out, "%*s", (int)nr, "");
}

void table_print(const struct table *t, FILE *out)
{
	size_t widths[TABLE_COLUMNS];

	for (size_t c = 0; c < t->nr_columns; c++)
		widths[c] = column_width(t, c);
	for (size_t i = 0; i < t->nr_rows; i++) {
		for (size_t c = 0; c < t->nr_columns; c++) {
			const char *cell = t->rows[i][c];
			const char *text = i ? (cell ? cell : "") : cell_text(cell);
			size_t pad = widths[c] - cell_width(text);
			bool right = t->rows[0][c][0] == '>';

			blanks(out, (c ? 2 : 0) + (right ? pad : 0));
			fputs(text, out);
			if (!right && c + 1 < t->nr_columns)
				blanks(out, pad);
		}
		fputc('\n', out);
	}
}
