#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * One line on a terminal that says how far work has come which takes longer than a second: phase,
 * bytes, rate. It is written over again and again, and removed before anything else is said there
 * (log.h knows of it). Whoever works says so with progress_phase() and progress_add(), also from
 * several threads, and from children if the struct lies in shared memory. A NULL progress is none:
 * every function takes it.
 */
struct progress {
	int fd;              /* where to */
	_Atomic(int) tty;    /* 0: nobody has looked yet, 1: fd is a terminal, -1: it is not */
	_Atomic(bool) shown; /* there is such a line now */
	_Atomic(const char *) phase;   /* "reading memory"; NULL: nothing to be shown */
	_Atomic(uint64_t) done, total; /* bytes of the phase; total 0: unknown */
	_Atomic(uint64_t) begun_ms, phase_ms, next_ms; /* work, phase, the next line */
	uint64_t first_ms, every_ms; /* work that takes less is not worth a line; the next one */
};

/* No system call is made before the first second is over. */
void progress_begin(struct progress *p, int fd);
/* For tests: show the line at once and always. */
void progress_at_once(struct progress *p);
/* What comes next; name must live as long as p. */
void progress_phase(struct progress *p, const char *name, uint64_t total);
/* So much more is done; shows the line when it is time. */
void progress_add(struct progress *p, uint64_t bytes);
void progress_tick(struct progress *p);
/* Somebody else writes to the terminal now, or it is over: remove the line, until the next phase.
 */
void progress_end(struct progress *p);
/* Has it taken so long, on a terminal, that a line was worth it? For how long, in seconds, or 0. */
double progress_took(const struct progress *p);

/* What stands before a message while there may be a line: removes it. "" where there is none. */
const char *progress_cleaner(const struct progress *p);

#endif
