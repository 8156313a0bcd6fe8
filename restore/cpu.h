#ifndef RESTORE_CPU_H
#define RESTORE_CPU_H

/* Has this CPU all that the program may be using (DESIGN D14)? An error names what is missing. */
struct err;
struct snap;
int cpu_check(const struct snap *snap, struct err *err);

#endif
