#ifndef RESTORE_NS_H
#define RESTORE_NS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * --pids=ns: a pid namespace of the program's own (with a user namespace where unprivileged), /proc
 * mounted anew in a mount namespace, and a small init in it: a fork of ourselves that goes on with
 * the restore, reaps and forwards signals, and ends with the program's status.
 */
struct err;

struct ns {
	bool userns;   /* in: make a user namespace too */
	bool made;     /* the namespaces are: there is no way back out of them */
	int32_t above; /* in: what is not of the image gets ids above this one */
	pid_t init;    /* outside: pid of the init; 0 in the init itself */
	pid_t maker;   /* outside: another process in there, which ends with its report; or 0 */
	int report; /* init: where to report; outside: where to hear; stops of the program, too */
};

/* Returns twice: outside, with ns->init set, and in the init. A failure without
 * ns->made: no namespaces are to be had here. */
int ns_enter(struct ns *ns, bool stays, struct err *err);

/* The parts of it: namespaces for children to come, with a descriptor for them to report with; and
 * what one of those does first. */
int ns_make(struct ns *ns, int *inside, struct err *err);
int ns_begin(const struct ns *ns, struct err *err);

/* In the init or maker: the program runs (err NULL) as `pid`, or it failed. A maker says the first
 * before the program can end and take it along, and may say the second afterwards. */
void ns_report(struct ns *ns, pid_t pid, const struct err *err);
/* Outside: wait for the report; *pid is the program's in our namespace. */
int ns_wait(struct ns *ns, pid_t *pid, struct err *err);

#endif
