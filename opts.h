#ifndef OPTS_H
#define OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "dump/dump.h"
#include "restore/restore.h"

/*
 * The command line: one table of options per command, from which both parsing and --help are made.
 * Everything ends in one struct opts, which nobody changes after parsing.
 */

struct err;

enum { OPTS_INHERIT = 64, OPTS_UNTIL = 31, OPTS_SETENV = 1024 };

struct opts {
	struct dump_opts dump;
	struct restore_opts restore;
	bool json, quiet, help, version, debug_progress;
	const char *output; /* what pack, unpack and core write; NULL: their default */
	bool force;
	pid_t pid;                             /* of a process in an image; 0: the first */
	unsigned verbose;                      /* how many -v */
	const char *setenv[OPTS_SETENV + 1];   /* what restore.setenv points to */
	bool dashes;                           /* "--" stood in front of the operands */
	const char *until[OPTS_UNTIL + 1];     /* what dump.until points to */
	const char *inherit[OPTS_INHERIT + 1]; /* what restore.inherit points to */
};

struct opt {
	const char *name; /* without "--" */
	char letter;      /* 0: none */
	/* What --help calls its argument; NULL: takes none. Shells complete choices, and what is
	 * called PID, DIR, FILE or CONDITION. */
	const char *arg;
	const char *help; /* NULL: works, but is not shown */
	/* Puts value (NULL where there is no argument) at field, or says what is wrong with it. */
	int (*set)(void *field, const struct opt *opt, const char *value, struct err *err);
	size_t field; /* offset in struct opts */
	/* For set: allowed numbers, or milliseconds of a bare number, or the words allowed. */
	long min, max, unit_ms;
	const char *const *choices;
};

/*
 * Tables end with a NULL name. The common ones (-v, -q, -h) are part of every command; the global
 * one holds what may stand before the command besides.
 */
extern const struct opt opts_common[], opts_global[], opts_dump[], opts_restore[], opts_show[],
	opts_verify[], opts_check[], opts_diff[], opts_pack[], opts_unpack[], opts_core[];

/* As they are before the first option. */
void opts_init(struct opts *o);

/*
 * Parse options of table and the common ones; argv[0] is skipped. Options may stand `anywhere`, and
 * then operands are moved to the end of argv; else they end at the first operand: `dump prog
 * --flag` leaves --flag to prog. Returns the index of the first operand, or -EINVAL with the
 * nearest option as hint.
 */
int opts_parse(struct opts *o, const struct opt *table, bool anywhere, int argc, char **argv,
	struct err *err);

/* One line for each option of table that is to be shown. */
void opts_print(const struct opt *table, FILE *out);

/* The word nearest to a mistyped one, or NULL where none is near. */
const char *opts_nearest(const char *word, const char *const *words, size_t nr_words);

#endif
