/* `snapctl pack` and `snapctl unpack`: an image and a program that restores it, in one file. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/image.h"
#include "images/pack/packed.h"

/* The beginning of our own file, to which the linker gives this name where it is mapped: ld(1). */
extern const unsigned char __ehdr_start[] __attribute__((visibility("hidden")));

bool image_is_self(void)
{
	return !memcmp(__ehdr_start + EI_PAD, packed_mark, PACKED_MARK);
}

/* ---- the program part ------------------------------------------------------------------------ */

/* How much of our own file is mapped when it runs; symbols and what is for debuggers lies behind.
 */
static uint64_t program_size(void)
{
	const Elf64_Ehdr *header = (const void *)__ehdr_start;
	const Elf64_Phdr *phdrs = (const void *)(__ehdr_start + header->e_phoff);
	uint64_t size = 0;

	for (unsigned i = 0; i < header->e_phnum; i++)
		if (phdrs[i].p_type == PT_LOAD && phdrs[i].p_offset + phdrs[i].p_filesz > size)
			size = phdrs[i].p_offset + phdrs[i].p_filesz;
	return size;
}

/* The mark, and no sections: their table would lie behind the end. */
static void program_mark(Elf64_Ehdr *header)
{
	memcpy(header->e_ident + EI_PAD, packed_mark, PACKED_MARK);
	header->e_shoff = 0;
	header->e_shnum = header->e_shstrndx = 0;
}

static int program_put(int fd, struct packed *p, struct err *err)
{
	OWNED_FD self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *data;
	int ret;

	if (self < 0)
		return err_sys(err, "open snapctl itself (/proc/self/exe)");
	p->program_size = program_size();
	data = malloc(p->program_size);
	if (!data)
		return err_nomem(err);
	ret = fd_pread_all(self, data, p->program_size, 0, err);
	if (ret < 0)
		err_wrap(err, "snapctl itself (/proc/self/exe)");
	if (ret == 0) {
		program_mark((Elf64_Ehdr *)data);
		image_digest(data, p->program_size, p->program_digest);
		ret = fd_write_all(fd, data, p->program_size, err);
	}
	free(data);
	return ret;
}

/* ---- pack ------------------------------------------------------------------------------------ */

static int parts_put(int fd, const struct image *img, const struct image_bytes bytes[],
	struct packed *p, struct progress *progress, struct err *err)
{
	uint8_t trailer[PACKED_TRAILER];
	int ret;

	p->size[IMAGE_PAGES] = img->index.file_size;
	p->size[IMAGE_STATE] = bytes[IMAGE_STATE].len;
	p->size[IMAGE_INVENTORY] = bytes[IMAGE_INVENTORY].len;
	ret = pages_copy(
		img->pages_fd, &img->index, fd, packed_start(p, IMAGE_PAGES), progress, err);
	if (ret < 0)
		return ret;
	if (lseek(fd, (off_t)packed_start(p, IMAGE_STATE), SEEK_SET) < 0)
		return err_sys(err, "seek");
	ret = fd_write_all(fd, bytes[IMAGE_STATE].data, bytes[IMAGE_STATE].len, err);
	if (ret == 0)
		ret = fd_write_all(
			fd, bytes[IMAGE_INVENTORY].data, bytes[IMAGE_INVENTORY].len, err);
	packed_trailer(p, trailer);
	return ret < 0 ? ret : fd_write_all(fd, trailer, sizeof trailer, err);
}

static int pack_to(const char *output, bool force, const struct image *img,
	const struct image_bytes bytes[], uint64_t *len, struct progress *progress, struct err *err)
{
	struct newfile file = { 0 };
	struct packed p = { 0 };
	int ret = newfile_create(output, force, packed_has_mark, "a packed image", &file, err);

	if (ret < 0)
		return ret;
	ret = program_put(file.fd, &p, err);
	if (ret == 0)
		ret = parts_put(file.fd, img, bytes, &p, progress, err);
	if (ret < 0)
		place_refused(&file.place, err);
	else
		ret = newfile_commit(&file, 0700, err);
	newfile_finish(&file);
	if (ret == 0)
		*len = packed_start(&p, IMAGE_INVENTORY) + p.size[IMAGE_INVENTORY] + PACKED_TRAILER;
	return ret;
}

int image_pack(const char *path, const char *output, bool force, uint64_t *len,
	struct progress *progress, struct err *err)
{
	struct image_bytes bytes[IMAGE_NR_FILES] = { 0 };
	struct image img;
	int ret = image_open_bytes(path, &img, bytes, err);

	if (ret < 0)
		return ret;
	ret = pack_to(output, force, &img, bytes, len, progress, err);
	image_bytes_finish(bytes);
	image_close(&img);
	return ret;
}

/* ---- unpack ---------------------------------------------------------------------------------- */

int image_unpack(const char *path, const char *output, bool force, struct progress *progress,
	struct err *err)
{
	struct image_bytes bytes[IMAGE_NR_FILES] = { 0 };
	struct image_writer *w = NULL;
	struct image img;
	int ret = image_open_bytes(path, &img, bytes, err);

	if (ret < 0)
		return ret;
	if (img.dirfd >= 0) {
		ret = err_set(err, EISDIR, "%s: it is not packed", path);
		err_hint(err, "it is an image already; `cp -r` copies it");
	}
	/* A file that gets too large (ulimit -f) is an error like others. */
	signal(SIGXFSZ, SIG_IGN);
	if (ret == 0)
		ret = image_writer_create(output, force, 0, 0, &w, err);
	if (ret == 0)
		ret = image_writer_copy(w, &img, bytes, progress, err);
	image_writer_destroy(w);
	image_bytes_finish(bytes);
	image_close(&img);
	return ret;
}
