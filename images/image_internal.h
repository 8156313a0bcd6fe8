#ifndef IMAGES_IMAGE_INTERNAL_H
#define IMAGES_IMAGE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/place.h"

/*
 * What the files of images/ share among each other, and with the fuzzer: the bytes of the file
 * "state" and of the file "inventory". The rest of snapctl uses image.h.
 */

struct buf;
struct err;
struct image;
struct image_writer;
struct progress;
struct page_index;
struct snap;

/* ---- state: snap <-> bytes (state.c) --------------------------------------------------------- */

/* Appends the message to out. Allocates in snap's arena. */
int image_pack_state(
	const struct snap *snap, const struct page_index *index, struct buf *out, struct err *err);
/*
 * All that can be known without the other files: structure, numbers, cross-references. The bytes
 * are untrusted; what is allocated is bounded by a small multiple of len. The index lives in the
 * snap's arena, and the caller destroys the snap.
 */
int image_parse_state(const void *bytes, size_t len, struct snap **snap, struct page_index *index,
	struct err *err);

/* ---- inventory (inventory.c) ----------------------------------------------------------------- */

enum { IMAGE_MAJOR = 1, IMAGE_MINOR = 3, IMAGE_DIGEST = 16, IMAGE_MAGIC = 8 };

/* First bytes of every inventory. */
extern const char image_magic[IMAGE_MAGIC];

struct inventory {
	uint32_t major, minor;
	uint64_t state_size, pages_size;
	uint8_t state_digest[IMAGE_DIGEST], pages_digest[IMAGE_DIGEST];
};

/* XXH3-128 in canonical (big-endian) form. */
void image_digest(const void *data, size_t len, uint8_t out[IMAGE_DIGEST]);
/* Over the checksums of the frames; see proto/inventory.proto. */
void image_digest_pages(const struct page_index *index, uint8_t out[IMAGE_DIGEST]);

void inventory_pack(const struct inventory *inv, struct buf *out);
int inventory_parse(const void *bytes, size_t len, struct inventory *out, struct err *err);

/* ---- the directory --------------------------------------------------------------------------- */

enum image_file { IMAGE_INVENTORY, IMAGE_STATE, IMAGE_PAGES, IMAGE_NR_FILES };

/* Their names, by enum image_file. */
extern const char *const image_file_names[IMAGE_NR_FILES];

/* The bytes of a file of an image; by enum image_file where there are several. */
struct image_bytes {
	void *data;
	size_t len;
};

/* As image_open, and hands out the bytes of inventory and state that were checked. */
int image_open_bytes(const char *path, struct image *out, struct image_bytes bytes[IMAGE_NR_FILES],
	struct err *err);
void image_bytes_finish(struct image_bytes bytes[IMAGE_NR_FILES]);

/* In place of image_writer_commit: the very image that img is, with these bytes of it. */
int image_writer_copy(struct image_writer *w, const struct image *img,
	const struct image_bytes bytes[IMAGE_NR_FILES], struct progress *progress, struct err *err);

/*
 * Looks at name below parentfd: 0 and *ours if it is a directory of the caller or root which holds
 * an inventory with our magic (whatever its health) and nothing but files of an image.
 */
int image_dir_is_ours(int parentfd, const char *name, bool *ours, struct err *err);
/* Remove the files of an image, then its directory. Foreign files are never touched, and make it
 * fail. */
int image_dir_remove(int parentfd, const char *name, struct err *err);
/*
 * A directory of a name of its own (".BASE.<random>.tmp", mode 0700) below parentfd, for an image
 * that will be renamed to base. While it is being written it is locked (flock(2) on the
 * descriptor), so that image_dir_clean can tell those whose writer was killed, and remove them.
 */
int image_dir_create(
	int parentfd, const char *base, char name[PLACE_TMP_NAME], int *dirfd, struct err *err);
void image_dir_clean(int parentfd, const char *base);

#endif
