/*
 * snapctl: the commands. This is the only place that prints an error and chooses an exit status;
 * the work is done below dump/dump.h, restore/restore.h and images/image.h.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "command.h"
#include "complete.h"
#include "dump/dump.h"
#include "images/image.h"
#include "opts.h"
#include "restore/restore.h"
#include "topics.h"

/* As env(1) and timeout(1) have them; a restored program's own status is passed through. */
enum {
	EXIT_OBSTACLES = 1,
	EXIT_DIFFERENT = 1,
	EXIT_OURS = 125,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127
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

/* A number in the place of a program: it may have been meant as --pid. */
static int fail_process(const char *command, const char *word, struct err *err, const char *what)
{
	if (strspn(word, "0123456789") != strlen(word))
		return fail_usage(command, err, "which process? Name it with --pid");
	err_set(err, EINVAL, "%s", what);
	return err_hint(err, "did you mean `snapctl %s --pid %s`?", command, word);
}

/* Just for hints. */
static bool is_image(const char *path)
{
	char inventory[4200];

	snprintf(inventory, sizeof inventory, "%s/inventory", path);
	return !access(inventory, F_OK);
}

static int operand_image(const char *command, char **operands, const char **image, struct err *err)
{
	if (!operands[0] && is_image("image")) {
		err_set(err, EINVAL, "which image? Name its directory");
		return err_hint(err, "did you mean `snapctl %s image/`?", command);
	}
	if (!operands[0])
		return fail_usage(command, err, "which image? Name its directory");
	if (operands[1])
		return fail_usage(command, err, "one image at a time");
	*image = operands[0];
	return 0;
}

/* The line that says how far it is; NULL where nobody wants one. */
static struct progress *progress_for(const struct opts *o, struct progress *p)
{
	if (o->quiet || !p)
		return NULL;
	progress_begin(p, STDERR_FILENO);
	if (o->debug_progress)
		progress_at_once(p);
	log_set_progress(p);
	return p;
}

static void progress_over(struct progress *p)
{
	progress_end(p);
	log_set_progress(NULL);
}

/* ---- dump --------------------------------------------------------------------------------------
 */

static void dump_print_summary(
	const char *who, const struct dump_opts *d, const struct dump_result *r)
{
	char pages[32], image[32], all[48] = "";

	if (r->total_ms >= 10000)
		snprintf(all, sizeof all, ", %.0f s in all", r->total_ms / 1000);
	fprintf(stderr,
		"snapctl: dumped %s to %s (%s): %s of memory in %s, stood still for %.1f ms%s\n",
		who, d->image, r->found, text_size(r->pages_bytes, pages, sizeof pages),
		text_size(r->image_bytes, image, sizeof image), r->frozen_ms, all);
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

/* The dump is the work of a child. */
static struct progress *progress_shared(void)
{
	struct progress *p = MAP_FAILED;

	if (isatty(STDERR_FILENO))
		p = mmap(
			NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static int run_dump(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct dump_opts d = o->dump;
	struct dump_result result = { 0 };
	char who[128];
	int ret;

	if (!d.pid && (!operands[0] || !*operands[0]))
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
	d.progress = progress_for(o, progress_shared());
	ret = dump_run(&d, &result, err);
	progress_over(d.progress);
	if (ret < 0) {
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
	struct progress progress;
	int ret;

	if (o->dashes && operands[0]) {
		/* What follows the image is for the program. */
		r.image = operands[0];
		r.args = (const char *const *)operands + 1;
	} else if (operands[0] && operands[1]) {
		err_set(err, EINVAL, "one image at a time, and '%s' is another word", operands[1]);
		return err_hint(err, "what the program is to be told stands behind --");
	} else if (operand_image("restore", operands, &r.image, err) < 0) {
		return -err->code;
	}
	r.progress = progress_for(o, &progress);
	ret = restore_run(&r, status, err);
	progress_over(r.progress);
	return ret < 0 ? fail_for(r.image, err) : 0;
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
	struct progress progress;
	int ret;

	(void)status;
	if (operand_image("verify", operands, &path, err) < 0)
		return -err->code;
	ret = image_verify(path, progress_for(o, &progress), err);
	log_set_progress(NULL);
	if (ret < 0)
		return fail_for(path, err);
	if (!o->quiet)
		printf("%s: whole and consistent\n", path);
	return 0;
}

static int run_diff(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct image images[2] = { 0 };
	struct progress progress;
	bool same = false;
	int ret = 0;

	if (!operands[0] || !operands[1] || operands[2])
		return fail_usage("diff", err, "which images? Name two directories");
	for (int i = 0; !ret && i < 2; i++)
		if (image_open(operands[i], &images[i], err) < 0)
			ret = fail_for(operands[i], err);
	if (!ret)
		ret = image_diff(&images[0], &images[1], o->json, stdout, &same,
			progress_for(o, &progress), err);
	log_set_progress(NULL);
	image_close(&images[0]);
	image_close(&images[1]);
	*status = ret < 0 || same ? 0 : EXIT_DIFFERENT;
	return ret;
}

static int run_check(const struct opts *o, char **operands, int *status, struct err *err)
{
	char who[32];
	int nr;

	if (!o->dump.pid && operands[0])
		return fail_process("check", operands[0], err, "which process?");
	if (!o->dump.pid)
		return fail_usage("check", err, "which process? Name it with --pid");
	if (operands[0])
		return fail_usage("check", err, "one process at a time, and --pid names it");
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
	struct progress progress, *shown;
	int ret;

	(void)status;
	if (operand_image("pack", operands, &path, err) < 0)
		return -err->code;
	shown = progress_for(o, &progress);
	ret = image_pack(path, output, o->force, &len, shown, err);
	progress_over(shown);
	if (ret < 0)
		return ret;
	if (!o->quiet)
		fprintf(stderr, "snapctl: packed %s as %s (%s), with all that was in memory\n",
			path, output, text_size(len, size, sizeof size));
	return 0;
}

static int run_unpack(const struct opts *o, char **operands, int *status, struct err *err)
{
	const char *path = NULL, *output = o->output ? o->output : "image";
	struct progress progress, *shown;
	int ret;

	(void)status;
	if (operand_image("unpack", operands, &path, err) < 0)
		return -err->code;
	shown = progress_for(o, &progress);
	ret = image_unpack(path, output, o->force, shown, err);
	progress_over(shown);
	if (ret < 0)
		return ret;
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
	struct progress progress, *shown;
	int ret;

	(void)status;
	if (operand_image("core", operands, &path, err) < 0)
		return -err->code;
	shown = progress_for(o, &progress);
	ret = image_core(path, output, o->force, o->pid, &made, shown, err);
	progress_over(shown);
	if (ret < 0)
		return ret;
	if (o->quiet)
		return 0;
	snprintf(line, sizeof line, "snapctl: wrote process %d, %zu thread%s, %s: gdb %s %s",
		made.pid, made.nr_threads, made.nr_threads == 1 ? "" : "s",
		text_size(made.len, size, sizeof size), made.exe, output);
	print_plain(stderr, line);
	return 0;
}

/* What a packed image is when it runs: o->restore.image is its name. */
static int run_packed(const struct opts *o, char **operands, int *status, struct err *err)
{
	struct restore_opts r = o->restore;
	struct progress progress;
	int ret;

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
	r.progress = progress_for(o, &progress);
	ret = restore_run(&r, status, err);
	progress_over(r.progress);
	return ret;
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

/*
 * Else the next file that we open, maybe one of the image, is what messages are written to. For a
 * program that is started, they stay closed. A restore looks at each where one is asked for.
 */
static void standard_hold(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
}

/*
 * As after `unshare --pid --fork`: it tells of processes under ids that are others' in here. A
 * restore has moved to a /proc of the program's own namespace, in which snapctl has no id.
 */
static bool proc_is_foreign(const struct command *c)
{
	char self[16] = "", pid[16];

	snprintf(pid, sizeof pid, "%d", getpid());
	if (readlink("/proc/self", self, sizeof self - 1) < 0)
		return (c->run != run_restore && c->run != run_packed) ||
		       access("/proc/version", F_OK) < 0;
	return strcmp(self, pid) != 0;
}

/* What explains a failure wherever it was met. */
static void explain(const struct command *c, struct err *err)
{
	if (err->code == ENAMETOOLONG)
		err_hint(err,
			"a path has at most 4095 bytes, each name in it 255: cd nearer to it, "
			"and name it from there");
	if (err->code == EMFILE)
		err_hint(err, "more files have to be open than snapctl may have here: raise the "
			      "limit (ulimit -n)");
	if (!proc_is_foreign(c))
		return;
	err->hint[0] = '\0';
	err_hint(err, "/proc is missing here, or that of another PID namespace: mount -t proc proc "
		      "/proc, or unshare --mount-proc");
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
		if (c->run != run_restore && c->run != run_packed)
			standard_hold();
		ret = c->run(o, argv + first, &status, err);
	}
	if (ret >= 0)
		ret = stdout_finish(err);
	if (ret >= 0)
		return status;
	explain(c, err);
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
