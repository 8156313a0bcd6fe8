#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

/*
 * What each command does. The work is done below dump/dump.h, restore/restore.h and images/image.h;
 * here its options are handed down, and what came of it is said.
 */

struct err;
struct opts;

/* As env(1) and timeout(1) have them; a restored program's own status is passed through. */
enum {
	EXIT_OBSTACLES = 1,
	EXIT_DIFFERENT = 1,
	EXIT_OURS = 125,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127
};

/* For the table of commands, see command.h: operands end with NULL. */
int run_dump(const struct opts *o, char **operands, int *status, struct err *err);
int run_restore(const struct opts *o, char **operands, int *status, struct err *err);
int run_show(const struct opts *o, char **operands, int *status, struct err *err);
int run_verify(const struct opts *o, char **operands, int *status, struct err *err);
int run_diff(const struct opts *o, char **operands, int *status, struct err *err);
int run_check(const struct opts *o, char **operands, int *status, struct err *err);
int run_pack(const struct opts *o, char **operands, int *status, struct err *err);
int run_unpack(const struct opts *o, char **operands, int *status, struct err *err);
int run_core(const struct opts *o, char **operands, int *status, struct err *err);
int run_packed(const struct opts *o, char **operands, int *status, struct err *err);
int run_version(const struct opts *o, char **operands, int *status, struct err *err);

/* -EINVAL: what is wrong with the words, and a hint to --help of the command. */
int fail_usage(const char *command, struct err *err, const char *what);
/* Is there an image? Just for hints. */
bool is_image(const char *path);
/* A line. Messages may quote names out of an image or of a hostile process: no escape sequences
 * from there. */
void print_plain(FILE *out, const char *text);

#endif
