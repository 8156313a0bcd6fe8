#ifndef DUMP_UNTIL_AREA_H
#define DUMP_UNTIL_AREA_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/protocol.h"

/* The memory through which snapctl answers a program that has checked in; see lib/protocol.h. */

struct dumping;
struct err;
struct tracee;

/* Where it is; pid 0: nowhere. */
struct area {
	pid_t pid;
	uint64_t addr;
};

/* Is there an area at addr? It is the program's word: nothing is believed. t may run. */
int area_check(struct tracee *t, uint64_t addr, struct err *err);
int area_answer(struct tracee *t, uint64_t addr, enum snapctl_state state, struct err *err);
/* The same for d->area; nothing where nobody waits for an answer. */
int area_tell(struct dumping *d, enum snapctl_state state, struct err *err);

#endif
