/* Reading an image: everything about it is checked here, once (DESIGN D4). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/progress.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "images/pack/packed.h"
#include "images/snap.h"

/* Nobody can make us allocate more than this, not even with a sparse file. */
enum { INVENTORY_MAX = 64 * 1024, STATE_MAX = 1 << 30 };

/* ---- whose is it ----------------------------------------------------------------------------- */

static int owner_check(const struct stat *st, struct err *err)
{
	int ret;

	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		ret = err_set(err, EPERM, "it belongs to user %u, who is neither root nor you",
			st->st_uid);
		err_hint(err, "what is in an image runs as you: copy it if you trust its owner");
		return ret;
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH)) {
		ret = err_set(
			err, EPERM, "others may write to it (mode %04o)", st->st_mode & 07777);
		err_hint(err,
			"what is in an image runs as you: chmod -R go-w it if you trust those who "
			"could write to it");
		return ret;
	}
	return 0;
}

static int dir_open_failed(const char *path, struct err *err)
{
	struct stat st;
	int ret = err_sys(err, "open the image");

	if (errno == ENOENT)
		err_hint(err, "an image is a directory that `snapctl dump` has written");
	else if (errno == EACCES)
		err_hint(err, "an image is for whoever has made it: become that user, or root");
	else if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		err_hint(err,
			"it is a symbolic link: say %s/ to follow it, or name what it leads "
			"to",
			path);
	else if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		err_hint(err, "an image is a directory, or a file that `snapctl pack` has made");
	return ret;
}

static int dir_open(const char *path, int *dirfd, struct err *err)
{
	OWNED_FD fd = fd_above_standard(
		open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	struct stat st;
	int ret;

	if (fd < 0)
		return dir_open_failed(path, err);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	ret = owner_check(&st, err);
	if (ret == 0)
		*dirfd = take_fd(&fd);
	return ret;
}

static int file_open(int dirfd, enum image_file file, int *out, uint64_t *size, struct err *err)
{
	/* O_NONBLOCK: a FIFO of that name would keep us waiting. */
	OWNED_FD fd = openat(dirfd, image_file_names[file],
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "not a regular file");
	ret = owner_check(&st, err);
	if (ret < 0)
		return ret;
	*size = (uint64_t)st.st_size;
	*out = take_fd(&fd);
	return 0;
}

/* What is no directory: 0 if it bears the mark of a packed image; else that error stays. */
static int packed_open(const char *path, int *out, struct err *err)
{
	OWNED_FD fd = fd_above_standard(
		open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !packed_has_mark(fd))
		return -ENOTDIR;
	if (err)
		*err = (struct err){ 0 };
	ret = owner_check(&st, err);
	if (ret == 0)
		*out = take_fd(&fd);
	return ret;
}

/* ---- what is in it --------------------------------------------------------------------------- */

/* While an image is read. */
struct reading {
	struct image *img;
	struct packed packed;      /* where img->dirfd is -1 */
	struct image_bytes *bytes; /* to be kept, or NULL */
};

/* One of its files, wherever it lies. */
struct part {
	int fd;
	uint64_t start, size;
};

/* A descriptor that is opened for it is put in *owned. */
static int part_open(const struct reading *r, enum image_file file, int *owned, struct part *part,
	struct err *err)
{
	int ret;

	if (r->img->dirfd < 0) {
		*part = (struct part){ r->img->pages_fd, packed_start(&r->packed, file),
			r->packed.size[file] };
		return 0;
	}
	ret = file_open(r->img->dirfd, file, owned, &part->size, err);
	part->fd = *owned;
	part->start = 0;
	return ret;
}

/* Whole contents of a file. */
static int part_read(const struct reading *r, enum image_file file, size_t max,
	struct image_bytes *out, struct err *err)
{
	OWNED_FD fd = -1;
	struct part part;
	void *data;
	int ret = part_open(r, file, &fd, &part, err);

	if (ret < 0)
		return ret;
	if (part.size > max)
		return err_set(err, EBADMSG, "%llu bytes are more than it can have",
			(unsigned long long)part.size);
	data = malloc(part.size ? part.size : 1);
	if (!data)
		return err_nomem(err);
	ret = fd_pread_all(part.fd, data, part.size, (off_t)part.start, err);
	if (ret < 0) {
		free(data);
		return ret;
	}
	*out = (struct image_bytes){ data, part.size };
	return 0;
}

/* Frees what was read, or keeps it for who asked for it. */
static void part_done(const struct reading *r, enum image_file file, struct image_bytes *bytes)
{
	if (r->bytes)
		r->bytes[file] = *bytes;
	else
		free(bytes->data);
}

static int read_inventory(struct reading *r, struct inventory *inv, struct err *err)
{
	struct image_bytes bytes;
	int ret = part_read(r, IMAGE_INVENTORY, INVENTORY_MAX, &bytes, err);

	if (ret < 0)
		return ret;
	ret = inventory_parse(bytes.data, bytes.len, inv, err);
	part_done(r, IMAGE_INVENTORY, &bytes);
	return ret;
}

static int state_check(const struct inventory *inv, const void *bytes, size_t len, struct err *err)
{
	uint8_t digest[IMAGE_DIGEST];

	if (len != inv->state_size)
		return err_set(err, EBADMSG, "%zu bytes, but the inventory says %llu", len,
			(unsigned long long)inv->state_size);
	image_digest(bytes, len, digest);
	if (memcmp(digest, inv->state_digest, IMAGE_DIGEST))
		return err_set(err, EBADMSG, "its digest is not the one in the inventory");
	return 0;
}

static int read_state(struct reading *r, const struct inventory *inv, struct err *err)
{
	struct image *img = r->img;
	struct image_bytes bytes;
	int ret = part_read(r, IMAGE_STATE, STATE_MAX, &bytes, err);

	if (ret < 0)
		return ret;
	ret = state_check(inv, bytes.data, bytes.len, err);
	if (ret == 0)
		ret = image_parse_state(bytes.data, bytes.len, &img->snap, &img->index, err);
	part_done(r, IMAGE_STATE, &bytes);
	return ret;
}

static int open_pages(struct reading *r, const struct inventory *inv, struct err *err)
{
	struct image *img = r->img;
	uint8_t digest[IMAGE_DIGEST];
	struct part part;
	int ret = part_open(r, IMAGE_PAGES, &img->pages_fd, &part, err);

	if (ret < 0)
		return ret;
	image_digest_pages(&img->index, digest);
	if (inv->pages_size != img->index.file_size ||
		memcmp(digest, inv->pages_digest, IMAGE_DIGEST))
		return err_set(err, EBADMSG, "inventory and page index contradict each other");
	if (part.size != inv->pages_size)
		return err_set(err, EBADMSG, "%llu bytes, but the inventory says %llu",
			(unsigned long long)part.size, (unsigned long long)inv->pages_size);
	img->index.start = part.start;
	return 0;
}

/* Which file of the image, and what to do about it. */
static int failed_in(enum image_file file, struct err *err)
{
	if (err && err->code == ENOENT)
		err_hint(err,
			file == IMAGE_INVENTORY
				? "this is not an image, or not all of one"
				: "the image is damaged: restore it from a copy, or dump again");
	else if (err && (err->code == EBADMSG || err->code == ENODATA))
		err_hint(err, "the image is damaged: restore it from a copy, or dump again");
	return err_wrap(err, "%s", image_file_names[file]);
}

static int image_read(struct reading *r, struct err *err)
{
	struct inventory inv;

	if (r->img->dirfd < 0 && packed_read(r->img->pages_fd, &r->packed, err) < 0)
		return -err->code;
	if (read_inventory(r, &inv, err) < 0)
		return failed_in(IMAGE_INVENTORY, err);
	if (read_state(r, &inv, err) < 0)
		return failed_in(IMAGE_STATE, err);
	if (open_pages(r, &inv, err) < 0)
		return failed_in(IMAGE_PAGES, err);
	return 0;
}

/* img holds either a directory or, as pages_fd, a packed file: both go to *out, or are closed. */
static int image_take(const char *path, struct image *img, struct image_bytes bytes[],
	struct image *out, struct err *err)
{
	struct reading r = { .img = img, .bytes = bytes };
	int ret = (img->path = strdup(path)) ? image_read(&r, err) : err_nomem(err);

	if (ret == 0) {
		*out = *img;
		return 0;
	}
	ret = err_wrap(err, "%s", path);
	fd_close(&img->dirfd);
	fd_close(&img->pages_fd);
	snap_destroy(img->snap);
	free(img->path);
	if (bytes)
		image_bytes_finish(bytes);
	return ret;
}

int image_open_bytes(const char *path, struct image *out, struct image_bytes bytes[IMAGE_NR_FILES],
	struct err *err)
{
	struct image img = { .dirfd = -1, .pages_fd = -1 };
	int ret = dir_open(path, &img.dirfd, err);

	if (ret == -ENOTDIR)
		ret = packed_open(path, &img.pages_fd, err);
	return ret < 0 ? err_wrap(err, "%s", path) : image_take(path, &img, bytes, out, err);
}

int image_open(const char *path, struct image *out, struct err *err)
{
	return image_open_bytes(path, out, NULL, err);
}

int image_open_self(const char *name, struct image *out, struct err *err)
{
	struct image img = { .dirfd = -1,
		.pages_fd = fd_above_standard(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) };

	if (img.pages_fd < 0) {
		err_sys(err, "%s: open the file that is running (/proc/self/exe)", name);
		return err_hint(err, errno == EACCES ? "it has to be readable, not only executable"
						     : "/proc has to be mounted");
	}
	return image_take(name, &img, NULL, out, err);
}

void image_bytes_finish(struct image_bytes bytes[IMAGE_NR_FILES])
{
	for (size_t i = 0; i < IMAGE_NR_FILES; i++) {
		free(bytes[i].data);
		bytes[i] = (struct image_bytes){ NULL, 0 };
	}
}

void image_close(struct image *img)
{
	/* A zeroed one holds no descriptors, although 0 is one: only an opened one has a path. */
	if (!img->path)
		return;
	fd_close(&img->dirfd);
	fd_close(&img->pages_fd);
	snap_destroy(img->snap);
	free(img->path);
	*img = (struct image){ .dirfd = -1, .pages_fd = -1 };
}

/* ---- all of it ------------------------------------------------------------------------------- */

static uint64_t frames_bytes(const struct image *img)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < img->index.nr_frames; i++)
		bytes += img->index.frames[i].size;
	return bytes;
}

static int pages_verify(const struct image *img, struct progress *progress, struct err *err)
{
	struct pages_reader *r = pages_reader_create(img->pages_fd, &img->index);
	const void *data;
	int ret = r ? 0 : err_nomem(err);

	progress_phase(progress, "reading pages", frames_bytes(img));
	/* That frames tile the file is in the format: see proto/pages.proto and open_pages(). */
	for (size_t i = 0; ret == 0 && i < img->index.nr_frames; i++) {
		ret = pages_reader_frame(r, (uint32_t)i, &data, err);
		progress_add(progress, img->index.frames[i].size);
	}
	progress_end(progress);
	pages_reader_destroy(r);
	return ret;
}

static int program_verify(const struct image *img, struct err *err)
{
	struct packed packed;
	int ret = packed_read(img->pages_fd, &packed, err);

	return ret < 0 ? ret : packed_verify_program(img->pages_fd, &packed, err);
}

int image_verify(const char *path, struct progress *progress, struct err *err)
{
	struct image img;
	int ret = image_open(path, &img, err);

	if (ret < 0)
		return ret;
	if (img.dirfd < 0)
		ret = program_verify(&img, err);
	if (ret == 0)
		ret = pages_verify(&img, progress, err);
	if (ret < 0)
		ret = err_wrap(err, "%s", path);
	image_close(&img);
	return ret;
}
