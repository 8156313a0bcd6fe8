/* Private anonymous memory: it must come back as such (DESIGN D2), not only with its contents. */
#include "target.h"

#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

static void mem_private(void)
{
	char *p = map_anon(64 * PAGE, RW, 0);
	volatile char touch;

	for (int i = 0; i < 64; i += 3)
		pattern_fill(p + i * PAGE, PAGE, i);
	touch = p[PAGE]; /* the zero page */
	(void)touch;
	target_wait();
	for (int i = 0; i < 64; i++)
		expect(i % 3 ? is_zero(p + i * PAGE, PAGE) : pattern_is(p + i * PAGE, PAGE, i),
			"page %d", i);
}

static void mem_dontneed(void)
{
	char *p = map_anon(32 * PAGE, RW, 0);

	pattern_fill(p, 32 * PAGE, 1);
	target_wait();
	expect(pattern_is(p, 32 * PAGE, 1), "contents");
	must(madvise(p, 16 * PAGE, MADV_DONTNEED));
	expect(is_zero(p, 16 * PAGE), "MADV_DONTNEED did not give zeroes");
	must(madvise(p + 16 * PAGE, 8 * PAGE, MADV_FREE));
	p[20 * PAGE] = 1;
	expect(p[20 * PAGE] == 1, "write after MADV_FREE");
}

static void mem_mremap(void)
{
	char *p = map_anon(16 * PAGE, RW, 0);

	pattern_fill(p, 16 * PAGE, 2);
	target_wait();
	p = (char *)must((long)mremap(p, 16 * PAGE, 4096 * PAGE, MREMAP_MAYMOVE));
	expect(pattern_is(p, 16 * PAGE, 2), "contents moved");
	expect(is_zero(p + 16 * PAGE, 4080 * PAGE), "what grew is not zero");
	pattern_fill(p, 4096 * PAGE, 3);
	expect(pattern_is(p, 4096 * PAGE, 3), "not writable");
}

static void mem_prot_none(void)
{
	char *p = map_anon(8 * PAGE, RW, 0), *empty = map_anon(8 * PAGE, PROT_NONE, 0);

	pattern_fill(p, 8 * PAGE, 3);
	must(mprotect(p, 8 * PAGE, PROT_NONE));
	target_wait();
	expect(read_faults(p) == SIGSEGV, "with content: readable");
	expect(read_faults(empty + PAGE) == SIGSEGV, "without content: readable");
	must(mprotect(p, 8 * PAGE, PROT_READ));
	must(mprotect(empty, 8 * PAGE, RW));
	expect(pattern_is(p, 8 * PAGE, 3), "contents under PROT_NONE");
	expect(is_zero(empty, 8 * PAGE), "empty PROT_NONE memory has contents");
}

static void mem_prot_mix(void)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
		PROT_READ | PROT_WRITE | PROT_EXEC, PROT_WRITE, PROT_EXEC };
	char *p[6];

	for (int i = 0; i < 6; i++) {
		p[i] = map_anon(4 * PAGE, RW, 0);
		pattern_fill(p[i], 3 * PAGE, i);
		must(mprotect(p[i], 4 * PAGE, prots[i]));
	}
	target_wait();
	for (int i = 0; i < 6; i++) {
		expect((prots[i] & PROT_WRITE ? 0 : SIGSEGV) == write_faults(p[i]),
			"protection of area %d", i);
		must(mprotect(p[i], 4 * PAGE, RW));
		expect(pattern_is(p[i], 3 * PAGE, i) && is_zero(p[i] + 3 * PAGE, PAGE),
			"contents of area %d", i);
	}
}

static void mem_sparse(void)
{
	size_t len = 64ul << 30, step = len / 64;
	char *p = map_anon(len, RW, MAP_NORESERVE);

	for (size_t i = 0; i < 64; i++)
		pattern_fill(p + i * step, PAGE, (uint32_t)i);
	target_wait();
	for (size_t i = 0; i < 64; i++) {
		expect(pattern_is(p + i * step, PAGE, (uint32_t)i), "page at %zu GiB", i);
		expect(p[i * step + step / 2] == 0, "hole at %zu GiB", i);
	}
}

static void mem_brk(void)
{
	char *start = sbrk(0), *end;

	must(brk(start + 300 * PAGE + 100));
	pattern_fill(start, 300 * PAGE + 100, 5);
	end = sbrk(0);
	target_wait();
	expect(sbrk(0) == end, "break is %p, was %p", sbrk(0), (void *)end);
	expect((char *)sbrk(100 * PAGE) == end, "sbrk does not go on at the old end");
	expect(pattern_is(start, 300 * PAGE + 100, 5), "contents");
	expect(is_zero(end, 100 * PAGE), "what grew is not zero");
	must(brk(start + PAGE));
	expect(read_faults(start + 10 * PAGE) == SIGSEGV, "a smaller break does not unmap");
}

__attribute__((noinline)) static bool use_stack(size_t len)
{
	char *p = alloca(len);

	pattern_fill(p, len, 6);
	return pattern_is(p, len, 6);
}

static void mem_stack(void)
{
	char here[2000];

	use_stack(200 << 10);
	pattern_fill(here, sizeof here, 7);
	target_wait();
	expect(pattern_is(here, sizeof here, 7), "contents");
	expect(use_stack(6 << 20), "stack does not grow to 6 MiB");
}

static void mem_growsdown(void)
{
	char *area = map_anon(1024 * PAGE, PROT_NONE, MAP_NORESERVE), *p;

	must(munmap(area, 1024 * PAGE));
	p = (char *)must((long)mmap(area + 1000 * PAGE, 8 * PAGE, RW,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
	pattern_fill(p, 8 * PAGE, 8);
	target_wait();
	expect(pattern_is(p, 8 * PAGE, 8), "contents");
	for (int i = 1; i < 200; i++) {
		expect(read_faults(p - i * PAGE) == 0, "does not grow down by page %d", i);
		p[-i * PAGE] = 1;
	}
}

/* linux/mman.h of 6.13 */
enum { MY_MADV_GUARD_INSTALL = 102, MY_MADV_GUARD_REMOVE = 103 };

static void mem_guard(void)
{
	char *p = map_anon(64 * PAGE, RW, 0);

	pattern_fill(p, 64 * PAGE, 9);
	must(madvise(p + 10 * PAGE, 4 * PAGE, MY_MADV_GUARD_INSTALL));
	must(madvise(p + 63 * PAGE, PAGE, MY_MADV_GUARD_INSTALL));
	target_wait();
	expect(pattern_is(p, 10 * PAGE, 9), "contents below the guard");
	for (int i = 8; i < 16; i++)
		expect(read_faults(p + i * PAGE) == (i >= 10 && i < 14 ? SIGSEGV : 0),
			"guard at page %d", i);
	expect(read_faults(p + 63 * PAGE) == SIGSEGV, "guard at the last page");
	must(madvise(p + 10 * PAGE, 4 * PAGE, MY_MADV_GUARD_REMOVE));
	expect(is_zero(p + 10 * PAGE, 4 * PAGE), "removed guard is not zero");
}

/* Guard ranges larger than a page table, with nothing else in the mapping. */
static void mem_guard_empty(void)
{
	char *p = map_anon(8192 * PAGE, RW, 0);

	must(madvise(p + PAGE, 4096 * PAGE, MY_MADV_GUARD_INSTALL));
	target_wait();
	expect(read_faults(p) == 0, "below the guard");
	expect(read_faults(p + PAGE) == SIGSEGV && read_faults(p + 4096 * PAGE) == SIGSEGV,
		"guard");
	expect(read_faults(p + 4097 * PAGE) == 0, "above the guard");
}

static void mem_many_vmas(void)
{
	char *p = map_anon(3000 * PAGE, RW, 0);

	for (int i = 0; i < 3000; i++) {
		memset(p + i * PAGE, i, 16);
		if (i % 2)
			must(mprotect(p + i * PAGE, PAGE, PROT_READ));
	}
	target_wait();
	for (int i = 0; i < 3000; i++)
		expect(p[i * PAGE] == (char)i && p[i * PAGE + 16] == 0, "page %d", i);
	expect(write_faults(p + PAGE) == SIGSEGV && write_faults(p) == 0, "protections");
}

static void mem_big(void)
{
	size_t len = 96ul << 20;
	char *p = map_anon(len, RW, 0);

	for (size_t i = 0; i < len; i += 2 << 20)
		pattern_fill(p + i, 1 << 20, (uint32_t)(i >> 20));
	target_wait();
	for (size_t i = 0; i < len; i += 2 << 20)
		expect(pattern_is(p + i, 1 << 20, (uint32_t)(i >> 20)), "at %zu MiB", i >> 20);
}

/* mov $value, %eax; ret */
static const unsigned char code_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };

static void mem_jit(void)
{
	char *p = map_anon(PAGE, RW, 0);
	int (*call)(void) = (int (*)(void))p;

	memcpy(p, code_42, sizeof code_42);
	must(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	target_wait();
	expect(call() == 42, "generated code gives %d", call());
}

/* Reserve a lot, commit a little: what JVMs and Go do. */
static void mem_reserve(void)
{
	char *p = map_anon(1ul << 34, PROT_NONE, MAP_NORESERVE);

	must(mprotect(p + (1ul << 30), 16 * PAGE, RW));
	pattern_fill(p + (1ul << 30), 8 * PAGE, 11);
	target_wait();
	expect(pattern_is(p + (1ul << 30), 8 * PAGE, 11), "contents");
	must(mprotect(p + (1ul << 30) + 16 * PAGE, 64 * PAGE, RW));
	memset(p + (1ul << 30), 1, 80 * PAGE);
}

/* Mappings at both ends of the address space. */
static void mem_edges(void)
{
	char *low = (char *)must((long)mmap((void *)0x10000, PAGE, RW,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	char *high = (char *)must((long)mmap((void *)0x7fffffffe000, PAGE, RW,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));

	pattern_fill(low, PAGE, 12);
	pattern_fill(high, PAGE, 13);
	target_wait();
	expect(pattern_is(low, PAGE, 12) && pattern_is(high, PAGE, 13), "contents");
}

/* Where a null pointer leads; those who may can map it (vm.mmap_min_addr). */
static void mem_first_page(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	char *shared = mmap(
		(void *)(2 * PAGE), PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	/* The compiler knows what it thinks of null pointers. */
	volatile uintptr_t first = 16;

	if (p == MAP_FAILED || shared == MAP_FAILED)
		target_skip("mmap of address 0");
	*(volatile char *)first = 5;
	shared[0] = 6;
	must(mremap(shared, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PAGE) == (void *)PAGE ? 0
											     : -1);
	target_wait();
	expect(*(volatile char *)first == 5, "contents of the first page");
	first = PAGE;
	expect(*(volatile char *)first == 6, "contents of the second page");
}

const struct target targets_mem_anon[] = {
	{ "mem_private", mem_private, "contents, zero and untouched pages", 0 },
	{ "mem_dontneed", mem_dontneed, "MADV_DONTNEED gives zeroes", 0 },
	{ "mem_mremap", mem_mremap, "a mapping can grow and move", 0 },
	{ "mem_prot_none", mem_prot_none, "PROT_NONE with and without content", 0 },
	{ "mem_prot_mix", mem_prot_mix, "all protections with content", 0 },
	{ "mem_sparse", mem_sparse, "64 GiB with 64 pages", 0 },
	{ "mem_brk", mem_brk, "the heap goes on where it ended", 0 },
	{ "mem_stack", mem_stack, "the stack still grows", 0 },
	{ "mem_growsdown", mem_growsdown, "MAP_GROWSDOWN still grows", 0 },
	{ "mem_guard", mem_guard, "MADV_GUARD_INSTALL still faults", 0 },
	{ "mem_guard_empty", mem_guard_empty, "16 MiB of guards without any page", 0 },
	{ "mem_many_vmas", mem_many_vmas, "3000 mappings", 0 },
	{ "mem_big", mem_big, "48 MiB of incompressible pages", 0 },
	{ "mem_jit", mem_jit, "generated code runs", 0 },
	{ "mem_reserve", mem_reserve, "16 GiB reserved, a little committed", 0 },
	{ "mem_first_page", mem_first_page, "the page at address 0", 0 },
	{ "mem_edges", mem_edges, "lowest and highest addresses", 0 },
	{ NULL, NULL, NULL, 0 },
};
