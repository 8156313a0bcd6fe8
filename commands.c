/* The commands, but help; see commands.h. */
#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "dump/dump.h"
#include "images/image.h"
#include "opts.h"
#include "restore/restore.h"

/* ---- what several commands need ----------------------------------------------------------------
 */

/* Say whom it failed for, unless the message begins with that already. */
static int fail_for(const char *subject, struct err *err)
{
	if (text_starts(err->msg, subject))
		return -err->code;
	return err_wrap(err, "%s", subject);
}

int fail_usage(const char *command, struct err *err, const char *what)
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
bool is_image(const char *path)
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

void print_plain(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(iscntrl((unsigned char)*text) && *text != '\n' ? '?' : *text, out);
	fputc('\n', out);
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

int run_dump(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_restore(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_show(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_verify(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_diff(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_check(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_pack(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_unpack(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_core(const struct opts *o, char **operands, int *status, struct err *err)
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
int run_packed(const struct opts *o, char **operands, int *status, struct err *err)
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

int run_version(const struct opts *o, char **operands, int *status, struct err *err)
{
	(void)o, (void)status;
	if (operands[0])
		return fail_usage("version", err, "it takes no operands");
	printf("snapctl %s\n", SNAPCTL_VERSION);
	return 0;
}
