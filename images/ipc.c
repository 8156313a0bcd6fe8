/* System V semaphores and message queues. Part of the file "state". */
#include <errno.h>

#include "base/arena.h"
#include "images/ipc_settings.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

enum { SEMAPHORE_MAX = 32767, SEM_ADJUST_MAX = 32768, MODE_MAX = 0777 };

/* ---- packing --------------------------------------------------------------------------------- */

static Pb__IpcOwner *owner_pack(struct arena *arena, const struct snap_ipc *owner)
{
	Pb__IpcOwner *m = arena_alloc(arena, sizeof *m);

	pb__ipc_owner__init(m);
	PUT(m, id, owner->id);
	PUT(m, key, owner->key);
	PUT(m, mode, owner->mode);
	PUT(m, uid, owner->uid);
	PUT(m, gid, owner->gid);
	return m;
}

static Pb__SemSet *sem_set_pack(struct arena *arena, const struct snap_sem_set *set)
{
	Pb__SemSet *m = arena_alloc(arena, sizeof *m);

	pb__sem_set__init(m);
	m->owner = owner_pack(arena, &set->owner);
	m->n_values = set->nr_values;
	m->values = arena_array(arena, set->nr_values, sizeof *m->values);
	for (size_t i = 0; i < set->nr_values; i++)
		m->values[i] = set->values[i];
	return m;
}

static Pb__SysvQueue *queue_pack(struct arena *arena, const struct snap_queue *queue)
{
	Pb__SysvQueue *m = arena_alloc(arena, sizeof *m);

	pb__sysv_queue__init(m);
	m->owner = owner_pack(arena, &queue->owner);
	PUT(m, max_bytes, queue->max_len);
	m->n_messages = queue->nr_messages;
	m->messages = arena_array(arena, queue->nr_messages, sizeof *m->messages);
	for (size_t i = 0; i < queue->nr_messages; i++) {
		Pb__SysvMessage *out = m->messages[i] = arena_alloc(arena, sizeof *out);

		pb__sysv_message__init(out);
		PUT(out, type, queue->messages[i].type);
		PUT_BYTES(out, data, queue->messages[i].data, queue->messages[i].len);
	}
	return m;
}

static void settings_pack(const struct snap *snap, Pb__State *m)
{
	m->n_ipc_settings = snap->nr_ipc_settings;
	m->ipc_settings = arena_array(snap->arena, snap->nr_ipc_settings, sizeof *m->ipc_settings);
	for (size_t i = 0; i < snap->nr_ipc_settings; i++) {
		Pb__IpcSetting *out = m->ipc_settings[i] = arena_alloc(snap->arena, sizeof *out);

		pb__ipc_setting__init(out);
		out->name = arena_strdup(snap->arena, snap->ipc_settings[i].name);
		out->value = arena_strdup(snap->arena, snap->ipc_settings[i].value);
	}
}

void ipc_pack(const struct snap *snap, Pb__State *m)
{
	PUT(m, ipc_own, snap->ipc_own);
	settings_pack(snap, m);
	m->n_sem_sets = snap->nr_sem_sets;
	m->sem_sets = arena_array(snap->arena, snap->nr_sem_sets, sizeof *m->sem_sets);
	for (size_t i = 0; i < snap->nr_sem_sets; i++)
		m->sem_sets[i] = sem_set_pack(snap->arena, &snap->sem_sets[i]);
	m->n_queues = snap->nr_queues;
	m->queues = arena_array(snap->arena, snap->nr_queues, sizeof *m->queues);
	for (size_t i = 0; i < snap->nr_queues; i++)
		m->queues[i] = queue_pack(snap->arena, &snap->queues[i]);
}

void sem_undos_pack(const struct snap *snap, const struct snap_proc *proc, Pb__Proc *m)
{
	m->n_sem_undos = proc->nr_undos;
	m->sem_undos = arena_array(snap->arena, proc->nr_undos, sizeof *m->sem_undos);
	for (size_t i = 0; i < proc->nr_undos; i++) {
		Pb__SemUndo *out = m->sem_undos[i] = arena_alloc(snap->arena, sizeof *out);

		pb__sem_undo__init(out);
		PUT(out, set, proc->undos[i].set);
		PUT(out, num, proc->undos[i].num);
		PUT(out, adjust, proc->undos[i].adjust);
	}
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static int owner_unpack(const Pb__IpcOwner *m, struct snap_ipc *owner, struct err *err)
{
	if (!m)
		return BAD(err, "a System V object without an owner");
	*owner = (struct snap_ipc){ m->id, m->key, m->mode, m->uid, m->gid };
	return 0;
}

static int sem_set_unpack(
	struct snap *snap, const Pb__SemSet *m, struct snap_sem_set *set, struct err *err)
{
	set->nr_values = m->n_values;
	set->values = arena_array(snap->arena, m->n_values, sizeof *set->values);
	for (size_t i = 0; i < m->n_values; i++) {
		if (m->values[i] > SEMAPHORE_MAX)
			return BAD(err, "a semaphore of %u", m->values[i]);
		set->values[i] = (uint16_t)m->values[i];
	}
	return owner_unpack(m->owner, &set->owner, err);
}

static int queue_unpack(
	struct snap *snap, const Pb__SysvQueue *m, struct snap_queue *queue, struct err *err)
{
	queue->max_len = m->max_bytes;
	queue->nr_messages = m->n_messages;
	queue->messages = arena_array(snap->arena, m->n_messages, sizeof *queue->messages);
	for (size_t i = 0; i < m->n_messages; i++) {
		const Pb__SysvMessage *in = m->messages[i];

		queue->messages[i] = (struct snap_message){ in->type,
			arena_copy(snap->arena, in->data.data, in->data.len), in->data.len };
	}
	return owner_unpack(m->owner, &queue->owner, err);
}

/* They become paths below /proc/sys: no others than those that are known. */
static int settings_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_ipc_settings = snap->cap_ipc_settings = m->n_ipc_settings;
	snap->ipc_settings = arena_array(
		snap->arena, m->n_ipc_settings, sizeof *snap->ipc_settings);
	if (m->n_ipc_settings && !m->ipc_own)
		return BAD(err, "settings of somebody else's IPC namespace");
	for (size_t i = 0; i < m->n_ipc_settings; i++) {
		const Pb__IpcSetting *in = m->ipc_settings[i];
		const char *name = in->name ? ipc_setting_name(in->name) : NULL;

		if (!name || !in->value || !ipc_setting_valid(in->value))
			return BAD(err, "an impossible setting of an IPC namespace");
		snap->ipc_settings[i] = (struct snap_ipc_setting){ name,
			arena_strdup(snap->arena, in->value) };
	}
	return 0;
}

int ipc_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	int ret = settings_unpack(snap, m, err);

	snap->ipc_own = m->ipc_own;
	snap->nr_sem_sets = snap->cap_sem_sets = m->n_sem_sets;
	snap->sem_sets = arena_array(snap->arena, m->n_sem_sets, sizeof *snap->sem_sets);
	for (size_t i = 0; !ret && i < m->n_sem_sets; i++)
		ret = sem_set_unpack(snap, m->sem_sets[i], &snap->sem_sets[i], err);
	snap->nr_queues = snap->cap_queues = m->n_queues;
	snap->queues = arena_array(snap->arena, m->n_queues, sizeof *snap->queues);
	for (size_t i = 0; !ret && i < m->n_queues; i++)
		ret = queue_unpack(snap, m->queues[i], &snap->queues[i], err);
	return ret;
}

void sem_undos_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc)
{
	proc->nr_undos = m->n_sem_undos;
	proc->undos = arena_array(snap->arena, m->n_sem_undos, sizeof *proc->undos);
	for (size_t i = 0; i < m->n_sem_undos; i++)
		proc->undos[i] = (struct snap_sem_undo){ m->sem_undos[i]->set, m->sem_undos[i]->num,
			m->sem_undos[i]->adjust };
}

/* ---- checking -------------------------------------------------------------------------------- */

static int owner_check(const struct snap_ipc *owner, struct err *err)
{
	if (owner->id < 0 || owner->mode > MODE_MAX)
		return BAD(err, "System V object %d with mode %o", owner->id, owner->mode);
	return 0;
}

static int queue_check(const struct snap_queue *queue, struct err *err)
{
	/* It may hold more than max_len, which may have been lowered since. */
	for (size_t i = 0; i < queue->nr_messages; i++)
		if (queue->messages[i].type <= 0)
			return BAD(err, "message queue %d: type %lld", queue->owner.id,
				(long long)queue->messages[i].type);
	return owner_check(&queue->owner, err);
}

static int undos_check(const struct snap *snap, const struct snap_proc *proc, struct err *err)
{
	for (size_t i = 0; i < proc->nr_undos; i++) {
		const struct snap_sem_undo *undo = &proc->undos[i];

		if (undo->set >= snap->nr_sem_sets ||
			undo->num >= snap->sem_sets[undo->set].nr_values || !undo->adjust ||
			undo->adjust < -SEM_ADJUST_MAX || undo->adjust > SEMAPHORE_MAX)
			return BAD(err, "process %d: impossible SEM_UNDO", proc->pid);
	}
	return 0;
}

int ipc_check(const struct snap *snap, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < snap->nr_sem_sets; i++)
		ret = snap->sem_sets[i].nr_values ? owner_check(&snap->sem_sets[i].owner, err)
						  : BAD(err, "no semaphores in a set");
	for (size_t i = 0; !ret && i < snap->nr_queues; i++)
		ret = queue_check(&snap->queues[i], err);
	for (size_t i = 0; !ret && i < snap->nr_procs; i++)
		ret = undos_check(snap, &snap->procs[i], err);
	return ret;
}
