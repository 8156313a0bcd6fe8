/* Processes that have ended and were not waited for. Part of the file "state". */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

void zombies_pack(const struct snap *snap, Pb__State *m)
{
	m->n_zombies = snap->nr_zombies;
	m->zombies = arena_array(snap->arena, snap->nr_zombies, sizeof *m->zombies);
	for (size_t i = 0; i < snap->nr_zombies; i++) {
		const struct snap_zombie *zombie = &snap->zombies[i];
		Pb__Zombie *out = m->zombies[i] = arena_alloc(snap->arena, sizeof *out);

		pb__zombie__init(out);
		PUT(out, pid, zombie->pid);
		PUT(out, pgid, zombie->pgid);
		PUT(out, sid, zombie->sid);
		PUT_ID(out, parent, zombie->parent);
		PUT(out, exit_signal, zombie->exit_signal);
		PUT(out, wait_status, zombie->wait_status);
		if (zombie->uid != UID_NONE)
			PUT(out, uid, zombie->uid);
		PUT(out, elder, zombie->elder);
		PUT_TEXT(out, comm, zombie->comm);
	}
}

int zombies_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_zombies = snap->cap_zombies = m->n_zombies;
	snap->zombies = arena_array(snap->arena, m->n_zombies, sizeof *snap->zombies);
	for (size_t i = 0; i < m->n_zombies; i++) {
		const Pb__Zombie *in = m->zombies[i];
		struct snap_zombie *zombie = &snap->zombies[i];

		*zombie = (struct snap_zombie){
			.pid = in->pid,
			.pgid = in->pgid,
			.sid = in->sid,
			.parent = GET_ID(in, parent),
			.exit_signal = in->exit_signal,
			.wait_status = in->wait_status,
			.uid = in->has_uid ? in->uid : UID_NONE,
			.elder = in->elder,
		};
		if (in->comm.len >= sizeof zombie->comm)
			return BAD(err, "ended process %d: a name of %zu bytes", in->pid,
				in->comm.len);
		if (in->comm.len)
			memcpy(zombie->comm, in->comm.data, in->comm.len);
	}
	return 0;
}

int zombies_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_zombies; i++) {
		const struct snap_zombie *zombie = &snap->zombies[i];
		int status = zombie->wait_status;

		if (zombie->pid <= 0 || zombie->pgid < 0 || zombie->sid < 0 ||
			zombie->exit_signal < 0 || zombie->exit_signal > SNAP_NSIG)
			return BAD(err, "ended process %d: impossible ids", zombie->pid);
		if (zombie->parent >= snap->nr_procs)
			return BAD(err, "ended process %d: its parent does not exist", zombie->pid);
		if (!WIFEXITED(status) && !(WIFSIGNALED(status) && WTERMSIG(status) <= SNAP_NSIG))
			return BAD(err, "ended process %d: impossible status %#x", zombie->pid,
				(unsigned)status);
	}
	return 0;
}
