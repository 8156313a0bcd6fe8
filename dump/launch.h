#ifndef DUMP_LAUNCH_H
#define DUMP_LAUNCH_H

/* Starting the program, or taking hold of a running one: gives d->target. */

struct dumping;
struct err;

/* d->opts->argv, until what d->opts->until says; frozen then. It dies with us from here on. */
int launch_start(struct dumping *d, struct err *err);
/* d->opts->pid, seized but running. */
int launch_attach(struct dumping *d, struct err *err);
/* Note which descriptors a launched program inherits: before we open any of our own. */
int launch_note_fds(struct dumping *d, struct err *err);

#endif
