/* `snapctl core`: one process of an image as an ELF core file; see core.h. */
#include "images/core/core.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/place.h"

enum { ALIGN = 4096 };

static uint64_t align(uint64_t at)
{
	return (at + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- headers --------------------------------------------------------------------------------- */

static Elf64_Ehdr header_of(size_t nr_phdrs)
{
	Elf64_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			EV_CURRENT, ELFOSABI_NONE },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)nr_phdrs,
	};

	if (nr_phdrs < PN_XNUM)
		return h;
	/* More than 16 bits: the number stands in the first section header, elf(5). */
	h.e_phnum = PN_XNUM;
	h.e_shoff = h.e_phoff + nr_phdrs * sizeof(Elf64_Phdr);
	h.e_shentsize = sizeof(Elf64_Shdr);
	h.e_shnum = 1;
	return h;
}

static Elf64_Phdr phdr_of(const struct core_segment *s)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = (s->vma->prot & PROT_READ ? PF_R : 0u) |
			   (s->vma->prot & PROT_WRITE ? PF_W : 0u) |
			   (s->vma->prot & PROT_EXEC ? PF_X : 0u),
		.p_offset = s->position,
		.p_vaddr = s->start,
		.p_filesz = s->contents ? s->end - s->start : 0,
		.p_memsz = s->end - s->start,
		.p_align = ALIGN,
	};
}

/* Headers and notes in out; gives the segments their places behind them. */
static uint64_t head_make(struct core *c, const struct buf *notes, struct buf *out)
{
	size_t nr_phdrs = c->nr_segments + 1;
	Elf64_Ehdr header = header_of(nr_phdrs);
	Elf64_Shdr count = { .sh_size = 1, .sh_info = (Elf64_Word)nr_phdrs };
	size_t len = sizeof header + nr_phdrs * sizeof(Elf64_Phdr) +
		     (header.e_shnum ? sizeof count : 0);
	Elf64_Phdr note = { .p_type = PT_NOTE,
		.p_flags = PF_R,
		.p_offset = len,
		.p_filesz = notes->len,
		.p_align = 4 };
	uint64_t at = align(len + notes->len);

	buf_append(out, &header, sizeof header);
	buf_append(out, &note, sizeof note);
	for (size_t i = 0; i < c->nr_segments; i++) {
		struct core_segment *s = &c->segments[i];
		Elf64_Phdr phdr;

		s->position = at;
		phdr = phdr_of(s);
		at += phdr.p_filesz;
		buf_append(out, &phdr, sizeof phdr);
	}
	if (header.e_shnum)
		buf_append(out, &count, sizeof count);
	buf_append(out, notes->data, notes->len);
	return at;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int core_size(int fd, uint64_t size, struct err *err)
{
	if (ftruncate(fd, (off_t)size) == 0)
		return 0;
	return err_sys(err, "a core file of %llu MiB", (unsigned long long)(size >> 20));
}

static int core_put(struct core *c, int fd, struct err *err)
{
	struct buf notes = BUF_EMPTY, head = BUF_EMPTY;
	int ret = core_notes(c, &notes, err);

	if (ret == 0) {
		uint64_t size;

		core_segments(c);
		size = head_make(c, &notes, &head);
		ret = core_size(fd, size, err);
	}
	if (ret == 0)
		ret = fd_write_all(fd, head.data, head.len, err);
	if (ret == 0)
		ret = core_contents(c, fd, err);
	buf_finish(&notes);
	buf_finish(&head);
	return ret;
}

static bool is_core(int fd)
{
	Elf64_Ehdr header;

	return pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
	       !memcmp(header.e_ident, ELFMAG, SELFMAG) && header.e_type == ET_CORE;
}

static int core_write(
	struct core *c, const char *output, bool force, uint64_t *len, struct err *err)
{
	struct newfile file = { 0 };
	struct stat st;
	int ret = newfile_create(output, force, is_core, "a core file", &file, err);

	if (ret < 0)
		return ret;
	ret = core_put(c, file.fd, err);
	if (ret == 0 && fstat(file.fd, &st) < 0)
		ret = err_sys(err, "stat");
	if (ret < 0)
		place_refused(&file.place, err);
	else
		ret = newfile_commit(&file, 0600, err);
	newfile_finish(&file);
	if (ret == 0)
		*len = (uint64_t)st.st_blocks * 512;
	return ret;
}

/* ---- which process --------------------------------------------------------------------------- */

static int proc_find(
	const struct snap *snap, pid_t pid, const struct snap_proc **out, struct err *err)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (!pid || snap->procs[i].pid == pid) {
			*out = &snap->procs[i];
			return 0;
		}
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == pid)
			return err_set(err, ESRCH, "process %d had ended: it has no memory", pid);
	err_set(err, ESRCH, "there is no process %d in the image", pid);
	return err_hint(err, "snapctl show lists them; the first is %d", snap->procs[0].pid);
}

static int core_make(const struct image *img, const char *output, bool force, pid_t pid,
	struct core_made *made, struct progress *progress, struct err *err)
{
	const struct snap *snap = img->snap;
	struct core c = { .img = img, .snap = snap, .progress = progress };
	int ret = proc_find(snap, pid, &c.proc, err);

	if (ret < 0)
		return err_wrap(err, "%s", img->path);
	c.mm = &snap->mms[c.proc->mm];
	c.fds = arena_array(snap->arena, snap->nr_files + 1, sizeof *c.fds);
	memset(c.fds, 0xff, (snap->nr_files + 1) * sizeof *c.fds);
	ret = core_write(&c, output, force, &made->len, err);
	for (size_t i = 0; i < snap->nr_files; i++)
		fd_close(&c.fds[i]);
	made->pid = c.proc->pid;
	made->nr_threads = c.proc->nr_tasks - (c.proc->tasks[0].exited ? 1 : 0);
	snprintf(made->exe, sizeof made->exe, "%s", snap->files[c.mm->exe].path);
	return ret;
}

int image_core(const char *path, const char *output, bool force, pid_t pid, struct core_made *made,
	struct progress *progress, struct err *err)
{
	struct image img;
	int ret = image_open(path, &img, err);

	if (ret < 0)
		return ret;
	ret = core_make(&img, output, force, pid, made, progress, err);
	image_close(&img);
	return ret;
}
