#ifndef RESTORER_BLOB_PLAN_H
#define RESTORER_BLOB_PLAN_H

#include <stdint.h>

/*
 * The contract between restore/ (which decides) and the blob (which does, when libc and the old
 * memory are gone). Restore/ writes one plan into shared memory; the blob finds it mapped right
 * behind its code:
 *
 *     base                       code of the blob, read and execute
 *     base + plan_offset         struct blob_plan, read and write, shared with snapctl
 *     ... steps, thread table, data, one small stack per thread
 *
 * Everything inside the plan is named by offset from the start of struct blob_plan; step arguments
 * are final values (addresses of the new address space, or of plan data at its known address).
 *
 * Each task runs its list of steps in order. A failed step stops the task: it leaves step number
 * and errno in its thread entry and parks. Parked means `int3`: the tracer sees SIGTRAP.
 */

enum {
	BLOB_STACK = 4096,
	/* Offset from base of a `syscall` instruction followed by int3, for remote calls of the
	   tracer. */
	BLOB_SYSCALL_INSN = 2,
	BLOB_ANY_ERRNO = 0xffff, /* of `tolerate`: no errno is a failure */
};

enum blob_op {
	BLOB_END = 0,    /* park, for good */
	BLOB_PARK,       /* park; when the tracer continues us, go on behind this step */
	BLOB_SYSCALL,    /* system call nr with args; below 0 it fails, unless it is -tolerate */
	BLOB_SYSCALL_IS, /* as BLOB_SYSCALL, and the result must be `expect`, else EBADE */
	BLOB_STORE32,    /* *(uint32_t *)args[0] = args[1], if the word was args[2] */
	BLOB_SPAWN,      /* make thread args[0] (index into the thread table); args[1]: CLONE_FILES,
			    CLONE_FS or both where it gets its own */
	BLOB_STORE_TID,  /* *(uint32_t *)args[0] = own tid, if the word was args[1] (libc's cached
			    tid) */
	BLOB_READY,      /* tell those that await this thread */
	BLOB_AWAIT,    /* until thread args[0] of the table is there; args[1]: until it is ready */
	BLOB_LOAD_TID, /* *(uint32_t *)args[0] = tid of thread args[1] of the table, now */
	BLOB_FLAGS,    /* set these bits of eflags, which ptrace(2) leaves alone */
};

struct blob_step {
	uint32_t op;
	uint32_t nr; /* system call number */
	uint64_t args[6];
	int64_t expect;
	int64_t result;    /* out: what the system call returned */
	uint32_t tolerate; /* this errno is no failure; 0: none */
	uint32_t tid_args; /* bit i: args[i] is an index of the thread table, give its tid */
};

struct blob_thread {
	uint64_t steps;       /* offset of its first struct blob_step */
	uint64_t stack_top;   /* offset, 16-aligned */
	uint64_t clear_tid;   /* address for CLONE_CHILD_CLEARTID, 0: none */
	int32_t want_tid;     /* clone3 set_tid; 0: any */
	int32_t tid;          /* out: what it got */
	uint32_t failed_step; /* out: index of the failed step + 1; 0: all went well */
	int32_t failed_errno; /* out */
	uint32_t ready;       /* out: BLOB_READY */
	uint32_t unused;
};

struct blob_plan {
	uint64_t nr_threads;
	uint64_t threads; /* offset of struct blob_thread[nr_threads]; [0] is the leader */
};

#endif
