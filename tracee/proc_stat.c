/* /proc/PID/stat: numbers in an order that proc(5) lists, behind a name that may hold anything. */
#include "tracee/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

/* Field numbers as in proc(5); 3 is the state. */
enum stat_field {
	STAT_PPID = 4,
	STAT_PGRP,
	STAT_SESSION,
	STAT_TTY_NR,
	STAT_TPGID,
	STAT_FLAGS,
	STAT_UTIME = 14,
	STAT_STIME,
	STAT_NICE = 19,
	STAT_NUM_THREADS,
	STAT_STARTTIME = 22,
	STAT_STARTCODE = 26,
	STAT_ENDCODE,
	STAT_STARTSTACK,
	STAT_EXIT_SIGNAL = 38,
	STAT_PROCESSOR,
	STAT_START_DATA = 45,
	STAT_END_DATA,
	STAT_START_BRK,
	STAT_ARG_START,
	STAT_ARG_END,
	STAT_ENV_START,
	STAT_ENV_END,
	STAT_EXIT_CODE,
	STAT_NR,
};

/* A number too big for int64_t is an address or a limit: read as unsigned. */
static bool stat_number(struct text *t, uint64_t *value)
{
	int64_t minus;

	if (text_dec(t, value))
		return true;
	if (!text_int(t, &minus))
		return false;
	*value = (uint64_t)minus;
	return true;
}

static void stat_fill(const uint64_t *f, struct proc_stat *out)
{
	out->ppid = (int32_t)f[STAT_PPID];
	out->pgrp = (int32_t)f[STAT_PGRP];
	out->session = (int32_t)f[STAT_SESSION];
	out->tty_nr = (int32_t)f[STAT_TTY_NR];
	out->tpgid = (int32_t)f[STAT_TPGID];
	out->flags = (uint32_t)f[STAT_FLAGS];
	out->utime = f[STAT_UTIME];
	out->stime = f[STAT_STIME];
	out->nice = (int64_t)f[STAT_NICE];
	out->num_threads = (int64_t)f[STAT_NUM_THREADS];
	out->start_time = f[STAT_STARTTIME];
	out->start_code = f[STAT_STARTCODE];
	out->end_code = f[STAT_ENDCODE];
	out->start_stack = f[STAT_STARTSTACK];
	out->exit_signal = (int32_t)f[STAT_EXIT_SIGNAL];
	out->cpu = (int32_t)f[STAT_PROCESSOR];
	out->start_data = f[STAT_START_DATA];
	out->end_data = f[STAT_END_DATA];
	out->start_brk = f[STAT_START_BRK];
	out->arg_start = f[STAT_ARG_START];
	out->arg_end = f[STAT_ARG_END];
	out->env_start = f[STAT_ENV_START];
	out->env_end = f[STAT_ENV_END];
	out->exit_code = (int32_t)f[STAT_EXIT_CODE];
}

/* "42 (a) name)) S 1 ...": the name ends at the last parenthesis. */
static bool stat_parse(const char *text, struct proc_stat *out)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct text t = { text };
	uint64_t fields[STAT_NR] = { 0 }, pid;
	size_t len;

	if (!open || !close || close < open || !text_dec(&t, &pid))
		return false;
	out->pid = (int32_t)pid;
	len = (size_t)(close - open - 1);
	if (len >= sizeof out->comm)
		len = sizeof out->comm - 1;
	memcpy(out->comm, open + 1, len);
	t.at = close + 1;
	text_blanks(&t);
	out->state = *t.at;
	if (*t.at)
		t.at++;
	for (int i = STAT_PPID; i < STAT_NR; i++) {
		text_blanks(&t);
		if (!stat_number(&t, &fields[i]))
			return false;
	}
	stat_fill(fields, out);
	return true;
}

int proc_stat(int procfd, const char *name, struct proc_stat *out, struct err *err)
{
	OWNED_FD fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	struct proc_stat stat = { 0 };
	char text[2048];
	ssize_t len;

	if (fd < 0)
		return err_sys(err, "open %s", name);
	len = read(fd, text, sizeof text - 1);
	if (len < 0)
		return err_sys(err, "read %s", name);
	text[len] = '\0';
	if (!stat_parse(text, &stat))
		return err_set(err, EPROTO, "%s: unexpected contents: %s", name, text);
	*out = stat;
	return 0;
}

enum { EXITING = 0x4 }; /* PF_EXITING */

bool proc_is_ending(const struct proc_stat *stat)
{
	return stat->state == 'Z' || stat->state == 'X' || stat->flags & EXITING;
}
