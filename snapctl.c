/*
 * snapctl: the table of commands, help, and main(). This is the only place that prints an error; an
 * exit status is chosen here, or by the command (commands.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "command.h"
#include "commands.h"
#include "complete.h"
#include "images/image.h"
#include "opts.h"
#include "topics.h"

static int run_help(const struct opts *o, char **operands, int *status, struct err *err);

static const struct command commands[] = {
	{ "dump", "[OPTION...] PROGRAM [ARG...]\n[OPTION...] --pid PID | --ask PID",
		"write an image of a program that has started up, or of a running process",
		"Starts PROGRAM, waits until it is quiescent, writes an image of it and ends it; "
		"or does\n"
		"that to a running process. Options of PROGRAM stand behind its name.",
		opts_dump, true, run_dump, OPERAND_NONE },
	{ "restore", "[OPTION...] IMAGE [-- ARG...]", "make the program of an image run again",
		"Makes the program run again where it stood and stands in for it: signals are "
		"passed on,\n"
		"the exit status is the program's.",
		opts_restore, false, run_restore, OPERAND_IMAGE },
	{ "show", "[--json] IMAGE", "tell what is in an image",
		"Prints processes, threads and what they wait in, mappings, descriptors, sizes.",
		opts_show, false, run_show, OPERAND_IMAGE },
	{ "verify", "IMAGE", "check an image for damage",
		"Checks every digest, every frame of pages and every reference inside the image.",
		opts_verify, false, run_verify, OPERAND_IMAGE },
	{ "diff", "[--json] A B", "tell what is different between two images",
		"Compares processes, threads, mappings, contents of pages and descriptors. Exits "
		"with 0 if\n"
		"the images are of the same state, with 1 if they differ, with 125 on errors.",
		opts_diff, false, run_diff, OPERAND_IMAGES },
	{ "check", "--pid PID", "tell what stands against a dump of a process",
		"Lists what of the process could not be restored, and what to do about it. "
		"Changes\n"
		"nothing. Exits with 0 if there is nothing, with 1 if there is something.",
		opts_check, false, run_check, OPERAND_NONE },
	{ "pack", "[OPTION...] IMAGE",
		"make one executable file of an image, which restores itself",
		"Writes a program that carries the image: ./image.snap [OPTION...] [-- ARG...] "
		"does "
		"what\n"
		"restore does. It holds all that the process had in memory, as the image does.",
		opts_pack, false, run_pack, OPERAND_IMAGE },
	{ "unpack", "[OPTION...] FILE", "make an image again of what pack has written",
		"Writes the very image that was packed.", opts_unpack, false, run_unpack,
		OPERAND_FILE },
	{ "core", "[OPTION...] IMAGE", "write a core file of a process in an image, for gdb",
		"Writes an ELF core file with all threads, registers and memory, as the kernel "
		"does of\n"
		"a process that crashes.",
		opts_core, false, run_core, OPERAND_IMAGE },
	{ "help", "[COMMAND | TOPIC]", "explain a command or a topic",
		"Prints what `snapctl COMMAND --help` prints, or what there is to know about a "
		"topic.\n"
		"Without a name, lists both.",
		NULL, false, run_help, OPERAND_TOPIC },
	{ "version", "", "print the version", "Prints the version of snapctl.", NULL, false,
		run_version, OPERAND_NONE },
	{ 0 },
};

enum { MAX_NAMES = 64 };

/* What `name` may have been meant as: a command, or a topic if `topic`. */
static const char *name_nearest(const char *name, bool topic)
{
	const char *names[MAX_NAMES];
	size_t nr = 0;

	for (const struct command *c = commands; c->name && nr < MAX_NAMES; c++)
		names[nr++] = c->name;
	for (const struct topic *t = topics; topic && t->name && nr < MAX_NAMES; t++)
		names[nr++] = t->name;
	return opts_nearest(name, names, nr);
}

static const struct command *command_named(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(name, c->name))
			return c;
	return NULL;
}

static const struct command *command_find(const char *name, struct err *err)
{
	const struct command *c = command_named(name);
	const char *nearest = c ? NULL : name_nearest(name, false);

	if (c)
		return c;
	err_set(err, EINVAL, "there is no command '%s'", name);
	if (nearest)
		err_hint(err, "did you mean `snapctl %s`?", nearest);
	else if (is_image(name))
		err_hint(err, "did you mean `snapctl restore %s`?", name);
	else if (topic_find(name))
		err_hint(err, "did you mean `snapctl help %s`?", name);
	else
		err_hint(err, "snapctl --help lists the commands");
	return NULL;
}

/* ---- help --------------------------------------------------------------------------------------
 */

static void print_overview(FILE *out)
{
	fputs("usage: snapctl COMMAND [OPTION...] ...\n\n"
	      "Freezes started programs into images and makes them run again.\n\n",
		out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-8s %s\n", c->name, c->summary);
	fputs("\n  snapctl dump redis-server --port 7777     start it, write image/, end it\n"
	      "  snapctl restore image/                    it serves again, in the foreground\n\n"
	      "snapctl COMMAND --help shows the options of a command, snapctl help the topics.\n",
		out);
}

static void print_help(const struct command *c, FILE *out)
{
	const char *line = c->synopsis;

	for (const char *lead = "usage:"; line; lead = "      ") {
		fprintf(out, "%s %s%s %.*s\n", lead, c->run == run_packed ? "" : "snapctl ",
			c->name, (int)strcspn(line, "\n"), line);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	fprintf(out, "\n%s\n\n", c->about);
	opts_print(c->opts, out);
	opts_print(opts_common, out);
}

static void print_topics(FILE *out)
{
	fputs("\nsnapctl help TOPIC explains\n\n", out);
	for (const struct topic *t = topics; t->name; t++)
		fprintf(out, "  %-12s %s\n", t->name, t->summary);
}

static int run_help(const struct opts *o, char **operands, int *status, struct err *err)
{
	const struct command *c = operands[0] ? command_named(operands[0]) : NULL;
	const struct topic *t = operands[0] ? topic_find(operands[0]) : NULL;
	const char *nearest;

	(void)o, (void)status;
	if (operands[0] && operands[1])
		return fail_usage("help", err, "one command or topic at a time");
	if (c) {
		print_help(c, stdout);
	} else if (t) {
		topic_print(t, stdout);
	} else if (operands[0]) {
		nearest = name_nearest(operands[0], true);
		err_set(err, EINVAL, "there is no command or topic '%s'", operands[0]);
		return nearest ? err_hint(err, "did you mean `snapctl help %s`?", nearest)
			       : err_hint(err, "snapctl help lists them");
	} else {
		print_overview(stdout);
		print_topics(stdout);
	}
	return 0;
}

/* ---- main --------------------------------------------------------------------------------------
 */

static void print_err(const char *command, const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "snapctl: %s%s", command, *command ? ": " : "");
	print_plain(stderr, err->msg);
	if (err->hint[0]) {
		fputs("  hint: ", stderr);
		print_plain(stderr, err->hint);
	}
}

/* A full disk behind stdout must not look like success. */
static int stdout_finish(struct err *err)
{
	if (fflush(stdout) || ferror(stdout))
		return err_sys(err, "write to standard output");
	return 0;
}

/* What explains a failure wherever it was met. */
static void explain(struct err *err)
{
	if (err->code == ENAMETOOLONG)
		err_hint(err,
			"a path has at most 4095 bytes, each name in it 255: cd nearer to it, "
			"and name it from there");
	if (err->code == EMFILE)
		err_hint(err, "more files have to be open than snapctl may have here: raise the "
			      "limit (ulimit -n)");
}

static int command_run(
	const struct command *c, struct opts *o, int argc, char **argv, struct err *err)
{
	int first = opts_parse(o, c->opts, !c->program, argc, argv, err), status = 0, ret = first;

	if (first >= 0 && o->help) {
		print_help(c, stdout);
		ret = 0;
	} else if (first >= 0) {
		log_set_level(o->verbose > 1 ? LOG_DEBUG : o->verbose ? LOG_INFO : LOG_QUIET);
		/* A restore has no system call to spare: it looks when it has opened its image. */
		if (c->run != run_restore && c->run != run_packed)
			fd_hold_standard();
		ret = c->run(o, argv + first, &status, err);
	}
	if (ret >= 0)
		ret = stdout_finish(err);
	if (ret >= 0)
		return status;
	explain(err);
	print_err(c->name, err);
	return status ? status : EXIT_OURS;
}

/* `./server.snap`: this program and an image are one file. */
static int packed_main(struct opts *o, int argc, char **argv, struct err *err)
{
	const char *name = argc > 0 ? argv[0] : "packed image", *slash = strrchr(name, '/');
	const struct command c = { slash ? slash + 1 : name, "[OPTION...] [-- ARG...]", NULL,
		"Makes the program that it carries run again, as `snapctl restore` does; the "
		"manual page\n"
		"snapctl(1) explains it. What follows -- is for programs that ask libsnapctl.",
		opts_restore, false, run_packed, OPERAND_NONE };

	o->restore.self = true;
	o->restore.image = c.name;
	return command_run(&c, o, argc, argv, err);
}

int main(int argc, char **argv)
{
	const struct command *c = NULL;
	struct err err = { 0 };
	struct opts o;
	char version[] = "version", help[] = "help", *instead[] = { NULL, NULL, NULL };
	int first;

	/* Whole lines: others write to the same terminal or log. */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	opts_init(&o);
	if (image_is_self())
		return packed_main(&o, argc, argv, &err);
	if (argc > 1 && !strcmp(argv[1], "__complete")) {
		complete(commands, argc - 2, argv + 2, stdout);
		return 0;
	}
	first = opts_parse(&o, opts_global, false, argc, argv, &err);
	if (first >= 0 && (o.version || o.help)) {
		instead[0] = o.version ? version : help;
		instead[1] = o.version ? NULL : argv[first]; /* `snapctl --help dump` */
		o.help = false;
		return command_run(
			command_find(instead[0], &err), &o, instead[1] ? 2 : 1, instead, &err);
	}
	if (first == argc) {
		print_overview(stderr);
		return EXIT_OURS;
	}
	if (first >= 0)
		c = command_find(argv[first], &err);
	if (!c) {
		print_err("", &err);
		return EXIT_OURS;
	}
	return command_run(c, &o, argc - first, argv + first, &err);
}
