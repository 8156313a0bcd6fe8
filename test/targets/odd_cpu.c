/* What x86 has from before 64 bits: segments of a thread's own, 32-bit code, int 0x80; the flag ID.
 * And settings of prctl(2) that are new. */
#include "target.h"

#include <asm/ldt.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NR32_EPOLL_WAIT = 256, NR32_SET_THREAD_AREA = 243, NR32_GET_THREAD_AREA = 244 };
enum { TLS_ENTRY = 13, TLS_SELECTOR = TLS_ENTRY * 8 + 3 };

/* A page that 32 bits can name. */
static char *low_page(int prot)
{
	return map_anon(PAGE, prot, MAP_PRIVATE | MAP_32BIT);
}

static long int80(long nr, long a, long b, long c, long d)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static void spin_ms(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* ---- segments ------------------------------------------------------------------------------ */

static atomic_int go;

static void *in_segment(void *arg)
{
	struct user_desc *desc = (void *)low_page(PROT_READ | PROT_WRITE);
	uint32_t *data = (void *)low_page(PROT_READ | PROT_WRITE), seen;
	uint16_t selector = TLS_SELECTOR;

	*data = 0xfeedface;
	*desc = (struct user_desc){ .entry_number = TLS_ENTRY,
		.base_addr = (unsigned)(uintptr_t)data,
		.limit = 0xfff,
		.seg_32bit = 1,
		.useable = 1 };
	if (int80(NR32_SET_THREAD_AREA, (long)(uintptr_t)desc, 0, 0, 0) < 0)
		target_skip("set_thread_area");
	__asm__ volatile("mov %0, %%gs" ::"r"(selector));
	thread_arrived();
	while (!go)
		spin_ms();
	__asm__ volatile("mov %%gs, %0" : "=r"(selector));
	__asm__ volatile("mov %%gs:0, %0" : "=r"(seen));
	expect(selector == TLS_SELECTOR && seen == 0xfeedface, "gs %#x, %#x", selector, seen);
	memset(desc, 0, sizeof *desc);
	desc->entry_number = TLS_ENTRY;
	must(int80(NR32_GET_THREAD_AREA, (long)(uintptr_t)desc, 0, 0, 0));
	expect(desc->base_addr == (uintptr_t)data && desc->limit == 0xfff && desc->useable &&
			!desc->limit_in_pages,
		"entry: %#x, %#x", desc->base_addr, desc->limit);
	return arg;
}

/* ---- code of 32 bits ----------------------------------------------------------------------- */

struct far {
	uint32_t at;
	uint16_t cs;
} __attribute__((packed));

/*
 * Until the word at flag is not 0, by `mov %ss:flag, %eax; test %eax, %eax; jz`; then far back. The
 * stack has to be where 32 bits reach.
 */
static void *in_32_bits(void *arg)
{
	uint8_t code[] = { 0x36, 0xa1, 0, 0, 0, 0, 0x85, 0xc0, 0x74, 0xf6, 0xcb };
	char *text = low_page(PROT_READ | PROT_WRITE | PROT_EXEC), *stack;
	uint32_t flag = (uint32_t)(uintptr_t)arg;
	struct far there = { (uint32_t)(uintptr_t)text, 0x23 };

	stack = low_page(PROT_READ | PROT_WRITE) + PAGE - 64;
	memcpy(code + 2, &flag, sizeof flag);
	memcpy(text, code, sizeof code);
	/* The way back, in a page of 32 bits too: jmp *8(%rsp), with the stack as retf leaves it.
	 */
	memcpy(text + 64, "\xff\x24\x24", 3);
	((uint32_t *)(void *)stack)[0] = (uint32_t)(uintptr_t)text + 64;
	((uint32_t *)(void *)stack)[1] = 0x33;
	thread_arrived();
	__asm__ volatile("mov %%rsp, %%rbx; lea 1f(%%rip), %%rax; mov %%rax, 8(%0); mov %0, %%rsp;"
			 "ljmp *(%1); 1: mov %%rbx, %%rsp"
			 :
			 : "r"(stack), "r"(&there)
			 : "rax", "rbx", "memory", "cc");
	return arg;
}

/* ---- int 0x80 ------------------------------------------------------------------------------ */

static int ep, gate[2];
static atomic_int tid;

/* epoll_wait ends with EINTR at any stop. */
static void *in_int80(void *arg)
{
	char *events = low_page(PROT_READ | PROT_WRITE);
	long nr;

	tid = gettid();
	thread_arrived();
	nr = int80(NR32_EPOLL_WAIT, ep, (long)(uintptr_t)events, 1, -1);
	expect(nr == 1, "epoll_wait: %ld", nr);
	return arg;
}

/* ---- flags --------------------------------------------------------------------------------- */

enum { FLAG_ID = 1 << 21 };

static void *with_id_flag(void *arg)
{
	uint64_t flags;

	thread_arrived();
	__asm__ volatile("pushfq; orq %1, (%%rsp); popfq;"
			 "1: pause; pushfq; pop %0; cmpl $0, (%2); je 1b"
			 : "=&r"(flags)
			 : "i"(FLAG_ID), "r"(&go)
			 : "memory", "cc");
	expect(flags & FLAG_ID, "flags %#lx", (unsigned long)flags);
	return arg;
}

static void odd_cpu_busy(void)
{
	volatile uint32_t *flag = (void *)low_page(PROT_READ | PROT_WRITE);
	pthread_t in_32 = thread_start(in_32_bits, (void *)(uintptr_t)flag);
	pthread_t with_id = thread_start(with_id_flag, NULL);

	target_wait();
	*flag = go = 1;
	thread_join(in_32);
	thread_join(with_id);
}

static void odd_cpu(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	pthread_t segment, call;

	ep = (int)must(epoll_create1(0));
	must(pipe(gate));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, gate[0], &event));
	segment = thread_start(in_segment, NULL);
	call = thread_start(in_int80, NULL);
	thread_waits_in(tid, NR32_EPOLL_WAIT);
	target_wait();
	go = 1;
	must(write(gate[1], "x", 1));
	thread_join(segment);
	thread_join(call);
}

/* ---- prctl --------------------------------------------------------------------------------- */

/* linux/prctl.h of 6.15, 6.16 and 6.17. */
enum { TIMER_CREATE_RESTORE_IDS = 77, FUTEX_HASH = 78, DISPATCH_INCLUSIVE_ON = 2 };

static void odd_cpu_prctl(void)
{
	static char selector = 1; /* SYSCALL_DISPATCH_FILTER_BLOCK */
	bool ids = prctl(TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0) == 0;
	bool slots = prctl(FUTEX_HASH, 1, 2, 0, 0) == 0;
	int timer = 77;

	/* Only calls from a range without code are sent to the program. */
	prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_INCLUSIVE_ON, PAGE, PAGE, &selector);
	target_wait();
	prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
	expect(!ids || prctl(TIMER_CREATE_RESTORE_IDS, 2, 0, 0, 0) == 1, "ids of timers");
	expect(!ids || (syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer) == 0 &&
			       timer == 77),
		"timer %d", timer);
	expect(!slots || prctl(FUTEX_HASH, 2, 0, 0, 0) == 2, "slots of futexes");
}

const struct target targets_odd_cpu[] = {
	{ "odd_cpu", odd_cpu, "set_thread_area, int 0x80", 0 },
	{ "odd_cpu_busy", odd_cpu_busy, "code of 32 bits, the flag ID", TARGET_BUSY },
	{ "odd_cpu_prctl", odd_cpu_prctl, "ids of timers, slots of futexes, dispatch", 0 },
	{ NULL, NULL, NULL, 0 },
};
