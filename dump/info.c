/* What an image says about itself: when, where, by whom, of what. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void argv_append(struct arena *a, struct snap_info *info, size_t *cap, const char *word)
{
	info->argv = arena_grow(a, info->argv, info->nr_argv, cap, sizeof *info->argv);
	info->argv[info->nr_argv++] = arena_strdup(a, word);
}

static int argv_collect(struct dumping *d, struct err *err)
{
	struct snap_info *info = &d->snap->info;
	struct arena *a = d->snap->arena;
	size_t len, cap = 0;
	char *text;
	int ret;

	for (char *const *word = d->opts->argv; word && *word; word++)
		argv_append(a, info, &cap, *word);
	if (d->opts->argv)
		return 0;
	ret = proc_text(d->target->procfd, "cmdline", a, &text, &len, err);
	if (ret < 0)
		return ret;
	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		argv_append(a, info, &cap, text + at);
	return 0;
}

int info_collect(struct dumping *d, struct err *err)
{
	struct snap_info *info = &d->snap->info;
	struct arena *a = d->snap->arena;
	struct utsname uts;

	if (uname(&uts) < 0)
		return err_sys(err, "uname");
	if (getrandom(info->id, sizeof info->id, 0) != sizeof info->id)
		return err_sys(err, "getrandom");
	info->snapctl_version = arena_strdup(a, SNAPCTL_VERSION);
	info->kernel_release = arena_strdup(a, uts.release);
	info->hostname = arena_strdup(a, uts.nodename);
	info->created = clock_ns(CLOCK_REALTIME);
	info->monotonic = clock_ns(CLOCK_MONOTONIC);
	info->boottime = clock_ns(CLOCK_BOOTTIME);
	info->launched = d->opts->argv != NULL;
	info->uid = getuid();
	return argv_collect(d, err);
}
