/* Build-id notes; see build_id.h. */
#include "base/build_id.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SEGMENTS = 64, MAX_NOTES = 4096, BUILD_ID_LEN = 20 };

/* As many of len bytes as there are; a file that ends early is no error here. */
static size_t read_some(int fd, void *data, size_t len, uint64_t offset)
{
	ssize_t n = pread(fd, data, len, (off_t)offset);

	return n < 0 ? 0 : (size_t)n;
}

static size_t note_align(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Walk the notes of one PT_NOTE segment. */
static bool notes_find(const uint8_t *notes, size_t len, uint8_t id[20], uint32_t *nr)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		size_t name, desc;
		Elf64_Nhdr note;

		memcpy(&note, notes, sizeof note);
		name = note_align(note.n_namesz);
		desc = note_align(note.n_descsz);
		notes += sizeof note;
		len -= sizeof note;
		if (name > len || desc > len - name)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
			!memcmp(notes, "GNU", 4) && note.n_descsz > 0) {
			*nr = note.n_descsz < BUILD_ID_LEN ? note.n_descsz : BUILD_ID_LEN;
			memcpy(id, notes + name, *nr);
			return true;
		}
		notes += name + desc;
		len -= name + desc;
	}
	return false;
}

static bool segment_find(int fd, const Elf64_Phdr *segment, uint8_t id[20], uint32_t *nr)
{
	uint8_t notes[MAX_NOTES];
	size_t len = segment->p_filesz < sizeof notes ? segment->p_filesz : sizeof notes;

	if (segment->p_type != PT_NOTE)
		return false;
	len = read_some(fd, notes, len, segment->p_offset);
	return notes_find(notes, len, id, nr);
}

uint32_t build_id_read(int fd, uint8_t id[20])
{
	Elf64_Phdr segments[MAX_SEGMENTS];
	Elf64_Ehdr header;
	uint32_t nr;
	size_t count;

	if (read_some(fd, &header, sizeof header, 0) < sizeof header ||
		memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	count = header.e_phnum < MAX_SEGMENTS ? header.e_phnum : MAX_SEGMENTS;
	count = read_some(fd, segments, count * sizeof *segments, header.e_phoff) /
		sizeof *segments;
	for (size_t i = 0; i < count; i++)
		if (segment_find(fd, &segments[i], id, &nr))
			return nr;
	return 0;
}
