#ifndef IMAGES_SHOW_H
#define IMAGES_SHOW_H

#include <stdio.h>

#include "images/snap.h"

/*
 * Words that `snapctl show` uses in its tables (show.c) and as JSON (show_json.c). Texts live in
 * the arena. Anything that comes from the target may hold any bytes, so it goes through one of the
 * first two.
 */

struct arena;
struct err;
struct image;
struct page_index;

/* For a terminal: control characters and what is not UTF-8 become \ooo. NULL becomes "". */
char *show_clean(struct arena *a, const char *text);
/* For JSON: what is not UTF-8 becomes U+FFFD, everything else stays. */
char *show_utf8(struct arena *a, const char *text);

/* "rw-p", as /proc/PID/maps has it. */
void show_perms(const struct snap_vma *vma, char perms[5]);
/* Last column of /proc/PID/maps: path, "[heap]", "/memfd:x (deleted)", "". Not cleaned. */
char *show_vma_name(struct arena *a, const struct snap *snap, const struct snap_mm *mm, size_t vma);
const char *show_vma_kind(enum snap_vma_kind kind);
const char *show_mem_kind(enum snap_mem_kind kind);
/* "rdwr nonblock": F_GETFL in words. */
char *show_flags(struct arena *a, uint32_t flags);
/* What the kind has to say about itself, or "". Not cleaned. */
char *show_detail(struct arena *a, const struct snap *snap, const struct snap_ofd *ofd);
/* "2025-11-21T03:08:11Z" */
char *show_time(struct arena *a, uint64_t realtime);
/* Size in bytes as people read it: "12.3 MiB". */
char *show_size(struct arena *a, uint64_t bytes);
char *show_id(struct arena *a, const struct snap_info *info);

/* How many pages of mem are stored. */
uint64_t show_mem_pages(const struct page_index *index, uint32_t mem);

/* arena is for texts. */
struct json_object;
/* One object of json-c(3), indented, and a newline. Puts the object, also where it fails. */
int show_json_print(struct json_object *o, FILE *out, struct err *err);
int show_json(const struct image *img, struct arena *arena, FILE *out, struct err *err);

#endif
