/* Functions of an ELF file; see symbol.h. */
#include "dump/until/symbol.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct elf {
	const unsigned char *bytes;
	size_t len;
};

/* nr elements of this size at offset, or NULL where they do not lie in the file. */
static const void *elf_at(const struct elf *e, uint64_t offset, uint64_t nr, size_t size)
{
	if (offset > e->len || nr > (e->len - offset) / size || offset % 8)
		return NULL;
	return e->bytes + offset;
}

static const Elf64_Ehdr *elf_header(const struct elf *e)
{
	const Elf64_Ehdr *h = elf_at(e, 0, 1, sizeof *h);

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
		h->e_machine != EM_X86_64 || h->e_phentsize != sizeof(Elf64_Phdr) ||
		h->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	return h;
}

static bool elf_address(const struct elf *e, const Elf64_Ehdr *h, uint64_t offset, uint64_t *addr)
{
	const Elf64_Phdr *segments = elf_at(e, h->e_phoff, h->e_phnum, sizeof *segments);

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

static bool table_find(const struct elf *e, const Elf64_Shdr *table, const Elf64_Shdr *strings,
	uint64_t addr, struct symbol *out)
{
	uint64_t nr = table->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *symbols = elf_at(e, table->sh_offset, nr, sizeof *symbols);

	if (!symbols || strings->sh_offset > e->len ||
		strings->sh_size > e->len - strings->sh_offset)
		return false;
	for (uint64_t i = 0; i < nr; i++) {
		if (!symbol_covers(&symbols[i], addr) || symbols[i].st_name >= strings->sh_size)
			continue;
		snprintf(out->name, sizeof out->name, "%.*s",
			(int)(strings->sh_size - symbols[i].st_name > 95
					? 95
					: strings->sh_size - symbols[i].st_name),
			(const char *)e->bytes + strings->sh_offset + symbols[i].st_name);
		out->into = addr - symbols[i].st_value;
		return out->name[0] != '\0';
	}
	return false;
}

static bool elf_find(const struct elf *e, uint64_t offset, struct symbol *out)
{
	const Elf64_Ehdr *h = elf_header(e);
	const Elf64_Shdr *sections = h ? elf_at(e, h->e_shoff, h->e_shnum, sizeof *sections) : NULL;
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
	struct elf e = { 0 };
	struct stat st;
	bool found;
	void *at;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return false;
	e.len = (size_t)st.st_size;
	at = mmap(NULL, e.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return false;
	e.bytes = at;
	found = elf_find(&e, offset, out);
	munmap(at, e.len);
	return found;
}
