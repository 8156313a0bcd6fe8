/* Reading the texts of /proc; see text.h. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static bool text_number(struct text *t, unsigned base, uint64_t *value)
{
	const char *p = t->at;
	uint64_t v = 0;

	while ((unsigned)digit_value(*p) < base) {
		uint64_t digit = (uint64_t)digit_value(*p);

		if (v > (UINT64_MAX - digit) / base)
			return false;
		v = v * base + digit;
		p++;
	}
	if (p == t->at)
		return false;
	t->at = p;
	*value = v;
	return true;
}

bool text_hex(struct text *t, uint64_t *value)
{
	return text_number(t, 16, value);
}

bool text_dec(struct text *t, uint64_t *value)
{
	return text_number(t, 10, value);
}

bool text_oct(struct text *t, uint64_t *value)
{
	return text_number(t, 8, value);
}

bool text_int(struct text *t, int64_t *value)
{
	struct text ahead = { t->at + (*t->at == '-') };
	bool minus = *t->at == '-';
	uint64_t v;

	if (!text_dec(&ahead, &v) || v > (uint64_t)INT64_MAX)
		return false;
	*value = minus ? -(int64_t)v : (int64_t)v;
	t->at = ahead.at;
	return true;
}

bool text_char(struct text *t, char c)
{
	if (*t->at != c || c == '\0')
		return false;
	t->at++;
	return true;
}

bool text_word(struct text *t, const char *word)
{
	if (!text_starts(t->at, word))
		return false;
	t->at += strlen(word);
	return true;
}

void text_blanks(struct text *t)
{
	while (*t->at == ' ' || *t->at == '\t')
		t->at++;
}

bool text_word_hex(struct text *t, const char *word, uint64_t *value)
{
	struct text ahead = *t;

	text_blanks(&ahead);
	if (!text_word(&ahead, word))
		return false;
	text_blanks(&ahead);
	if (!text_hex(&ahead, value))
		return false;
	*t = ahead;
	return true;
}

bool text_line(struct text *t, const char **line, size_t *len)
{
	const char *end;

	if (!*t->at)
		return false;
	end = strchrnul(t->at, '\n');
	*line = t->at;
	*len = (size_t)(end - t->at);
	t->at = *end ? end + 1 : end;
	return true;
}

const char *text_field(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, len) && text[len] == ':') {
			struct text t = { text + len + 1 };

			text_blanks(&t);
			return t.at;
		}
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

bool text_field_dec(const char *text, const char *key, uint64_t *value)
{
	struct text t = { text_field(text, key) };

	return t.at && text_dec(&t, value);
}

bool text_field_hex(const char *text, const char *key, uint64_t *value)
{
	struct text t = { text_field(text, key) };

	return t.at && text_hex(&t, value);
}

bool text_field_oct(const char *text, const char *key, uint64_t *value)
{
	struct text t = { text_field(text, key) };

	return t.at && text_oct(&t, value);
}

void text_unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		if (from[0] == '\\' && digit_value(from[1]) < 4 && digit_value(from[2]) < 8 &&
			digit_value(from[3]) < 8) {
			*to = (char)(digit_value(from[1]) * 64 + digit_value(from[2]) * 8 +
				     digit_value(from[3]));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

bool text_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool text_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), tail = strlen(suffix);

	return len >= tail && !memcmp(s + len - tail, suffix, tail);
}

const char *text_size(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, len, "%u bytes", (unsigned)bytes);
		return buf;
	}
	while (size >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, len, "%.1f %s", size, units[unit]);
	return buf;
}
