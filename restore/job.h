#ifndef RESTORE_JOB_H
#define RESTORE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kind.h"
#include "images/image.h"
#include "restore/plan.h"
#include "restore/restore.h"

/* Address space set aside for blob and plan; only plan_size() of it is ever mapped. */
#define PLAN_ROOM (256ull << 20)

/*
 * One restore in the making. Made by restore.c, handed down to every part of restore/. The child
 * that becomes the target shares our memory until its exec (spawn.h), so what it finds out stands
 * here too.
 */
struct job {
	const struct restore_opts *opts;
	struct fd_opts fd_opts;
	struct image img;
	struct snap *snap;      /* = img.snap */
	struct snap_proc *proc; /* the one process */
	struct snap_mm *mm;
	enum restore_pids pids; /* never PIDS_AUTO */
	bool privileged;        /* CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE where we are */

	pid_t pid; /* of the new process; 0 while there is none */
	int pidfd;
	struct err child_err; /* why the child could not exec */

	int park;        /* from this number on there are no slots of the target for a while */
	int *ghosts;     /* by snap_file: descriptor of a file made anew, or -1 (ours) */
	bool *remade;    /* by snap_file: made again under its name */
	int *mems;       /* by snap_mem: descriptor of a memfd made anew, or -1 (ours) */
	int *sysv;       /* by snap_mem: id of a SysV segment made anew, or -1 */
	int *sysv_made;  /* by snap_mem: the same, where it did not exist before, or -1 */
	int *map_fds[2]; /* by snap_file, [1] opened for writing: in the child, or -1 */
	int *mem_fds[2]; /* by snap_mem: of a mapped memfd, [1] for writing: in the child, or -1 */
	struct fd_make make;
	bool *settled; /* by snap_ofd: made, with its common state */

	struct plan plan;
	struct snap_creds creds_start; /* what every thread begins with; see creds.c */
	bool own_userns;     /* --pids=ns without privilege: in a user namespace of our own */
	uint64_t sigtrap_at; /* where in the target the action of an ignored SIGTRAP stands, or 0 */
	uint64_t *timer_ids; /* by POSIX timer: where in the target its id stands */
	uint64_t hole_next;  /* where the next hole for staging is looked for */
	uint64_t *mem_at;    /* by snap_mem: where in the target its pages are filled in, 0: not */
	uint64_t *mem_staged; /* by snap_mem: where it is mapped whole for the time being, 0: not */

	bool vdso_same;           /* the running kernel's vdso is the recorded one */
	const uint8_t *vdso_code; /* else: what to write over the recorded vdso's place */
	uint64_t vdso_len;
};

#endif
