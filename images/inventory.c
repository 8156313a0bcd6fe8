/* The file "inventory": version of the format, sizes and digests of the other files. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "images/image_internal.h"
#include "images/pages.h"
#include "proto/inventory.pb-c.h"

const char image_magic[IMAGE_MAGIC] = { 'S', 'N', 'A', 'P', 'C', 'T', 'L', 1 };

const char *const image_file_names[IMAGE_NR_FILES] = { "inventory", "state", "pages" };

static void digest_finish(XXH128_hash_t hash, uint8_t out[IMAGE_DIGEST])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, hash);
	memcpy(out, canonical.digest, IMAGE_DIGEST);
}

void image_digest(const void *data, size_t len, uint8_t out[IMAGE_DIGEST])
{
	digest_finish(XXH3_128bits(data, len), out);
}

void image_digest_pages(const struct page_index *index, uint8_t out[IMAGE_DIGEST])
{
	struct buf checksums = BUF_EMPTY;

	/* x86-64 only, so this is little-endian. */
	for (size_t i = 0; i < index->nr_frames; i++)
		buf_append(
			&checksums, &index->frames[i].checksum, sizeof index->frames[i].checksum);
	image_digest(checksums.data, checksums.len, out);
	buf_finish(&checksums);
}

static void file_pack(Pb__InventoryFile *m, enum image_file file, uint64_t size,
	const uint8_t digest[IMAGE_DIGEST])
{
	pb__inventory_file__init(m);
	m->name = (char *)image_file_names[file];
	m->has_size = 1;
	m->size = size;
	m->has_digest = 1;
	m->digest = (ProtobufCBinaryData){ IMAGE_DIGEST, (uint8_t *)digest };
}

void inventory_pack(const struct inventory *inv, struct buf *out)
{
	static const uint8_t later[IMAGE_DIGEST];
	Pb__InventoryFile state, pages, *files[] = { &state, &pages };
	Pb__Inventory m = PB__INVENTORY__INIT;

	m.has_format_major = m.has_format_minor = 1;
	m.format_major = inv->major;
	m.format_minor = inv->minor;
	m.snapctl_version = (char *)SNAPCTL_VERSION;
	file_pack(&state, IMAGE_STATE, inv->state_size, inv->state_digest);
	file_pack(&pages, IMAGE_PAGES, inv->pages_size, inv->pages_digest);
	m.n_files = 2;
	m.files = files;
	/* The last field, so these are the last bytes; what they are can be said when the rest
	 * stands. */
	m.has_digest = 1;
	m.digest = (ProtobufCBinaryData){ IMAGE_DIGEST, (uint8_t *)later };

	buf_append(out, image_magic, IMAGE_MAGIC);
	out->len += pb__inventory__pack(&m, buf_reserve(out, pb__inventory__get_packed_size(&m)));
	image_digest(
		out->data, out->len - IMAGE_DIGEST, (uint8_t *)out->data + out->len - IMAGE_DIGEST);
}

static int inventory_check_version(const Pb__Inventory *m, struct err *err)
{
	if (m->format_major == IMAGE_MAJOR && m->format_minor <= IMAGE_MINOR)
		return 0;
	err_set(err, ENOTSUP,
		"an image of format %u.%u (by snapctl %s); this snapctl reads 1.0 to %d.%d",
		m->format_major, m->format_minor, m->snapctl_version ? m->snapctl_version : "?",
		IMAGE_MAJOR, IMAGE_MINOR);
	err_hint(err, "use the snapctl that wrote it, or a newer one than this");
	return -ENOTSUP;
}

static int inventory_take_file(
	const Pb__InventoryFile *m, struct inventory *inv, bool seen[], struct err *err)
{
	enum image_file file = IMAGE_STATE;

	while (file < IMAGE_NR_FILES && (!m->name || strcmp(m->name, image_file_names[file])))
		file++;
	if (file == IMAGE_NR_FILES || seen[file] || m->digest.len != IMAGE_DIGEST)
		return err_set(
			err, EBADMSG, "a file that is unknown, named twice or without digest");
	seen[file] = true;
	if (file == IMAGE_STATE)
		inv->state_size = m->size;
	else
		inv->pages_size = m->size;
	memcpy(file == IMAGE_STATE ? inv->state_digest : inv->pages_digest, m->digest.data,
		IMAGE_DIGEST);
	return 0;
}

static int inventory_read(const Pb__Inventory *m, struct inventory *out, struct err *err)
{
	struct inventory inv = { .major = m->format_major, .minor = m->format_minor };
	bool seen[IMAGE_NR_FILES] = { false };
	int ret = inventory_check_version(m, err);

	for (size_t i = 0; ret == 0 && i < m->n_files; i++)
		ret = inventory_take_file(m->files[i], &inv, seen, err);
	if (ret < 0)
		return ret;
	if (!seen[IMAGE_STATE] || !seen[IMAGE_PAGES])
		return err_set(err, EBADMSG, "it does not name all files");
	*out = inv;
	return 0;
}

int inventory_parse(const void *bytes, size_t len, struct inventory *out, struct err *err)
{
	const uint8_t *data = bytes;
	uint8_t digest[IMAGE_DIGEST];
	Pb__Inventory *m;
	int ret;

	if (len < IMAGE_MAGIC || memcmp(data, image_magic, IMAGE_MAGIC))
		return err_set(err, EBADMSG, "it does not begin like an image of snapctl");
	if (len < IMAGE_MAGIC + IMAGE_DIGEST)
		return err_set(err, EBADMSG, "it is cut short");
	image_digest(data, len - IMAGE_DIGEST, digest);
	if (memcmp(digest, data + len - IMAGE_DIGEST, IMAGE_DIGEST))
		return err_set(err, EBADMSG, "its digest is wrong");
	m = pb__inventory__unpack(NULL, len - IMAGE_MAGIC, data + IMAGE_MAGIC);
	if (!m)
		return err_set(err, EBADMSG, "not a message of the kind that belongs there");
	ret = inventory_read(m, out, err);
	pb__inventory__free_unpacked(m, NULL);
	return ret;
}
