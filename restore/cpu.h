#ifndef RESTORE_CPU_H
#define RESTORE_CPU_H

/* Has this CPU all that the program may be using (DESIGN D14)? An error names what is missing.
 * Where it lays out registers in another way, those of the threads are laid out anew (xstate.h). */
struct err;
struct snap;
int cpu_check(struct snap *snap, struct err *err);

#endif
