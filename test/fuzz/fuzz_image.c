/*
 * Damaged and hostile images. As a libFuzzer target (clang -fsanitize=fuzzer -DLIBFUZZER) it reads
 * `state` as the parser gets it behind the digests. As a program:
 *
 *     fuzz_image [-n CHANGES] [-p PARSES] [-m MUTANTS] [-w DIR] [-s SEED] [IMAGE]
 *
 * takes a small image (or makes one) and tries every truncation of each of its files (of large ones
 * some 50,000, evenly spread), CHANGES single-byte changes, and missing, swapped and foreign files:
 * each has to end in an error with a message. Then PARSES mutations of its `state` go to the parser
 * directly; most are refused, some make other models, none may crash, leak or take long. The same
 * for MUTANTS of its fields (mutate.h); those that are taken for sound are written to DIR with the
 * digests that they need, for all that reads images and for restore.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "images/core/core.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "test/fuzz/mutate.h"
#include "test/unit/images_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The differences to the sound model, and to itself: there are none. Pages are not there to be
 * read.
 */
static void try_diffs(const struct image *img, FILE *out)
{
	struct image bare = *img, sound = { .dirfd = -1, .pages_fd = -1, .path = "sound" };
	struct err err = { 0 };
	bool same;

	bare.index.nr_runs = 0;
	sound.snap = sample_create();
	if (image_diff(&bare, &sound, false, out, &same, NULL, &err) < 0 ||
		image_diff(&sound, &bare, true, out, &same, NULL, &err) < 0)
		abort();
	if (image_diff(&bare, &bare, false, out, &same, NULL, &err) < 0 || !same)
		abort();
	snap_destroy(sound.snap);
}

/* What a core file of each process would say; no file of the image's is opened. */
static void try_cores(const struct image *img)
{
	const struct snap *snap = img->snap;
	struct core c = { .img = img, .snap = snap };

	c.fds = arena_array(snap->arena, snap->nr_files + 1, sizeof *c.fds);
	for (size_t i = 0; i < snap->nr_files; i++)
		c.fds[i] = CORE_CHANGED;
	for (size_t i = 0; i < snap->nr_procs; i++) {
		struct buf notes = BUF_EMPTY;
		struct err err = { 0 };

		c.proc = &snap->procs[i];
		c.mm = &snap->mms[c.proc->mm];
		c.nr_segments = 0;
		core_notes(&c, &notes, &err);
		core_segments(&c);
		buf_finish(&notes);
	}
}

/* Was it taken? A parsed model is walked as show does it, so that what the checks let through is
 * looked at. */
static bool try_state(const uint8_t *data, size_t len)
{
	struct image img = { .dirfd = -1, .pages_fd = -1, .path = "fuzz" };
	struct err err = { 0 };
	FILE *out;

	if (image_parse_state(data, len, &img.snap, &img.index, &err) < 0) {
		if (!err.code || !err.msg[0])
			abort();
		return false;
	}
	try_cores(&img);
	out = fopen("/dev/null", "w");
	if (out) {
		image_show(&img, false, out, &err);
		image_show(&img, true, out, &err);
		try_diffs(&img, out);
		fclose(out);
	}
	snap_destroy(img.snap);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_state(data, len);
	return 0;
}

#ifndef LIBFUZZER

struct fuzz {
	char dir[64]; /* scratch directory; the image under test is dir/image */
	char image[200];
	char *bytes[IMAGE_NR_FILES]; /* the sound image */
	size_t lens[IMAGE_NR_FILES];
	uint64_t random;
	unsigned truncations, accepted, failures;
	const char *keep; /* where mutants go that were accepted; NULL: nowhere */
	unsigned nr_kept;
};

enum { TRUNCATIONS_MAX = 50000, EDITS_MAX = 6 };

/* xorshift64*: the same changes for the same seed. */
static uint64_t fuzz_random(void *arg, uint64_t below)
{
	struct fuzz *f = arg;

	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return (f->random * UINT64_C(2685821657736338717) >> 11) % below;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- the image under test -------------------------------------------------------------------- */

static const char *fuzz_path(const struct fuzz *f, unsigned file)
{
	static char path[300];

	snprintf(path, sizeof path, "%s/%s", f->image, image_file_names[file]);
	return path;
}

static void fuzz_put(const struct fuzz *f, unsigned file, const char *bytes, size_t len)
{
	int fd = open(fuzz_path(f, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, bytes, len, NULL) < 0)
		die(fuzz_path(f, file));
	close(fd);
}

static void fuzz_put_all(const struct fuzz *f)
{
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++)
		fuzz_put(f, i, f->bytes[i], f->lens[i]);
}

static void fuzz_load(struct fuzz *f, const char *image)
{
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		char path[4200];
		int fd;

		snprintf(path, sizeof path, "%s/%s", image, image_file_names[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fd_read_text(fd, SIZE_MAX, &f->bytes[i], &f->lens[i], NULL) < 0)
			die(path);
		close(fd);
	}
}

/* Four pages, one of them noise, so that there are frames of both kinds. */
static int sample_pages(struct pages_writer *pages, struct fuzz *f)
{
	void *room;
	uint8_t *byte;

	for (unsigned i = 0; i < 2; i++) {
		if (pages_writer_reserve(pages, i ? 64 : 1, &room, NULL) < 0)
			return -1;
		byte = room;
		for (size_t j = 0; j < (i ? 64 : 1) * PAGES_PAGE; j++)
			byte[j] = i ? (uint8_t)(j >> 12 | 1) : (uint8_t)fuzz_random(f, 256);
		if (pages_writer_commit(
			    pages, SAMPLE_PRIVATE, SAMPLE_HEAP + i * 0x10000, i ? 64 : 1, NULL) < 0)
			return -1;
	}
	return 0;
}

static void fuzz_make(struct fuzz *f)
{
	struct snap *snap = sample_create();
	struct image_writer *w;
	struct err err;

	if (image_writer_create(f->image, false, 1, 0, &w, &err) < 0 ||
		sample_pages(image_writer_pages(w), f) < 0 ||
		image_writer_commit(w, snap, &err) < 0) {
		fprintf(stderr, "fuzz_image: %s\n", err.msg);
		exit(2);
	}
	image_writer_destroy(w);
	snap_destroy(snap);
}

static void fuzz_clean(struct fuzz *f)
{
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		unlink(fuzz_path(f, i));
		free(f->bytes[i]);
	}
	rmdir(f->image);
	rmdir(f->dir);
}

/* ---- what must be refused -------------------------------------------------------------------- */

static void must_refuse(struct fuzz *f, const char *what, unsigned file, size_t at)
{
	struct err err = { 0 };
	int ret = image_verify(f->image, NULL, &err);

	if (ret < 0 && err.code == -ret && err.msg[0] && err.hint[0])
		return;
	f->failures++;
	fprintf(stderr, "%s, %s at %zu: %s\n", image_file_names[file], what, at,
		ret == 0     ? "taken for a sound image"
		: err.msg[0] ? err.msg
			     : "no message");
}

static void must_accept(struct fuzz *f)
{
	struct err err = { 0 };

	if (image_verify(f->image, NULL, &err) == 0)
		return;
	f->failures++;
	fprintf(stderr, "the sound image: %s\n", err.msg);
}

static void try_truncations(struct fuzz *f)
{
	for (unsigned file = 0; file < IMAGE_NR_FILES; file++) {
		size_t stride = 1 + f->lens[file] / TRUNCATIONS_MAX;

		for (size_t len = f->lens[file]; len > 0; f->truncations++) {
			len -= len > stride ? stride : len;
			if (truncate(fuzz_path(f, file), (off_t)len) < 0)
				die("truncate");
			must_refuse(f, "cut", file, len);
		}
		fuzz_put(f, file, f->bytes[file], f->lens[file]);
	}
	must_accept(f);
}

/* And the other way round: something behind the end. */
static void try_extensions(struct fuzz *f)
{
	for (unsigned file = 0; file < IMAGE_NR_FILES; file++) {
		if (truncate(fuzz_path(f, file), (off_t)f->lens[file] + 1) < 0)
			die("truncate");
		must_refuse(f, "a byte more", file, f->lens[file]);
		fuzz_put(f, file, f->bytes[file], f->lens[file]);
	}
}

static void try_change(struct fuzz *f)
{
	size_t at = fuzz_random(f, f->lens[0] + f->lens[1] + f->lens[2]);
	unsigned file = 0;
	char byte;
	int fd;

	/* The small files get as many as the large one. */
	if (fuzz_random(f, 2))
		at = fuzz_random(f, f->lens[0] + f->lens[1]);
	while (at >= f->lens[file])
		at -= f->lens[file++];
	byte = (char)(f->bytes[file][at] ^ (1 + fuzz_random(f, 255)));
	fd = open(fuzz_path(f, file), O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, &byte, 1, (off_t)at) != 1)
		die("pwrite");
	must_refuse(f, "changed byte", file, at);
	if (pwrite(fd, &f->bytes[file][at], 1, (off_t)at) != 1)
		die("pwrite");
	close(fd);
}

static void try_files(struct fuzz *f)
{
	for (unsigned i = 0; i < IMAGE_NR_FILES; i++) {
		unlink(fuzz_path(f, i));
		must_refuse(f, "missing", i, 0);
		for (unsigned j = 0; j < IMAGE_NR_FILES; j++) {
			if (i == j)
				continue;
			fuzz_put(f, i, f->bytes[j], f->lens[j]);
			must_refuse(f, "another file in its place", i, j);
		}
		fuzz_put(f, i, f->bytes[i], f->lens[i]);
	}
	must_accept(f);
}

static void try_damages(struct fuzz *f, unsigned long changes)
{
	try_truncations(f);
	try_extensions(f);
	for (unsigned long i = 0; i < changes; i++)
		try_change(f);
	try_files(f);
}

/* ---- behind the digests ---------------------------------------------------------------------- */

static void state_edit(struct fuzz *f, struct buf *b)
{
	static const uint8_t interesting[] = { 0, 1, 0x7f, 0x80, 0xff, 0x08, 0x12, 0x3a, 0x42 };
	size_t at = fuzz_random(f, b->len), other = fuzz_random(f, b->len);
	size_t len = 1 + fuzz_random(f, 32);

	len = len > b->len - at ? b->len - at : len;
	switch (fuzz_random(f, 7)) {
	case 0:
		b->data[at] ^= (char)(1 << fuzz_random(f, 8));
		break;
	case 1:
		b->data[at] = (char)fuzz_random(f, 256);
		break;
	case 2:
		b->data[at] = (char)interesting[fuzz_random(f, sizeof interesting)];
		break;
	case 3: /* remove some */
		memmove(b->data + at, b->data + at + len, b->len - at - len);
		b->len -= b->len > len ? len : 0;
		break;
	case 4: /* put something in from elsewhere */
		len = len > b->len - other ? b->len - other : len;
		buf_reserve(b, len);
		memmove(b->data + at + len, b->data + at, b->len - at);
		memmove(b->data + at, b->data + other, len);
		b->len += len;
		break;
	case 5: /* a large varint */
		memset(b->data + at, 0xff, len);
		break;
	case 6: /* a piece over another */
		len = len > b->len - other ? b->len - other : len;
		memmove(b->data + at, b->data + other, len);
		break;
	}
}

/* In memory of its own, where ASan sees the end. */
static bool try_exact(const struct buf *b)
{
	uint8_t *exact = malloc(b->len);
	bool taken;

	memcpy(exact, b->data, b->len);
	taken = try_state(exact, b->len);
	free(exact);
	return taken;
}

static void try_parses(struct fuzz *f, unsigned long nr)
{
	struct buf b = BUF_EMPTY;

	for (unsigned long i = 0; i < nr; i++) {
		b.len = 0;
		buf_append(&b, f->bytes[IMAGE_STATE], f->lens[IMAGE_STATE]);
		for (uint64_t n = 1 + fuzz_random(f, EDITS_MAX); n > 0; n--)
			state_edit(f, &b);
		f->accepted += try_exact(&b);
	}
	buf_finish(&b);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void mutant_inventory(const struct fuzz *f, const struct buf *state, struct buf *out)
{
	struct inventory inv = { 0 };
	struct page_index index = { 0 };
	struct snap *snap;

	if (inventory_parse(f->bytes[IMAGE_INVENTORY], f->lens[IMAGE_INVENTORY], &inv, NULL) < 0 ||
		image_parse_state(state->data, state->len, &snap, &index, NULL) < 0)
		abort();
	inv.state_size = state->len;
	image_digest(state->data, state->len, inv.state_digest);
	image_digest_pages(&index, inv.pages_digest);
	inventory_pack(&inv, out);
	snap_destroy(snap);
}

/* An image of its own, with the pages of the sound one. */
static void mutant_keep(struct fuzz *f, const struct buf *state)
{
	struct buf inventory = BUF_EMPTY;
	struct fuzz kept = *f;

	snprintf(kept.image, sizeof kept.image, "%s/%u", f->keep, f->nr_kept++);
	if (mkdir(kept.image, 0700) < 0)
		die(kept.image);
	mutant_inventory(f, state, &inventory);
	fuzz_put(&kept, IMAGE_INVENTORY, inventory.data, inventory.len);
	fuzz_put(&kept, IMAGE_STATE, state->data, state->len);
	fuzz_put(&kept, IMAGE_PAGES, f->bytes[IMAGE_PAGES], f->lens[IMAGE_PAGES]);
	buf_finish(&inventory);
}

static void try_mutants(struct fuzz *f, unsigned long nr)
{
	struct buf b = BUF_EMPTY;

	for (unsigned long i = 0; i < nr; i++) {
		b.len = 0;
		mutate_state(f->bytes[IMAGE_STATE], f->lens[IMAGE_STATE],
			1 + (unsigned)fuzz_random(f, EDITS_MAX), fuzz_random, f, &b);
		if (!try_exact(&b))
			continue;
		f->accepted++;
		if (f->keep)
			mutant_keep(f, &b);
	}
	buf_finish(&b);
}

int main(int argc, char **argv)
{
	struct fuzz f = { .dir = "/tmp/fuzz_image.XXXXXX", .random = 1 };
	unsigned long changes = 10000, parses = 100000, mutants = 20000;
	int opt;

	while ((opt = getopt(argc, argv, "n:p:m:w:s:")) != -1) {
		unsigned long value = opt == '?' ? 0 : strtoul(optarg, NULL, 0);

		switch (opt) {
		case 'n':
			changes = value;
			break;
		case 'p':
			parses = value;
			break;
		case 'm':
			mutants = value;
			break;
		case 'w':
			f.keep = optarg;
			break;
		case 's':
			f.random = value ? value : 1;
			break;
		default:
			fprintf(stderr,
				"usage: fuzz_image [-n CHANGES] [-p PARSES] [-m MUTANTS] [-w DIR] "
				"[-s SEED] [IMAGE]\n");
			return 2;
		}
	}
	if (!mkdtemp(f.dir))
		die("mkdtemp");
	snprintf(f.image, sizeof f.image, "%s/image", f.dir);
	if (!argv[optind])
		fuzz_make(&f);
	else if (mkdir(f.image, 0700) < 0)
		die("mkdir");
	fuzz_load(&f, argv[optind] ? argv[optind] : f.image);
	fuzz_put_all(&f);
	must_accept(&f);
	if (changes)
		try_damages(&f, changes);
	try_parses(&f, parses);
	try_mutants(&f, mutants);
	printf("fuzz_image: %u truncations, %lu changes, %lu parses and %lu mutants (%u of another "
	       "model): %u failures\n",
		f.truncations, changes, parses, mutants, f.accepted, f.failures);
	fuzz_clean(&f);
	return f.failures ? 1 : 0;
}
#endif
