/* The options of all commands: tables, parsing, help; see opts.h. */
#include "opts.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { OPTS_MAX = 32, LONG_BASE = 256 /* values of long options: above every letter */ };

/* ---- values ---------------------------------------------------------------------------------- */

static int set_flag(void *field, const struct opt *opt, const char *value, struct err *err)
{
	(void)opt, (void)value, (void)err;
	*(bool *)field = true;
	return 0;
}

static int set_more(void *field, const struct opt *opt, const char *value, struct err *err)
{
	(void)opt, (void)value, (void)err;
	++*(unsigned *)field;
	return 0;
}

static int set_text(void *field, const struct opt *opt, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, EINVAL, "--%s: must not be empty", opt->name);
	*(const char **)field = value;
	return 0;
}

/* Ints and unsigneds alike: pid_t, level, threads; min and max keep them apart. */
static int set_number(void *field, const struct opt *opt, const char *value, struct err *err)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || end == value || *end || isspace((unsigned char)*value) || n < opt->min ||
		n > opt->max)
		return err_set(err, EINVAL, "--%s: '%s' is not a number from %ld to %ld", opt->name,
			value, opt->min, opt->max);
	*(int *)field = (int)n;
	return 0;
}

/* Milliseconds of a unit, -1: no such unit. */
static long unit_ms(const char *unit, long bare)
{
	if (!*unit)
		return bare;
	if (!strcmp(unit, "ms"))
		return 1;
	if (!strcmp(unit, "s"))
		return 1000;
	if (!strcmp(unit, "m") || !strcmp(unit, "min"))
		return 60 * 1000;
	return -1;
}

static int set_duration(void *field, const struct opt *opt, const char *value, struct err *err)
{
	char *end;
	double n = strtod(value, &end), ms = n * (double)unit_ms(end, opt->unit_ms);

	/* A digit first: strtod would take blanks, signs, "inf" and "nan" too. */
	if (!isdigit((unsigned char)*value) || !(ms >= 0 && ms <= INT_MAX)) {
		err_set(err, EINVAL, "--%s: '%s' is not a duration", opt->name, value);
		return err_hint(err, "write 250ms, 2s or 1m; a bare number is in %s",
			opt->unit_ms == 1 ? "milliseconds" : "seconds");
	}
	*(unsigned *)field = (unsigned)ms;
	return 0;
}

static size_t words_count(const char *const *words)
{
	size_t nr = 0;

	while (words[nr])
		nr++;
	return nr;
}

static int set_choice(void *field, const struct opt *opt, const char *value, struct err *err)
{
	const char *nearest;
	char all[128] = "";
	size_t len = 0;

	for (unsigned i = 0; opt->choices[i]; i++) {
		if (!strcmp(value, opt->choices[i])) {
			*(unsigned *)field = i;
			return 0;
		}
	}
	err_set(err, EINVAL, "--%s: there is no '%s'", opt->name, value);
	nearest = opts_nearest(value, opt->choices, words_count(opt->choices));
	if (nearest)
		return err_hint(err, "did you mean --%s=%s?", opt->name, nearest);
	for (unsigned i = 0; opt->choices[i] && len < sizeof all; i++)
		len += (size_t)snprintf(
			all + len, sizeof all - len, "%s%s", i ? ", " : "", opt->choices[i]);
	return err_hint(err, "there are %s", all);
}

static bool is_descriptor(const char *s, char **end)
{
	errno = 0;
	return isdigit((unsigned char)*s) && strtol(s, end, 10) <= INT_MAX && !errno;
}

/* N=M, kept as text: restore/ knows which descriptors there are. */
static int set_inherit(void *field, const struct opt *opt, const char *value, struct err *err)
{
	const char **list = field;
	size_t nr = words_count(list);
	char *end;

	if (!is_descriptor(value, &end) || *end != '=' || !is_descriptor(end + 1, &end) || *end) {
		err_set(err, EINVAL, "--%s: '%s' is not N=M", opt->name, value);
		return err_hint(err, "N is the descriptor of the program, M one that snapctl has: "
				     "--inherit 5=3 5>... 3<file");
	}
	if (nr == OPTS_INHERIT)
		return err_set(
			err, E2BIG, "--%s: given more than %d times", opt->name, OPTS_INHERIT);
	list[nr] = value;
	return 0;
}

/* Kept as text: dump/ knows which conditions there are, and is asked at once. */
static int set_until(void *field, const struct opt *opt, const char *value, struct err *err)
{
	const char **list = field;
	size_t nr = words_count(list);

	if (nr == OPTS_UNTIL)
		return err_set(err, E2BIG, "--%s: given more than %d times", opt->name, OPTS_UNTIL);
	list[nr] = value;
	return dump_until_check(value, err);
}

static int set_env(void *field, const struct opt *opt, const char *value, struct err *err)
{
	const char **list = field;
	size_t nr = words_count(list);

	if (*value == '=' || !strchr(value, '='))
		return err_set(err, EINVAL, "--%s: '%s' is not NAME=VALUE", opt->name, value);
	if (nr == OPTS_SETENV)
		return err_set(
			err, E2BIG, "--%s: given more than %d times", opt->name, OPTS_SETENV);
	list[nr] = value;
	return 0;
}

static int set_ask(void *field, const struct opt *opt, const char *value, struct err *err)
{
	struct dump_opts *d = field;

	d->ask = true;
	return set_number(&d->pid, opt, value, err);
}

/* ---- tables ---------------------------------------------------------------------------------- */

#define FIELD(name) .field = offsetof(struct opts, name)

static const char *const choices_pids[] = {
	[PIDS_AUTO] = "auto", [PIDS_KEEP] = "keep", [PIDS_NS] = "ns", [PIDS_NEW] = "new", NULL
};
static const char *const choices_files[] = { [FILES_AUTO] = "auto",
	[FILES_KEEP] = "keep",
	[FILES_RESTORE] = "restore",
	[FILES_FAIL] = "fail",
	NULL };

const struct opt opts_common[] = {
	{ "verbose", 'v', NULL, "say what is decided and why; -vv says more", set_more,
		FIELD(verbose) },
	{ "quiet", 'q', NULL, "say nothing unless it fails", set_flag, FIELD(quiet) },
	{ "help", 'h', NULL, "this text", set_flag, FIELD(help) },
	{ "debug-progress", 0, NULL, NULL, set_flag, FIELD(debug_progress) },
	{ 0 },
};

const struct opt opts_global[] = {
	{ "version", 'V', NULL, "print the version", set_flag, FIELD(version) },
	{ 0 },
};

const struct opt opts_dump[] = {
	{ "pid", 'p', "PID", "dump a running process instead of starting one", set_number,
		FIELD(dump.pid), .min = 1, .max = INT_MAX },
	{ "ask", 0, "PID", "the same, of one that listens (snapctl_listen): its hooks run before",
		set_ask, FIELD(dump), .min = 1, .max = INT_MAX },
	{ "output", 'o', "DIR", "where the image goes; default: image", set_text,
		FIELD(dump.image) },
	{ "force", 'f', NULL, "replace an older image there", set_flag, FIELD(dump.force) },
	{ "leave-running", 0, NULL, "let the program go on when the image is safe", set_flag,
		FIELD(dump.leave_running) },
	{ "until", 0, "CONDITION",
		"when to stop a program that was started: quiescent (default), ready,\n"
		"listen[=PORT|PATH], output=REGEX, probe=CMD, syscall=NAME[:N],\n"
		"exec[=N], signal=SIG, effect[=-KIND,...], checkin, after=TIME;\n"
		"given several times: the first that holds",
		set_until, FIELD(until) },
	{ "warmup", 0, "CMD", "run this when it has come so far, then wait until it is quiet",
		set_text, FIELD(dump.warmup) },
	{ "probe-interval", 0, "TIME", "how often probe=CMD is tried; default: 500ms", set_duration,
		FIELD(dump.probe_interval_ms), .unit_ms = 1000 },
	{ "settle", 0, "TIME", "how long it must be quiet; default: 250ms", set_duration,
		FIELD(dump.settle_ms), .unit_ms = 1 },
	{ "timeout", 0, "TIME", "how long to wait for that; default: 60s", set_duration,
		FIELD(dump.timeout_ms), .unit_ms = 1000 },
	{ "tcp-established", 0, NULL, "carry over TCP connections to outside (root)", set_flag,
		FIELD(dump.tcp_established) },
	{ "tcp-close", 0, NULL, "connections to outside come back as reset ones", set_flag,
		FIELD(dump.tcp_close) },
	{ "embed", 0, NULL, "take the contents of mapped files into the image", set_flag,
		FIELD(dump.embed) },
	{ "level", 0, "N",
		"zstd level from 1 (fast, default) to 19 (small); 0: none, soonest restored",
		set_number, FIELD(dump.level), .min = 0, .max = 19 },
	{ "threads", 0, "N", "compressing threads; default: one for each CPU", set_number,
		FIELD(dump.threads), .min = 1, .max = 64 },
	{ "json", 0, NULL, "print the result as JSON", set_flag, FIELD(json) },
	{ 0 },
};

const struct opt opts_restore[] = {
	{ "detach", 'd', NULL, "return when the program runs", set_flag, FIELD(restore.detach) },
	{ "pidfile", 0, "FILE", "write the process id of the program to FILE", set_text,
		FIELD(restore.pidfile) },
	{ "pids", 0, "MODE", "process ids: keep, ns (keep in a namespace), new, or auto",
		set_choice, FIELD(restore.pids), .choices = choices_pids },
	{ "inherit", 0, "N=M", "descriptor N of the program is descriptor M of snapctl",
		set_inherit, FIELD(inherit) },
	{ "tcp-established", 0, NULL, "take up TCP connections again (root)", set_flag,
		FIELD(restore.tcp_established) },
	{ "tcp-close", 0, NULL, "connections to outside come back as reset ones", set_flag,
		FIELD(restore.tcp_close) },
	{ "setenv", 0, "NAME=VALUE", "tell the program, if it asks libsnapctl", set_env,
		FIELD(setenv) },
	{ "files", 0, "WHAT",
		"where a data file has changed: keep it, restore it from the image, "
		"fail; auto",
		set_choice, FIELD(restore.files), .choices = choices_files },
	{ "debug-clock-back", 0, NULL, NULL, set_flag, FIELD(restore.debug_clock_back) },
	{ "threads", 0, "N", "decompressing threads; default: one for each CPU", set_number,
		FIELD(restore.threads), .min = 1, .max = 64 },
	{ "debug-vdso-differs", 0, NULL, NULL, set_flag, FIELD(restore.debug_vdso_differs) },
	{ 0 },
};

const struct opt opts_show[] = {
	{ "json", 0, NULL, "one JSON object instead of tables", set_flag, FIELD(json) },
	{ 0 },
};

const struct opt opts_verify[] = {
	{ 0 },
};

const struct opt opts_diff[] = {
	{ "json", 0, NULL, "one JSON object instead of words", set_flag, FIELD(json) },
	{ 0 },
};

const struct opt opts_check[] = {
	{ "pid", 'p', "PID", "the process to look at", set_number, FIELD(dump.pid), .min = 1,
		.max = INT_MAX },
	{ "tcp-established", 0, NULL, "as if --tcp-established were given to dump", set_flag,
		FIELD(dump.tcp_established) },
	{ "tcp-close", 0, NULL, "as if --tcp-close were given to dump", set_flag,
		FIELD(dump.tcp_close) },
	{ 0 },
};

const struct opt opts_pack[] = {
	{ "output", 'o', "FILE", "where the program goes; default: image.snap", set_text,
		FIELD(output) },
	{ "force", 'f', NULL, "replace an older packed image there", set_flag, FIELD(force) },
	{ 0 },
};

const struct opt opts_unpack[] = {
	{ "output", 'o', "DIR", "where the image goes; default: image", set_text, FIELD(output) },
	{ "force", 'f', NULL, "replace an older image there", set_flag, FIELD(force) },
	{ 0 },
};

const struct opt opts_core[] = {
	{ "output", 'o', "FILE", "where the core file goes; default: core", set_text,
		FIELD(output) },
	{ "force", 'f', NULL, "replace an older core file there", set_flag, FIELD(force) },
	{ "pid", 'p', "PID", "which process of the image; default: the first", set_number,
		FIELD(pid), .min = 1, .max = INT_MAX },
	{ 0 },
};

void opts_init(struct opts *o)
{
	*o = (struct opts){
		.dump = { .image = "image",
			.settle_ms = 250,
			.timeout_ms = 60000,
			.probe_interval_ms = 500,
			.level = 1 },
		.restore = { .pids = PIDS_AUTO },
	};
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* The options of one command in the forms getopt_long(3) wants. */
struct opt_list {
	const struct opt *opts[OPTS_MAX];
	size_t nr;
	struct option longs[OPTS_MAX + 1];
	char letters[2 * OPTS_MAX + 3];
};

static void opt_list_add(struct opt_list *list, const struct opt *table)
{
	for (; table && table->name; table++) {
		char *letters = list->letters + strlen(list->letters);

		list->longs[list->nr] = (struct option){ table->name,
			table->arg ? required_argument : no_argument, NULL,
			LONG_BASE + (int)list->nr };
		list->opts[list->nr++] = table;
		if (table->letter)
			sprintf(letters, "%c%s", table->letter, table->arg ? ":" : "");
	}
}

static const struct opt *opt_list_find(const struct opt_list *list, int value)
{
	if (value >= LONG_BASE)
		return list->opts[value - LONG_BASE];
	for (size_t i = 0; i < list->nr; i++)
		if (value && list->opts[i]->letter == value)
			return list->opts[i];
	return NULL;
}

/* What --help stands behind: argv[0] is the command, or snapctl itself. */
static int hint_help(const char *command, const struct opt *table, struct err *err)
{
	if (table == opts_global)
		return err_hint(err, "options of a command stand behind it; snapctl --help lists "
				     "the commands");
	if (table == opts_dump)
		return err_hint(err, "options of the program stand behind its name; snapctl dump "
				     "--help lists those of snapctl");
	/* A packed image is a command of its own. */
	if (table == opts_restore && strcmp(command, "restore"))
		return err_hint(err, "%s --help lists the options", command);
	return err_hint(err, "snapctl %s --help lists the options", command);
}

/* "--tcp", for which there are two: getopt_long(3) takes what is short for just one. */
static bool opt_short_for(const struct opt_list *list, const char *name, struct err *err)
{
	const char *found[2] = { NULL, NULL };
	size_t nr = 0;

	for (size_t i = 0; i < list->nr && nr < 2; i++)
		if (list->opts[i]->help && !strncmp(list->opts[i]->name, name, strlen(name)))
			found[nr++] = list->opts[i]->name;
	if (nr < 2)
		return false;
	err_set(err, EINVAL, "--%s may be short for --%s or --%s", name, found[0], found[1]);
	return true;
}

static int opt_unknown(const struct opt_list *list, const struct opt *table, const char *command,
	const char *word, struct err *err)
{
	const char *names[OPTS_MAX], *nearest;
	char name[64];

	if (optopt && optopt < LONG_BASE) {
		err_set(err, EINVAL, "there is no option -%c", optopt);
		return hint_help(command, table, err);
	}
	if (optopt)
		return err_set(err, EINVAL, "--%s takes no argument",
			list->opts[optopt - LONG_BASE]->name);
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
	if (*name && opt_short_for(list, name, err))
		return hint_help(command, table, err);
	for (size_t i = 0; i < list->nr; i++)
		names[i] = list->opts[i]->help ? list->opts[i]->name : "";
	err_set(err, EINVAL, "there is no option --%s", name);
	nearest = opts_nearest(name, names, list->nr);
	return nearest ? err_hint(err, "did you mean --%s?", nearest)
		       : hint_help(command, table, err);
}

int opts_parse(struct opts *o, const struct opt *table, bool anywhere, int argc, char **argv,
	struct err *err)
{
	struct opt_list list = { .nr = 0 };
	int value;

	strcpy(list.letters, anywhere ? ":" : "+:");
	opt_list_add(&list, table);
	opt_list_add(&list, opts_common);
	optind = 0; /* glibc: start anew, although the global options were parsed before */
	opterr = 0;
	while ((value = getopt_long(argc, argv, list.letters, list.longs, NULL)) != -1) {
		const struct opt *opt = opt_list_find(&list, value);

		if (value == ':')
			return err_set(err, EINVAL, "%s needs an argument", argv[optind - 1]);
		if (value == '?' || !opt)
			return opt_unknown(&list, table, argv[0], argv[optind - 1], err);
		if (opt->set((char *)o + opt->field, opt, optarg, err) < 0)
			return -err->code;
	}
	o->restore.inherit = o->inherit;
	o->dump.until = o->until;
	o->restore.setenv = o->setenv;
	o->dashes = optind > 1 && !strcmp(argv[optind - 1], "--");
	return optind;
}

/* ---- help ------------------------------------------------------------------------------------ */

void opts_print(const struct opt *table, FILE *out)
{
	for (; table && table->name; table++) {
		char left[64], letter[] = "-x, ";

		if (!table->help)
			continue;
		letter[1] = table->letter;
		snprintf(left, sizeof left, "%s--%s%s%s", table->letter ? letter : "    ",
			table->name, table->arg ? " " : "", table->arg ? table->arg : "");
		fprintf(out, "  %-24s %.*s\n", left, (int)strcspn(table->help, "\n"), table->help);
		for (const char *line = strchr(table->help, '\n'); line;
			line = strchr(line + 1, '\n'))
			fprintf(out, "  %-24s %.*s\n", "", (int)strcspn(line + 1, "\n"), line + 1);
	}
}

/* How many letters have to be added, taken away, changed or swapped; words are short. */
static size_t words_distance(const char *a, const char *b)
{
	enum { LONGEST = 32 };
	size_t rows[LONGEST + 1][LONGEST + 1], la = strlen(a), lb = strlen(b);

	if (la > LONGEST || lb > LONGEST)
		return LONGEST;
	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			size_t best;

			if (!i || !j) {
				rows[i][j] = i + j;
				continue;
			}
			best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (best > rows[i - 1][j] + 1)
				best = rows[i - 1][j] + 1;
			if (best > rows[i][j - 1] + 1)
				best = rows[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				best > rows[i - 2][j - 2] + 1)
				best = rows[i - 2][j - 2] + 1;
			rows[i][j] = best;
		}
	}
	return rows[la][lb];
}

const char *opts_nearest(const char *word, const char *const *words, size_t nr_words)
{
	size_t best = strlen(word) / 3 + 2; /* further away is another word, not a slip */
	const char *nearest = NULL;

	for (size_t i = 0; i < nr_words; i++) {
		size_t distance = words_distance(word, words[i]);

		if (distance < best && distance < strlen(words[i])) {
			best = distance;
			nearest = words[i];
		}
	}
	return nearest;
}
