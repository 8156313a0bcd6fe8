#ifndef BASE_BUILD_ID_H
#define BASE_BUILD_ID_H

#include <stdint.h>

/*
 * The build-id note of an ELF file (NT_GNU_BUILD_ID): what tells one build of a library from
 * another when sizes agree. Reads a bounded part of the file, whatever its headers claim.
 */

/* How many of the 20 bytes it has; 0 for a file that is no 64-bit ELF, or has no such note. */
uint32_t build_id_read(int fd, uint8_t id[20]);

#endif
