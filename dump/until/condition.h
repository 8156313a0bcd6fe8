#ifndef DUMP_UNTIL_CONDITION_H
#define DUMP_UNTIL_CONDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tracee/tracee.h"

/*
 * One kind of --until: one file, one line in the table of until.c. What is asked for on the command
 * line is a `wait` of that kind. Everything but parse and words may be NULL.
 */

struct arena;
struct buf;
struct dumping;
struct err;
struct until;
struct wait;

enum condition_arg { ARG_NONE, ARG_MAY, ARG_MUST };

struct condition {
	const char *name;
	const char *usage, *summary; /* for people: "listen[=PORT|PATH]", "a process of it ..." */
	/* Arguments that can be listed (more than once, if need be), NULL behind the last. */
	const char *(*value)(size_t i);
	enum condition_arg arg;
	/* It holds at one instruction of one thread, which must not run on before the dump. */
	bool exact;
	/* Which system calls its tell() wants; a number that no call has stands for unknown ones.
	 * NULL: none. It may be told of others, too. */
	bool (*wants)(const struct wait *w, int64_t nr);
	/* What finds it out has the program, or a helper of it, do something whose end is worth a
	 * moment's wait. */
	bool stirs;
	/* arg is NULL where there is none; what is kept goes to w->own, in w->arena. */
	int (*parse)(struct wait *w, const char *arg, struct err *err);
	/* Before the launch: open what is needed, until_env() what the program is to find. */
	int (*arm)(struct wait *w, struct err *err);
	/* In the child, before its exec: async-signal-safe; returns an errno. */
	int (*enter)(struct wait *w);
	/* 1: it holds. Called at w->next_ms, when a descriptor of w->fds is readable, and whenever
	 * else something happened; must not block. */
	int (*look)(struct wait *w, uint64_t now_ms, struct err *err);
	/* The same for what the tracer sees; see tracer_observer. */
	bool (*tell)(struct wait *w, const struct tracee_note *note);
	/* The tree is frozen: take out of it what was put in, so that the image does not hold it.
	 */
	int (*undo)(struct wait *w, struct err *err);
	void (*finish)(struct wait *w);
	/* What is waited for, in the past tense, as in "before IT SAID READY=1". */
	void (*words)(const struct wait *w, struct buf *out);
};

struct wait {
	const struct condition *condition;
	struct until *until;
	struct dumping *d;
	struct arena *arena;
	void *own;        /* of the condition */
	int fds[2];       /* poll these for input; -1 */
	uint64_t next_ms; /* call look() at this time; UINT64_MAX: no need */
	bool holds;
	char *found; /* what held, in words for `show`; NULL: the name alone */
};

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t until_now_ms(void);
/* Put NAME=VALUE into the environment of the program; before the launch. */
void until_env(struct until *u, const char *name, const char *value);
/* What else is waited for: the first of this kind, the one at this place; NULL: there is none. */
struct wait *until_first(struct until *u, const struct condition *condition);
struct wait *until_nth(struct until *u, size_t i);
/* The time limit is at least this far away from now on. */
void until_extend(struct until *u, uint64_t ms);
/* Is this process part of the launched tree, or was it until a moment ago? */
bool until_has(const struct until *u, pid_t pid);

extern const struct condition condition_quiescent, condition_ready, condition_listen,
	condition_output, condition_probe, condition_syscall, condition_exec, condition_signal,
	condition_after, condition_effect, condition_checkin;

#endif
