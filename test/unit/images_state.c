/*
 * The file "state": every field of the model survives, and everything that cannot be is refused by
 * name. Each refusal is one line of a table: what is broken, and a word of the message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "images/image_internal.h"
#include "images/pages.h"
#include "proto/state.pb-c.h"
#include "test/unit/images_sample.h"

struct both {
	struct snap *snap;
	struct page_index index;
	struct err err;
};

static struct page_run runs[] = {
	{ SAMPLE_PRIVATE, 2, 0x555555557000 - 0x1000, 0, 0 },
	{ SAMPLE_PRIVATE, 3, SAMPLE_HEAP, 1, 0x3000 },
	{ SAMPLE_PRIVATE, 64, SAMPLE_HEAP + 0x80000, 2, 0 },
	{ SAMPLE_PRIVATE, 1, 0x7fffffffe000, 0, 0x2000 },
	{ SAMPLE_MEMFD, 4, 0, 1, 0x6000 },
	{ SAMPLE_CONTENTS, 1, 0x7000, 0, 0x3000 },
};

static struct page_frame frames[] = {
	{ 0, 0x4000, 0x4000, PAGES_RAW, 0x1122334455667788 },
	{ 0x4000, 77, 0xa000, PAGES_ZSTD, UINT64_MAX },
	{ 0x4000 + 77, 1000, 0x40000, PAGES_ZSTD, 0 },
};

static int both_setup(void **state)
{
	struct both *b = calloc(1, sizeof *b);

	b->snap = sample_create();
	b->index = (struct page_index){
		.runs = arena_copy(b->snap->arena, runs, sizeof runs),
		.nr_runs = sizeof runs / sizeof *runs,
		.frames = arena_copy(b->snap->arena, frames, sizeof frames),
		.nr_frames = sizeof frames / sizeof *frames,
		.file_size = 0x4000 + 77 + 1000,
	};
	*state = b;
	return 0;
}

static int both_teardown(void **state)
{
	struct both *b = *state;

	snap_destroy(b->snap);
	free(b);
	return 0;
}

static int round_trip(struct both *b, struct both *back)
{
	struct buf bytes = BUF_EMPTY;
	int ret = image_pack_state(b->snap, &b->index, &bytes, &b->err);

	if (ret == 0)
		ret = image_parse_state(bytes.data, bytes.len, &back->snap, &back->index, &b->err);
	buf_finish(&bytes);
	return ret;
}

/* ---- equality, field by field ---------------------------------------------------------------- */

#define EQ(field)            assert_int_equal(a->field, b->field)
#define EQ_BYTES(field, len) assert_memory_equal(a->field, b->field, len)
#define EQ_TEXT(field)       text_equal(a->field, b->field)

static void text_equal(const char *a, const char *b)
{
	if (!a || !b)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void info_equal(const struct snap_info *a, const struct snap_info *b)
{
	EQ_TEXT(snapctl_version);
	EQ_TEXT(kernel_release);
	EQ_TEXT(hostname);
	EQ(created);
	EQ(monotonic);
	EQ(boottime);
	EQ(nr_argv);
	for (size_t i = 0; i < a->nr_argv; i++)
		EQ_TEXT(argv[i]);
	EQ(launched);
	EQ_TEXT(reason);
	EQ_TEXT(listens);
	EQ(uid);
	EQ_BYTES(id, sizeof a->id);
}

static void machine_equal(const struct snap *a, const struct snap *b)
{
	EQ_TEXT(cpu.vendor);
	EQ_TEXT(cpu.model);
	EQ(cpu.nr_features);
	for (size_t i = 0; i < a->cpu.nr_features; i++)
		EQ_TEXT(cpu.features[i]);
	EQ(cpu.xcr0);
	EQ(cpu.xstate_size);
	EQ(cpu.nr_xstate_parts);
	EQ_BYTES(cpu.xstate_parts, a->cpu.nr_xstate_parts * sizeof *a->cpu.xstate_parts);
	EQ(vdso.start);
	EQ(vdso.nr_code);
	EQ_BYTES(vdso.code, a->vdso.nr_code);
}

static void file_equal(const struct snap_file *a, const struct snap_file *b)
{
	EQ_TEXT(path);
	EQ(dev);
	EQ(ino);
	EQ(mode);
	EQ(size);
	EQ(mtime.tv_sec);
	EQ(mtime.tv_nsec);
	EQ(nr_build_id);
	EQ_BYTES(build_id, sizeof a->build_id);
	EQ(deleted);
	EQ(mem);
	EQ(uid);
	EQ(gid);
}

static void mem_equal(const struct snap_mem *a, const struct snap_mem *b)
{
	EQ(kind);
	EQ(size);
	EQ_TEXT(name);
	EQ(memfd_flags);
	EQ(seals);
	EQ(mode);
	EQ(sysv_id);
	EQ(sysv_key);
}

static void vma_equal(const struct snap_vma *a, const struct snap_vma *b)
{
	EQ(start);
	EQ(end);
	EQ(kind);
	EQ(prot);
	EQ(flags);
	EQ(vmflags);
	EQ(offset);
	EQ(file);
	EQ(mem);
	EQ(ofd);
	EQ(file_writable);
	EQ_TEXT(name);
	EQ(pkey);
	EQ(nr_ring);
	if (a->nr_ring)
		assert_memory_equal(a->ring, b->ring, a->nr_ring);
	EQ(mempolicy);
	EQ(nr_mempolicy_nodes);
	if (a->nr_mempolicy_nodes)
		assert_memory_equal(a->mempolicy_nodes, b->mempolicy_nodes, a->nr_mempolicy_nodes);
}

static void mm_equal(const struct snap_mm *a, const struct snap_mm *b)
{
	EQ(start_code);
	EQ(end_code);
	EQ(start_data);
	EQ(end_data);
	EQ(start_brk);
	EQ(brk);
	EQ(start_stack);
	EQ(arg_start);
	EQ(arg_end);
	EQ(env_start);
	EQ(env_end);
	EQ(nr_auxv);
	EQ_BYTES(auxv, a->nr_auxv * 8);
	EQ(exe);
	EQ(mem);
	EQ(nr_vmas);
	for (size_t i = 0; i < a->nr_vmas; i++)
		vma_equal(&a->vmas[i], &b->vmas[i]);
	EQ(nr_guards);
	EQ_BYTES(guards, a->nr_guards * sizeof *a->guards);
	EQ(thp_disabled);
	EQ(coredump_filter);
	EQ(mlockall);
	EQ(pages_aside);
}

static void sched_equal(const struct snap_sched *a, const struct snap_sched *b)
{
	EQ(policy);
	EQ(priority);
	EQ(nice);
	EQ(flags);
	EQ(runtime);
	EQ(deadline);
	EQ(period);
	EQ(util_min);
	EQ(util_max);
	EQ(ioprio);
	EQ(nr_affinity);
	EQ_BYTES(affinity, a->nr_affinity);
}

static void creds_equal(const struct snap_creds *a, const struct snap_creds *b)
{
	EQ(ruid);
	EQ(euid);
	EQ(suid);
	EQ(fsuid);
	EQ(rgid);
	EQ(egid);
	EQ(sgid);
	EQ(fsgid);
	EQ(nr_groups);
	EQ_BYTES(groups, a->nr_groups * sizeof *a->groups);
	EQ(cap_inheritable);
	EQ(cap_permitted);
	EQ(cap_effective);
	EQ(cap_bounding);
	EQ(cap_ambient);
	EQ(securebits);
	EQ(no_new_privs);
}

static void task_equal(const struct snap_task *a, const struct snap_task *b)
{
	EQ(tid);
	EQ_BYTES(comm, sizeof a->comm);
	assert_memory_equal(&a->regs, &b->regs, sizeof a->regs);
	EQ(nr_xstate);
	EQ_BYTES(xstate, a->nr_xstate);
	EQ(sigmask);
	EQ(nr_pending);
	EQ_BYTES(pending, a->nr_pending * sizeof *a->pending);
	EQ(altstack_sp);
	EQ(altstack_size);
	EQ(altstack_flags);
	EQ(rseq.addr);
	EQ(rseq.len);
	EQ(rseq.sig);
	EQ(rseq.flags);
	EQ(robust_list);
	EQ(robust_len);
	EQ(clear_tid);
	sched_equal(&a->sched, &b->sched);
	creds_equal(&a->creds, &b->creds);
	EQ(timerslack);
	EQ(personality);
	EQ(pdeath_signal);
	EQ(wait_left);
	EQ(restart);
	EQ(seccomp);
	EQ(seccomp_strict);
	assert_memory_equal(&a->dispatch, &b->dispatch, sizeof a->dispatch);
	assert_memory_equal(a->tls, b->tls, sizeof a->tls);
	EQ(tsc_mode);
	EQ(cpuid_faults);
	EQ(mce_kill);
	EQ(mempolicy);
	EQ(nr_mempolicy_nodes);
	EQ_BYTES(mempolicy_nodes, a->nr_mempolicy_nodes);
	EQ(waiting_nr);
	EQ_TEXT(waiting_in);
}

static void timer_equal(const struct snap_posix_timer *a, const struct snap_posix_timer *b)
{
	EQ(id);
	EQ(clock);
	EQ(clock_tid);
	EQ(notify);
	EQ(signo);
	EQ(notify_tid);
	EQ(sigval);
	EQ(value);
	EQ(interval);
}

static void proc_lists_equal(const struct snap_proc *a, const struct snap_proc *b)
{
	EQ(nr_tasks);
	for (size_t i = 0; i < a->nr_tasks; i++)
		task_equal(&a->tasks[i], &b->tasks[i]);
	EQ(nr_fds);
	for (size_t i = 0; i < a->nr_fds; i++) {
		EQ(fds[i].num);
		EQ(fds[i].ofd);
		EQ(fds[i].cloexec);
	}
	EQ_BYTES(actions, sizeof a->actions);
	EQ(nr_pending);
	EQ_BYTES(pending, a->nr_pending * sizeof *a->pending);
	EQ_BYTES(itimers, sizeof a->itimers);
	EQ(nr_timers);
	for (size_t i = 0; i < a->nr_timers; i++)
		timer_equal(&a->timers[i], &b->timers[i]);
	EQ_BYTES(rlimits, sizeof a->rlimits);
}

static void proc_equal(const struct snap_proc *a, const struct snap_proc *b)
{
	EQ(pid);
	EQ(ppid);
	EQ(pgid);
	EQ(sid);
	EQ(parent);
	EQ(mm);
	EQ(umask);
	EQ(cwd);
	EQ(root);
	EQ(oom_score_adj);
	EQ(personality);
	EQ(dumpable);
	EQ(child_subreaper);
	EQ(stop);
	EQ(stop_signal);
	EQ(stop_told);
	EQ(continued);
	EQ(shares_with);
	EQ(session_inherited);
	EQ(group_inherited);
	EQ(mdwe);
	EQ(memory_merge);
	EQ(timer_ids_chosen);
	EQ(amx);
	EQ(futex_slots);
	EQ(membarrier);
	EQ(autogroup_nice);
	proc_lists_equal(a, b);
}

static void ofd_equal(const struct snap *sa, const struct snap *sb, const struct snap_ofd *a,
	const struct snap_ofd *b)
{
	EQ(id);
	assert_ptr_equal(a->kind, b->kind);
	EQ(flags);
	EQ(offset);
	EQ(owner_type);
	EQ(owner);
	EQ(signal);
	EQ(nr_locks);
	for (size_t i = 0; i < a->nr_locks; i++) {
		EQ(locks[i].kind);
		EQ(locks[i].type);
		EQ(locks[i].start);
		EQ(locks[i].len);
		EQ(locks[i].proc);
	}
	EQ(inherited);
	EQ_TEXT(label);
	if (a->inherited >= 0)
		return;
	assert_string_equal(
		a->kind->describe(sa, a, sa->arena), b->kind->describe(sb, b, sb->arena));
}

static void index_equal(const struct page_index *a, const struct page_index *b)
{
	EQ(nr_runs);
	for (size_t i = 0; i < a->nr_runs; i++) {
		EQ(runs[i].mem);
		EQ(runs[i].nr_pages);
		EQ(runs[i].addr);
		EQ(runs[i].frame);
		EQ(runs[i].offset);
	}
	EQ(nr_frames);
	for (size_t i = 0; i < a->nr_frames; i++) {
		EQ(frames[i].position);
		EQ(frames[i].stored);
		EQ(frames[i].size);
		EQ(frames[i].codec);
		EQ(frames[i].checksum);
	}
	EQ(file_size);
}

static void ipc_equal(const struct snap *a, const struct snap *b)
{
	EQ(ipc_own);
	EQ(nr_ipc_settings);
	for (size_t i = 0; i < a->nr_ipc_settings; i++) {
		assert_string_equal(a->ipc_settings[i].name, b->ipc_settings[i].name);
		assert_string_equal(a->ipc_settings[i].value, b->ipc_settings[i].value);
	}
	EQ(nr_sem_sets);
	for (size_t i = 0; i < a->nr_sem_sets; i++) {
		assert_memory_equal(
			&a->sem_sets[i].owner, &b->sem_sets[i].owner, sizeof a->sem_sets[i].owner);
		EQ(sem_sets[i].nr_values);
		EQ_BYTES(sem_sets[i].values, a->sem_sets[i].nr_values * sizeof(uint16_t));
	}
	EQ(nr_queues);
	for (size_t i = 0; i < a->nr_queues; i++) {
		assert_memory_equal(
			&a->queues[i].owner, &b->queues[i].owner, sizeof a->queues[i].owner);
		EQ(queues[i].max_len);
		EQ(queues[i].nr_messages);
		for (size_t m = 0; m < a->queues[i].nr_messages; m++) {
			EQ(queues[i].messages[m].type);
			EQ(queues[i].messages[m].len);
			EQ_BYTES(queues[i].messages[m].data, a->queues[i].messages[m].len);
		}
	}
	EQ(procs[0].nr_undos);
	EQ_BYTES(procs[0].undos, a->procs[0].nr_undos * sizeof *a->procs[0].undos);
}

static void snap_equal(const struct snap *a, const struct snap *b)
{
	info_equal(&a->info, &b->info);
	machine_equal(a, b);
	EQ(nr_files);
	for (size_t i = 0; i < a->nr_files; i++)
		file_equal(&a->files[i], &b->files[i]);
	EQ(nr_mems);
	for (size_t i = 0; i < a->nr_mems; i++)
		mem_equal(&a->mems[i], &b->mems[i]);
	EQ(nr_mms);
	for (size_t i = 0; i < a->nr_mms; i++)
		mm_equal(&a->mms[i], &b->mms[i]);
	EQ(nr_procs);
	for (size_t i = 0; i < a->nr_procs; i++)
		proc_equal(&a->procs[i], &b->procs[i]);
	EQ(nr_ofds);
	for (size_t i = 0; i < a->nr_ofds; i++)
		ofd_equal(a, b, &a->ofds[i], &b->ofds[i]);
	ipc_equal(a, b);
	EQ(nr_seccomp);
	for (size_t i = 0; i < a->nr_seccomp; i++) {
		EQ(seccomp[i].before);
		EQ(seccomp[i].flags);
		EQ(seccomp[i].nr_program);
		EQ_BYTES(seccomp[i].program, a->seccomp[i].nr_program);
	}
}

static void everything_survives(void **state)
{
	struct both *b = *state, back = { 0 };

	if (round_trip(b, &back) < 0)
		fail_msg("%s", b->err.msg);
	snap_equal(b->snap, back.snap);
	index_equal(&b->index, &back.index);
	snap_destroy(back.snap);
}

/* A model with as little as can be: zeroes and absent things stay what they were. */
static void little_survives(void **state)
{
	struct both *b = *state, back = { 0 };
	struct snap_proc *proc = &b->snap->procs[0];
	struct snap_mm *mm = &b->snap->mms[0];

	proc->nr_tasks = 1;
	proc->nr_timers = 0;
	proc->nr_fds = proc->nr_pending = 0;
	proc->stop = PROC_RUNNING;
	proc->stop_signal = 0;
	proc->root = ID_NONE;
	memset(proc->actions, 0, sizeof proc->actions);
	memset(&proc->itimers, 0, sizeof proc->itimers);
	memset(&proc->rlimits, 0, sizeof proc->rlimits);
	mm->nr_vmas = mm->nr_guards = 0;
	mm->start_code = mm->start_brk = 0;
	b->snap->nr_ofds = 0;
	b->snap->mems[SAMPLE_MEMFD].name = "";
	b->snap->info.reason = b->snap->info.listens = b->snap->info.hostname = NULL;
	b->snap->info.nr_argv = 0;
	b->snap->vdso = (struct snap_vdso){ 0 };
	b->index = (struct page_index){ 0 };
	if (round_trip(b, &back) < 0)
		fail_msg("%s", b->err.msg);
	snap_equal(b->snap, back.snap);
	index_equal(&b->index, &back.index);
	snap_destroy(back.snap);
}

static void a_second_trip_gives_the_same_bytes(void **state)
{
	struct both *b = *state, back = { 0 };
	struct buf first = BUF_EMPTY, second = BUF_EMPTY;

	assert_int_equal(round_trip(b, &back), 0);
	assert_int_equal(image_pack_state(b->snap, &b->index, &first, &b->err), 0);
	assert_int_equal(image_pack_state(back.snap, &back.index, &second, &b->err), 0);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	buf_finish(&first);
	buf_finish(&second);
	snap_destroy(back.snap);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void list_files(struct snap *s, int32_t tid, int32_t with)
{
	s->procs[0].thread_files = arena_alloc(s->arena, sizeof(struct snap_thread_files));
	s->procs[0].thread_files[0] = (struct snap_thread_files){ .tid = tid, .with = with };
	s->procs[0].nr_thread_files = 1;
}

static void list_fs(struct snap *s, int32_t tid, int32_t with)
{
	s->procs[0].thread_fs = arena_alloc(s->arena, sizeof(struct snap_thread_fs));
	s->procs[0].thread_fs[0] = (struct snap_thread_fs){
		.tid = tid, .with = with, .cwd = SAMPLE_CWD, .root = ID_NONE
	};
	s->procs[0].nr_thread_fs = 1;
}

/* The things that are broken, one statement each. */
#define BREAK(name, statement)                                                                     \
	static void break_##name(struct snap *s, struct page_index *x)                             \
	{                                                                                          \
		(void)s;                                                                           \
		(void)x;                                                                           \
		statement;                                                                         \
	}

BREAK(xcr0, s->cpu.xcr0 = 4)
BREAK(xstate_part_first, s->cpu.xstate_parts[0].offset = 512)
BREAK(xstate_part_behind, s->cpu.xstate_parts[4].offset = 2689)
BREAK(xstate_part_wraps, s->cpu.xstate_parts[4].size = UINT32_MAX)
BREAK(xstate_part_twice, s->cpu.xstate_parts[1].nr = 2)
BREAK(xstate_part_number, s->cpu.xstate_parts[4].nr = 64)
BREAK(xstate_part_missing, s->cpu.nr_xstate_parts = 4)
BREAK(xstate_part_outside, s->procs[0].tasks[0].nr_xstate = 2688;
	s->procs[0].tasks[0].xstate[513] = 2)
BREAK(vdso_len, s->vdso.nr_code = 100)
BREAK(vdso_place, s->vdso.start = 0x7fffffffe000)
BREAK(argv_nul, s->info.nr_argv = 1;
	s->info.argv[0] = memset(arena_alloc(s->arena, 200001), 'x', 200000))
BREAK(path_relative, s->files[1].path = "etc")
BREAK(path_none, s->files[1].path = NULL)
BREAK(path_long, s->files[1].path = memset(arena_alloc(s->arena, 5001), '/', 5000))
BREAK(file_mode, s->files[0].mode = 0755)
BREAK(file_time, s->files[0].mtime.tv_nsec = 1000000000)
BREAK(file_mem, s->files[0].mem = 99)
BREAK(file_mem_private, s->files[0].mem = SAMPLE_PRIVATE)
BREAK(mem_kind, s->mems[0].kind = 17)
BREAK(mem_size, s->mems[SAMPLE_MEMFD].size = UINT64_MAX)
BREAK(mem_private_size, s->mems[0].size = 4096)
BREAK(mem_mode, s->mems[SAMPLE_SYSV].mode = 0x10000)
BREAK(mm_order, s->mms[0].end_code = 5)
BREAK(mm_bound, s->mms[0].start_stack = 0x7ffffffff000)
BREAK(auxv_odd, s->mms[0].nr_auxv = 7)
BREAK(auxv_open, s->mms[0].nr_auxv = 6)
BREAK(auxv_none, s->mms[0].nr_auxv = 0)
BREAK(exe_none, s->mms[0].exe = ID_NONE)
BREAK(exe_dir, s->mms[0].exe = SAMPLE_CWD)
BREAK(mm_mem, s->mms[0].mem = SAMPLE_MEMFD)
BREAK(mm_twice, *snap_add_mm(s) = s->mms[0])
BREAK(vma_kind, s->mms[0].vmas[1].kind = 12)
BREAK(vma_empty, s->mms[0].vmas[1].end = s->mms[0].vmas[1].start)
BREAK(vma_unaligned, s->mms[0].vmas[1].start += 8)
BREAK(vma_overlap, s->mms[0].vmas[1].start -= 0xab000)
BREAK(vma_order, struct snap_vma v = s->mms[0].vmas[1]; s->mms[0].vmas[1] = s->mms[0].vmas[2];
	s->mms[0].vmas[2] = v)
BREAK(vma_high, s->mms[0].vmas[10].end += 0x1000)
BREAK(vma_vsyscall, s->mms[0].vmas[11].start += 0x1000; s->mms[0].vmas[11].end += 0x1000)
BREAK(vma_offset, s->mms[0].vmas[0].offset = 5)
BREAK(vma_offset_end, s->mms[0].vmas[0].offset = INT64_MAX & ~0xfffll)
BREAK(vma_file_none, s->mms[0].vmas[0].file = ID_NONE)
BREAK(vma_file_missing, s->mms[0].vmas[0].file = 4)
BREAK(vma_file_extra, s->mms[0].vmas[1].file = 0)
BREAK(vma_mem_missing, s->mms[0].vmas[3].mem = 9)
BREAK(vma_mem_private, s->mms[0].vmas[3].mem = SAMPLE_PRIVATE)
BREAK(vma_ofd_missing, s->mms[0].vmas[6].ofd = 2)
BREAK(vma_prot, s->mms[0].vmas[1].prot = 0x10)
BREAK(vma_flags, s->mms[0].vmas[1].flags = MAP_PRIVATE | MAP_FIXED)
BREAK(vma_type, s->mms[0].vmas[1].flags = 0)
BREAK(vma_anon_shared, s->mms[0].vmas[1].flags = MAP_SHARED)
BREAK(vma_vmflags, s->mms[0].vmas[1].vmflags = 1ull << 40)
BREAK(vma_ring_short, s->mms[0].vmas[7].nr_ring = 2048)
BREAK(vma_ring_head, s->mms[0].vmas[7].ring[8] = 200)
BREAK(vma_ring_extra, s->mms[0].vmas[1].ring = s->mms[0].vmas[7].ring;
	s->mms[0].vmas[1].nr_ring = 4096)
BREAK(vma_pkey, s->mms[0].vmas[2].pkey = 16)
BREAK(vma_policy, s->mms[0].vmas[2].nr_mempolicy_nodes = 7)
BREAK(vma_name, s->mms[0].vmas[2].name = memset(arena_alloc(s->arena, 81), 'x', 80))
BREAK(guard_outside, s->mms[0].guards[0].start -= 0x1000)
BREAK(guard_order, s->mms[0].guards[1].start = 0x7ffff0000000)
BREAK(guard_unaligned, s->mms[0].guards[1].end += 1)
BREAK(no_proc, s->nr_procs = 0)
BREAK(pid, s->procs[0].pid = -1)
BREAK(leader, s->procs[0].pid = 7)
BREAK(parent, s->procs[0].parent = 0)
BREAK(proc_mm, s->procs[0].mm = 1)
BREAK(area_unaligned, s->procs[0].area = 8)
BREAK(area_nowhere, s->procs[0].area = 0x2eca00000000)
BREAK(area_code, s->procs[0].area = s->mms[0].vmas[0].start)
BREAK(cwd, s->procs[0].cwd = SAMPLE_EXE)
BREAK(cwd_none, s->procs[0].cwd = ID_NONE)
BREAK(root, s->procs[0].root = SAMPLE_LIB)
BREAK(no_task, s->procs[0].nr_tasks = 0)
BREAK(tid_twice, s->procs[0].tasks[1].tid = 4242; s->procs[0].nr_timers = 0)
BREAK(table_of_none, list_files(s, 4243, 4244))
BREAK(dir_of_none, list_fs(s, 4243, 4243))
BREAK(umask, s->procs[0].umask = 01000)
BREAK(oom, s->procs[0].oom_score_adj = 1001)
BREAK(rlimit, s->procs[0].rlimits[3].cur = 9; s->procs[0].rlimits[3].max = 8)
BREAK(itimer, s->procs[0].itimers[1].value = UINT64_MAX)
BREAK(stop, s->procs[0].stop = 2)
BREAK(stop_signal, s->procs[0].stop_signal = 0)
BREAK(stop_continued, s->procs[0].continued = true)
BREAK(shares_with, s->procs[0].shares_with = 0)
BREAK(shares_nobody, s->procs[0].shares_fs = true)
BREAK(sigkill, s->procs[0].actions[SIGKILL - 1].handler = 5)
BREAK(pending, memcpy(s->procs[0].pending[0].raw, &(int){ 65 }, 4))
BREAK(pending_task, memcpy(s->procs[0].tasks[1].pending[0].raw, &(int){ 0 }, 4))
BREAK(timer_notify, s->procs[0].timers[0].notify = 77)
BREAK(timer_signal, s->procs[0].timers[0].signo = 0)
BREAK(timer_thread, s->procs[0].timers[1].notify_tid = 1)
BREAK(timer_clock, s->procs[0].timers[1].clock_tid = 1)
BREAK(timer_twice, s->procs[0].timers[1].id = 0)
BREAK(timer_time, s->procs[0].timers[1].value = UINT64_MAX)
BREAK(fd_order, s->procs[0].fds[1].num = 1000)
BREAK(fd_large, s->procs[0].fds[2].num = 1u << 30)
BREAK(fd_ofd, s->procs[0].fds[1].ofd = 2)
BREAK(tid_zero, s->procs[0].tasks[1].tid = 0; s->procs[0].nr_timers = 0)
BREAK(cs, s->procs[0].tasks[0].regs.cs = 0x10)
BREAK(ss, s->procs[0].tasks[0].regs.ss = 0)
BREAK(gs, s->procs[0].tasks[0].regs.gs = 0x10000)
BREAK(eflags, s->procs[0].tasks[0].regs.eflags = 0x3246)
BREAK(rip, s->procs[0].tasks[0].regs.rip = 1ull << 50)
BREAK(rsp, s->procs[0].tasks[0].regs.rsp = 1ull << 60)
BREAK(fs_base, s->procs[0].tasks[0].regs.fs_base = UINT64_MAX)
BREAK(xstate_short, s->procs[0].tasks[0].nr_xstate = 568)
BREAK(xstate_none, s->procs[0].tasks[0].nr_xstate = 0)
BREAK(xstate_odd, s->procs[0].tasks[0].nr_xstate = 577)
BREAK(xstate_bv, s->procs[0].tasks[0].xstate[513] = 0x80)
BREAK(xstate_reserved, s->procs[0].tasks[0].xstate[530] = 1)
BREAK(mxcsr, s->procs[0].tasks[0].xstate[27] = 1)
BREAK(altstack, s->procs[0].tasks[0].altstack_size = UINT64_MAX)
BREAK(rseq, s->procs[0].tasks[0].rseq.len = 0)
BREAK(robust, s->procs[0].tasks[0].robust_len = 25)
BREAK(policy, s->procs[0].tasks[0].sched.policy = 8)
BREAK(nice, s->procs[0].tasks[0].sched.nice = 20)
BREAK(ioprio, s->procs[0].tasks[0].sched.ioprio = 0x10000)
BREAK(pdeath, s->procs[0].tasks[0].pdeath_signal = 65)
BREAK(seccomp_none, s->procs[0].tasks[0].seccomp = 3)
BREAK(seccomp_both, s->procs[0].tasks[0].seccomp_strict = true)
BREAK(seccomp_circle, s->seccomp[0].before = 1)
BREAK(seccomp_flags, s->seccomp[0].flags = 1)
BREAK(seccomp_odd, s->seccomp[0].nr_program = 23)
BREAK(seccomp_empty, s->seccomp[0].nr_program = 0)
BREAK(restart, s->procs[0].tasks[0].restart = 516)
BREAK(wait_left, s->procs[0].tasks[0].wait_left = UINT64_MAX)
BREAK(dispatch_mode, s->procs[0].tasks[0].dispatch.mode = 3)
BREAK(dispatch_selector, s->procs[0].tasks[0].dispatch.selector = UINT64_MAX)
BREAK(tls_entry, s->procs[0].tasks[0].tls[0].entry = 11)
BREAK(tls_twice, s->procs[0].tasks[0].tls[0].entry = 13)
BREAK(tls_limit, s->procs[0].tasks[0].tls[1].limit = 0x100000)
BREAK(tls_flags, s->procs[0].tasks[0].tls[1].flags = 0x100)
BREAK(futex_slots, s->procs[0].futex_slots = 4)
BREAK(tsc, s->procs[0].tasks[0].tsc_mode = 3)
BREAK(mce, s->procs[0].tasks[0].mce_kill = 6)
BREAK(mempolicy, s->procs[0].tasks[0].nr_mempolicy_nodes = 9)
BREAK(membarrier, s->procs[0].membarrier = 0x200)
BREAK(autogroup, s->procs[0].autogroup_nice = 20)
BREAK(ipc_setting, s->ipc_settings[0].name = "kernel/core_pattern")
BREAK(ipc_setting_value, s->ipc_settings[0].value = "1\nx")
BREAK(ipc_setting_outside, s->ipc_own = false)
BREAK(sem_mode, s->sem_sets[0].owner.mode = 01000)
BREAK(sem_none, s->sem_sets[0].nr_values = 0)
BREAK(sem_value, s->sem_sets[0].values = arena_copy(s->arena, "\xff\xff\0\0\0\0", 6))
BREAK(undo_set, s->procs[0].undos[0].set = 1)
BREAK(undo_num, s->procs[0].undos[0].num = 3)
BREAK(undo_nothing, s->procs[0].undos[0].adjust = 0)
BREAK(queue_type, s->queues[0].messages = arena_array(s->arena, 2, sizeof(struct snap_message)))
BREAK(queue_full, s->queues[0].max_len = 2)
BREAK(securebits, s->procs[0].tasks[0].creds.securebits = 0x1000)
BREAK(ofd_id, s->ofds[1].id = 0)
BREAK(ofd_offset, s->ofds[1].offset = UINT64_MAX)
BREAK(ofd_owner, s->ofds[1].owner = -1)
BREAK(ofd_signal, s->ofds[1].signal = 65)
BREAK(ofd_inherited, s->ofds[1].inherited = -2)
BREAK(lock_type, s->ofds[0].locks[0].type = 5)
BREAK(lock_range, s->ofds[0].locks[0].len = INT64_MAX)
BREAK(lock_proc, s->ofds[0].locks[0].proc = 1)
BREAK(frame_size, x->frames[0].size = 0)
BREAK(frame_large, x->frames[0].size = PAGES_FRAME + 4096)
BREAK(frame_raw, x->frames[0].stored = 0x3fff)
BREAK(frame_zstd, x->frames[1].stored = 0xa000)
BREAK(frame_codec, x->frames[1].codec = 2)
BREAK(run_order, x->runs[1].addr = 0x555555554000)
BREAK(run_overlap, x->runs[1].nr_pages = 64; x->runs[1].frame = 2; x->runs[1].offset = 0;
	x->runs[2].addr = SAMPLE_HEAP + 0x3f000)
BREAK(run_outside, x->runs[1].addr = SAMPLE_HEAP - 0x1000)
BREAK(run_hole, x->runs[0].nr_pages = 3)
BREAK(run_frame, x->runs[0].frame = 3)
BREAK(run_frame_end, x->runs[1].offset = 0x8000)
BREAK(run_mem, x->runs[5].mem = 5)
BREAK(run_mem_end, x->runs[5].addr = 0x8000)
BREAK(run_mem_high, x->runs[5].addr = UINT64_MAX & ~0xfffull)
BREAK(run_empty, x->runs[5].nr_pages = 0)
BREAK(run_guard, s->mms[0].vmas[2].prot = PROT_READ; x->runs[3].addr = 0x7ffff0011000)
BREAK(run_twice, x->runs[5].mem = SAMPLE_PRIVATE)

static const struct {
	const char *word; /* of the message */
	void (*breaks)(struct snap *s, struct page_index *x);
} breakages[] = {
	{ "xcr0", break_xcr0 },
	{ "xstate part 2 at 512", break_xstate_part_first },
	{ "xstate part 9 at 2689", break_xstate_part_behind },
	{ "xstate part 9", break_xstate_part_wraps },
	{ "xstate part 2", break_xstate_part_twice },
	{ "xstate part 64", break_xstate_part_number },
	{ "xstate parts", break_xstate_part_missing },
	{ "ends before part 9", break_xstate_part_outside },
	{ "area", break_area_unaligned },
	{ "area", break_area_nowhere },
	{ "area", break_area_code },
	{ "vdso", break_vdso_len },
	{ "vdso", break_vdso_place },
	{ "argv", break_argv_nul },
	{ "path", break_path_relative },
	{ "path", break_path_none },
	{ "path", break_path_long },
	{ "mode", break_file_mode },
	{ "time", break_file_time },
	{ "memory object 99", break_file_mem },
	{ "address space", break_file_mem_private },
	{ "memory object 0: unknown kind 17", break_mem_kind },
	{ "impossible size", break_mem_size },
	{ "impossible size", break_mem_private_size },
	{ "mode", break_mem_mode },
	{ "bounds", break_mm_order },
	{ "bounds", break_mm_bound },
	{ "auxv", break_auxv_odd },
	{ "auxv", break_auxv_open },
	{ "auxv", break_auxv_none },
	{ "executable", break_exe_none },
	{ "executable", break_exe_dir },
	{ "private pages", break_mm_mem },
	{ "private pages of another", break_mm_twice },
	{ "mapping 1 (555555600000", break_vma_kind },
	{ "empty", break_vma_empty },
	{ "whole pages", break_vma_unaligned },
	{ "before the end", break_vma_overlap },
	{ "before the end", break_vma_order },
	{ "last user address", break_vma_high },
	{ "vsyscall", break_vma_vsyscall },
	{ "offset", break_vma_offset },
	{ "offset", break_vma_offset_end },
	{ "lacks it", break_vma_file_none },
	{ "file 4 does not exist", break_vma_file_missing },
	{ "has not", break_vma_file_extra },
	{ "memory object 9", break_vma_mem_missing },
	{ "cannot be shared", break_vma_mem_private },
	{ "open file 2", break_vma_ofd_missing },
	{ "protection 0x10", break_vma_prot },
	{ "unknown flags", break_vma_flags },
	{ "neither private", break_vma_type },
	{ "anonymous and shared", break_vma_anon_shared },
	{ "VmFlags", break_vma_vmflags },
	{ "ring of asynchronous", break_vma_ring_short },
	{ "ring of asynchronous", break_vma_ring_head },
	{ "ring of asynchronous", break_vma_ring_extra },
	{ "key 16", break_vma_pkey },
	{ "memory policy for 7 bytes", break_vma_policy },
	{ "name of 80", break_vma_name },
	{ "guard 0: outside", break_guard_outside },
	{ "guard 1", break_guard_order },
	{ "guard 1", break_guard_unaligned },
	{ "no process", break_no_proc },
	{ "ids", break_pid },
	{ "leader", break_leader },
	{ "parent", break_parent },
	{ "address space 1", break_proc_mm },
	{ "working directory", break_cwd },
	{ "working directory", break_cwd_none },
	{ "root", break_root },
	{ "no threads", break_no_task },
	{ "id 4242", break_tid_twice },
	{ "shares a descriptor table with 4244", break_table_of_none },
	{ "directory of thread 4243", break_dir_of_none },
	{ "umask", break_umask },
	{ "oom_score_adj 1001", break_oom },
	{ "limit 3", break_rlimit },
	{ "interval timer", break_itimer },
	{ "stop", break_stop },
	{ "stop", break_stop_signal },
	{ "stop", break_stop_continued },
	{ "no sibling", break_shares_with },
	{ "does not have", break_shares_nobody },
	{ "SIGKILL", break_sigkill },
	{ "pending signal 65", break_pending },
	{ "thread 4243: pending signal 0", break_pending_task },
	{ "timer 0", break_timer_notify },
	{ "signal 0", break_timer_signal },
	{ "thread 1 does not", break_timer_thread },
	{ "clock of thread 1", break_timer_clock },
	{ "two timers", break_timer_twice },
	{ "impossible time", break_timer_time },
	{ "descriptor 1000", break_fd_order },
	{ "descriptor 1073741824", break_fd_large },
	{ "descriptor 3: open file 2", break_fd_ofd },
	{ "thread id", break_tid_zero },
	{ "cs 0x10", break_cs },
	{ "ss 0", break_ss },
	{ "segment", break_gs },
	{ "eflags", break_eflags },
	{ "rip", break_rip },
	{ "rsp", break_rsp },
	{ "fs_base", break_fs_base },
	{ "xstate of 568", break_xstate_short },
	{ "no xstate", break_xstate_none },
	{ "xstate of 577", break_xstate_odd },
	{ "components", break_xstate_bv },
	{ "reserved", break_xstate_reserved },
	{ "mxcsr", break_mxcsr },
	{ "alternate signal stack", break_altstack },
	{ "rseq", break_rseq },
	{ "robust", break_robust },
	{ "policy 8", break_policy },
	{ "nice 20", break_nice },
	{ "ioprio", break_ioprio },
	{ "death signal", break_pdeath },
	{ "an impossible setting", break_ipc_setting },
	{ "an impossible setting", break_ipc_setting_value },
	{ "somebody else's IPC namespace", break_ipc_setting_outside },
	{ "with mode 1000", break_sem_mode },
	{ "no semaphores", break_sem_none },
	{ "a semaphore of 65535", break_sem_value },
	{ "SEM_UNDO", break_undo_set },
	{ "SEM_UNDO", break_undo_num },
	{ "SEM_UNDO", break_undo_nothing },
	{ "message queue 5: type 0", break_queue_type },
	{ "more than it can hold", break_queue_full },
	{ "seccomp filter 3 does not exist", break_seccomp_none },
	{ "seccomp filter 2 does not exist", break_seccomp_both },
	{ "comes before 1", break_seccomp_circle },
	{ "flags 1", break_seccomp_flags },
	{ "23 bytes", break_seccomp_odd },
	{ "0 bytes", break_seccomp_empty },
	{ "time to wait", break_wait_left },
	{ "restart", break_restart },
	{ "descriptor table entry", break_tls_entry },
	{ "descriptor table entry", break_tls_twice },
	{ "descriptor table entry", break_tls_limit },
	{ "descriptor table entry", break_tls_flags },
	{ "futex_slots", break_futex_slots },
	{ "user dispatch", break_dispatch_mode },
	{ "user dispatch", break_dispatch_selector },
	{ "tsc_mode", break_tsc },
	{ "tsc_mode", break_mce },
	{ "memory policy", break_mempolicy },
	{ "membarrier registrations", break_membarrier },
	{ "autogroup", break_autogroup },
	{ "securebits", break_securebits },
	{ "its id is 0", break_ofd_id },
	{ "position", break_ofd_offset },
	{ "owner", break_ofd_owner },
	{ "signal", break_ofd_signal },
	{ "inherited", break_ofd_inherited },
	{ "lock 0", break_lock_type },
	{ "range", break_lock_range },
	{ "process 1 does not", break_lock_proc },
	{ "frame 0", break_frame_size },
	{ "frame 0", break_frame_large },
	{ "frame 0", break_frame_raw },
	{ "frame 1", break_frame_zstd },
	{ "codec", break_frame_codec },
	{ "run", break_run_order },
	{ "run", break_run_overlap },
	{ "outside of all mappings", break_run_outside },
	{ "outside of all", break_run_hole },
	{ "no frame", break_run_frame },
	{ "frame 1", break_run_frame_end },
	{ "memory object 5", break_run_mem },
	{ "memory object 4", break_run_mem_end },
	{ "memory object 4", break_run_mem_high },
	{ "no pages", break_run_empty },
	{ "guard", break_run_guard },
	{ "out of order", break_run_twice },
};

static void every_impossibility_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof breakages / sizeof *breakages; i++) {
		struct both *b, back = { 0 };
		int ret;

		both_setup((void **)&b);
		breakages[i].breaks(b->snap, &b->index);
		ret = round_trip(b, &back);
		if (ret != -EBADMSG || !strstr(b->err.msg, breakages[i].word))
			fail_msg("breakage %zu, \"%s\": %d, %s", i, breakages[i].word, ret,
				b->err.msg);
		both_teardown((void **)&b);
	}
}

/* ---- messages that no model could give ------------------------------------------------------- */

static int parse_message(const Pb__State *m, struct err *err)
{
	size_t len = pb__state__get_packed_size(m);
	uint8_t *bytes = malloc(len + 1);
	struct page_index index;
	struct snap *snap;
	int ret;

	pb__state__pack(m, bytes);
	ret = image_parse_state(bytes, len, &snap, &index, err);
	free(bytes);
	return ret;
}

static void an_empty_message_is_refused(void **state)
{
	Pb__State m = PB__STATE__INIT;
	struct err err;

	(void)state;
	assert_int_equal(parse_message(&m, &err), -EBADMSG);
	assert_string_equal(err.msg, "no info");
}

/* Two bytes each in the file, but 3 KiB each in the model. */
static void many_empty_processes_cost_no_memory(void **state)
{
	enum { NR = 20000 };
	struct both *b = *state;
	struct buf bytes = BUF_EMPTY;
	Pb__Proc proc = PB__PROC__INIT, **procs = malloc(NR * sizeof *procs);
	struct page_index index;
	struct snap *snap;
	Pb__State *m;

	assert_int_equal(image_pack_state(b->snap, &b->index, &bytes, &b->err), 0);
	m = pb__state__unpack(NULL, bytes.len, (uint8_t *)bytes.data);
	for (size_t i = 0; i < NR; i++)
		procs[i] = &proc;
	assert_non_null(m);
	assert_int_equal(m->n_procs, 1);
	bytes.len = 0;
	{
		Pb__Proc **real = m->procs;

		m->procs = procs;
		m->n_procs = NR;
		bytes.len = pb__state__pack(m, buf_reserve(&bytes, pb__state__get_packed_size(m)));
		m->procs = real;
		m->n_procs = 1;
	}
	assert_int_equal(
		image_parse_state(bytes.data, bytes.len, &snap, &index, &b->err), -EBADMSG);
	pb__state__free_unpacked(m, NULL);
	buf_finish(&bytes);
	free(procs);
}

/* Nothing but empty messages: the parser runs into its limit instead of taking 100 times the input.
 */
static void memory_follows_the_size_of_the_input(void **state)
{
	enum { LEN = 2000000 };
	uint8_t *bytes = malloc(LEN);
	struct page_index index;
	struct snap *snap;
	struct err err;

	(void)state;
	for (size_t i = 0; i < LEN; i += 2) {
		bytes[i] = 7 << 3 | 2; /* a process of no bytes */
		bytes[i + 1] = 0;
	}
	assert_int_equal(image_parse_state(bytes, LEN, &snap, &index, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "not a message"));
	free(bytes);
}

static void unknown_kinds_of_descriptors_are_refused(void **state)
{
	static const struct fd_kind unknown = { .name = "teapot" };
	struct both *b = *state, back = { 0 };

	b->snap->ofds[0].kind = &unknown;
	assert_int_equal(round_trip(b, &back), -EBADMSG);
	assert_non_null(strstr(b->err.msg, "open file 0: of a kind that does not exist"));
	b->snap->ofds[0].kind = NULL;
	assert_int_equal(round_trip(b, &back), -EINVAL);
}

static void inherited_descriptors_need_no_kind(void **state)
{
	struct both *b = *state, back = { 0 };

	b->snap->ofds[1].kind = NULL;
	assert_int_equal(round_trip(b, &back), 0);
	assert_null(back.snap->ofds[1].kind);
	assert_int_equal(back.snap->ofds[1].inherited, 0);
	snap_destroy(back.snap);
}

static void a_million_runs_are_compact(void **state)
{
	enum { NR = 1000000 };
	struct both *b = *state, back = { 0 };
	struct buf bytes = BUF_EMPTY;

	b->snap->mems[SAMPLE_MEMFD].size = (uint64_t)NR * 3 * PAGES_PAGE;
	b->index.nr_frames = NR / 64;
	b->index.frames = arena_array(b->snap->arena, NR / 64, sizeof(struct page_frame));
	for (size_t i = 0; i < NR / 64; i++)
		b->index.frames[i] = (struct page_frame){ i * 9999, 9999, PAGES_FRAME, PAGES_ZSTD,
			i };
	b->index.file_size = NR / 64 * 9999;
	b->index.nr_runs = NR;
	b->index.runs = arena_array(b->snap->arena, NR, sizeof(struct page_run));
	for (uint32_t i = 0; i < NR; i++)
		b->index.runs[i] = (struct page_run){ SAMPLE_MEMFD, 1, (uint64_t)i * 2 * PAGES_PAGE,
			i / 64, i % 64 * PAGES_PAGE };
	assert_int_equal(image_pack_state(b->snap, &b->index, &bytes, &b->err), 0);
	assert_true(bytes.len < 5 * NR);
	if (image_parse_state(bytes.data, bytes.len, &back.snap, &back.index, &b->err) < 0)
		fail_msg("%s", b->err.msg);
	index_equal(&b->index, &back.index);
	snap_destroy(back.snap);
	buf_finish(&bytes);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, both_setup, both_teardown)
	const struct CMUnitTest tests[] = {
		TEST(everything_survives),
		TEST(little_survives),
		TEST(a_second_trip_gives_the_same_bytes),
		cmocka_unit_test(every_impossibility_is_refused),
		cmocka_unit_test(an_empty_message_is_refused),
		TEST(many_empty_processes_cost_no_memory),
		cmocka_unit_test(memory_follows_the_size_of_the_input),
		TEST(unknown_kinds_of_descriptors_are_refused),
		TEST(inherited_descriptors_need_no_kind),
		TEST(a_million_runs_are_compact),
	};

	return cmocka_run_group_tests_name("images_state", tests, NULL, NULL);
}
