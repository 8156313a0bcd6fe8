/*
 * Writing an image, whole or not at all (DESIGN D5): everything is made in a locked directory
 * beside the final place, brought to the disk file by file, and then renamed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "images/place.h"
#include "images/snap.h"

enum { COMPRESSORS_MAX = 16, STATE_MARGIN = 65536 };

struct image_writer {
	struct place place;
	char tmp[PLACE_TMP_NAME]; /* beside it, while we write; "": nothing there */
	int dirfd, pages_fd;
	bool replaces; /* an old image is there and may go */
	struct pages_writer *pages;
	struct page_index index; /* when the pages are written: */
	bool pages_done;
	int state_fd; /* its room is reserved; -1: not yet made */
};

/* ---- where to -------------------------------------------------------------------------------- */

/* What stands at the final place already? */
static int writer_look(struct image_writer *w, bool force, struct err *err)
{
	struct stat st;
	bool ours;
	int ret;

	if (fstatat(w->place.parentfd, w->place.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", w->place.path);
	ret = image_dir_is_ours(w->place.parentfd, w->place.base, &ours, err);
	if (ret < 0)
		return err_wrap(err, "%s", w->place.path);
	if (!ours) {
		ret = err_set(err, EEXIST, "%s exists and is not (only) an image of snapctl",
			w->place.path);
		err_hint(err, "nothing else is ever replaced: choose another place with -o");
		return ret;
	}
	if (!force) {
		ret = err_set(err, EEXIST, "%s: there is an image already", w->place.path);
		err_hint(err, "replace it with --force, or choose another place with -o");
		return ret;
	}
	w->replaces = true;
	return 0;
}

static int writer_open_file(struct image_writer *w, enum image_file file, int *out, struct err *err)
{
	OWNED_FD fd = openat(w->dirfd, image_file_names[file],
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_sys(err, "make the file %s", image_file_names[file]);
	*out = take_fd(&fd);
	return 0;
}

static unsigned nr_cpus(void)
{
	cpu_set_t cpus;

	/* Where there are more CPUs than fit (EINVAL), there are enough. */
	if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || CPU_COUNT(&cpus) > COMPRESSORS_MAX)
		return COMPRESSORS_MAX;
	return (unsigned)CPU_COUNT(&cpus);
}

static int writer_begin(struct image_writer *w, int level, unsigned nr_threads, struct err *err)
{
	int ret;

	image_dir_clean(w->place.parentfd, w->place.base);
	ret = image_dir_create(w->place.parentfd, w->place.base, w->tmp, &w->dirfd, err);
	if (ret < 0) {
		w->tmp[0] = '\0';
		return ret;
	}
	/* Whatever the umask says. */
	if (fchmod(w->dirfd, 0700) < 0)
		return err_sys(err, "chmod");
	ret = writer_open_file(w, IMAGE_PAGES, &w->pages_fd, err);
	return ret < 0 ? ret : pages_writer_create(w->pages_fd, level, nr_threads, &w->pages, err);
}

static int writer_place(struct image_writer *w, const char *path, bool force, struct err *err)
{
	int ret = place_open(path, "an image", &w->place, err);

	if (ret == 0)
		ret = writer_look(w, force, err);
	return ret;
}

static int writer_create(struct image_writer *w, const char *path, bool force, int level,
	unsigned nr_threads, struct err *err)
{
	int ret = writer_place(w, path, force, err);

	if (ret < 0)
		return ret;
	ret = writer_begin(w, level, nr_threads, err);
	return ret < 0 ? place_refused(&w->place, err) : 0;
}

int image_writer_look(const char *path, bool force, struct err *err)
{
	struct image_writer *w = calloc(1, sizeof *w);
	int ret;

	if (!w)
		return err_nomem(err);
	w->dirfd = w->pages_fd = w->state_fd = -1;
	ret = writer_place(w, path, force, err);
	if (ret == 0 && faccessat(w->place.parentfd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		err_sys(err, "make a directory for the image");
		ret = place_refused(&w->place, err);
	}
	image_writer_destroy(w);
	return ret;
}

int image_writer_create(const char *path, bool force, int level, unsigned nr_threads,
	struct image_writer **out, struct err *err)
{
	struct image_writer *w = calloc(1, sizeof *w);
	int ret;

	if (!w)
		return err_nomem(err);
	w->dirfd = w->pages_fd = w->state_fd = -1;
	ret = writer_create(w, path, force, level, nr_threads ? nr_threads : nr_cpus(), err);
	if (ret < 0)
		image_writer_destroy(w);
	else
		*out = w;
	return ret;
}

struct pages_writer *image_writer_pages(struct image_writer *w)
{
	return w->pages;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int writer_put(
	struct image_writer *w, enum image_file file, const struct buf *bytes, struct err *err)
{
	OWNED_FD fd = file == IMAGE_STATE ? take_fd(&w->state_fd) : -1;
	int ret = fd >= 0 ? 0 : writer_open_file(w, file, &fd, err);

	if (ret == 0)
		ret = fd_write_all(fd, bytes->data, bytes->len, err);
	if (ret == 0 && (ftruncate(fd, (off_t)bytes->len) < 0 || fsync(fd) < 0))
		ret = err_sys(err, "fsync");
	return ret < 0 ? err_wrap(err, "%s", image_file_names[file]) : 0;
}

/* What cannot be read again is no image; better to learn that while the target still lives. */
static int writer_check_state(const struct buf *state, struct err *err)
{
	struct page_index index;
	struct snap *snap;
	int ret = image_parse_state(state->data, state->len, &snap, &index, err);

	if (ret == 0) {
		snap_destroy(snap);
		return 0;
	}
	err_wrap(err, "the dump contradicts itself");
	return err_hint(err, "this is a defect of snapctl: please report it");
}

static int writer_put_state(struct image_writer *w, struct snap *snap,
	const struct page_index *index, struct inventory *inv, struct err *err)
{
	struct buf state = BUF_EMPTY;
	int ret = image_pack_state(snap, index, &state, err);

	if (ret == 0)
		ret = writer_check_state(&state, err);
	if (ret == 0)
		ret = writer_put(w, IMAGE_STATE, &state, err);
	inv->state_size = state.len;
	image_digest(state.data, state.len, inv->state_digest);
	buf_finish(&state);
	return ret;
}

static int writer_put_inventory(
	struct image_writer *w, const struct inventory *inv, struct err *err)
{
	struct buf bytes = BUF_EMPTY;
	int ret;

	inventory_pack(inv, &bytes);
	ret = writer_put(w, IMAGE_INVENTORY, &bytes, err);
	buf_finish(&bytes);
	return ret;
}

static int writer_finish_pages(struct image_writer *w, struct snap *snap, struct err *err)
{
	if (w->pages_done)
		return 0;
	if (pages_writer_finish(w->pages, snap, &w->index, err) < 0)
		return -err->code;
	w->pages_done = true;
	return fsync(w->pages_fd) < 0 ? err_sys(err, "fsync the file of pages") : 0;
}

static int writer_put_all(struct image_writer *w, struct snap *snap, struct err *err)
{
	struct inventory inv = { .major = IMAGE_MAJOR, .minor = IMAGE_MINOR };
	int ret = writer_finish_pages(w, snap, err);

	if (ret < 0)
		return ret;
	inv.pages_size = w->index.file_size;
	image_digest_pages(&w->index, inv.pages_digest);
	ret = writer_put_state(w, snap, &w->index, &inv, err);
	if (ret == 0)
		ret = writer_put_inventory(w, &inv, err);
	if (ret == 0 && fsync(w->dirfd) < 0)
		ret = err_sys(err, "fsync the directory of the image");
	return ret;
}

/* Where a file system cannot reserve, it says so with EOPNOTSUPP. */
static int writer_take_room(struct image_writer *w, size_t len, struct err *err)
{
	int why;

	if (writer_open_file(w, IMAGE_STATE, &w->state_fd, err) < 0)
		return -err->code;
	why = posix_fallocate(w->state_fd, 0, (off_t)len);
	if (!why || why == EOPNOTSUPP || why == EINVAL)
		return 0;
	return err_ret(err, -why, "%s", image_file_names[IMAGE_STATE]);
}

int image_writer_reserve(struct image_writer *w, struct snap *snap, size_t bytes, struct err *err)
{
	struct buf state = BUF_EMPTY;
	int ret = writer_finish_pages(w, snap, err);

	if (ret == 0)
		ret = image_pack_state(snap, &w->index, &state, err);
	if (ret == 0)
		ret = writer_check_state(&state, err);
	if (ret == 0)
		ret = writer_take_room(w, state.len + bytes + STATE_MARGIN, err);
	buf_finish(&state);
	return ret < 0 ? place_refused(&w->place, err) : 0;
}

static int writer_rename(struct image_writer *w, unsigned how)
{
	return renameat2(w->place.parentfd, w->tmp, w->place.parentfd, w->place.base, how);
}

static int writer_rename_failed(const struct image_writer *w, struct err *err)
{
	int ret = err_sys(err, "%s: rename the finished image", w->place.path);

	if (ret == -EEXIST)
		err_hint(err,
			"something appeared there during the dump: choose another place with -o");
	else if (w->replaces)
		err_hint(err, "remove the old image first, or choose another place with -o");
	return ret;
}

/* NFS and some others know no flags of renameat2(2): EINVAL. A directory then only replaces an
 * empty one. */
static int writer_appear_new(struct image_writer *w, struct err *err)
{
	struct stat st;

	if (writer_rename(w, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return writer_rename_failed(w, err);
	if (fstatat(w->place.parentfd, w->place.base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	else if (writer_rename(w, 0) == 0)
		return 0;
	return writer_rename_failed(w, err);
}

static int writer_appear(struct image_writer *w, struct err *err)
{
	bool ours;

	/* The dump may have taken minutes: what may be replaced is judged again. */
	if (w->replaces && image_dir_is_ours(w->place.parentfd, w->place.base, &ours, NULL) == 0 &&
		ours) {
		if (writer_rename(w, RENAME_EXCHANGE) < 0)
			return writer_rename_failed(w, err);
	} else {
		w->replaces = false;
		return writer_appear_new(w, err);
	}
	return 0;
}

/* A failed dump leaves no image: it gets its temporary name again, and goes with it. */
static int writer_take_back(struct image_writer *w, struct err *err)
{
	int ret = err_sys(err, "%s: fsync of the directory it is in", w->place.path);
	const int fd = w->place.parentfd;

	if (w->replaces ? writer_rename(w, RENAME_EXCHANGE) == 0
			: renameat(fd, w->place.base, fd, w->tmp) == 0)
		return ret;
	w->tmp[0] = '\0';
	return err_wrap(err, "the image is there, but may not survive a crash");
}

/* The image is where it belongs; what bears the temporary name now is the old one, if there was
 * one. */
static int writer_settle(struct image_writer *w, struct err *err)
{
	struct err why = { 0 };

	if (fsync(w->place.parentfd) < 0 && errno != EINVAL)
		return writer_take_back(w, err);
	if (w->replaces && image_dir_remove(w->place.parentfd, w->tmp, &why) < 0)
		log_warn("the old image stays beside the new one: %s", why.msg);
	w->tmp[0] = '\0';
	return 0;
}

int image_writer_commit(struct image_writer *w, struct snap *snap, struct err *err)
{
	int ret = writer_put_all(w, snap, err);

	if (ret < 0)
		return place_refused(&w->place, err);
	ret = writer_appear(w, err);
	return ret < 0 ? ret : writer_settle(w, err);
}

static int writer_copy_all(struct image_writer *w, const struct image *img,
	const struct image_bytes bytes[], struct progress *progress, struct err *err)
{
	int ret = pages_copy(img->pages_fd, &img->index, w->pages_fd, 0, progress, err);

	if (ret == 0 && fsync(w->pages_fd) < 0)
		ret = err_sys(err, "fsync the file of pages");
	for (enum image_file file = IMAGE_NR_FILES; ret == 0 && file-- > IMAGE_INVENTORY;) {
		const struct buf part = { bytes[file].data, bytes[file].len, 0 };

		if (file != IMAGE_PAGES)
			ret = writer_put(w, file, &part, err);
	}
	if (ret == 0 && fsync(w->dirfd) < 0)
		ret = err_sys(err, "fsync the directory of the image");
	return ret;
}

int image_writer_copy(struct image_writer *w, const struct image *img,
	const struct image_bytes bytes[IMAGE_NR_FILES], struct progress *progress, struct err *err)
{
	int ret = writer_copy_all(w, img, bytes, progress, err);

	if (ret < 0)
		return place_refused(&w->place, err);
	ret = writer_appear(w, err);
	return ret < 0 ? ret : writer_settle(w, err);
}

void image_writer_destroy(struct image_writer *w)
{
	struct err err = { 0 };

	if (!w)
		return;
	pages_writer_destroy(w->pages);
	fd_close(&w->pages_fd);
	fd_close(&w->state_fd);
	if (w->tmp[0] && image_dir_remove(w->place.parentfd, w->tmp, &err) < 0)
		log_warn("the unfinished image stays: %s", err.msg);
	fd_close(&w->dirfd);
	place_close(&w->place);
	free(w);
}

void image_writer_clean(const char *path)
{
	struct place place;

	if (place_open(path, "an image", &place, NULL) < 0)
		return;
	image_dir_clean(place.parentfd, place.base);
	place_close(&place);
}
