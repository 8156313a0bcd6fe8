/* System V semaphores and message queues made again; see ipc.h. */
#include "restore/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/ipc_settings.h"
#include "restore/job.h"

enum { SEMAPHORE_MAX = 32767 };

union semun {
	int value;
	struct semid_ds *ds;
	unsigned short *array;
};

int ipc_enter_own(struct job *job, struct err *err)
{
	if (!job->snap->ipc_own)
		return 0;
	if (unshare(CLONE_NEWIPC) == 0)
		return ipc_settings_raise(job, err);
	err_sys(err, "the program had an IPC namespace of its own: make one");
	return err_hint(err, "restore as root, or with --pids=ns");
}

/* Ask for an id (Documentation/admin-guide/sysctl/kernel.rst); checkpoint/restore only. */
static void ask_id(const char *path, int32_t id)
{
	OWNED_FD fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%d", id) < 0)
		log_debug("%s: %s", path, strerror(errno));
}

static int id_taken(const char *what, const struct snap_ipc *owner, struct err *err)
{
	err_set(err, EEXIST, "%s %d with key 0x%x: its id or key is taken, or may not be chosen",
		what, owner->id, (unsigned)owner->key);
	return err_hint(err, "see who has it (ipcs), or restore as root");
}

/* ---- semaphores -------------------------------------------------------------------------- */

/* Of all processes together; *first owes the most senior part of it. */
static int owed_to(
	const struct snap *snap, uint32_t set, size_t num, const struct snap_proc **first)
{
	int sum = 0;

	*first = NULL;
	for (size_t p = 0; p < snap->nr_procs; p++)
		for (size_t u = 0; u < snap->procs[p].nr_undos; u++) {
			const struct snap_sem_undo *undo = &snap->procs[p].undos[u];

			if (undo->set != set || undo->num != num)
				continue;
			sum += undo->adjust;
			*first = *first ? *first : &snap->procs[p];
		}
	return sum;
}

/*
 * The value when all that is owed has been added, as it is when the old processes have ended: the
 * kernel cuts it off at both ends (exit_sem in ipc/sem.c). *cut: what that takes away from it.
 */
static int value_paid(const struct snap *snap, uint32_t set, size_t num, int *cut)
{
	const struct snap_proc *first;
	int value = snap->sem_sets[set].values[num] + owed_to(snap, set, num, &first);
	int paid = value < 0 ? 0 : value > SEMAPHORE_MAX ? SEMAPHORE_MAX : value;

	*cut = value - paid;
	return paid;
}

static int set_values(struct job *job, uint32_t index, struct err *err)
{
	const struct snap_sem_set *set = &job->snap->sem_sets[index];
	unsigned short *values = arena_array(job->snap->arena, set->nr_values, sizeof *values);
	int cut;

	for (size_t i = 0; i < set->nr_values; i++)
		values[i] = (unsigned short)value_paid(job->snap, index, i, &cut);
	if (semctl(job->sems[index], 0, SETALL, (union semun){ .array = values }) < 0)
		return err_sys(err, "values of semaphore set %d", set->owner.id);
	return 0;
}

static int sem_chown(int id, const struct snap_ipc *owner, struct err *err)
{
	struct semid_ds ds;

	if (semctl(id, 0, IPC_STAT, (union semun){ .ds = &ds }) < 0)
		return err_sys(err, "semaphore set %d", id);
	ds.sem_perm.uid = owner->uid;
	ds.sem_perm.gid = owner->gid;
	ds.sem_perm.mode = (unsigned short)owner->mode;
	if (semctl(id, 0, IPC_SET, (union semun){ .ds = &ds }) < 0)
		return err_sys(err, "owner of semaphore set %d", id);
	return 0;
}

/* Still there, as nobody has removed it: its values are what others have made of them. */
static bool sem_there(const struct snap_sem_set *set)
{
	struct semid_ds ds;

	return semctl(set->owner.id, 0, IPC_STAT, (union semun){ .ds = &ds }) == 0 &&
	       ds.sem_perm.__key == set->owner.key && ds.sem_nsems == set->nr_values;
}

static int sem_make(struct job *job, uint32_t index, struct err *err)
{
	const struct snap_sem_set *set = &job->snap->sem_sets[index];
	int id;

	if (!job->snap->ipc_own && sem_there(set))
		return 0;
	ask_id("/proc/sys/kernel/sem_next_id", set->owner.id);
	id = semget(set->owner.key, (int)set->nr_values, IPC_CREAT | IPC_EXCL | 0600);
	if (id < 0 && errno != EEXIST)
		return err_sys(err, "semaphore set %d", set->owner.id);
	if (id < 0)
		return id_taken("semaphore set", &set->owner, err);
	job->sems[index] = id;
	if (id != set->owner.id)
		return id_taken("semaphore set", &set->owner, err);
	if (set_values(job, index, err) < 0)
		return -err->code;
	return sem_chown(id, &set->owner, err);
}

/* An operation takes 15 bits and a sign. */
static size_t ops_add(struct sembuf *ops, size_t nr, uint32_t num, int by, int flags)
{
	while (by) {
		int piece = by > SEMAPHORE_MAX    ? SEMAPHORE_MAX
			    : by < -SEMAPHORE_MAX ? -SEMAPHORE_MAX
						  : by;

		ops[nr++] = (struct sembuf){ (unsigned short)num, (short)piece,
			(short)(flags | IPC_NOWAIT) };
		by -= piece;
	}
	return nr;
}

/* It owes again what its end has paid, and with that the semaphore is as it was. */
static void undo_plan(struct job *job, const struct snap_sem_undo *undo)
{
	const struct snap_proc *first;
	struct sembuf ops[8];
	size_t nr = ops_add(ops, 0, undo->num, -undo->adjust, SEM_UNDO);
	int cut;

	owed_to(job->snap, undo->set, undo->num, &first);
	value_paid(job->snap, undo->set, undo->num, &cut);
	if (first == job->proc)
		nr = ops_add(ops, nr, undo->num, cut, 0);
	plan_syscall(&job->plan, 0, SYS_semop,
		(struct plan_args){ { (uint64_t)job->snap->sem_sets[undo->set].owner.id,
			plan_data(&job->plan, ops, nr * sizeof *ops), nr } });
}

void ipc_plan(struct job *job)
{
	for (size_t i = 0; i < job->proc->nr_undos; i++)
		undo_plan(job, &job->proc->undos[i]);
}

/* ---- message queues ---------------------------------------------------------------------- */

static int message_send(int id, const struct snap_message *message, struct err *err)
{
	struct msgbuf *buf = malloc(sizeof(long) + message->len + 1);
	int ret;

	if (!buf)
		return err_nomem(err);
	buf->mtype = message->type;
	if (message->len)
		memcpy(buf->mtext, message->data, message->len);
	ret = msgsnd(id, buf, message->len, IPC_NOWAIT);
	free(buf);
	if (ret == 0)
		return 0;
	err_sys(err, "a message of %zu bytes to queue %d", message->len, id);
	return err_hint(err, "see whether kernel.msgmax and kernel.msgmnb are smaller than before");
}

/* As many bytes, and as many messages, as it takes to send them all: a size that was lowered since
 * comes last. */
static uint64_t queue_room(const struct snap_queue *queue)
{
	uint64_t total = 0, room = queue->max_len;

	for (size_t i = 0; i < queue->nr_messages; i++)
		total += queue->messages[i].len;
	room = room < total ? total : room;
	return room < queue->nr_messages ? queue->nr_messages : room;
}

/* Its size may be more than a new one gets, for which privilege is needed. */
static int queue_adjust(int id, const struct snap_queue *queue, bool last, struct err *err)
{
	uint64_t len = last ? queue->max_len : queue_room(queue);
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds) < 0)
		return err_sys(err, "message queue %d", id);
	if (!last && ds.msg_qbytes >= len)
		return 0;
	ds.msg_qbytes = len;
	if (last) {
		ds.msg_perm.uid = queue->owner.uid;
		ds.msg_perm.gid = queue->owner.gid;
		ds.msg_perm.mode = (unsigned short)queue->owner.mode;
	}
	if (msgctl(id, IPC_SET, &ds) < 0)
		return err_sys(err, "size and owner of message queue %d", id);
	return 0;
}

static bool queue_there(const struct snap_queue *queue)
{
	struct msqid_ds ds;

	return msgctl(queue->owner.id, IPC_STAT, &ds) == 0 && ds.msg_perm.__key == queue->owner.key;
}

static int queue_make(struct job *job, uint32_t index, struct err *err)
{
	const struct snap_queue *queue = &job->snap->queues[index];
	int ret, id;

	if (!job->snap->ipc_own && queue_there(queue))
		return 0;
	ask_id("/proc/sys/kernel/msg_next_id", queue->owner.id);
	id = msgget(queue->owner.key, IPC_CREAT | IPC_EXCL | 0600);
	if (id < 0 && errno != EEXIST)
		return err_sys(err, "message queue %d", queue->owner.id);
	if (id < 0)
		return id_taken("message queue", &queue->owner, err);
	job->queues[index] = id;
	if (id != queue->owner.id)
		return id_taken("message queue", &queue->owner, err);
	ret = queue_adjust(id, queue, false, err);
	for (size_t i = 0; !ret && i < queue->nr_messages; i++)
		ret = message_send(id, &queue->messages[i], err);
	return ret ? ret : queue_adjust(id, queue, true, err);
}

/* ---- all --------------------------------------------------------------------------------- */

static int *ids_none(struct job *job, size_t nr)
{
	int *ids = arena_array(job->snap->arena, nr + 1, sizeof *ids);

	memset(ids, 0xff, (nr + 1) * sizeof *ids);
	return ids;
}

int ipc_make(struct job *job, struct err *err)
{
	int ret = 0;

	job->sems = ids_none(job, job->snap->nr_sem_sets);
	job->queues = ids_none(job, job->snap->nr_queues);
	for (uint32_t i = 0; !ret && i < job->snap->nr_sem_sets; i++)
		ret = sem_make(job, i, err);
	for (uint32_t i = 0; !ret && i < job->snap->nr_queues; i++)
		ret = queue_make(job, i, err);
	return ret ? ret : ipc_settings_lower(job, err);
}

void ipc_undo(struct job *job)
{
	for (size_t i = 0; job->sems && i < job->snap->nr_sem_sets; i++)
		if (job->sems[i] >= 0)
			semctl(job->sems[i], 0, IPC_RMID);
	for (size_t i = 0; job->queues && i < job->snap->nr_queues; i++)
		if (job->queues[i] >= 0)
			msgctl(job->queues[i], IPC_RMID, NULL);
}
