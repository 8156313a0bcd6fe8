/*
 * snapctl: the commands. This is the only place that prints an error and chooses an exit status;
 * the work is done below dump/dump.h, restore/restore.h and images/image.h.
 */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/dump.h"
#include "images/image.h"
#include "opts.h"
#include "restore/restore.h"

/* As env(1) and timeout(1) have them; a restored program's own status is passed through. */
enum { EXIT_OBSTACLES = 1, EXIT_OURS = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

struct command {
	const char *name;
	const char *synopsis; /* lines of usage, without "snapctl NAME" */
	const char *summary;  /* a few words for the list of commands */
	const char *about;    /* a few lines for its own --help */
	const struct opt *opts;
	bool program; /* the operands are a program and its arguments: options stand before it */
	/* Operands end with NULL. *status is 0 before; on failure it is EXIT_OURS unless set. */
	int (*run)(const struct opts *o, char **operands, int *status, struct err *err);
};

/* ---- what several commands need ----------------------------------------------------------------
 */

/* Say whom it failed for, unless the message begins with that already. */
static int fail_for(const char *subject, struct err *err)
{
	if (text_starts(err->msg, subject))
		return -err->code;
	return err_wrap(err, "%s", subject);
}

static int fail_usage(const char *command, struct err *err, const char *what)
{
	err_set(err, EINVAL, "%s", what);
	return err_hint(err, "snapctl %s --help shows how it is called", command);
}

static int operand_image(const char *command, char **operands, const char **image, struct err *err)
{
	if (!operands[0])
		return fail_usage(command, err, "which image? Name its directory");
	if (operands[1])
		return fail_usage(command, err, "one image at a time");
	*image = operands[0];
	return 0;
}

/* "3.1 MiB" in buf. */
static const char *size_text(unsigned long long bytes, char *buf, size_t len)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, len, "%llu bytes", bytes);
		return buf;
	}
	while (size >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, len, "%.1f %s", size, units[unit]);
	return buf;
}

/* ---- dump --------------------------------------------------------------------------------------
 */

static void dump_print_summary(
	const char *who, const struct dump_opts *d, const struct dump_result *r)
{
	char pages[32], image[32];

	fprintf(stderr,
		"snapctl: dumped %s to %s (%s): %s of memory in %s, stood still for %.1f ms\n", who,
		d->image, r->found, size_text(r->pages_bytes, pages, sizeof pages),
		size_text(r->image_bytes, image, sizeof image), r->frozen_ms);
}

static void dump_print_json(const struct dump_opts *d, const struct dump_result *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "image", json_object_new_string(d->image));
	json_object_object_add(o, "found", json_object_new_string(r->found));
	json_object_object_add(o, "pages_bytes", json_object_new_uint64(r->pages_bytes));
	json_object_object_add(o, "image_bytes", json_object_new_uint64(r->image_bytes));
	json_object_object_add(o, "frozen_ms", json_object_new_double(r->frozen_ms));
	json_object_object_add(o, "total_ms", json_object_new_double(r->total_ms));
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}

static int run_dump(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct dump_opts d = o->dump;
	struct dump_result result = { 0 };
	char who[128];

	if (!d.pid && !operands[0])
		return fail_usage("dump", err, "what? Name a program, or a process with --pid");
	if (d.pid && operands[0])
		return fail_usage("dump", err, "either a program or --pid, not both");
	if (d.pid && (o->until[0] || d.warmup))
		return fail_usage(
			"dump", err, "--until and --warmup are for programs that it starts");
	d.argv = operands[0] ? operands : NULL;
	if (d.pid)
		snprintf(who, sizeof who, "process %d", d.pid);
	else
		snprintf(who, sizeof who, "%s", operands[0]);
	if (dump_run(&d, &result, err) < 0) {
		if (result.not_launched)
			*status = err->code == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
		return fail_for(who, err);
	}
	if (!o->quiet)
		dump_print_summary(who, &d, &result);
	if (o->json)
		dump_print_json(&d, &result);
	return 0;
}

/* ---- the other commands ------------------------------------------------------------------------
 */

static int run_restore(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct restore_opts r = o->restore;

	if (o->dashes && operands[0]) {
		/* What follows the image is for the program. */
		r.image = operands[0];
		r.args = (const char *const *)operands + 1;
	} else if (operand_image("restore", operands, &r.image, err) < 0) {
		return -err->code;
	}
	return restore_run(&r, status, err) < 0 ? fail_for(r.image, err) : 0;
}

static int run_show(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct image image = { 0 };
	const char *path = NULL;
	int ret;

	(void)status;
	if (operand_image("show", operands, &path, err) < 0)
		return -err->code;
	if (image_open(path, &image, err) < 0)
		return fail_for(path, err);
	ret = image_show(&image, o->json, stdout, err);
	image_close(&image);
	return ret < 0 ? fail_for(path, err) : 0;
}

static int run_verify(const struct opts *o, char **operands, int *status, struct err *err)
{
	const char *path = NULL;

	(void)status;
	if (operand_image("verify", operands, &path, err) < 0)
		return -err->code;
	if (image_verify(path, err) < 0)
		return fail_for(path, err);
	if (!o->quiet)
		printf("%s: whole and consistent\n", path);
	return 0;
}

static int run_check(const struct opts *o, char **operands, int *status, struct err *err)
{
	char who[32];
	int nr;

	if (!o->dump.pid || operands[0])
		return fail_usage("check", err, "which process? Name it with --pid");
	snprintf(who, sizeof who, "process %d", o->dump.pid);
	nr = dump_check(o->dump.pid, &o->dump, stdout, err);
	if (nr < 0)
		return fail_for(who, err);
	if (nr == 0 && !o->quiet)
		printf("%s: nothing stands against a dump\n", who);
	*status = nr > 0 ? EXIT_OBSTACLES : 0;
	return 0;
}

static int run_pack(const struct opts *o, char **operands, int *status, struct err *err)
{
	const char *path = NULL, *output = o->output ? o->output : "image.snap";
	char size[32];
	uint64_t len;

	(void)status;
	if (operand_image("pack", operands, &path, err) < 0)
		return -err->code;
	if (image_pack(path, output, o->force, &len, err) < 0)
		return -err->code;
	if (!o->quiet)
		fprintf(stderr, "snapctl: packed %s as %s (%s), with all that was in memory\n",
			path, output, size_text(len, size, sizeof size));
	return 0;
}

static int run_unpack(const struct opts *o, char **operands, int *status, struct err *err)
{
	const char *path = NULL, *output = o->output ? o->output : "image";

	(void)status;
	if (operand_image("unpack", operands, &path, err) < 0)
		return -err->code;
	if (image_unpack(path, output, o->force, err) < 0)
		return -err->code;
	if (!o->quiet)
		fprintf(stderr, "snapctl: unpacked %s to %s\n", path, output);
	return 0;
}

static void print_plain(FILE *out, const char *text);

static int run_core(const struct opts *o, char **operands, int *status, struct err *err)
{
	const char *path = NULL, *output = o->output ? o->output : "core";
	struct core_made made;
	char size[32], line[sizeof made.exe + 256];

	(void)status;
	if (operand_image("core", operands, &path, err) < 0)
		return -err->code;
	if (image_core(path, output, o->force, o->pid, &made, err) < 0)
		return -err->code;
	if (o->quiet)
		return 0;
	snprintf(line, sizeof line, "snapctl: wrote process %d, %zu thread%s, %s: gdb %s %s",
		made.pid, made.nr_threads, made.nr_threads == 1 ? "" : "s",
		size_text(made.len, size, sizeof size), made.exe, output);
	print_plain(stderr, line);
	return 0;
}

/* What a packed image is when it runs: o->restore.image is its name. */
static int run_packed(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct restore_opts r = o->restore;

	if (getauxval(AT_UID) != getauxval(AT_EUID)) {
		err_set(err, EPERM, "a packed image must not be set-user-ID");
		return err_hint(err, "whoever runs it decides with its options what it writes: "
				     "chmod u-s it");
	}
	if (operands[0] && !o->dashes) {
		err_set(err, EINVAL, "'%s' is no option", operands[0]);
		return err_hint(err, "what the program is to be told stands behind --");
	}
	r.args = o->dashes ? (const char *const *)operands : NULL;
	return restore_run(&r, status, err);
}

static int run_version(const struct opts *o, char **operands, int *status, struct err *err)
{
	(void)o, (void)status;
	if (operands[0])
		return fail_usage("version", err, "it takes no operands");
	printf("snapctl %s\n", SNAPCTL_VERSION);
	return 0;
}

static int run_help(const struct opts *o, char **operands, int *status, struct err *err);

static const struct command commands[] = {
	{ "dump", "[OPTION...] PROGRAM [ARG...]\n[OPTION...] --pid PID | --ask PID",
		"write an image of a program that has started up, or of a running process",
		"Starts PROGRAM, waits until it is quiescent, writes an image of it and ends it; "
		"or does\n"
		"that to a running process. Options of PROGRAM stand behind its name.",
		opts_dump, true, run_dump },
	{ "restore", "[OPTION...] IMAGE [-- ARG...]", "make the program of an image run again",
		"Makes the program run again where it stood and stands in for it: signals are "
		"passed on,\n"
		"the exit status is the program's.",
		opts_restore, false, run_restore },
	{ "show", "[--json] IMAGE", "tell what is in an image",
		"Prints processes, threads and what they wait in, mappings, descriptors, sizes.",
		opts_show, false, run_show },
	{ "verify", "IMAGE", "check an image for damage",
		"Checks every digest, every frame of pages and every reference inside the image.",
		opts_verify, false, run_verify },
	{ "check", "--pid PID", "tell what stands against a dump of a process",
		"Lists what of the process could not be restored, and what to do about it. "
		"Changes\n"
		"nothing. Exits with 0 if there is nothing, with 1 if there is something.",
		opts_check, false, run_check },
	{ "pack", "[OPTION...] IMAGE",
		"make one executable file of an image, which restores itself",
		"Writes a program that carries the image: ./image.snap [OPTION...] [-- ARG...] "
		"does "
		"what\n"
		"restore does. It holds all that the process had in memory, as the image does.",
		opts_pack, false, run_pack },
	{ "unpack", "[OPTION...] FILE", "make an image again of what pack has written",
		"Writes the very image that was packed.", opts_unpack, false, run_unpack },
	{ "core", "[OPTION...] IMAGE", "write a core file of a process in an image, for gdb",
		"Writes an ELF core file with all threads, registers and memory, as the kernel "
		"does of\n"
		"a process that crashes.",
		opts_core, false, run_core },
	{ "help", "[COMMAND]", "explain a command", "Prints what `snapctl COMMAND --help` prints.",
		NULL, false, run_help },
	{ "version", "", "print the version", "Prints the version of snapctl.", NULL, false,
		run_version },
};

enum { NR_COMMANDS = sizeof commands / sizeof *commands };

static const struct command *command_find(const char *name, struct err *err)
{
	const char *names[NR_COMMANDS], *nearest;

	for (size_t i = 0; i < NR_COMMANDS; i++) {
		names[i] = commands[i].name;
		if (!strcmp(name, names[i]))
			return &commands[i];
	}
	err_set(err, EINVAL, "there is no command '%s'", name);
	nearest = opts_nearest(name, names, NR_COMMANDS);
	if (nearest)
		err_hint(err, "did you mean `snapctl %s`?", nearest);
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
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n  snapctl dump redis-server --port 7777     start it, write image/, end it\n"
	      "  snapctl restore image/                    it serves again, in the foreground\n\n"
	      "snapctl COMMAND --help shows the options of a command; snapctl(1) explains them.\n",
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

static int run_help(const struct opts *o, char **operands, int *status, struct err *err)
{
	const struct command *c;

	(void)o, (void)status;
	if (!operands[0]) {
		print_overview(stdout);
		return 0;
	}
	c = command_find(operands[0], err);
	if (!c)
		return -err->code;
	print_help(c, stdout);
	return 0;
}

/* ---- main --------------------------------------------------------------------------------------
 */

/* Messages may quote names out of an image or of a hostile process: no escape sequences from there.
 */
static void print_plain(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(iscntrl((unsigned char)*text) && *text != '\n' ? '?' : *text, out);
	fputc('\n', out);
}

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

static int command_run(
	const struct command *c, struct opts *o, int argc, char **argv, struct err *err)
{
	int first = opts_parse(o, c->opts, !c->program, argc, argv, err), status = 0, ret = first;

	if (first >= 0 && o->help) {
		print_help(c, stdout);
		ret = 0;
	} else if (first >= 0) {
		log_set_level(o->verbose > 1 ? LOG_DEBUG : o->verbose ? LOG_INFO : LOG_QUIET);
		ret = c->run(o, argv + first, &status, err);
	}
	if (ret >= 0)
		ret = stdout_finish(err);
	if (ret >= 0)
		return status;
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
		opts_restore, false, run_packed };

	o->restore.self = true;
	o->restore.image = c.name;
	return command_run(&c, o, argc, argv, err);
}

int main(int argc, char **argv)
{
	const struct command *c = NULL;
	struct err err = { 0 };
	struct opts o;
	char version[] = "version", help[] = "help", *instead[] = { NULL, NULL };
	int first;

	/* Whole lines: others write to the same terminal or log. */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	opts_init(&o);
	if (image_is_self())
		return packed_main(&o, argc, argv, &err);
	first = opts_parse(&o, opts_global, false, argc, argv, &err);
	if (first >= 0 && (o.version || o.help)) {
		instead[0] = o.version ? version : help;
		o.help = false;
		return command_run(command_find(instead[0], &err), &o, 1, instead, &err);
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
