#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reading the texts of /proc. A cursor moves over a NUL-terminated text that stays the caller's;
 * every text_... returns false, and does not move, where the text is not what was asked for.
 */
struct text {
	const char *at;
};

bool text_hex(struct text *t, uint64_t *value); /* digits without 0x */
bool text_dec(struct text *t, uint64_t *value);
bool text_int(struct text *t, int64_t *value); /* decimal with an optional minus */
bool text_oct(struct text *t, uint64_t *value);
bool text_char(struct text *t, char c);
bool text_word(struct text *t, const char *word); /* exactly this prefix */
void text_blanks(struct text *t);                 /* spaces and tabs */
/* " WORD  HEX", with any blanks before both: how fdinfo names its numbers. */
bool text_word_hex(struct text *t, const char *word, uint64_t *value);
/* Up to the next newline (not included); the cursor goes behind it. False at the end of the text.
 */
bool text_line(struct text *t, const char **line, size_t *len);

/* Value of "Key:\tvalue" at the start of a line of status or fdinfo; NULL if there is no such line.
 */
const char *text_field(const char *text, const char *key);
bool text_field_dec(const char *text, const char *key, uint64_t *value);
bool text_field_hex(const char *text, const char *key, uint64_t *value);
bool text_field_oct(const char *text, const char *key, uint64_t *value);

/* Undo the kernel's \ooo escapes of blanks and newlines in paths (maps, mountinfo), in place. */
void text_unescape(char *path);
/* Bytes as people read them, in buf: "3.1 MiB". Returns buf. */
const char *text_size(uint64_t bytes, char *buf, size_t len);
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);

#endif
