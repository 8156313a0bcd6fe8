/* Smaller files of /proc/PID: syscall, limits, timers; and whose /proc it is. */
#include "tracee/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

/* ---- whose -------------------------------------------------------------- */

/* As after `unshare --pid --fork`: it tells of processes under ids that are others' in here. */
static bool proc_is_foreign(void)
{
	char self[16] = "", pid[16];

	snprintf(pid, sizeof pid, "%d", getpid());
	return readlink("/proc/self", self, sizeof self - 1) < 0 || strcmp(self, pid) != 0;
}

int proc_explain(struct err *err)
{
	if (!proc_is_foreign())
		return -err->code;
	err->hint[0] = '\0';
	return err_hint(err,
		"/proc is missing here, or that of another PID namespace: mount -t proc "
		"proc /proc, or unshare --mount-proc");
}

/* ---- syscall ------------------------------------------------------------ */

static bool syscall_hex(struct text *t, uint64_t *value)
{
	text_blanks(t);
	return text_word(t, "0x") && text_hex(t, value);
}

/* "running", "-1 0xSP 0xPC" or "232 0xA1 ... 0xA6 0xSP 0xPC" */
static bool syscall_parse(const char *text, struct proc_syscall *out)
{
	struct text t = { text };

	if (text_word(&t, "running")) {
		out->nr = -2;
		return true;
	}
	if (!text_int(&t, &out->nr))
		return false;
	for (int i = 0; i < 6 && out->nr >= 0; i++)
		if (!syscall_hex(&t, &out->args[i]))
			return false;
	return syscall_hex(&t, &out->sp) && syscall_hex(&t, &out->pc);
}

int proc_syscall(int procfd, pid_t tid, struct proc_syscall *out, struct err *err)
{
	struct proc_syscall call = { 0 };
	char name[64], text[256];
	OWNED_FD fd = -1;
	ssize_t len;

	snprintf(name, sizeof name, "task/%d/syscall", tid);
	fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open %s", name);
	len = read(fd, text, sizeof text - 1);
	if (len < 0)
		return err_sys(err, "read %s", name);
	text[len] = '\0';
	if (!syscall_parse(text, &call))
		return err_set(err, EPROTO, "%s: unexpected contents: %s", name, text);
	*out = call;
	return 0;
}

/* ---- limits ------------------------------------------------------------- */

static const char *const limit_names[16] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static bool limit_value(struct text *t, uint64_t *value)
{
	text_blanks(t);
	if (!text_word(t, "unlimited"))
		return text_dec(t, value);
	*value = UINT64_MAX;
	return true;
}

int proc_limits(int procfd, struct arena *a, struct proc_limit limits[16], struct err *err)
{
	char *text;
	int ret = proc_text(procfd, "limits", a, &text, NULL, err);

	if (ret < 0)
		return ret;
	for (int i = 0; i < 16; i++) {
		struct text t = { strstr(text, limit_names[i]) };

		if (!t.at || !text_word(&t, limit_names[i]) || !limit_value(&t, &limits[i].cur) ||
			!limit_value(&t, &limits[i].max))
			return err_set(err, EPROTO, "limits: there is no \"%s\"", limit_names[i]);
	}
	return 0;
}

/* ---- timers ------------------------------------------------------------- */

/* "signal: 60/00007fff86e452a8": number and sigev_value. */
static bool timer_signal(struct text *t, struct proc_timer *timer)
{
	uint64_t signo;

	text_blanks(t);
	if (!text_dec(t, &signo) || !text_char(t, '/') || !text_hex(t, &timer->sigval))
		return false;
	timer->signo = (int32_t)signo;
	return true;
}

/* "notify: signal/pid.2634", "none/pid.0", "thread/tid.2635" */
static bool timer_notify(struct text *t, struct proc_timer *timer)
{
	uint64_t id;

	text_blanks(t);
	if (text_word(t, "signal"))
		timer->notify = SIGEV_SIGNAL;
	else if (text_word(t, "none"))
		timer->notify = SIGEV_NONE;
	else if (text_word(t, "thread"))
		timer->notify = SIGEV_THREAD;
	else
		return false;
	if (text_word(t, "/tid."))
		timer->notify |= SIGEV_THREAD_ID;
	else if (!text_word(t, "/pid."))
		return false;
	if (!text_dec(t, &id))
		return false;
	timer->notify_tid = timer->notify & SIGEV_THREAD_ID ? (int32_t)id : 0;
	return true;
}

static bool timer_number(struct text *t, int32_t *number)
{
	int64_t value;

	text_blanks(t);
	if (!text_int(t, &value))
		return false;
	*number = (int32_t)value;
	return true;
}

static bool timer_line(const char *line, struct proc_timer *timer)
{
	struct text t = { line };

	if (text_word(&t, "signal:"))
		return timer_signal(&t, timer);
	if (text_word(&t, "notify:"))
		return timer_notify(&t, timer);
	if (text_word(&t, "ClockID:"))
		return timer_number(&t, &timer->clock);
	return true; /* a newer kernel's */
}

static int timer_compare(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int timers_parse(
	const char *text, struct arena *a, struct proc_timer **timers, size_t *nr, struct err *err)
{
	struct text t = { text };
	struct proc_timer *all = NULL;
	const char *line;
	size_t len, n = 0, cap = 0;

	while (text_line(&t, &line, &len)) {
		struct text id = { line };
		bool good;

		if (text_word(&id, "ID:")) {
			all = arena_grow(a, all, n, &cap, sizeof *all);
			good = timer_number(&id, &all[n++].id);
		} else {
			good = n && timer_line(line, &all[n - 1]);
		}
		if (!good)
			return err_set(
				err, EPROTO, "timers: unexpected line: %.*s", (int)len, line);
	}
	if (n)
		qsort(all, n, sizeof *all, timer_compare);
	*timers = all;
	*nr = n;
	return 0;
}

int proc_timers(
	int procfd, struct arena *a, struct proc_timer **timers, size_t *nr, struct err *err)
{
	char *text;
	int ret = proc_text(procfd, "timers", a, &text, NULL, err);

	return ret < 0 ? ret : timers_parse(text, a, timers, nr, err);
}
