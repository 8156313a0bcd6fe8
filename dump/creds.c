/* Credentials of one thread: status says nearly all, securebits must be asked for. */
#include <sys/prctl.h>

#include "base/arena.h"
#include "dump/dumping.h"
#include "dump/remote.h"

int creds_collect(struct dumping_proc *p, struct tracee_thread *th,
	const struct proc_status *status, struct snap_creds *out, struct err *err)
{
	uint64_t securebits;
	int ret = remote_prctl(
		p->t, th, PR_GET_SECUREBITS, "prctl(PR_GET_SECUREBITS)", &securebits, err);

	if (ret < 0)
		return ret;
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
		.securebits = (uint32_t)securebits,
		.no_new_privs = status->no_new_privs,
	};
	return 0;
}
