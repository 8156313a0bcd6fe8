#ifndef DUMP_KEYRINGS_H
#define DUMP_KEYRINGS_H

struct dumping_proc;
struct err;

/*
 * Keys of keyrings(7) that come back nowhere are told: those of thread and process keyrings, and of
 * a session keyring that is not the caller's own.
 */
int keyrings_tell(struct dumping_proc *p, struct err *err);

#endif
