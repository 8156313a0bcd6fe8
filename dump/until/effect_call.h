#ifndef DUMP_UNTIL_EFFECT_CALL_H
#define DUMP_UNTIL_EFFECT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What each system call of x86-64 does to what is outside of the process, or learns from there that
 * would be another thing in another instance. A call either is always of one kind (`is`), or its
 * arguments have to be looked at (`judge`). effect_table.c classifies all of them, effect_judge.c
 * has the judges.
 *
 * Not an effect: all that stays in the process (memory, descriptors, threads, its own signals,
 * masks, limits and credentials, timers), opening and reading files, whatever fails in any case.
 * Where it cannot be told, it is one.
 */

struct stat;
struct tracee;

enum effect {
	EFFECT_UNKNOWN, /* no such call was known when this was written */
	EFFECT_NONE,
	EFFECT_FILES,    /* creates, changes, removes or locks a file */
	EFFECT_OUTPUT,   /* writes to a pipe, socket, terminal or device that others have too */
	EFFECT_INPUT,    /* reads from there */
	EFFECT_NET,      /* gives a socket an address, connects, accepts */
	EFFECT_PROCESS,  /* makes, ends, signals or changes a process (other than itself) */
	EFFECT_SYSTEM,   /* changes the kernel's state for all, or by means that cannot be seen */
	EFFECT_IDENTITY, /* asks who or where it is: process ids, host name */
	EFFECT_CLOCK,
	EFFECT_RANDOM,
	NR_EFFECTS,
};

/* What a judge may look at. */
struct effect_look {
	struct tracee *t; /* stopped at the call */
	/* Files that the program has from whoever ran snapctl: others have them too. */
	const struct stat *outside;
	size_t nr_outside;
};

/* A text of the target, at most len bytes with its NUL. */
bool effect_text(struct tracee *t, uint64_t addr, char *text, size_t len);

typedef enum effect effect_judge(const struct effect_look *look, const uint64_t args[6]);

struct effect_call {
	enum effect is;
	effect_judge *judge; /* NULL: `is` says it */
};

/* The entry of a number; of an unknown one EFFECT_UNKNOWN. */
const struct effect_call *effect_call(int64_t nr);
/* "files", "output", ...; what an effect is called on the command line. */
const char *effect_name(enum effect e);

effect_judge judge_open, judge_openat, judge_openat2, judge_open_by_handle, judge_read, judge_write,
	judge_write_second, judge_transfer, judge_splice, judge_send_to, judge_send_message,
	judge_connect, judge_setsockopt, judge_ioctl, judge_fcntl, judge_mmap, judge_clone,
	judge_clone3, judge_exit, judge_kill, judge_pid, judge_priority, judge_getrandom,
	judge_mq_open;

#endif
