#ifndef IMAGES_PACK_PACKED_H
#define IMAGES_PACK_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "images/image_internal.h"

/*
 * A packed image (doc/snapctl-image.5): the program snapctl, then the files "pages", "state" and
 * "inventory" of an image as they are, then a trailer which says how long each is. The program part
 * bears a mark in the unused bytes of its ELF header, so that it knows what it is without looking.
 */

struct err;

/* Pages begin at a multiple of this: file systems can share blocks, and mappings stay possible. */
enum { PACKED_ALIGN = 4096, PACKED_TRAILER = 80, PACKED_MARK = 7 };

struct packed {
	uint64_t program_size;
	uint64_t size[IMAGE_NR_FILES]; /* by enum image_file */
	uint8_t program_digest[IMAGE_DIGEST];
};

/* What the bytes e_ident[EI_PAD] to the end hold; 0 in any other program. */
extern const char packed_mark[PACKED_MARK];

/* Does the file begin as a packed image does? Nothing is said about the rest. */
bool packed_has_mark(int fd);
/* Where a part begins in the file. */
uint64_t packed_start(const struct packed *p, enum image_file file);
/* Its trailer, checked: the parts fill the file. EBADMSG, ENOTSUP otherwise. */
int packed_read(int fd, struct packed *out, struct err *err);
void packed_trailer(const struct packed *p, uint8_t out[PACKED_TRAILER]);
/* What a restore need not look at: the program part, and what fills up behind it. */
int packed_verify_program(int fd, const struct packed *p, struct err *err);

#endif
