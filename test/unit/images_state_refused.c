/*
 * The file "state": everything that cannot be is refused by name. Each refusal is one line of a
 * table: what is broken, and a word of the message.
 */
#include "test/unit/images_both.h"

#include <errno.h>

#include "proto/state.pb-c.h"

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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, both_setup, both_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_impossibility_is_refused),
		TEST(unknown_kinds_of_descriptors_are_refused),
		cmocka_unit_test(an_empty_message_is_refused),
		TEST(many_empty_processes_cost_no_memory),
		cmocka_unit_test(memory_follows_the_size_of_the_input),
	};

	return cmocka_run_group_tests_name("images_state_refused", tests, NULL, NULL);
}
