#ifndef RESTORE_PROCESS_H
#define RESTORE_PROCESS_H

struct err;
struct job;

/* Attributes of the process as a whole that are set last: after memory is mapped and credentials
 * are. */
void process_plan(struct job *job);
/* From outside, when all threads have parked. */
int process_finish(struct job *job, struct err *err);

#endif
