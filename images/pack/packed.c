/* The form of packed images; see packed.h. The bytes are untrusted. */
#include "images/pack/packed.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/image.h"

const char packed_mark[PACKED_MARK] = { 'S', 'N', 'A', 'P', 'P', 'A', 'K' };

static const char trailer_magic[8] = { 'S', 'N', 'A', 'P', 'P', 'A', 'K', 1 };

/* Little-endian, as all of an image is. The digest is that of all before it. */
struct trailer {
	uint64_t program_size, pages_size, state_size, inventory_size;
	uint8_t program_digest[IMAGE_DIGEST];
	uint32_t version, reserved;
	char magic[sizeof trailer_magic];
	uint8_t digest[IMAGE_DIGEST];
};

enum { VERSION = 1, DIGESTED = PACKED_TRAILER - IMAGE_DIGEST };

_Static_assert(sizeof(struct trailer) == PACKED_TRAILER, "bytes of the file");
_Static_assert(EI_NIDENT - EI_PAD == PACKED_MARK, "bytes of an ELF header that mean nothing");

bool packed_has_mark(int fd)
{
	unsigned char ident[EI_NIDENT];

	return pread(fd, ident, sizeof ident, 0) == (ssize_t)sizeof ident &&
	       !memcmp(ident, ELFMAG, SELFMAG) && !memcmp(ident + EI_PAD, packed_mark, PACKED_MARK);
}

static uint64_t align(uint64_t size)
{
	return (size + PACKED_ALIGN - 1) / PACKED_ALIGN * PACKED_ALIGN;
}

uint64_t packed_start(const struct packed *p, enum image_file file)
{
	uint64_t start = align(p->program_size);

	if (file == IMAGE_PAGES)
		return start;
	start += p->size[IMAGE_PAGES];
	return file == IMAGE_STATE ? start : start + p->size[IMAGE_STATE];
}

/* ---- the trailer ----------------------------------------------------------------------------- */

void packed_trailer(const struct packed *p, uint8_t out[PACKED_TRAILER])
{
	struct trailer t = {
		.program_size = p->program_size,
		.pages_size = p->size[IMAGE_PAGES],
		.state_size = p->size[IMAGE_STATE],
		.inventory_size = p->size[IMAGE_INVENTORY],
		.version = VERSION,
	};

	memcpy(t.program_digest, p->program_digest, sizeof t.program_digest);
	memcpy(t.magic, trailer_magic, sizeof t.magic);
	image_digest(&t, DIGESTED, t.digest);
	memcpy(out, &t, sizeof t);
}

/* Sizes that fit into the file, and fill it. */
static bool trailer_fits(const struct trailer *t, const struct packed *p, uint64_t size)
{
	return t->program_size <= size && t->pages_size <= size && t->state_size <= size &&
	       t->inventory_size <= size &&
	       packed_start(p, IMAGE_INVENTORY) + t->inventory_size + sizeof *t == size;
}

static int trailer_check(const struct trailer *t, struct err *err)
{
	uint8_t digest[IMAGE_DIGEST];

	if (memcmp(t->magic, trailer_magic, sizeof t->magic))
		return err_set(err, EBADMSG,
			"it does not end as a packed image does: it was cut short, or something "
			"was written behind it");
	image_digest(t, DIGESTED, digest);
	if (memcmp(digest, t->digest, sizeof digest))
		return err_set(err, EBADMSG, "the digest of its last bytes is wrong");
	if (t->version == VERSION)
		return 0;
	err_set(err, ENOTSUP, "a packed image of form %u; this snapctl knows %d", t->version,
		VERSION);
	return err_hint(err, "use the snapctl that packed it, or a newer one than this");
}

static int trailer_read(int fd, struct packed *out, struct err *err)
{
	struct trailer t = { 0 };
	struct packed p = { 0 };
	struct stat st;
	int ret;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (st.st_size < (off_t)sizeof t)
		return err_set(err, EBADMSG, "it is cut short");
	ret = fd_pread_all(fd, &t, sizeof t, st.st_size - (off_t)sizeof t, err);
	if (ret == 0)
		ret = trailer_check(&t, err);
	if (ret < 0)
		return ret;
	p.program_size = t.program_size;
	p.size[IMAGE_PAGES] = t.pages_size;
	p.size[IMAGE_STATE] = t.state_size;
	p.size[IMAGE_INVENTORY] = t.inventory_size;
	memcpy(p.program_digest, t.program_digest, sizeof p.program_digest);
	if (!trailer_fits(&t, &p, (uint64_t)st.st_size))
		return err_set(err, EBADMSG, "its parts do not fill the file");
	*out = p;
	return 0;
}

int packed_read(int fd, struct packed *out, struct err *err)
{
	int ret = trailer_read(fd, out, err);

	if (ret == -EBADMSG || ret == -ENODATA)
		err_hint(err, "the packed image is damaged: copy it again, or pack it again");
	return ret;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int program_digest(int fd, uint64_t size, uint8_t out[IMAGE_DIGEST], struct err *err)
{
	XXH3_state_t *hash = XXH3_createState();
	void *data = malloc(PAGES_FRAME);
	XXH128_canonical_t canonical;
	int ret = hash && data ? 0 : err_nomem(err);

	if (ret == 0)
		XXH3_128bits_reset(hash);
	for (uint64_t at = 0, len; ret == 0 && at < size; at += len) {
		len = size - at < PAGES_FRAME ? size - at : PAGES_FRAME;
		ret = fd_pread_all(fd, data, len, (off_t)at, err);
		if (ret == 0)
			XXH3_128bits_update(hash, data, len);
	}
	if (ret == 0) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash));
		memcpy(out, canonical.digest, IMAGE_DIGEST);
	}
	XXH3_freeState(hash);
	free(data);
	return ret;
}

static int filler_check(int fd, const struct packed *p, struct err *err)
{
	static const char zero[PACKED_ALIGN];
	size_t len = align(p->program_size) - p->program_size;
	char filler[PACKED_ALIGN];
	int ret = fd_pread_all(fd, filler, len, (off_t)p->program_size, err);

	if (ret == 0 && memcmp(filler, zero, len))
		ret = err_set(err, EBADMSG, "there is something between program and image");
	return ret;
}

int packed_verify_program(int fd, const struct packed *p, struct err *err)
{
	uint8_t digest[IMAGE_DIGEST];
	int ret = program_digest(fd, p->program_size, digest, err);

	if (ret == 0 && memcmp(digest, p->program_digest, sizeof digest))
		ret = err_set(err, EBADMSG, "the digest of its program is wrong");
	if (ret == 0)
		ret = filler_check(fd, p, err);
	if (ret == -EBADMSG || ret == -ENODATA)
		err_hint(err, "the packed image is damaged: copy it again, or pack it again");
	return ret;
}
