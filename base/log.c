/* The log of decisions; see log.h. */
#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/progress.h"

static enum log_level log_level = LOG_QUIET;
static const struct progress *log_progress;

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_progress(const struct progress *p)
{
	log_progress = p;
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
