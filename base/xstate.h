#ifndef BASE_XSTATE_H
#define BASE_XSTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * How this CPU lays out the registers that XSAVE saves, in the form that ptrace shows
 * (NT_X86_XSTATE). x87 and SSE (components 0 and 1) and the header take the first 576 bytes
 * everywhere; where the others are is up to the CPU: PKRU lies at 2688 on some, at 2432 or 832 on
 * others.
 */
enum { XSTATE_PARTS_MAX = 64, XSTATE_HEADER = 512, XSTATE_FIRST_PART = 576 };

struct xstate_part {
	uint32_t nr; /* bit in xcr0, from 2 */
	uint32_t offset, size;
};

struct xstate_layout {
	uint64_t xcr0; /* 0: this CPU has no XSAVE */
	uint32_t size; /* of the whole */
	struct xstate_part parts[XSTATE_PARTS_MAX];
	size_t nr_parts;
};

void xstate_layout_read(struct xstate_layout *out);

#endif
