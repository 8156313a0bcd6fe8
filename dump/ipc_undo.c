/*
 * What a process owes to System V semaphores (SEM_UNDO). The kernel keeps it per process
 * (ipc/sem.c, struct sem_undo) and shows it to nobody. But the adjustment has a range of 16 bits,
 * and an operation that would leave it fails with ERANGE, after which all operations of the same
 * call are taken back. So the process is made to try such calls: they never change anything.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "dump/ipc.h"
#include "dump/ipc_undo.h"

enum {
	VALUE_MAX = 32767,
	/* adjust - total < -32768 is out of range: the smallest such total is this plus adjust. */
	TOTAL_ZERO = 32769,
	TOTAL_MAX = 65536,
	/* Small enough to fit above nearly every value, large enough for less than 32 operations in
	 * all: sysctl kernel.sem may allow no more. */
	PIECE_MAX = 8192,
	MAX_OPS = 2 * (TOTAL_MAX / PIECE_MAX + 1) + 3,
};

struct probe {
	struct dumping_proc *p;
	struct tracee_thread *th;
	int set, num, value;
};

/* Others may use the semaphore meanwhile: only a value that leaves no room for ours must be known.
 */
static bool value_leaves_room(int value)
{
	return value <= VALUE_MAX - PIECE_MAX - 1;
}

/*
 * Adds `total` with SEM_UNDO in pieces that are taken away without it, and at last adds one and
 * asks for zero. That is never so, whatever others did: EAGAIN, unless an adjustment went out of
 * its range.
 */
static size_t probe_ops(const struct probe *probe, unsigned total, struct sembuf *ops)
{
	unsigned short num = (unsigned short)probe->num;
	size_t nr = 0;

	if (!value_leaves_room(probe->value))
		ops[nr++] = (struct sembuf){ num, (short)-probe->value, IPC_NOWAIT };
	while (total) {
		short piece = (short)(total > PIECE_MAX ? PIECE_MAX : total);

		ops[nr++] = (struct sembuf){ num, piece, SEM_UNDO | IPC_NOWAIT };
		ops[nr++] = (struct sembuf){ num, (short)-piece, IPC_NOWAIT };
		total -= (unsigned)piece;
	}
	ops[nr++] = (struct sembuf){ num, 1, IPC_NOWAIT };
	ops[nr++] = (struct sembuf){ num, 0, IPC_NOWAIT };
	return nr;
}

/* *answer: -ERANGE or -EAGAIN; or why the process has nothing to do with this set. */
static int probe_try(const struct probe *probe, unsigned total, int64_t *answer, struct err *err)
{
	struct sembuf ops[MAX_OPS];
	size_t nr = probe_ops(probe, total, ops), room;
	struct tracee *t = probe->p->t;
	uint64_t scratch;
	int ret = tracee_scratch(t, &scratch, &room, err);

	if (!ret)
		ret = tracee_write(t, scratch, ops, nr * sizeof *ops, err);
	if (!ret)
		ret = tracee_syscall(t, probe->th, SYS_semop,
			(uint64_t[6]){ (uint64_t)probe->set, scratch, nr }, answer, err);
	if (ret < 0)
		return err_wrap(err, "semaphore %d of set %d", probe->num, probe->set);
	if (*answer == 0)
		return err_set(err, EPROTO, "semaphore %d of set %d: a probe went through",
			probe->num, probe->set);
	return 0;
}

/* The smallest total out of range, by halves. */
static int probe_search(const struct probe *probe, int32_t *adjust, struct err *err)
{
	unsigned low = 1, high = TOTAL_MAX;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int64_t answer;
		int ret = probe_try(probe, middle, &answer, err);

		if (ret < 0)
			return ret;
		if (answer == -ERANGE)
			high = middle;
		else
			low = middle + 1;
	}
	*adjust = (int32_t)low - TOTAL_ZERO;
	return 0;
}

/* Two probes tell that nothing is owed, as is nearly always so. */
static int probe_adjust(struct probe *probe, int32_t *adjust, struct err *err)
{
	int64_t above, below;
	int ret, after;

	*adjust = 0;
	probe->value = semctl(probe->set, probe->num, GETVAL);
	if (probe->value < 0)
		return 0; /* gone, or not ours to read */
	ret = probe_try(probe, TOTAL_ZERO, &above, err);
	if (ret < 0 || (above != -ERANGE && above != -EAGAIN))
		return ret;
	ret = probe_try(probe, TOTAL_ZERO - 1, &below, err);
	if (!ret && (above != -ERANGE || below != -EAGAIN))
		ret = probe_search(probe, adjust, err);
	if (ret < 0)
		return ret;
	after = semctl(probe->set, probe->num, GETVAL);
	if (after == probe->value || (value_leaves_room(probe->value) && value_leaves_room(after)))
		return 0;
	err_set(err, EAGAIN, "semaphore %d of set %d is used by another program meanwhile",
		probe->num, probe->set);
	return err_hint(err, "try again");
}

/* ---- all semaphores of one process ------------------------------------------------------- */

static int undo_add(struct dumping_proc *p, const struct probe *probe, int32_t adjust, size_t *cap,
	struct err *err)
{
	struct snap *snap = p->d->snap;
	struct snap_proc *proc;
	uint32_t set;
	int ret = ipc_sem_add(snap, probe->set, &set, err);

	if (ret < 0)
		return ret;
	proc = dumping_snap_proc(p);
	proc->undos = arena_grow(
		snap->arena, proc->undos, proc->nr_undos, cap, sizeof *proc->undos);
	proc->undos[proc->nr_undos++] = (struct snap_sem_undo){ set, (uint32_t)probe->num, adjust };
	return 0;
}

static int set_collect(struct dumping_proc *p, int id, size_t *cap, struct err *err)
{
	struct semid_ds ds;
	union {
		struct semid_ds *ds;
	} arg = { &ds };
	struct probe probe = { .p = p, .th = p->th, .set = id };
	int ret = 0;

	if (semctl(id, 0, IPC_STAT, arg) < 0)
		return 0; /* gone, or not ours to read */
	for (; !ret && probe.num < (int)ds.sem_nsems; probe.num++) {
		int32_t adjust;

		ret = probe_adjust(&probe, &adjust, err);
		if (!ret && adjust)
			ret = undo_add(p, &probe, adjust, cap, err);
	}
	return ret;
}

/* Each process has a list, or none as we have; its threads share it unless they ask otherwise. */
static int lists_check(const struct dumping_proc *p, struct err *err)
{
	for (size_t i = 1; i < p->t->nr_threads; i++) {
		if (p->t->threads[i].state == TRACEE_EXITED ||
			syscall(SYS_kcmp, p->th->tid, p->t->threads[i].tid, KCMP_SYSVSEM, 0, 0) <=
				0)
			continue;
		err_set(err, ENOTSUP,
			"thread %d has a list of semaphore adjustments of its own (SEM_UNDO "
			"without CLONE_SYSVSEM), which is not supported",
			p->t->threads[i].tid);
		return err_hint(err, "dump a program whose threads share it, as POSIX threads do");
	}
	return 0;
}

/* Processes share a list by clone(2) with CLONE_SYSVSEM: what it says is owed once, at the end of
 * the last of them. */
static int sharing_check(const struct dumping_proc *p, struct err *err)
{
	for (const struct dumping_proc *q = p->d->procs; q < p; q++) {
		if (syscall(SYS_kcmp, p->th->tid, q->th->tid, KCMP_SYSVSEM, 0, 0) != 0)
			continue;
		err_set(err, ENOTSUP,
			"process %d shares its semaphore adjustments with process %d "
			"(SEM_UNDO with CLONE_SYSVSEM), which is not supported",
			p->t->pid, q->t->pid);
		return err_hint(err, "start it without CLONE_SYSVSEM");
	}
	return 0;
}

/* Nor have we, once we have left the one that our own threads share (clone(2), CLONE_SYSVSEM). */
static bool has_no_list(const struct dumping_proc *p)
{
	return p->t->nr_threads == 1 && unshare(CLONE_SYSVSEM) == 0 &&
	       syscall(SYS_kcmp, p->th->tid, gettid(), KCMP_SYSVSEM, 0, 0) == 0;
}

int ipc_undos_collect(struct dumping_proc *p, struct err *err)
{
	struct arena *a;
	int32_t *ids;
	size_t nr, cap = 0;
	int ret;

	if (has_no_list(p))
		return 0;
	a = arena_create();
	ret = ipc_sem_ids(a, &ids, &nr, err);
	if (!ret && nr)
		ret = lists_check(p, err);
	for (size_t i = 0; !ret && i < nr; i++)
		ret = set_collect(p, ids[i], &cap, err);
	/* Only then there is a list for certain: none and none are the same to kcmp(2). */
	if (!ret && dumping_snap_proc(p)->nr_undos)
		ret = sharing_check(p, err);
	arena_destroy(a);
	return ret;
}
