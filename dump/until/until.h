#ifndef DUMP_UNTIL_UNTIL_H
#define DUMP_UNTIL_UNTIL_H

/*
 * `dump --until=...`: when a program that was launched is to be stopped. The conditions are kinds
 * in one table (condition.h); the first that holds ends the wait.
 *
 *     until_create     parse; open what the program is to find
 *     until_launch     environment and descriptors of the program
 *     until_wait       one of them holds (the tree runs, or its exact thread stands still)
 *     until_warm_up    --warmup, then quiet again
 *     until_undo       tree frozen: what was put into the program is taken out
 */

struct dumping;
struct err;
struct tracee_launch;
struct until;

int until_create(struct dumping *d, struct until **out, struct err *err);
void until_destroy(struct until *u); /* NULL is fine */
void until_launch(struct until *u, struct tracee_launch *what);
/*
 * Handles the events of d->tracer until a condition holds; d->reason says which. -ETIMEDOUT names
 * what was waited for and what the tree did; if the program ends before, d->result->ended is set
 * and the error says how.
 */
int until_wait(struct until *u, struct err *err);
int until_warm_up(struct until *u, struct err *err);
int until_undo(struct until *u, struct err *err);

#endif
