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

/* In characters of UTF-8: the bytes that do not continue one. */
static size_t cell_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static const char *cell_at(const struct table *t, size_t row, size_t column)
{
	const char *cell = t->rows[row][column];

	if (!cell)
		return "";
	return row == 0 && *cell == '>' ? cell + 1 : cell;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = 0;

	for (size_t i = 0; i < t->nr_rows; i++) {
		size_t width = cell_width(cell_at(t, i, column));

		widest = width > widest ? width : widest;
	}
	return widest;
}

/* Blanks are owed until there is something behind them, so that no line ends with any. */
static void row_print(const struct table *t, size_t row, const size_t *widths, FILE *out)
{
	size_t owed = 0;

	for (size_t c = 0; c < t->nr_columns; c++) {
		const char *text = cell_at(t, row, c);
		size_t pad = widths[c] - cell_width(text);
		bool right = t->rows[0][c][0] == '>';

		if (*text) {
			fprintf(out, "%*s%s", (int)(owed + (right ? pad : 0)), "", text);
			owed = right ? 0 : pad;
		} else {
			owed += pad;
		}
		owed += 2;
	}
	fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	size_t widths[TABLE_COLUMNS];

	for (size_t c = 0; c < t->nr_columns; c++)
		widths[c] = column_width(t, c);
	for (size_t i = 0; i < t->nr_rows; i++)
		row_print(t, i, widths, out);
}
