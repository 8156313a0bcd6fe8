#ifndef RESTORE_CHILD_H
#define RESTORE_CHILD_H

/*
 * The new process from its birth to its exec: session, directories, descriptors, then the program's
 * own executable under ptrace, in which the blob will rebuild the rest. Executing the dumped
 * program itself gives /proc/PID/exe without the privilege that PR_SET_MM_EXE_FILE asks for.
 */
struct err;
struct job;

/* body of spawn(): never returns; a failure stands in job->child_err and the exit status is 125. */
void child_run(void *job);

/* Writes a number into a small file of /proc where it is another one. base: 10 or 16, of reading.
 */
int child_proc_number(const char *path, int base, long value, struct err *err);

#endif
