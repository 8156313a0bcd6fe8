/* The file "state": every field of the model survives. What is refused is in
 * images_state_refused.c. */
#include "test/unit/images_both.h"

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
		TEST(inherited_descriptors_need_no_kind),
		TEST(a_million_runs_are_compact),
	};

	return cmocka_run_group_tests_name("images_state", tests, NULL, NULL);
}
