#ifndef RESTORE_JOB_H
#define RESTORE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/interrupt.h"
#include "images/fd/kind.h"
#include "images/image.h"
#include "restore/plan.h"
#include "restore/restore.h"
#include "restore/terminal.h"

struct ns;
struct orphan;
struct stage;
struct tcp_hold;

/* Address space set aside for blob and plan; only plan_size() of it is ever mapped. */
#define PLAN_ROOM (256ull << 20)

/*
 * One process in the making. restore.c makes the first one, whose child shares our memory until its
 * exec (spawn.h), so what it finds out stands here too; tree.c derives one for each other process.
 * What comes first is the same for all processes of a restore, in value or by pointer; what follows
 * is each one's own.
 */
struct job {
	const struct restore_opts *opts;
	struct fd_opts fd_opts;
	struct image img;
	struct snap *snap;        /* = img.snap */
	enum restore_pids pids;   /* never PIDS_AUTO */
	bool privileged;          /* CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE where we are */
	struct terminal terminal; /* of the caller */
	int caller;         /* in an init: ends when snapctl does, who asked for all this; or -1 */
	bool requests_held; /* to give up: interrupt.h */
	struct stop_requests requests;
	int gate; /* the first process is there already, and waits for a word here; or -1 */
	struct orphan *orphan; /* that one, where it is not our child, nor an init; or NULL */
	struct ns *tell; /* whom to tell right before it runs, as its end may be ours; or NULL */
	struct err child_err; /* why the first child could not exec */

	int park;             /* from this number on there are no slots of the target for a while */
	int *ghosts;          /* by snap_file: descriptor of a file made anew, or -1 (ours) */
	bool *remade;         /* by snap_file: made again under its name */
	bool some_born;       /* there are such: */
	bool some_of_threads; /* there are pidfds or files of threads: fds_of_threads() */
	int *born_with;       /* by snap_ofd: opened when its file was made, or -1 (ours) */
	int *mems;            /* by snap_mem: descriptor of a memfd or the like, or -1 (ours) */
	int *sysv;            /* by snap_mem: id of a SysV segment made anew, or -1 */
	int *sems, *queues;   /* by snap_sem_set, snap_queue: id of one made anew, or -1 */
	int *sysv_made;       /* by snap_mem: the same, where it did not exist before, or -1 */
	int *map_fds[2];      /* by snap_file, [1] opened for writing: in the child, or -1 */
	int *mem_fds[2]; /* by snap_mem: of a mapped memfd, [1] for writing: in the child, or -1 */
	struct fd_make make;
	uint8_t generation[16]; /* of this restore, no other has it */
	struct tcp_hold *hold;  /* holds back packets of TCP connections, or NULL */
	bool *settled;          /* by snap_ofd: made, with its common state */
	int *parked;  /* by snap_ofd: out of all slots, for other processes than the first; or -1 */
	int *cwd_fds; /* by snap_proc: in the first child, or -1 */
	int *exe_fds; /* by snap_mm: likewise */
	int *root_fds; /* by snap_proc: likewise, where it has another root than we */
	int *dir_fds;  /* by snap_file: directories of threads, in the first child, or -1 */

	/* ---- of this process ---- */
	struct snap_proc *proc;
	struct snap_mm *mm;
	struct stage *stage; /* mm is not the recorded one yet, but that of this; or NULL */
	pid_t pid;           /* of the new process; 0 while there is none */
	int pidfd;
	struct plan plan;
	struct snap_creds creds_start;          /* what every thread begins with; see creds.c */
	const struct snap_rlimit *limits_start; /* and every process, or NULL; see limits.c */
	bool own_userns;        /* --pids=ns without privilege: in a user namespace of our own */
	int32_t session, group; /* where it is now; 0: the caller's. See tree_birth.h */
	struct user_regs_struct
		parked_at;           /* its registers while other calls are made in its name */
	uint64_t maker_insn;         /* of the blob of whose address space it shares */
	bool released;               /* before the others: it was stopped */
	int stop_signal;             /* that stops it in the end; see stoppable.h */
	pid_t pair[2], pair_pids[2]; /* elder and younger, as the parent sees them and as we do */
	bool ready;                  /* before the others: it was continued */
	bool session_waits;  /* it makes its session only after children that are not in it */
	uint32_t *makers;    /* by snap_task: the one that makes it; NULL: the first makes all */
	uint64_t sigtrap_at; /* where in the target the action of an ignored SIGTRAP stands, or 0 */
	uint64_t late_info_at;  /* where there is room for a signal queued late, or 0: none is */
	uint64_t sigpending_at; /* likewise of the limit of pending signals that comes last, or 0 */
	uint64_t *timer_ids;    /* by POSIX timer: where in the target its id stands */
	uint64_t hole_next;     /* where the next hole for staging is looked for */
	uint64_t *mem_at; /* by snap_mem: where in the target its pages are filled in, 0: not */
	/* Forked: the private pages that differ from those of the process it is a copy of. */
	bool forked;
	bool shares_vm; /* it has its parent's address space, and nothing of it to make */
	struct page_run *fork_runs;
	size_t nr_fork_runs;
	uint64_t *mem_staged; /* by snap_mem: where it is mapped whole for the time being, 0: not */

	bool vdso_same;           /* the running kernel's vdso is the recorded one */
	const uint8_t *vdso_code; /* else: what to write over the recorded vdso's place */
	uint64_t vdso_len;
};

#endif
