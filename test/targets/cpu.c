/*
 * CPU state of threads that compute: every register holds a known value while a loop without system
 * calls waits for a word in memory to change.
 */
#include "target.h"

#include <asm/prctl.h>
#include <immintrin.h>
#include <linux/rseq.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NR_SPINNERS = 2 };

/* What one spinning thread loads before its loop and stores behind it. */
struct spin {
	atomic_uint *stop;
	uint64_t in[14], out[14];
	unsigned char vec_in[32 * 64], vec_out[32 * 64];
	long double x87_in[8], x87_out[8];
	double thirds[2];
	uint32_t seed;
};

static atomic_uint stop_spinning;

/* Run fn in a few threads over the wait, then stop them. */
static void spin_over(void *(*fn)(void *), struct spin *spins)
{
	pthread_t threads[NR_SPINNERS];

	for (uint32_t i = 0; i < NR_SPINNERS; i++) {
		spins[i].stop = &stop_spinning;
		spins[i].seed = 100 + i;
		pattern_fill(spins[i].in, sizeof spins[i].in, i);
		pattern_fill(spins[i].vec_in, sizeof spins[i].vec_in, 50 + i);
		threads[i] = thread_start(fn, &spins[i]);
	}
	target_wait();
	stop_spinning = 1;
	for (uint32_t i = 0; i < NR_SPINNERS; i++)
		thread_join(threads[i]);
}

static struct spin spins[NR_SPINNERS];

/* ---- general registers
 * ---------------------------------------------------------------------------------- */

/* clang-format off */
#define EACH_REG(DO)                                                                               \
	DO(rax, 0) DO(rbx, 1) DO(rcx, 2) DO(rdx, 3) DO(rsi, 4) DO(r8, 5) DO(r9, 6) DO(r10, 7)      \
	DO(r11, 8) DO(r12, 9) DO(r13, 10) DO(r14, 11) DO(r15, 12) DO(rbp, 13)
/* clang-format on */
#define LOAD(reg, n)  "movq 8*" #n "+8(%%rdi), %%" #reg "\n\t"
#define STORE(reg, n) "movq %%" #reg ", 8*14+8*" #n "+8(%%rdi)\n\t"

_Static_assert(offsetof(struct spin, in) == 8 && offsetof(struct spin, out) == 8 + 8 * 14,
	"used by the loop");

static void *spin_regs(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	/* The loop reaches the stop word through the stack: no register is free for it. */
	__asm__ volatile("subq $128, %%rsp\n\t"
			 "pushq %%rbp\n\t"
			 "pushq %%rdi\n\t"
			 "pushq (%%rdi)\n\t" EACH_REG(LOAD) "1: movq (%%rsp), %%rdi\n\t"
							    "cmpl $0, (%%rdi)\n\t"
							    "je 1b\n\t"
							    "popq %%rdi\n\t"
							    "popq %%rdi\n\t" EACH_REG(
								    STORE) "popq %%rbp\n\t"
									   "addq $128, %%rsp\n\t"
			 : "+D"(s)
			 :
			 : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",
			 "r13", "r14", "r15", "memory", "cc");
	return NULL;
}

static void cpu_regs(void)
{
	spin_over(spin_regs, spins);
	for (int i = 0; i < NR_SPINNERS; i++)
		for (int r = 0; r < 14; r++)
			expect(spins[i].in[r] == spins[i].out[r],
				"thread %d register %d: %lx, was %lx", i, r, spins[i].out[r],
				spins[i].in[r]);
}

/* CF PF AF ZF SF DF OF; the loop uses only instructions that leave them alone. */
enum { ALL_FLAGS = 0xcd5 };

static void *spin_flags(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	__asm__ volatile("subq $128, %%rsp\n\t"
			 "pushfq\n\t"
			 "orq %[all], (%%rsp)\n\t"
			 "popfq\n\t"
			 "1: movl (%[stop]), %%ecx\n\t"
			 "jrcxz 1b\n\t"
			 "pushfq\n\t"
			 "popq %[out]\n\t"
			 "cld\n\t"
			 "leaq 128(%%rsp), %%rsp\n\t"
			 : [out] "=&r"(s->out[0])
			 : [all] "i"(ALL_FLAGS), [stop] "r"(s->stop)
			 : "rcx", "memory", "cc");
	return NULL;
}

static void cpu_flags(void)
{
	spin_over(spin_flags, spins);
	for (int i = 0; i < NR_SPINNERS; i++)
		expect((spins[i].out[0] & ALL_FLAGS) == ALL_FLAGS, "flags %lx", spins[i].out[0]);
}

/* ---- vector registers
 * ---------------------------------------------------------------------------------------- */

#define WAIT_FOR_STOP "1: cmpl $0, (%[stop])\n\tje 1b\n\t"
#define EACH_16(DO)                                                                                \
	DO(0)                                                                                      \
	DO(1)                                                                                      \
	DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define EACH_32(DO)                                                                                \
	EACH_16(DO)                                                                                \
	DO(16)                                                                                     \
	DO(17)                                                                                     \
	DO(18)                                                                                     \
	DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27) DO(28) DO(29) DO(30) DO(31)
#define SPIN_VECTORS(each, load, store)                                                            \
	__asm__ volatile(each(load) WAIT_FOR_STOP each(store)                                      \
			 :                                                                         \
			 : [stop] "r"(s->stop), [in] "r"(s->vec_in), [out] "r"(s->vec_out)         \
			 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
			 "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",      \
			 "xmm15")
#define LOAD_XMM(n)  "movups 64*" #n "(%[in]), %%xmm" #n "\n\t"
#define STORE_XMM(n) "movups %%xmm" #n ", 64*" #n "(%[out])\n\t"
#define LOAD_YMM(n)  "vmovups 64*" #n "(%[in]), %%ymm" #n "\n\t"
#define STORE_YMM(n) "vmovups %%ymm" #n ", 64*" #n "(%[out])\n\t"
#define LOAD_ZMM(n)  "vmovups 64*" #n "(%[in]), %%zmm" #n "\n\t"
#define STORE_ZMM(n) "vmovups %%zmm" #n ", 64*" #n "(%[out])\n\t"

static void *spin_xmm(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	SPIN_VECTORS(EACH_16, LOAD_XMM, STORE_XMM);
	return NULL;
}

static void *spin_ymm(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	SPIN_VECTORS(EACH_16, LOAD_YMM, STORE_YMM);
	return NULL;
}

static void *spin_zmm(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	__asm__ volatile("kmovw %0, %%k3" : : "r"(0x5a5a));
	SPIN_VECTORS(EACH_32, LOAD_ZMM, STORE_ZMM);
	__asm__ volatile("kmovw %%k3, %0" : "=r"(s->seed));
	return NULL;
}

static void vectors_are(int nr, size_t len)
{
	for (int i = 0; i < NR_SPINNERS; i++)
		for (int v = 0; v < nr; v++)
			expect(memcmp(spins[i].vec_in + 64 * v, spins[i].vec_out + 64 * v, len) ==
					0,
				"thread %d vector register %d", i, v);
}

static void cpu_xmm(void)
{
	spin_over(spin_xmm, spins);
	vectors_are(16, 16);
}

/* Where the CPU lacks the registers, the smaller ones are tested once more. */
static void cpu_ymm(void)
{
	bool has = __builtin_cpu_supports("avx");

	spin_over(has ? spin_ymm : spin_xmm, spins);
	vectors_are(16, has ? 32 : 16);
}

static void cpu_zmm(void)
{
	bool has = __builtin_cpu_supports("avx512f");

	spin_over(has ? spin_zmm : spin_xmm, spins);
	vectors_are(has ? 32 : 16, has ? 64 : 16);
	for (int i = 0; has && i < NR_SPINNERS; i++)
		expect((spins[i].seed & 0xffff) == 0x5a5a, "mask register %x", spins[i].seed);
}

/* ---- x87, rounding
 * ---------------------------------------------------------------------------------------------- */

#define FLD(n) "fldt 16*" #n "(%[in])\n\t"
#define FST(n) "fstpt 16*" #n "(%[out])\n\t"

static void *spin_x87(void *arg)
{
	struct spin *s = arg;
	uint16_t control = 0xf7f, seen = 0; /* rounding toward zero, 64-bit, all masked */

	for (int i = 0; i < 8; i++)
		s->x87_in[i] = (long double)s->seed / (i + 3);
	thread_arrived();
	__asm__ volatile("fninit\n\tfldcw %[control]\n\t" FLD(7) FLD(6) FLD(5) FLD(4) FLD(3) FLD(2)
				 FLD(1) FLD(0) WAIT_FOR_STOP FST(0) FST(1) FST(2) FST(3) FST(4)
					 FST(5) FST(6) FST(7) "fnstcw %[seen]\n\tfninit\n\t"
			 : [seen] "=m"(seen)
			 : [stop] "r"(s->stop), [in] "r"(s->x87_in), [out] "r"(s->x87_out),
			 [control] "m"(control)
			 : "memory", "cc");
	s->out[0] = seen;
	return NULL;
}

static void cpu_x87(void)
{
	spin_over(spin_x87, spins);
	for (int i = 0; i < NR_SPINNERS; i++) {
		expect(spins[i].out[0] == 0xf7f, "control word %lx", spins[i].out[0]);
		for (int r = 0; r < 8; r++)
			expect(memcmp(&spins[i].x87_in[r], &spins[i].x87_out[r], 10) == 0, "st(%d)",
				r);
	}
}

static void *spin_rounding(void *arg)
{
	struct spin *s = arg;
	volatile double one = 1, three = 3;

	_mm_setcsr(_mm_getcsr() | (s->seed & 1 ? _MM_ROUND_UP : _MM_ROUND_DOWN));
	s->in[0] = _mm_getcsr() & _MM_ROUND_MASK;
	s->thirds[0] = one / three;
	thread_arrived();
	while (!*s->stop)
		;
	s->out[0] = _mm_getcsr() & _MM_ROUND_MASK;
	s->thirds[1] = one / three;
	return NULL;
}

static void cpu_rounding(void)
{
	const double *a = spins[0].thirds, *b = spins[1].thirds;

	_mm_setcsr(_mm_getcsr() | _MM_EXCEPT_OVERFLOW);
	spin_over(spin_rounding, spins);
	expect(_mm_getcsr() & _MM_EXCEPT_OVERFLOW, "exception flags of the main thread");
	expect(a[0] == a[1] && b[0] == b[1] && a[0] != b[0], "results are rounded in another way");
	expect(spins[0].in[0] == spins[0].out[0] && spins[1].in[0] == spins[1].out[0],
		"rounding modes");
}

/* ---- registers of a thread that waits in a system call
 * ----------------------------------------------------------- */

static int blocked_pipe[2];

static void *block_with_vectors(void *arg)
{
	struct spin *s = arg;
	char byte;
	long result;

	thread_arrived();
	__asm__ volatile(EACH_16(LOAD_XMM) "syscall\n\t" EACH_16(STORE_XMM)
			 : "=a"(result)
			 : "0"((long)SYS_read), "D"((long)blocked_pipe[0]), "S"(&byte),
			 "d"(1l), [in] "r"(s->vec_in), [out] "r"(s->vec_out)
			 : "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			 "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			 "xmm14", "xmm15");
	s->out[0] = (uint64_t)result;
	return NULL;
}

static void cpu_blocked(void)
{
	pthread_t threads[NR_SPINNERS];

	must(pipe(blocked_pipe));
	for (uint32_t i = 0; i < NR_SPINNERS; i++) {
		pattern_fill(spins[i].vec_in, sizeof spins[i].vec_in, i);
		threads[i] = thread_start(block_with_vectors, &spins[i]);
	}
	target_wait();
	must(write(blocked_pipe[1], "xy", NR_SPINNERS));
	for (int i = 0; i < NR_SPINNERS; i++) {
		thread_join(threads[i]);
		expect(spins[i].out[0] == 1, "read gave %ld", (long)spins[i].out[0]);
	}
	vectors_are(16, 16);
}

/* ---- segment bases
 * -------------------------------------------------------------------------------------------------
 */

static _Thread_local uint64_t tls_word;

static void *gs_thread(void *arg)
{
	struct spin *s = arg;
	uint64_t base = 0, word;

	s->in[0] = 0x1122334455667788 + s->seed;
	tls_word = s->seed;
	must(syscall(SYS_arch_prctl, ARCH_SET_GS, s->in));
	thread_arrived();
	while (!*s->stop)
		;
	must(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	__asm__ volatile("movq %%gs:0, %0" : "=r"(word));
	s->out[0] = base == (uint64_t)(uintptr_t)s->in && word == s->in[0];
	s->out[1] = tls_word == s->seed;
	return NULL;
}

static void cpu_segments(void)
{
	spin_over(gs_thread, spins);
	for (int i = 0; i < NR_SPINNERS; i++) {
		expect(spins[i].out[0] == 1, "gs base of thread %d", i);
		expect(spins[i].out[1] == 1, "thread-local word of thread %d", i);
	}
}

/* ---- vdso, rseq
 * ---------------------------------------------------------------------------------------------------------
 */

static void *vdso_loop(void *arg)
{
	struct spin *s = arg;
	struct timespec last = { 0, 0 }, now;

	thread_arrived();
	while (!*s->stop) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		s->out[0] |= now.tv_sec < last.tv_sec ||
			     (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
		s->out[1]++;
		last = now;
	}
	return NULL;
}

static void cpu_vdso(void)
{
	spin_over(vdso_loop, spins);
	for (int i = 0; i < NR_SPINNERS; i++)
		expect(spins[i].out[0] == 0 && spins[i].out[1] > 0,
			"CLOCK_MONOTONIC went backwards");
}

static volatile struct rseq *own_rseq(void)
{
	return (volatile struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * One restartable sequence that waits for *stop. True if it was aborted, as every interruption must
 * do. Layout of struct rseq_cs: linux/rseq.h.
 */
static bool rseq_spin(atomic_uint *stop)
{
	volatile struct rseq *rs = own_rseq();
	uint64_t aborted = 0;

	__asm__ volatile(".pushsection .data.rel.ro, \"aw\"\n\t"
			 ".balign 32\n"
			 "3: .long 0, 0\n\t"
			 ".quad 1f, 2f - 1f, 4f\n\t"
			 ".popsection\n\t"
			 "leaq 3b(%%rip), %%rax\n\t"
			 "movq %%rax, %[cs]\n"
			 "1: cmpl $0, (%[stop])\n\t"
			 "je 1b\n"
			 "2: jmp 5f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t"
			 ".long 0x53053053\n"
			 "4: movq $1, %[aborted]\n"
			 "5:\n\t"
			 : [cs] "=m"(rs->rseq_cs), [aborted] "+r"(aborted)
			 : [stop] "r"(stop)
			 : "rax", "memory", "cc");
	return aborted;
}

static void *rseq_loop(void *arg)
{
	struct spin *s = arg;

	thread_arrived();
	while (!*s->stop)
		s->out[0] += rseq_spin(s->stop);
	return NULL;
}

/* Is the kernel still keeping cpu_id for this thread? */
static void rseq_works(void)
{
	cpu_set_t all, one;
	unsigned cpu;

	must(sched_getaffinity(0, sizeof all, &all));
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		must(sched_setaffinity(0, sizeof one, &one));
		must(syscall(SYS_getcpu, &cpu, NULL, NULL));
		expect(own_rseq()->cpu_id == cpu && cpu == i, "rseq says CPU %u, it is %u",
			own_rseq()->cpu_id, cpu);
	}
	must(sched_setaffinity(0, sizeof all, &all));
}

static void *rseq_blocked(void *arg)
{
	char byte;

	thread_arrived();
	must(read(blocked_pipe[0], &byte, 1));
	rseq_works();
	return arg;
}

static void cpu_rseq(void)
{
	pthread_t thread;

	must(pipe(blocked_pipe));
	thread = thread_start(rseq_blocked, NULL);
	spin_over(rseq_loop, spins);
	rseq_works();
	must(write(blocked_pipe[1], "x", 1));
	thread_join(thread);
}

/* ---- number crunching
 * ------------------------------------------------------------------------------------------------------
 */

typedef double vec __attribute__((vector_size(32)));

/* Deterministic, and every step depends on the one before: a lost register shows in the result. */
__attribute__((target_clones("avx2", "default"), noinline)) static uint64_t crunch(
	uint64_t seed, long rounds)
{
	vec a = { (double)seed, 1, 2, 3 }, b = { 0.1, 0.2, 0.3, 0.4 }, c = { 3, 5, 7, 9 };
	uint64_t x = seed * 2 + 1, sum[4];

	for (long i = 0; i < rounds; i++) {
		a = a * b + c;
		b = b * 0.999 + a * 1e-6;
		c = c * 0.5 + b;
		x = x * 6364136223846793005u + (uint64_t)i;
		c[i & 3] += (double)(x >> 40);
	}
	memcpy(sum, &a, sizeof sum);
	return x ^ sum[0] ^ sum[1] << 1 ^ sum[2] << 2 ^ sum[3] << 3;
}

enum { CRUNCH_ROUNDS = 3000000 };

/* The same calculation again and again; each must give what it gave undisturbed. */
static void *crunch_loop(void *arg)
{
	struct spin *s = arg;

	s->in[0] = crunch(s->seed, CRUNCH_ROUNDS);
	thread_arrived();
	while (!*s->stop) {
		s->out[0] += crunch(s->seed, CRUNCH_ROUNDS) != s->in[0];
		s->out[1]++;
	}
	return NULL;
}

static void cpu_crunch(void)
{
	spin_over(crunch_loop, spins);
	for (int i = 0; i < NR_SPINNERS; i++)
		expect(spins[i].out[0] == 0 && spins[i].out[1] > 0, "%lu of %lu results are wrong",
			spins[i].out[0], spins[i].out[1]);
}

const struct target targets_cpu[] = {
	{ "cpu_regs", cpu_regs, "general registers in a loop", TARGET_BUSY },
	{ "cpu_flags", cpu_flags, "eflags in a loop", TARGET_BUSY },
	{ "cpu_xmm", cpu_xmm, "SSE registers in a loop", TARGET_BUSY },
	{ "cpu_ymm", cpu_ymm, "AVX registers in a loop", TARGET_BUSY },
	{ "cpu_zmm", cpu_zmm, "AVX-512 registers in a loop", TARGET_BUSY },
	{ "cpu_x87", cpu_x87, "x87 stack and control word in a loop", TARGET_BUSY },
	{ "cpu_rounding", cpu_rounding, "MXCSR", TARGET_BUSY },
	{ "cpu_blocked", cpu_blocked, "SSE registers over a waiting system call", 0 },
	{ "cpu_segments", cpu_segments, "fs and gs bases", TARGET_BUSY },
	{ "cpu_vdso", cpu_vdso, "inside the vdso", TARGET_BUSY },
	{ "cpu_rseq", cpu_rseq, "inside restartable sequences; registration", TARGET_BUSY },
	{ "cpu_crunch", cpu_crunch, "results of calculations in progress", TARGET_BUSY },
	{ NULL, NULL, NULL, 0 },
};
