/* Functions of an ELF file; see symbol.h. */
#include "dump/until/symbol.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/fd.h"

/* Read, not mapped: who cuts the file short meanwhile would kill us with SIGBUS. */
struct elf {
	int fd;
	uint64_t len;
	struct arena *arena;
};

/* nr elements of this size at offset, or NULL where they do not lie in the file. */
static void *elf_read(const struct elf *e, uint64_t offset, uint64_t nr, size_t size)
{
	void *data;

	if (offset > e->len || nr > (e->len - offset) / size)
		return NULL;
	data = arena_array(e->arena, nr + 1, size);
	return fd_pread_all(e->fd, data, nr * size, (off_t)offset, NULL) < 0 ? NULL : data;
}

static const Elf64_Ehdr *elf_header(const struct elf *e)
{
	const Elf64_Ehdr *h = elf_read(e, 0, 1, sizeof *h);

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
		h->e_machine != EM_X86_64 || h->e_phentsize != sizeof(Elf64_Phdr) ||
		h->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	return h;
}

static bool elf_address(const struct elf *e, const Elf64_Ehdr *h, uint64_t offset, uint64_t *addr)
{
	const Elf64_Phdr *segments = elf_read(e, h->e_phoff, h->e_phnum, sizeof *segments);

	for (size_t i = 0; segments && i < h->e_phnum; i++) {
		const Elf64_Phdr *p = &segments[i];

		if (p->p_type != PT_LOAD || offset < p->p_offset ||
			offset - p->p_offset >= p->p_filesz)
			continue;
		*addr = offset - p->p_offset + p->p_vaddr;
		return true;
	}
	return false;
}

static bool symbol_covers(const Elf64_Sym *s, uint64_t addr)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF &&
	       addr >= s->st_value && addr - s->st_value < s->st_size;
}

static bool symbol_name(
	const struct elf *e, const Elf64_Shdr *strings, uint32_t at, struct symbol *out)
{
	uint64_t room = sizeof out->name - 1;
	const char *name;

	if (at >= strings->sh_size)
		return false;
	if (strings->sh_size - at < room)
		room = strings->sh_size - at;
	name = elf_read(e, strings->sh_offset + at, room, 1);
	if (!name)
		return false;
	memcpy(out->name, name, room); /* cut where it is longer */
	out->name[room] = '\0';
	return out->name[0] != '\0';
}

static bool table_find(const struct elf *e, const Elf64_Shdr *table, const Elf64_Shdr *strings,
	uint64_t addr, struct symbol *out)
{
	uint64_t nr = table->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *symbols = elf_read(e, table->sh_offset, nr, sizeof *symbols);

	for (uint64_t i = 0; symbols && i < nr; i++) {
		if (!symbol_covers(&symbols[i], addr) ||
			!symbol_name(e, strings, symbols[i].st_name, out))
			continue;
		out->into = addr - symbols[i].st_value;
		return true;
	}
	return false;
}

static bool elf_find(const struct elf *e, uint64_t offset, struct symbol *out)
{
	const Elf64_Ehdr *h = elf_header(e);
	const Elf64_Shdr *sections = h ? elf_read(e, h->e_shoff, h->e_shnum, sizeof *sections)
				       : NULL;
	uint64_t addr;

	if (!sections || !elf_address(e, h, offset, &addr))
		return false;
	for (size_t i = 0; i < h->e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i];

		if ((s->sh_type == SHT_SYMTAB || s->sh_type == SHT_DYNSYM) &&
			s->sh_link < h->e_shnum &&
			table_find(e, s, &sections[s->sh_link], addr, out))
			return true;
	}
	return false;
}

bool symbol_find(int fd, uint64_t offset, struct symbol *out)
{
	struct elf e = { .fd = fd };
	struct stat st;
	bool found;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return false;
	e.len = (uint64_t)st.st_size;
	e.arena = arena_create();
	found = elf_find(&e, offset, out);
	arena_destroy(e.arena);
	return found;
}
