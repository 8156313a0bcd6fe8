/* Takes a variable out of environments; see scrub.h. */
#include "dump/until/scrub.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

static const char past[] = "SNAPCTL_PAST=";

/* In place: what is too short for a name and a "=" is only dashes. */
static void variable_blank(char *at, size_t len)
{
	memset(at, '-', len);
	if (len >= sizeof past - 1)
		memcpy(at, past, sizeof past - 1);
}

/* The block as it is in memory; what the program did to it (setproctitle) does not matter. */
static int block_scrub(struct tracee *t, const struct proc_stat *stat, const char *text,
	struct arena *a, struct err *err)
{
	size_t len = stat->env_end - stat->env_start, text_len = strlen(text);
	char *block = arena_alloc(a, len + 1);
	int ret = tracee_read(t, stat->env_start, block, len, err);

	for (size_t at = 0; !ret && at < len; at += strnlen(block + at, len - at) + 1) {
		if (strcmp(block + at, text))
			continue;
		variable_blank(block + at, text_len);
		ret = tracee_write(t, stat->env_start + at, block + at, text_len, err);
	}
	return ret;
}

static int process_scrub(struct tracee *t, const char *text, struct arena *a, struct err *err)
{
	struct proc_stat stat;
	int ret = proc_stat(t->procfd, "stat", &stat, err);

	if (ret < 0)
		return ret;
	/* A zombie has no memory; prctl(PR_SET_MM) can name anything. */
	if (stat.state == 'Z' || stat.state == 'X' || stat.env_end <= stat.env_start ||
		stat.env_end - stat.env_start > 16 << 20)
		return 0;
	return block_scrub(t, &stat, text, a, err);
}

int scrub_env(struct tracer *tr, const char *name, const char *value, struct err *err)
{
	struct arena *a = arena_create();
	const char *text = arena_printf(a, "%s=%s", name, value);
	int ret = 0;

	for (size_t i = 0; !ret && i < tr->nr_tracees; i++) {
		ret = process_scrub(tr->tracees[i], text, a, err);
		if (ret < 0)
			err_wrap(err, "process %d: its environment", tr->tracees[i]->pid);
	}
	arena_destroy(a);
	return ret;
}
