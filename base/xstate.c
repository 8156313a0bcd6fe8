/* The layout of saved registers, asked of the CPU; see xstate.h. */
#include "base/xstate.h"

#include <cpuid.h>
#include <sys/platform/x86.h>

/*
 * Intel SDM volume 2, CPUID leaf 0DH; AMD APM volume 3, E.4.10. In virtual machines each CPUID is
 * an exit to the hypervisor, microseconds each: what libc has asked is not asked again.
 */
enum { LEAF_XSTATE = 0xd, XCR0 = 0 };

static uint64_t xcr0_read(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(XCR0));
	return (uint64_t)high << 32 | low;
}

void xstate_layout_read(struct xstate_layout *out)
{
	unsigned a, b, c, d;

	*out = (struct xstate_layout){ 0 };
	if (!CPU_FEATURE_PRESENT(OSXSAVE))
		return;
	__cpuid_count(LEAF_XSTATE, 0, a, b, c, d);
	out->xcr0 = xcr0_read();
	out->size = b;
	for (unsigned nr = 2; nr < XSTATE_PARTS_MAX; nr++) {
		if (!(out->xcr0 >> nr & 1))
			continue;
		__cpuid_count(LEAF_XSTATE, nr, a, b, c, d);
		out->parts[out->nr_parts++] = (struct xstate_part){ nr, b, a };
	}
}
