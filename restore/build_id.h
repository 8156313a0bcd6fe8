#ifndef RESTORE_BUILD_ID_H
#define RESTORE_BUILD_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does the 64-bit ELF file behind fd carry this GNU build-id (.note.gnu.build-id)? Reads at most 64 KiB. */
bool build_id_is(int fd, const uint8_t *id, size_t len);

#endif
