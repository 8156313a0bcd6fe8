#ifndef RESTORE_VDSO_H
#define RESTORE_VDSO_H

#include <stdbool.h>
#include <stdint.h>

/* The running kernel's vdso against the recorded one (DESIGN D14). */

struct err;
struct job;

/* Is the recorded code the running kernel's? */
bool vdso_is_same(const struct job *job);

/*
 * The recorded vdso stays mapped as ordinary memory; its functions jump to those of the running
 * kernel's, which lies at `current` in the target. Gives the recorded bytes with the jumps patched
 * in (in the snap's arena, page multiple).
 */
int vdso_redirect(
	struct job *job, uint64_t current, const uint8_t **code, uint64_t *len, struct err *err);

#endif
