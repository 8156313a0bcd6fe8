#ifndef RESTORE_INTERRUPT_H
#define RESTORE_INTERRUPT_H

/*
 * Requests to give up (base/interrupt.h) while a program is made that runs detached. All processes
 * of a restore die with it, but files, queues and segments that it has made would stay: where there
 * are to be such, requests are held back, and looked for right before the program runs. An init of
 * --pids=ns that is to stay looks whether it is still wanted.
 */
struct err;
struct job;

void interrupt_hold(struct job *job);
int interrupt_asked(const struct job *job, struct err *err);

#endif
