#ifndef DUMP_CHECK_H
#define DUMP_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Everything that stands against a dump (DESIGN D12): found while the target runs, before anything
 * of it is changed; the same list for `snapctl check` and for a dump. Each entry says which
 * process, thread, descriptor or address, what it is, why it cannot be dumped, and what to do.
 */

struct arena;
struct dumping;
struct err;

struct objection {
	char *what;
	char *remedy; /* "" where there is none */
	bool passes;  /* EAGAIN: by itself, in a moment, if the program goes on */
};

struct objections {
	struct objection *all; /* in arena */
	size_t nr, cap;
	struct arena *arena;
};

/* Add what err says. */
void objections_add(struct objections *o, const struct err *err);
/* Look at d->target and its tree. Negative only if looking itself failed. */
int check_collect(struct dumping *d, struct objections *o, struct err *err);
/*
 * 0, or the first objection as the error, with how many more there are. What passes is waited for;
 * a tree that never looks whole while it runs is looked at while it stands still.
 */
int check_refuse(struct dumping *d, struct err *err);

#endif
