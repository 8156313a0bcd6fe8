#ifndef RESTORE_CREDS_H
#define RESTORE_CREDS_H

#include <stdbool.h>
#include <stddef.h>

/* Credentials and capabilities, which the kernel keeps per thread. */

struct err;
struct job;
struct remote;

/* Have we the right to choose process ids and the like where we are? */
int creds_privileged(void);

/*
 * In the child: capabilities that the blob still needs (choosing thread ids) survive the exec of a
 * user other than root only as ambient ones.
 */
int creds_keep_over_exec(struct job *job, struct err *err);

/* Finds out what every thread begins with (job->creds_start), unless that is known. */
void creds_begin(struct job *job);

/*
 * Has its exec given job's process other ids than ours, by set-id bits of the file? Then the calls
 * that undo it; group first, while it may.
 */
bool creds_of_file(const struct job *job, struct remote *calls);

/* Steps of a thread, behind creds_begin(): only what differs from what it will have inherited.
 * Nothing privileged may follow. */
int creds_plan(struct job *job, size_t thread, struct err *err);

#endif
