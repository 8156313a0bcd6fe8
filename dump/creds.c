/* Credentials of one thread: status says nearly all. */
#include "base/arena.h"
#include "dump/dumping.h"

void creds_collect(
	const struct dumping_proc *p, const struct proc_status *status, struct snap_creds *out)
{
	*out = (struct snap_creds){
		.ruid = status->uid[0],
		.euid = status->uid[1],
		.suid = status->uid[2],
		.fsuid = status->uid[3],
		.rgid = status->gid[0],
		.egid = status->gid[1],
		.sgid = status->gid[2],
		.fsgid = status->gid[3],
		.groups = arena_copy(p->d->snap->arena, status->groups,
			status->nr_groups * sizeof *status->groups),
		.nr_groups = status->nr_groups,
		.cap_inheritable = status->cap_inh,
		.cap_permitted = status->cap_prm,
		.cap_effective = status->cap_eff,
		.cap_bounding = status->cap_bnd,
		.cap_ambient = status->cap_amb,
		.securebits = out->securebits, /* of task_ask.c */
		.no_new_privs = status->no_new_privs,
	};
}
