#ifndef IMAGES_IMAGE_H
#define IMAGES_IMAGE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "images/pages.h"

/*
 * An image is a directory of three files: "inventory" (magic, format version, sizes and digests of
 * the others), "state" (all structure, and the page index), "pages"; or the same three behind a
 * program that restores them, in one file ("packed"). See doc/snapctl-image.5.
 */

struct err;
struct progress;
struct snap;

/* ---- writing: whole or not at all (D5) ------------------------------------------------------- */

struct image_writer;

/* What image_writer_create() would say of this place, as far as can be told without writing there.
 */
int image_writer_look(const char *path, bool force, struct err *err);
/*
 * Begin an image at path: makes a 0700 directory beside it under a random name. An existing path is
 * refused unless it is an image of ours (EEXIST, with the remedy) and force is given. Pages are
 * compressed at that zstd level (0: not at all) by nr_threads (0: one for each CPU).
 */
int image_writer_create(const char *path, bool force, int level, unsigned nr_threads,
	struct image_writer **out, struct err *err);
struct pages_writer *image_writer_pages(struct image_writer *w);
/*
 * Before the target is changed for good: brings the pages to the disk, and takes the room that the
 * rest will need if it grows by so many bytes. Nothing may be written to the pages any more.
 */
int image_writer_reserve(struct image_writer *w, struct snap *snap, size_t bytes, struct err *err);
/* Write state and inventory, fsync all, rename into place (exchanging with an old image if forced).
 */
int image_writer_commit(struct image_writer *w, struct snap *snap, struct err *err);
/* Without a commit before: removes everything. NULL is fine. */
void image_writer_destroy(struct image_writer *w);
/* Remove what writers of an image at path have left that were killed. */
void image_writer_clean(const char *path);

/* ---- reading: checked once, at the door (D4) ------------------------------------------------- */

struct image {
	int dirfd; /* -1: it is packed */
	int pages_fd;
	struct snap *snap;
	struct page_index index;
	char *path;
};

/* Owner, modes, digests of inventory and state, every number and cross-reference. */
int image_open(const char *path, struct image *out, struct err *err);
void image_close(struct image *img); /* of a zeroed or opened image */

/* Is this program a packed image? Then image_open_self opens it; name is for messages. Whose file
 * it is does not matter: its code runs already. */
bool image_is_self(void);
int image_open_self(const char *name, struct image *out, struct err *err);

/* Everything image_open does, and every frame of the pages file decoded; progress may be NULL. */
int image_verify(const char *path, struct progress *progress, struct err *err);

/* Human-readable tables or one JSON object. */
int image_show(const struct image *img, bool json, FILE *out, struct err *err);

/* What is different in b, in words (nothing where they are the same) or as one JSON object. Pages
 * are compared by their contents; when and where the images were made does not count. */
int image_diff(const struct image *a, const struct image *b, bool json, FILE *out, bool *same,
	struct progress *progress, struct err *err);

/* ---- as one file ----------------------------------------------------------------------------- */

/*
 * Write a program that restores the image, which it carries; *len is its size in bytes. It appears
 * whole or not at all, with mode 0700. What exists is refused unless it is a packed image and force
 * is given.
 */
int image_pack(const char *path, const char *output, bool force, uint64_t *len,
	struct progress *progress, struct err *err);
/* The image that was packed, byte for byte. */
int image_unpack(const char *path, const char *output, bool force, struct progress *progress,
	struct err *err);

/* ---- for debuggers --------------------------------------------------------------------------- */

struct core_made {
	pid_t pid; /* which process it is of */
	size_t nr_threads;
	uint64_t len;   /* bytes that the file takes, holes left out */
	char exe[4096]; /* its program, as the target saw it */
};

/*
 * Write an ELF core file of process pid of the image (0: the first): whole or not at all, with mode
 * 0600. What of mapped files is not in the image comes from the files, if they are unchanged.
 */
int image_core(const char *path, const char *output, bool force, pid_t pid, struct core_made *made,
	struct progress *progress, struct err *err);

#endif
