#ifndef RESTORE_PROCESS_H
#define RESTORE_PROCESS_H

struct job;

/* Attributes of the process as a whole that are set last: after memory is mapped and credentials
 * are. */
void process_plan(struct job *job);

#endif
