#ifndef TEST_UNIT_IMAGES_SAMPLE_H
#define TEST_UNIT_IMAGES_SAMPLE_H

/*
 * A model made by hand in which every field has a value of its own, so that one which is lost or
 * mixed up on the way to the disk shows. Included by tests and by the fuzzer of the image reader.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/xstate.h"
#include "images/aio.h"
#include "images/fd/kind.h"
#include "images/snap.h"

enum { SAMPLE_EXE, SAMPLE_CWD, SAMPLE_LIB, SAMPLE_GONE };
enum { SAMPLE_PRIVATE, SAMPLE_ANON_SHARED, SAMPLE_MEMFD, SAMPLE_SYSV, SAMPLE_CONTENTS };

#define SAMPLE_HEAP  UINT64_C(0x555555600000)
#define SAMPLE_STACK UINT64_C(0x7ffffffde000)
#define SAMPLE_VDSO  UINT64_C(0x7ffff7fc1000)

static inline char *sample_text(struct snap *s, const char *text)
{
	return arena_strdup(s->arena, text);
}

static inline void *sample_fill(struct snap *s, size_t len, unsigned seed)
{
	uint8_t *data = arena_alloc(s->arena, len);

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		data[i] = (uint8_t)(seed >> 16);
	}
	return data;
}

static inline void sample_info(struct snap *s)
{
	static char *const argv[] = { "/usr/bin/thing", "--port", "7777", "", "caf\xc3\xa9\xff" };
	static char *const features[] = { "fpu", "sse2", "avx2" };
	static const struct xstate_part parts[] = { { 2, 576, 256 }, { 5, 1088, 64 },
		{ 6, 1152, 512 }, { 7, 1664, 1024 }, { 9, 2688, 8 } };

	s->info = (struct snap_info){
		.snapctl_version = sample_text(s, "0.1.0"),
		.kernel_release = sample_text(s, "6.18.0"),
		.hostname = sample_text(s, "vm"),
		.created = 1763694491000000001,
		.monotonic = 123456789012,
		.boottime = 223456789012,
		.argv = arena_copy(s->arena, argv, sizeof argv),
		.nr_argv = 5,
		.launched = true,
		.reason = sample_text(s, "quiescent: 2 threads: epoll_wait, futex"),
		.listens = sample_text(s, "127.0.0.1:7777"),
		.uid = 1000,
		.id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xf0 },
	};
	s->cpu = (struct snap_cpu){
		.vendor = sample_text(s, "GenuineIntel"),
		.model = sample_text(s, "A CPU"),
		.features = arena_copy(s->arena, features, sizeof features),
		.nr_features = 3,
		.xcr0 = 0x2e7,
		.xstate_size = 2696,
		.xstate_parts = arena_copy(s->arena, parts, sizeof parts),
		.nr_xstate_parts = 5,
	};
	s->vdso = (struct snap_vdso){ SAMPLE_VDSO, sample_fill(s, 8192, 1), 8192 };
}

static inline void sample_file(struct snap *s, const char *path, uint32_t mode, unsigned n)
{
	struct snap_file *file = snap_add_file(s);

	*file = (struct snap_file){
		.path = sample_text(s, path),
		.dev = 0x801 + n,
		.ino = 1000 + n,
		.mode = mode,
		.size = 10000 * n + 1,
		.mtime = { 1700000000 + n, 999999990 + n },
		.nr_build_id = n == SAMPLE_CWD ? 0 : 20 - n,
		.mem = ID_NONE,
		.uid = 10 + n,
		.gid = 20 + n,
	};
	memset(file->build_id, 0xb0 + (int)n, file->nr_build_id);
}

static inline void sample_files(struct snap *s)
{
	sample_file(s, "/usr/bin/thing", S_IFREG | 0755, SAMPLE_EXE);
	sample_file(s, "/srv/a b\n\x1b[31m", S_IFDIR | 01777, SAMPLE_CWD);
	sample_file(s, "/lib/lib\xc3\xa9\xff.so", S_IFREG | 0644, SAMPLE_LIB);
	sample_file(s, "/tmp/gone", S_IFREG | 0600, SAMPLE_GONE);
	s->files[SAMPLE_GONE].deleted = true;
	s->files[SAMPLE_GONE].mem = SAMPLE_CONTENTS;
	s->files[SAMPLE_LIB].mtime.tv_sec = -1; /* Before 1970 is a time as well. */
}

static inline void sample_mems(struct snap *s)
{
	struct snap_mem *mem;

	snap_add_mem(s, MEM_PRIVATE);
	mem = snap_add_mem(s, MEM_SHARED_ANON);
	mem->size = 0x4000;
	mem = snap_add_mem(s, MEM_MEMFD);
	mem->size = 12345;
	mem->name = sample_text(s, "buffer");
	mem->memfd_flags = 3;
	mem->seals = 7;
	mem->mode = 0640;
	mem = snap_add_mem(s, MEM_SYSV);
	mem->size = 0x3000;
	mem->mode = 0606;
	mem->sysv_id = 32768;
	mem->sysv_key = -559038737;
	mem = snap_add_mem(s, MEM_FILE);
	mem->size = 30001;
}

static inline uint8_t *sample_ring(struct snap *s)
{
	const struct aio_head head = { 0, 127, 120, 3, 0xa10a10a1, 1, 0, sizeof head };
	uint8_t *ring = sample_fill(s, 4096, 5);

	memcpy(ring, &head, sizeof head);
	return ring;
}

static inline void sample_vmas(struct snap *s, struct snap_mm *mm)
{
	const uint32_t none = ID_NONE;
	const struct snap_vma vmas[] = {
		{ .start = 0x555555554000,
			.end = 0x555555558000,
			.kind = VMA_FILE,
			.prot = PROT_READ | PROT_EXEC,
			.flags = MAP_PRIVATE,
			.vmflags = VMF_MAYREAD | VMF_MAYEXEC,
			.offset = 0x1000,
			.file = SAMPLE_EXE,
			.mem = none,
			.ofd = none },
		{ .start = SAMPLE_HEAP,
			.end = SAMPLE_HEAP + 0x100000,
			.kind = VMA_ANON,
			.prot = PROT_READ | PROT_WRITE,
			.flags = MAP_PRIVATE | MAP_NORESERVE,
			.vmflags = VMF_ACCOUNT,
			.file = none,
			.mem = none,
			.ofd = none },
		{ .start = 0x7ffff0000000,
			.end = 0x7ffff0040000,
			.kind = VMA_ANON,
			.prot = PROT_NONE,
			.flags = MAP_PRIVATE,
			.vmflags = VMF_DONTDUMP,
			.file = none,
			.mem = none,
			.ofd = none,
			.name = sample_text(s, "arena \x01"),
			.pkey = 3,
			.mempolicy = 2,
			.mempolicy_nodes = arena_copy(s->arena, "\1\0\0\0\0\0\0\2", 8),
			.nr_mempolicy_nodes = 8 },
		{ .start = 0x7ffff1000000,
			.end = 0x7ffff1004000,
			.kind = VMA_SHARED,
			.prot = PROT_READ | PROT_WRITE,
			.flags = MAP_SHARED,
			.offset = 0,
			.file = none,
			.mem = SAMPLE_ANON_SHARED,
			.ofd = none },
		{ .start = 0x7ffff1004000,
			.end = 0x7ffff1008000,
			.kind = VMA_SHARED,
			.prot = PROT_READ,
			.flags = MAP_SHARED,
			.offset = 0x2000,
			.file = none,
			.mem = SAMPLE_MEMFD,
			.ofd = none },
		{ .start = 0x7ffff2000000,
			.end = 0x7ffff2001000,
			.kind = VMA_FILE,
			.prot = PROT_READ | PROT_WRITE,
			.flags = MAP_SHARED,
			.file = SAMPLE_LIB,
			.mem = none,
			.ofd = none,
			.file_writable = true },
		{ .start = 0x7ffff3000000,
			.end = 0x7ffff3001000,
			.kind = VMA_FD,
			.prot = PROT_READ,
			.flags = MAP_SHARED,
			.file = none,
			.mem = none,
			.ofd = 1 },
		{ .start = 0x7ffff3001000,
			.end = 0x7ffff3002000,
			.kind = VMA_AIO,
			.prot = PROT_READ | PROT_WRITE,
			.flags = MAP_SHARED,
			.file = none,
			.mem = none,
			.ofd = none,
			.ring = sample_ring(s),
			.nr_ring = 4096 },
		{ .start = 0x7ffff7fbd000,
			.end = SAMPLE_VDSO,
			.kind = VMA_VVAR,
			.prot = PROT_READ,
			.flags = MAP_PRIVATE,
			.vmflags = VMF_IO,
			.file = none,
			.mem = none,
			.ofd = none },
		{ .start = SAMPLE_VDSO,
			.end = SAMPLE_VDSO + 0x2000,
			.kind = VMA_VDSO,
			.prot = PROT_READ | PROT_EXEC,
			.flags = MAP_PRIVATE,
			.file = none,
			.mem = none,
			.ofd = none },
		{ .start = SAMPLE_STACK,
			.end = 0x7ffffffff000,
			.kind = VMA_ANON,
			.prot = PROT_READ | PROT_WRITE,
			.flags = MAP_PRIVATE | MAP_GROWSDOWN,
			.vmflags = VMF_GROWSDOWN | VMF_ACCOUNT,
			.file = none,
			.mem = none,
			.ofd = none },
		{ .start = 0xffffffffff600000,
			.end = 0xffffffffff601000,
			.kind = VMA_VSYSCALL,
			.prot = PROT_EXEC,
			.flags = MAP_PRIVATE,
			.file = none,
			.mem = none,
			.ofd = none },
	};

	mm->vmas = arena_copy(s->arena, vmas, sizeof vmas);
	mm->nr_vmas = sizeof vmas / sizeof *vmas;
}

static inline void sample_mm(struct snap *s)
{
	static const uint64_t auxv[] = { 6, 4096, 33, SAMPLE_VDSO, 31, 0x7fffffffefe0, 0, 0 };
	static const struct snap_range guards[] = {
		{ 0x7ffff0000000, 0x7ffff0001000 },
		{ 0x7ffff0010000, 0x7ffff0012000 },
	};
	struct snap_mm *mm = snap_add_mm(s);

	*mm = (struct snap_mm){
		.start_code = 0x555555554001,
		.end_code = 0x555555557002,
		.start_data = 0x555555557003,
		.end_data = 0x555555557004,
		.start_brk = SAMPLE_HEAP,
		.brk = SAMPLE_HEAP + 0x99000,
		.start_stack = 0x7fffffffe005,
		.arg_start = 0x7fffffffe106,
		.arg_end = 0x7fffffffe207,
		.env_start = 0x7fffffffe208,
		.env_end = 0x7fffffffe309,
		.auxv = arena_copy(s->arena, auxv, sizeof auxv),
		.nr_auxv = 8,
		.exe = SAMPLE_EXE,
		.mem = SAMPLE_PRIVATE,
		.guards = arena_copy(s->arena, guards, sizeof guards),
		.nr_guards = 2,
		.thp_disabled = 1 | THP_EXCEPT_ADVISED,
		.coredump_filter = 0x33,
		.mlockall = 2,
		.pages_aside = true,
	};
	sample_vmas(s, mm);
}

static inline struct snap_siginfo *sample_siginfos(struct snap *s, size_t nr, int first)
{
	struct snap_siginfo *infos = arena_array(s->arena, nr, sizeof *infos);

	for (size_t i = 0; i < nr; i++) {
		memcpy(infos[i].raw, sample_fill(s, 128, (unsigned)first), 128);
		memcpy(infos[i].raw, &(int32_t){ first + (int)i }, 4);
	}
	return infos;
}

static inline struct snap_regs sample_regs(unsigned n)
{
	return (struct snap_regs){
		1 + n,
		2,
		3,
		4,
		5,
		6,
		7,
		8,
		9,
		10,
		11,
		12,
		13,
		14,
		15,
		UINT64_MAX,
		0x555555555000 + n,
		0x33,
		0x246,
		0x7fffffffd000 - 64 * n,
		0x2b,
		0x7ffff7d80740 + n,
		0x1000,
		0x10,
		0x11,
		0x12,
		0x13,
	};
}

static inline uint8_t *sample_xstate(struct snap *s, size_t len)
{
	uint8_t *xstate = sample_fill(s, len, 77);

	memset(xstate + 512, 0, 64);
	xstate[512] = 0xe7;
	memcpy(xstate + 24, &(uint32_t){ 0x1f80 }, 4);
	return xstate;
}

static inline void sample_task(struct snap *s, struct snap_task *task, unsigned n)
{
	static const uint32_t groups[] = { 0, 27, 65534 };

	*task = (struct snap_task){
		.tid = 4242 + (int)n,
		.regs = sample_regs(n),
		.xstate = sample_xstate(s, 2696),
		.nr_xstate = 2696,
		.sigmask = UINT64_C(0x8000000000000002) + n,
		.pending = sample_siginfos(s, n + 1, SIGRTMIN),
		.nr_pending = n + 1,
		.altstack_sp = 0x7ffff0020000,
		.altstack_size = 16384,
		.altstack_flags = 1u << 31,
		.rseq = { 0x7ffff7d80a20, 32, 0x53053053, 1 },
		.robust_list = 0x7ffff7d80a10,
		.robust_len = 24,
		.clear_tid = 0x7ffff7d80a08,
		.sched = { 5, 7, -9, 1, 2, 3, 4, 5, 6, 0x4007, sample_fill(s, 16, 5), 16 },
		.creds = { 1, 2, 3, 4, 5, 6, 7, 8, arena_copy(s->arena, groups, sizeof groups), 3,
			0x11, 0x1ffffffffff, 0x22, 0x1fffffffffe, 0x33, 0x2f, true },
		.timerslack = 50001,
		.personality = 0x40008,
		.pdeath_signal = 9,
		.wait_left = 123456789 + n,
		.restart = n ? 512 : 514,
		.seccomp = 2 - n,
		.dispatch = { 1, 0x1000, 0x2000, 0x555555556000 },
		.tls = { { 12, 0x1000, 0xfff, 0x51 }, { 13, 0x2000, 0xfffff, 0x50 } },
		.tsc_mode = 2,
		.cpuid_faults = true,
		.mce_kill = 4 + n,
		.mempolicy = 0x8002,
		.mempolicy_nodes = sample_fill(s, 16, 6),
		.nr_mempolicy_nodes = 16,
		.waiting_nr = n ? -1 : 232,
		.waiting_in = sample_text(s, n ? "computing" : "epoll_wait"),
	};
	memcpy(task->comm, n ? "worker\xff\x1b" : "fifteen-bytes-x", n ? 9 : 16);
}

static inline void sample_proc_lists(struct snap *s, struct snap_proc *proc)
{
	static const struct snap_fd fds[] = { { 0, 1, false }, { 3, 0, true }, { 1000, 1, true } };
	const struct snap_posix_timer timers[] = {
		{ 0, CLOCK_MONOTONIC, 0, SIGEV_SIGNAL, SIGRTMIN, 0, 0x1234567890, 1000000,
			2000000 },
		{ 5, -6, 4243, SIGEV_THREAD_ID, SIGALRM, 4243, UINT64_MAX, 7, 8 },
	};

	proc->tasks = arena_array(s->arena, 2, sizeof *proc->tasks);
	proc->nr_tasks = 2;
	for (unsigned i = 0; i < 2; i++)
		sample_task(s, &proc->tasks[i], i);
	proc->fds = arena_copy(s->arena, fds, sizeof fds);
	proc->nr_fds = 3;
	proc->timers = arena_copy(s->arena, timers, sizeof timers);
	proc->nr_timers = 2;
	proc->pending = sample_siginfos(s, 2, SIGUSR1);
	proc->nr_pending = 2;
}

static inline void sample_proc(struct snap *s)
{
	struct snap_proc *proc = snap_add_proc(s);

	*proc = (struct snap_proc){
		.pid = 4242,
		.ppid = 4000,
		.pgid = 4241,
		.sid = 4240,
		.parent = ID_NONE,
		.shares_with = ID_NONE,
		.mm = 0,
		.itimers = { { 1, 2 }, { 3, 4 }, { 5, 6 } },
		.umask = 027,
		.cwd = SAMPLE_CWD,
		.root = SAMPLE_CWD,
		.oom_score_adj = -500,
		.personality = 0x40000,
		.dumpable = 1,
		.child_subreaper = true,
		.stop = PROC_STOPPED,
		.stop_signal = SIGTSTP,
		.session_inherited = true,
		.group_inherited = true,
		.mdwe = 1,
		.memory_merge = true,
		.timer_ids_chosen = true,
		.amx = true,
		.futex_slots = 65,
		.membarrier = 0x54,
		.autogroup_nice = -3,
	};
	proc->actions[SIGUSR1 - 1] = (struct snap_sigaction){ 0x555555555100, 0x14000004,
		0x555555555200, 0xff };
	proc->actions[63] = (struct snap_sigaction){ 1, 2, 3, UINT64_MAX };
	for (unsigned i = 0; i < SNAP_NR_RLIMITS; i++)
		proc->rlimits[i] = (struct snap_rlimit){ 100 * i + 1,
			i % 2 ? UINT64_MAX : 100 * i + 2 };
	sample_proc_lists(s, proc);
}

/* Eventfds, as their kind records them; saving one takes nothing but the text of fdinfo. */
static inline void sample_ofds(struct snap *s)
{
	static const struct snap_lock locks[] = {
		{ LOCK_POSIX, F_WRLCK, 10, 20, 0 },
		{ LOCK_FLOCK, F_RDLCK, 0, 0, 0 },
		{ LOCK_OFD, F_RDLCK, 7, 0, 0 },
	};
	const struct fd_kind *kind = fd_kind_by_name("eventfd");
	struct fd_dump dump = { .snap = s };

	for (unsigned i = 0; i < 2; i++) {
		struct snap_ofd *ofd = snap_add_ofd(s);
		struct fd_seen seen = {
			.fd = -1,
			.link = "anon_inode:[eventfd]",
			.dump = &dump,
			.fdinfo = "eventfd-count: 7\neventfd-semaphore: 1\n",
		};

		ofd->kind = kind;
		ofd->flags = O_RDWR | (i ? O_NONBLOCK : O_APPEND);
		ofd->offset = 100 + i;
		ofd->owner_type = (int)i + 1;
		ofd->owner = 4242;
		ofd->signal = SIGIO + (int)i;
		ofd->locks = i ? NULL : arena_copy(s->arena, locks, sizeof locks);
		ofd->nr_locks = i ? 0 : 3;
		ofd->inherited = i ? 0 : -1;
		ofd->label = sample_text(s, i ? "\x1b]0;evil\x07" : "eventfd");
		kind->save(&seen, ofd, NULL);
	}
}

static inline void sample_seccomp(struct snap *s)
{
	for (uint32_t i = 0; i < 2; i++) {
		s->seccomp = arena_grow(
			s->arena, s->seccomp, s->nr_seccomp, &s->cap_seccomp, sizeof *s->seccomp);
		s->seccomp[s->nr_seccomp++] = (struct snap_seccomp){ i, 2 * i,
			sample_fill(s, 24, 9 + i), 24 };
	}
}

static inline void sample_ipc(struct snap *s)
{
	static const struct snap_sem_undo undos[] = { { 0, 0, -32768 }, { 0, 2, 5 } };
	static uint16_t values[] = { 0, 1, 32767 };
	static struct snap_message messages[] = { { 1, NULL, 0 },
		{ INT64_MAX, (uint8_t *)"abc", 3 } };
	static struct snap_sem_set set = { { 32768, 0x1234, 0640, 1, 2 }, values, 3 };
	/* Its size was lowered since (IPC_SET). */
	static struct snap_queue queue = { { 5, -7, 0777, 3, 4 }, 2, messages, 2 };

	s->ipc_own = true;
	s->ipc_settings = arena_alloc(s->arena, sizeof *s->ipc_settings);
	s->ipc_settings[0] = (struct snap_ipc_setting){ "kernel/sem", "1 2 3 4" };
	s->nr_ipc_settings = s->cap_ipc_settings = 1;
	s->sem_sets = arena_copy(s->arena, &set, sizeof set);
	s->queues = arena_copy(s->arena, &queue, sizeof queue);
	s->nr_sem_sets = s->cap_sem_sets = s->nr_queues = s->cap_queues = 1;
	s->procs[0].undos = arena_copy(s->arena, undos, sizeof undos);
	s->procs[0].nr_undos = 2;
}

static inline struct snap *sample_create(void)
{
	struct snap *s = snap_create();

	sample_info(s);
	sample_files(s);
	sample_mems(s);
	sample_mm(s);
	sample_proc(s);
	sample_seccomp(s);
	sample_ipc(s);
	sample_ofds(s);
	return s;
}

#endif
