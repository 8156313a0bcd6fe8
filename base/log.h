#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

struct progress;

/*
 * What -v shows: decisions and why they were made, on stderr, never secrets (no memory contents, no
 * environment). The level, the line of progress that messages have to go around, and what is held
 * back are the mutable globals of the program; nothing is formatted below the level.
 */
enum log_level { LOG_QUIET = 0, LOG_INFO = 1, LOG_DEBUG = 2 };

void log_set_level(enum log_level level);
/* Messages remove its line first; NULL: there is none any more. */
void log_set_progress(const struct progress *p);
/*
 * In a child that has our memory, but another table of descriptors, in which 2 is the program's:
 * lines are held back until one of ours calls log_release().
 */
void log_hold(void);
void log_release(void);
bool log_enabled(enum log_level level);
/* What has been done, at the end. */
void log_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Something the user should know even without -v; the command goes on. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
