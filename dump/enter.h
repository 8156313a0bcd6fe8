#ifndef DUMP_ENTER_H
#define DUMP_ENTER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A target in another pid, mount or user namespace, as restore --pids=ns makes them, is dumped from
 * inside: ids and paths are then those that the target sees. Other namespaces stay refused.
 */

struct dump_opts;
struct err;

/* Is it in one that has to be entered? */
bool enter_needed(pid_t pid);
/*
 * Enter those of opts->pid, for good: in a child, and for the pid namespace it is its children that
 * are inside. *inner is opts as it has to read there: pid, and image relative to the directory that
 * is the working directory now. Its image is allocated and never freed.
 */
int enter(const struct dump_opts *opts, struct dump_opts *inner, struct err *err);

#endif
