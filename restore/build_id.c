/* The build-id of an ELF file, to tell a program that was installed again from a changed one. */
#include "restore/build_id.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PHDRS = 64, MAX_NOTES = 4096 };

static bool notes_have(const char *notes, size_t size, const uint8_t *id, size_t len)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;
		size_t name, desc;

		memcpy(&head, notes + at, sizeof head);
		name = at + sizeof head;
		if (head.n_namesz > MAX_NOTES || head.n_descsz > MAX_NOTES)
			return false;
		desc = name + ((head.n_namesz + 3) & ~3u);
		if (desc + head.n_descsz > size)
			return false;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 &&
		    !memcmp(notes + name, "GNU", 4))
			return head.n_descsz == len && !memcmp(notes + desc, id, len);
		at = desc + ((head.n_descsz + 3) & ~3u);
		if (at > size)
			return false;
	}
	return false;
}

bool build_id_is(int fd, const uint8_t *id, size_t len)
{
	Elf64_Phdr phdrs[MAX_PHDRS];
	char notes[MAX_NOTES];
	Elf64_Ehdr head;
	size_t nr;

	if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
	    head.e_phentsize != sizeof phdrs[0])
		return false;
	nr = head.e_phnum < MAX_PHDRS ? head.e_phnum : MAX_PHDRS;
	if (pread(fd, phdrs, nr * sizeof phdrs[0], (off_t)head.e_phoff) !=
	    (ssize_t)(nr * sizeof phdrs[0]))
		return false;
	for (size_t i = 0; i < nr; i++) {
		ssize_t n;

		if (phdrs[i].p_type != PT_NOTE || phdrs[i].p_filesz > sizeof notes)
			continue;
		n = pread(fd, notes, phdrs[i].p_filesz, (off_t)phdrs[i].p_offset);
		if (n > 0 && notes_have(notes, (size_t)n, id, len))
			return true;
	}
	return false;
}
