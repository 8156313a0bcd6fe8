/* System V semaphores and message queues; see ipc.h, and ipc_undo.c for SEM_UNDO. */
#include "dump/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/ipc_left.h"
#include "dump/ipc_settings.h"
#include "dump/ipc_undo.h"

int ipc_enter(struct dumping *d, struct err *err)
{
	OWNED_FD fd = openat(d->target->procfd, "ns/ipc", O_RDONLY | O_CLOEXEC);
	struct stat theirs, ours;

	if (fd < 0 || fstat(fd, &theirs) < 0 || stat("/proc/self/ns/ipc", &ours) < 0 ||
		(theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev))
		return 0;
	/* What we may not enter, check_process.c objects to. */
	if (setns(fd, CLONE_NEWIPC) < 0)
		return errno == EPERM ? 0 : err_sys(err, "enter the IPC namespace of the process");
	d->snap->ipc_own = true;
	log_info("the program is in an IPC namespace of its own");
	return 0;
}

/* ---- tables of /proc/sysvipc ------------------------------------------------------------- */

int ipc_ids(const char *path, struct arena *a, int32_t **ids, size_t *nr, struct err *err)
{
	size_t cap = 0;
	char line[512];
	FILE *in = fopen(path, "re");

	*nr = 0;
	*ids = NULL;
	if (!in)
		return errno == ENOENT ? 0 : err_sys(err, "open %s", path);
	while (fgets(line, sizeof line, in)) {
		int32_t key, id;

		if (sscanf(line, " %d %d", &key, &id) != 2)
			continue; /* the title */
		*ids = arena_grow(a, *ids, *nr, &cap, sizeof **ids);
		(*ids)[(*nr)++] = id;
	}
	fclose(in);
	return 0;
}

int ipc_sem_ids(struct arena *a, int32_t **ids, size_t *nr, struct err *err)
{
	return ipc_ids("/proc/sysvipc/sem", a, ids, nr, err);
}

static struct snap_ipc owner_of(int32_t id, const struct ipc_perm *perm)
{
	return (struct snap_ipc){ id, perm->__key, perm->mode & 0777, perm->uid, perm->gid };
}

/* Pids in here are as we see them. */
static bool is_of_tree(const struct dumping *d, pid_t pid)
{
	for (size_t i = 0; pid && i < d->nr_procs; i++)
		if (d->procs[i].t->pid == pid)
			return true;
	return false;
}

/* Gone between two looks: its owner is outside of the tree, which stands still. */
static bool is_gone(void)
{
	return errno == EINVAL || errno == EIDRM;
}

/* ---- semaphores -------------------------------------------------------------------------- */

union semun {
	struct semid_ds *ds;
	unsigned short *array;
};

static bool sem_used(const struct dumping *d, int id, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (is_of_tree(d, semctl(id, (int)i, GETPID)))
			return true;
	return false;
}

static bool sem_known(const struct snap *snap, int32_t id)
{
	for (size_t i = 0; i < snap->nr_sem_sets; i++)
		if (snap->sem_sets[i].owner.id == id)
			return true;
	return false;
}

int ipc_sem_add(struct snap *snap, int32_t id, uint32_t *index, struct err *err)
{
	struct snap_sem_set set;
	struct semid_ds ds;

	for (*index = 0; *index < snap->nr_sem_sets; ++*index)
		if (snap->sem_sets[*index].owner.id == id)
			return 0;
	if (semctl(id, 0, IPC_STAT, (union semun){ .ds = &ds }) < 0)
		return err_sys(err, "semaphore set %d", id);
	set.owner = owner_of(id, &ds.sem_perm);
	set.nr_values = ds.sem_nsems;
	set.values = arena_array(snap->arena, ds.sem_nsems, sizeof *set.values);
	if (semctl(id, 0, GETALL, (union semun){ .array = set.values }) < 0)
		return err_sys(err, "values of semaphore set %d", id);
	snap->sem_sets = arena_grow(snap->arena, snap->sem_sets, snap->nr_sem_sets,
		&snap->cap_sem_sets, sizeof *snap->sem_sets);
	snap->sem_sets[snap->nr_sem_sets++] = set;
	return 0;
}

static int sem_collect(struct dumping *d, int32_t id, struct err *err)
{
	struct semid_ds ds;
	uint32_t index;

	if (sem_known(d->snap, id))
		return 0;
	if (semctl(id, 0, IPC_STAT, (union semun){ .ds = &ds }) < 0) {
		if (is_gone() || (errno == EACCES && !d->snap->ipc_own))
			return 0;
		return err_sys(err, "semaphore set %d", id);
	}
	if (!d->snap->ipc_own && !sem_used(d, id, ds.sem_nsems))
		return 0;
	return ipc_sem_add(d->snap, id, &index, err);
}

/* ---- message queues ---------------------------------------------------------------------- */

/* MSG_COPY leaves it where it is, and takes its place in the queue instead of a type. */
static int message_copy(struct arena *a, int id, size_t place, size_t room,
	struct snap_message *out, bool *there, struct err *err)
{
	struct msgbuf *buf = malloc(sizeof(long) + room + 1);
	ssize_t len;

	if (!buf)
		return err_nomem(err);
	len = msgrcv(id, buf, room, (long)place, MSG_COPY | IPC_NOWAIT);
	*there = len >= 0;
	if (len >= 0)
		*out = (struct snap_message){ buf->mtype, arena_copy(a, buf->mtext, (size_t)len),
			(size_t)len };
	free(buf);
	if (len < 0 && errno != ENOMSG)
		return err_sys(err, "messages of queue %d", id);
	return 0;
}

static int queue_add(struct snap *snap, int32_t id, const struct msqid_ds *ds, struct err *err)
{
	struct snap_queue queue = { owner_of(id, &ds->msg_perm), ds->msg_qbytes, NULL, 0 };
	size_t cap = 0;

	for (;;) {
		struct snap_message message = { 0 };
		bool there = false;
		int ret = message_copy(snap->arena, id, queue.nr_messages, ds->__msg_cbytes,
			&message, &there, err);

		if (ret < 0)
			return ret;
		if (!there)
			break;
		queue.messages = arena_grow(snap->arena, queue.messages, queue.nr_messages, &cap,
			sizeof *queue.messages);
		queue.messages[queue.nr_messages++] = message;
	}
	snap->queues = arena_grow(snap->arena, snap->queues, snap->nr_queues, &snap->cap_queues,
		sizeof *snap->queues);
	snap->queues[snap->nr_queues++] = queue;
	return 0;
}

static int queue_collect(struct dumping *d, int32_t id, struct err *err)
{
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds) < 0) {
		if (is_gone() || (errno == EACCES && !d->snap->ipc_own))
			return 0;
		return err_sys(err, "message queue %d", id);
	}
	if (!d->snap->ipc_own && !is_of_tree(d, ds.msg_lspid) && !is_of_tree(d, ds.msg_lrpid))
		return 0;
	return queue_add(d->snap, id, &ds, err);
}

/* ---- all --------------------------------------------------------------------------------- */

int ipc_collect(struct dumping *d, struct err *err)
{
	struct arena *a = arena_create();
	int32_t *ids;
	size_t nr;
	int ret = ipc_sem_ids(a, &ids, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++)
		ret = sem_collect(d, ids[i], err);
	if (!ret)
		ret = ipc_ids("/proc/sysvipc/msg", a, &ids, &nr, err);
	for (size_t i = 0; !ret && i < nr; i++)
		ret = queue_collect(d, ids[i], err);
	if (!ret && d->snap->ipc_own)
		ret = ipc_left_check(d, err);
	if (!ret && d->snap->ipc_own)
		ret = ipc_settings_collect(d, err);
	arena_destroy(a);
	return ret;
}
