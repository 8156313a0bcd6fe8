#ifndef DUMP_DUMPING_H
#define DUMP_DUMPING_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "dump/dump.h"
#include "dump/until/area.h"
#include "images/fd/kind.h"
#include "images/snap.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

/*
 * One dump under way: what the phases of dump.c hand to each other. Private to dump/. It is owned
 * by dump_run(); everything that hangs in it is released by dumping_finish() at any stage.
 */

struct err;
struct file_table;
struct flocks;
struct image_writer;
struct left_table;
struct mem_table;
struct pages_writer;
struct slot_table;
struct until;

struct dumping {
	const struct dump_opts *opts;
	struct dump_result *result;
	const struct stop_requests *stop; /* who asks us to give up; NULL: nobody can */
	struct snap *snap;
	struct tracer *tracer;
	struct tracee *target;      /* of the tracer; NULL before it was launched or seized */
	struct dumping_proc *procs; /* by snap_proc, in snap's arena: parents before children */
	size_t nr_procs;
	pid_t outside; /* parent of the target: what it has, the launcher may have given */
	struct image_writer *writer;
	struct pages_writer *pages; /* of writer */
	struct fd_opts fd_opts;
	struct fd_dump fd_dump; /* the hooks of fds.c; priv is this struct */
	uint32_t *in_flight;    /* ofds that were found in queues; in snap's arena */
	size_t nr_in_flight, cap_in_flight;
	struct file_table *files; /* in snap's arena, files.c */
	struct mem_table *mems;   /* in snap's arena, shared.c */
	struct left_table *left;  /* in snap's arena, left.c */
	struct slot_table *slots; /* in snap's arena, fds.c */
	int *own_fds;             /* descriptors of our own that a launched program inherits */
	size_t nr_own_fds;
	struct area area;    /* of a program that has checked in */
	struct until *until; /* of a launched program; NULL */
	bool sieved;         /* the oldest seccomp filter of each thread is that of until/sieve.h */
	int64_t told_session;  /* the session keyring that was told last; keyrings.c */
	struct flocks *flocks; /* flocks.c; NULL before the freeze */
	double frozen_at;      /* when the freeze began, as dumping_now_ms() says it */
	const char *reason;    /* "quiescent", "ready", "as found"; lives as long as until */
};

/* What clone(2) can let two processes share. */
enum shares { SHARES_VM, SHARES_FILES, SHARES_FS, SHARES_SIGHAND, SHARES_END };

/* Everything of a snap that is being made for one process: its tables may still move, so ids. */
struct dumping_proc {
	struct dumping *d;
	struct tracee *t;
	uint32_t id; /* in snap->procs */
	/* Where the leader has ended before its threads, it has no memory and no files any more: a
	 * thread that lives, and its directory below /proc. Else the leader, and that of the
	 * process. */
	struct tracee_thread *th;
	int dir;
	struct proc_vma *vmas; /* smaps as it was before we asked the target for anything */
	size_t nr_vmas;
	uint32_t shares[SHARES_END]; /* of each kind: the first process that has the same */
	struct proc_status status;   /* of the leader */
	struct proc_stat stat;
};

static inline struct snap_proc *dumping_snap_proc(const struct dumping_proc *p)
{
	return &p->d->snap->procs[p->id];
}

/* CLOCK_MONOTONIC, for telling how long something took. */
double dumping_now_ms(void);

/* Every part of a process has one function that fills its part of the snap; target frozen. */
int tasks_collect(struct dumping_proc *p, struct err *err);
int signals_collect(struct dumping_proc *p, struct err *err);
/* Anew, what is pending for the process as a whole. */
int signals_collect_shared(struct dumping_proc *p, struct err *err);
/* The same of those threads that are wanted. */
int tasks_collect_pending(struct dumping_proc *p,
	bool (*wanted)(const struct snap_proc *proc, int32_t tid), struct err *err);
int timers_collect(struct dumping_proc *p, struct err *err);
int attributes_collect(struct dumping_proc *p, struct err *err);
int limits_collect(struct dumping_proc *p, struct err *err);
int mm_collect(struct dumping_proc *p, struct err *err);
int vdso_collect(struct dumping_proc *p, struct err *err);

/* Parts of one thread. `name` is its directory below /proc/PID: "task/TID". */
/* All but the securebits. */
void creds_collect(
	const struct dumping_proc *p, const struct proc_status *status, struct snap_creds *out);
int sched_collect(struct dumping_proc *p, pid_t tid, struct snap_sched *out, struct err *err);

/* Parts of the whole. */
int fds_collect(struct dumping *d, struct err *err);
int cpu_collect(struct snap *snap, struct err *err);
int info_collect(struct dumping *d, struct err *err);

#endif
