/* The completion of command lines; see complete.h. */
#include "complete.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "command.h"
#include "dump/dump.h"
#include "opts.h"
#include "topics.h"

struct completion {
	const struct command *commands;
	FILE *out;
	const char *typed;  /* so far, of the word or of the value in it */
	const char *before; /* what of the word stands before that: "--until=" */
	char what[32];      /* the last line */
};

/* ---- candidates ------------------------------------------------------------------------------ */

/* WORD, and what follows it, if that is what is being typed; explained by the line of `why`. */
static void offer(const struct completion *c, const char *word, const char *after, const char *why)
{
	if (!text_starts(word, c->typed))
		return;
	fprintf(c->out, "%s%s%s", c->before, word, after);
	if (why)
		fprintf(c->out, "\t%.*s", (int)strcspn(why, "\n"), why);
	fputc('\n', c->out);
}

/* Behind what is typed up to the last of these characters: "effect=-clock," */
static struct completion behind(
	const struct completion *c, const char *stops, char *buf, size_t len)
{
	struct completion inner = *c;
	size_t at = strlen(c->typed);

	while (at && !strchr(stops, c->typed[at - 1]))
		at--;
	snprintf(buf, len, "%s%.*s", c->before, (int)at, c->typed);
	inner.before = buf;
	inner.typed = c->typed + at;
	return inner;
}

static void offer_commands(const struct completion *c)
{
	for (const struct command *command = c->commands; command->name; command++)
		offer(c, command->name, "", command->summary);
}

static void offer_topics(const struct completion *c)
{
	offer_commands(c);
	for (const struct topic *topic = topics; topic->name; topic++)
		offer(c, topic->name, "", topic->summary);
}

static void offer_options(const struct completion *c, const struct opt *table)
{
	char word[64];

	for (; table && table->name; table++) {
		snprintf(word, sizeof word, "--%s", table->name);
		if (table->help)
			offer(c, word, "", table->help);
	}
}

/* ---- values of options ----------------------------------------------------------------------- */

static void offer_choices(const struct completion *c, const char *const *choices)
{
	for (; *choices; choices++)
		offer(c, *choices, "", NULL);
}

/* The arguments of a condition, as far as they can be listed. */
static void offer_arguments(const struct completion *c, const struct dump_until *until)
{
	const char *last = "", *value;
	char before[PATH_MAX];
	bool kinds = !strcmp(until->name, "effect"); /* "-KIND,-KIND" */
	struct completion inner = behind(c, kinds ? "=,-" : "=", before, sizeof before);

	if (kinds && (inner.typed == c->typed || inner.typed[-1] != '-'))
		strncat(before, "-", sizeof before - strlen(before) - 1);
	for (size_t i = 0; until->value && (value = until->value(i)); i++) {
		if (strcmp(value, last))
			offer(&inner, value, "", NULL);
		last = value;
	}
}

static void offer_conditions(const struct completion *c)
{
	struct dump_until until;

	for (size_t i = 0; dump_until_nth(i, &until); i++) {
		size_t len = strlen(until.name);

		if (!strncmp(c->typed, until.name, len) && c->typed[len] == '=')
			offer_arguments(c, &until);
		else
			offer(c, until.name, until.must ? "=" : "", until.summary);
	}
}

/* "redis-server"; false for threads of the kernel, which have no command line. */
static bool process_name(const char *pid, char *buf, size_t len)
{
	char path[300];
	OWNED_FD fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, len - 1);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	for (ssize_t i = 0; i + 1 < n; i++)
		if (iscntrl((unsigned char)buf[i]))
			buf[i] = ' ';
	return true;
}

/* Those that may be dumped: of the user, or of all for root. */
static void offer_processes(const struct completion *c)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char name[60];
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
			text_starts(entry->d_name, c->typed) && atoi(entry->d_name) != getpid() &&
			!fstatat(dirfd(dir), entry->d_name, &st, 0) &&
			(st.st_uid == geteuid() || !geteuid()) &&
			process_name(entry->d_name, name, sizeof name))
			offer(c, entry->d_name, "", name);
	if (dir)
		closedir(dir);
}

/* Where "~/x" is to be looked for. */
static void path_expand(const char *path, char *buf, size_t len)
{
	const char *home = path[0] == '~' && path[1] == '/' ? getenv("HOME") : NULL;

	if (home)
		snprintf(buf, len, "%s%s", home, path + 1);
	else
		snprintf(buf, len, "%s", *path ? path : ".");
}

/* Hidden ones for those who ask; none that would be taken for two lines. */
static bool name_is_offered(const char *name, const char *typed)
{
	for (const char *c = name; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	return strcmp(name, ".") && strcmp(name, "..") && (name[0] != '.' || typed[0] == '.');
}

/* What stands there may be: an image, a packed one, a directory that has some in it; or NULL. */
static const char *image_words(int dirfd, const char *name)
{
	char inventory[300];
	struct stat st;

	if (fstatat(dirfd, name, &st, 0))
		return NULL;
	if (S_ISREG(st.st_mode))
		return st.st_mode & S_IXUSR && text_ends(name, ".snap") ? "packed image" : NULL;
	snprintf(inventory, sizeof inventory, "%s/inventory", name);
	return !S_ISDIR(st.st_mode)                   ? NULL
	       : faccessat(dirfd, inventory, F_OK, 0) ? "directory"
						      : "image";
}

/* Images, and directories that may have some in them. */
static void offer_images(struct completion *c)
{
	char before[PATH_MAX], at[PATH_MAX];
	struct completion inner = behind(c, "/", before, sizeof before);
	struct dirent *entry;
	DIR *dir;

	path_expand(before + strlen(c->before), at, sizeof at);
	dir = opendir(at);
	while (dir && (entry = readdir(dir))) {
		const char *words = name_is_offered(entry->d_name, inner.typed)
					    ? image_words(dirfd(dir), entry->d_name)
					    : NULL;

		if (words)
			offer(&inner, entry->d_name, "", words);
	}
	if (dir)
		closedir(dir);
	strcpy(c->what, ":directories");
}

/* The name that --help gives to the argument says what it is. */
static void offer_values(struct completion *c, const struct opt *opt)
{
	if (opt->choices)
		offer_choices(c, opt->choices);
	else if (!strcmp(opt->arg, "CONDITION"))
		offer_conditions(c);
	else if (!strcmp(opt->arg, "PID"))
		offer_processes(c);
	else if (!strcmp(opt->arg, "DIR"))
		offer_images(c);
	else if (!strcmp(opt->arg, "FILE"))
		strcpy(c->what, ":files");
}

/* ---- the command line so far ----------------------------------------------------------------- */

/* The option of a word: "--until", "--until=ready", "-o"; NULL: there is none. */
static const struct opt *option_find(const struct opt *table, const char *word)
{
	size_t len = strcspn(word + 2, "=");

	for (; table && table->name; table++) {
		bool is_long = word[1] == '-' && strlen(table->name) == len &&
			       !strncmp(table->name, word + 2, len);

		if (is_long || (word[1] && word[1] == table->letter))
			return table;
	}
	return NULL;
}

static const struct opt *option_of(const struct command *command, const char *word)
{
	const struct opt *opt = option_find(command ? command->opts : opts_global, word);

	return opt ? opt : option_find(opts_common, word);
}

static bool value_follows(const struct opt *opt, const char *word)
{
	return opt && opt->arg && !strchr(word, '=') && (word[1] == '-' || !word[2]);
}

static const struct command *command_named(const struct command *commands, const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static void complete_operand(struct completion *c, const struct command *command, int nr_before)
{
	int most = command->operand == OPERAND_IMAGES ? 2 : 1;

	if (nr_before >= most)
		return;
	switch (command->operand) {
	case OPERAND_IMAGE:
	case OPERAND_IMAGES:
		offer_images(c);
		break;
	case OPERAND_FILE:
		strcpy(c->what, ":files");
		break;
	case OPERAND_TOPIC:
		offer_topics(c);
		break;
	case OPERAND_NONE:
		break;
	}
}

/* An option, or its value behind '='. */
static void complete_option(struct completion *c, const struct command *command)
{
	const char *equals = strchr(c->typed, '=');
	const struct opt *opt = equals ? option_of(command, c->typed) : NULL;
	char before[80];

	if (equals && opt && opt->arg && equals - c->typed < (int)sizeof before - 1) {
		snprintf(before, sizeof before, "%.*s", (int)(equals + 1 - c->typed), c->typed);
		c->before = before;
		c->typed = equals + 1;
		offer_values(c, opt);
	} else {
		offer_options(c, command ? command->opts : opts_global);
		offer_options(c, opts_common);
	}
}

/* What has been typed before the last word. */
struct so_far {
	const struct command *command;
	const struct opt *opt;    /* wants its value now */
	int nr_operands, program; /* program: index of its word, -1: none */
	bool dashes;
};

static void word_pass(const struct completion *c, struct so_far *s, const char *word, int i)
{
	if (s->opt) {
		s->opt = NULL;
	} else if (!s->dashes && !strcmp(word, "--")) {
		s->dashes = true;
	} else if (!s->dashes && word[0] == '-' && word[1]) {
		const struct opt *opt = option_of(s->command, word);

		s->opt = value_follows(opt, word) ? opt : NULL;
	} else if (!s->command) {
		s->command = command_named(c->commands, word);
		s->nr_operands += !s->command;
	} else if (s->command->program) {
		s->program = i;
	} else {
		s->nr_operands++;
	}
}

void complete(const struct command *commands, int nr_words, char **words, FILE *out)
{
	struct completion c = { .commands = commands,
		.out = out,
		.typed = nr_words ? words[nr_words - 1] : "",
		.before = "",
		.what = ":words" };
	struct so_far s = { .program = -1 };

	for (int i = 0; i + 1 < nr_words && s.program < 0; i++)
		word_pass(&c, &s, words[i], i);
	if (s.opt)
		offer_values(&c, s.opt);
	else if (s.program < 0 && !s.dashes && c.typed[0] == '-')
		complete_option(&c, s.command);
	else if (s.command && s.command->program)
		snprintf(c.what, sizeof c.what, ":program %d",
			s.program < 0 ? nr_words - 1 : s.program);
	else if (s.command)
		complete_operand(&c, s.command, s.nr_operands);
	else if (s.nr_operands == 0)
		offer_commands(&c);
	fprintf(out, "%s\n", c.what);
}
