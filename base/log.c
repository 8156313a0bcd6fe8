/* The log of decisions; see log.h. */
#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"

static enum log_level log_level = LOG_QUIET;
static const struct progress *log_progress;
static bool log_holds;
static char *log_held; /* lines */
static size_t log_held_len;

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_progress(const struct progress *p)
{
	log_progress = p;
}

void log_hold(void)
{
	log_holds = true;
}

void log_release(void)
{
	log_holds = false;
	if (log_held)
		fprintf(stderr, "%s%s", progress_cleaner(log_progress), log_held);
	free(log_held);
	log_held = NULL;
	log_held_len = 0;
}

static void log_keep(const char *prefix, const char *line)
{
	size_t len = strlen(prefix) + strlen(line) + 1;
	char *more = realloc(log_held, log_held_len + len + 1);

	if (!more)
		return;
	snprintf(more + log_held_len, len + 1, "%s%s\n", prefix, line);
	log_held = more;
	log_held_len += len;
}

bool log_enabled(enum log_level level)
{
	return log_level >= level;
}

/* One write per line, so that lines of several threads or processes do not mix. */
static void log_line(const char *prefix, const char *fmt, va_list ap)
{
	char line[2048];

	vsnprintf(line, sizeof line, fmt, ap);
	/* Names may come from an image, and must not be heard by a terminal. */
	for (char *c = line; *c; c++)
		*c = iscntrl((unsigned char)*c) ? '?' : *c;
	if (log_holds)
		log_keep(prefix, line);
	else
		fprintf(stderr, "%s%s%s\n", progress_cleaner(log_progress), prefix, line);
}

void log_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("snapctl: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(LOG_INFO))
		return;
	va_start(ap, fmt);
	log_line("snapctl: ", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(LOG_DEBUG))
		return;
	va_start(ap, fmt);
	log_line("snapctl: ", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("snapctl: warning: ", fmt, ap);
	va_end(ap);
}
