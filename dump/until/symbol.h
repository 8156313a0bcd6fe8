#ifndef DUMP_UNTIL_SYMBOL_H
#define DUMP_UNTIL_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The function of an ELF file (x86-64) that holds the byte at this offset of the file, from .symtab
 * or .dynsym. False where nothing is known. The file may be damaged or hostile: all is checked.
 */
struct symbol {
	char name[96];
	uint64_t into; /* bytes behind its beginning */
};

bool symbol_find(int fd, uint64_t offset, struct symbol *out);

#endif
