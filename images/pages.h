#ifndef IMAGES_PAGES_H
#define IMAGES_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The page store (DESIGN D3): the file "pages" holds independent frames of up to PAGES_FRAME bytes
 * of page contents, zstd-compressed or raw, each with an XXH3 checksum of its stored bytes; the
 * index (in the file "state") says which run of pages of which memory object lies where. Zero pages
 * are never stored (but over a file, where they hide its contents): a page that the index does not
 * name is zero, or clean file contents.
 */

enum { PAGES_FRAME = 256 * 1024, PAGES_PAGE = 4096 };

struct err;
struct progress;
struct snap;

/* nr_pages consecutive pages of memory object mem, from page-aligned byte position addr in it
 * (virtual address for MEM_PRIVATE), stored at `offset` of the uncompressed contents of `frame`. A
 * run never crosses a frame. Sorted by mem, addr; runs of one mem do not overlap. */
struct page_run {
	uint32_t mem, nr_pages;
	uint64_t addr;
	uint32_t frame, offset;
};

enum page_codec { PAGES_RAW, PAGES_ZSTD };

struct page_frame {
	uint64_t position; /* in the file, from start */
	uint32_t stored,
		size; /* bytes in the file, bytes uncompressed (a multiple of the page size) */
	enum page_codec codec;
	uint64_t checksum; /* XXH3_64bits of the stored bytes */
};

struct page_index {
	struct page_run *runs;
	size_t nr_runs;
	struct page_frame *frames;
	size_t nr_frames;
	uint64_t file_size;
	uint64_t start; /* where the first frame lies: in a packed image, behind other things */
};

/* ---- writing: one producer hands in pages, a few threads compress ---------------------------- */

struct pages_writer;

/* Writes to descriptor fd (not taken, empty file, at position 0) with nr_threads compressors. */
int pages_writer_create(
	int fd, int level, unsigned nr_threads, struct pages_writer **out, struct err *err);
/*
 * Room for nr_pages (at most PAGES_FRAME / PAGES_PAGE) pages of mem at addr, to be filled by the
 * caller, who then commits; pages that turn out to be zero are dropped by the commit. This way page
 * contents are copied once, from the target into the frame.
 */
int pages_writer_reserve(struct pages_writer *w, size_t nr_pages, void **room, struct err *err);
int pages_writer_commit(
	struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages, struct err *err);
/* The same, zero pages included: for private pages over a file, whose own contents would show else.
 */
int pages_writer_commit_all(
	struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages, struct err *err);
/*
 * The same for an address space that was forked: a page that equals the one of memory object `of`
 * at the same address, of which `theirs` are the nr_pages contents (NULL: it has none there), is
 * stored once; restore shares it by copy on write. The private pages of `of` are complete. `all` as
 * in pages_writer_commit_all.
 *
 * One that another relative has at this address is stored once, too: what pages_writer_remember()
 * has kept finds it, and holds() of the caller compares the contents with memory object mem.
 */
struct pages_like {
	uint32_t of;
	const void *theirs;
	bool all;
	bool (*holds)(void *arg, uint32_t mem, uint64_t addr, const void *page);
	void *arg;
	bool aside; /* out, never reset: there was such a page */
};
/* Pages that are committed from now on (or no more) may be stored again by a relative. */
void pages_writer_remember(struct pages_writer *w, bool on);
int pages_writer_commit_like(struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages,
	struct pages_like *like, struct err *err);
/* Flush, join the threads, hand out the index (in snap's arena), destroy nothing. */
int pages_writer_finish(
	struct pages_writer *w, struct snap *snap, struct page_index *out, struct err *err);
void pages_writer_destroy(struct pages_writer *w); /* at any stage; NULL is fine */

/* ---- reading --------------------------------------------------------------------------------- */

/* Scratch memory of one reading thread. */
struct pages_reader;

struct pages_reader *pages_reader_create(int fd, const struct page_index *index);
void pages_reader_destroy(struct pages_reader *r);
/* Uncompressed contents of one frame, checksum verified; valid until the next call on this reader.
 */
int pages_reader_frame(struct pages_reader *r, uint32_t frame, const void **data, struct err *err);

/* All frames as they are stored, checksums verified, into file `to` from position on. */
int pages_copy(int from, const struct page_index *index, int to, uint64_t position,
	struct progress *progress, struct err *err);

/* First run of mem (they are consecutive); *nr is how many there are. */
const struct page_run *pages_runs_of(const struct page_index *index, uint32_t mem, size_t *nr);
/* The same, without those that end before addr. */
const struct page_run *pages_runs_from(
	const struct page_index *index, uint32_t mem, uint64_t addr, size_t *nr);

/* Calls fn for every stored piece of [addr, addr + len) of mem, in order; data is valid meanwhile.
 */
typedef int pages_fn(void *arg, uint64_t addr, const void *data, size_t len, struct err *err);
int pages_each(struct pages_reader *r, uint32_t mem, uint64_t addr, uint64_t len, pages_fn *fn,
	void *arg, struct err *err);

/* Copy of contents of [addr, addr + len) of mem; what is not stored reads as zero. */
int pages_read(int fd, const struct page_index *index, uint32_t mem, uint64_t addr, void *data,
	size_t len, struct err *err);

#endif
