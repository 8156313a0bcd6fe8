#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

/*
 * A command. Usage, --help, `snapctl help` and the completion of shells are all made from the table
 * of commands in snapctl.c, so that a new one is one entry there, its options in opts.c, and its
 * manual page in doc/.
 */

struct err;
struct opt;
struct opts;

/* What stands behind a command and its options, for completion. */
enum operand { OPERAND_NONE, OPERAND_IMAGE, OPERAND_IMAGES, OPERAND_FILE, OPERAND_TOPIC };

struct command {
	const char *name;
	const char *synopsis; /* lines of usage, without "snapctl NAME" */
	const char *summary;  /* a few words for the list of commands */
	const char *about;    /* a few lines for its own --help */
	const struct opt *opts;
	bool program; /* the operands are a program and its arguments: options stand before it */
	/* Operands end with NULL. *status is 0 before; on failure it is EXIT_OURS unless set. */
	int (*run)(const struct opts *o, char **operands, int *status, struct err *err);
	enum operand operand;
};

#endif
