/*
 * Vector registers of a core file. Where the CPU keeps which of them differs: there is a hole for
 * MPX in those of Intel, and none in those of AMD. Debuggers assume the former (gdb before 14,
 * lldb), or guess by the size (gdb since 14), and both work out with the former.
 */
#include <string.h>

#include "base/arena.h"
#include "images/core/core.h"

/* Bits of xcr0: components of the XSAVE area, Intel SDM volume 1, 13.1. */
enum {
	XCR0_AVX = 1 << 2,
	XCR0_AVX512 = 7 << 5, /* k0-k7, ZMM_Hi256, Hi16_ZMM: together or not at all */
	XCR0_PKRU = 1 << 9,
	XCR0_PLAIN = 3 | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU,
};

/* Where the AVX part ends, and how long those are that may follow. */
enum { AVX_END = 832, AVX512_LEN = 64 + 512 + 1024, PKRU_LEN = 8 };
/* Where they stand with the hole. */
enum { AVX512_AT = 1088, PKRU_AT = 2688 };
/* Of the legacy area, "software usable": uapi/asm/sigcontext.h, and ptrace(2) puts xcr0 there. */
enum { XCR0_AT = 464 };

static bool has(uint64_t xcr0, uint64_t bits)
{
	return (xcr0 & bits) == bits;
}

const uint8_t *core_xstate(const struct core *c, const struct snap_task *task, size_t *len)
{
	const uint8_t *from = task->xstate;
	size_t end = AVX_END;
	uint64_t xcr0;
	uint8_t *out;

	*len = task->nr_xstate;
	if (*len < AVX_END)
		return from;
	memcpy(&xcr0, from + XCR0_AT, sizeof xcr0);
	end += has(xcr0, XCR0_AVX512) ? AVX512_LEN : 0;
	end += has(xcr0, XCR0_PKRU) ? PKRU_LEN : 0;
	if (!has(xcr0, XCR0_AVX) || (xcr0 & ~(uint64_t)XCR0_PLAIN) || *len != end || end == AVX_END)
		return from;
	*len = has(xcr0, XCR0_PKRU) ? PKRU_AT + PKRU_LEN : AVX512_AT + AVX512_LEN;
	out = arena_alloc(c->snap->arena, *len);
	memcpy(out, from, AVX_END);
	from += AVX_END;
	if (has(xcr0, XCR0_AVX512)) {
		memcpy(out + AVX512_AT, from, AVX512_LEN);
		from += AVX512_LEN;
	}
	if (has(xcr0, XCR0_PKRU))
		memcpy(out + PKRU_AT, from, PKRU_LEN);
	return out;
}
