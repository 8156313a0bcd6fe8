/* When to stop a launched program: the table of conditions and the loop that waits; see until.h. */
#include "dump/until/until.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "dump/busy.h"
#include "dump/dumping.h"
#include "dump/until/condition.h"
#include "dump/until/sieve.h"
#include "dump/until/warmup.h"

static const struct condition *const conditions[] = {
	&condition_quiescent,
	&condition_ready,
	&condition_listen,
	&condition_output,
	&condition_probe,
	&condition_syscall,
	&condition_exec,
	&condition_signal,
	&condition_after,
	&condition_effect,
	&condition_checkin,
};

enum {
	NR_CONDITIONS = sizeof conditions / sizeof *conditions,
	MAX_WAITS = 32,
	SLEEP_MS = 1000,
	STIRRED_MS = 2000,
};

struct until {
	struct dumping *d;
	struct arena *arena;
	struct wait waits[MAX_WAITS];
	size_t nr;
	size_t nr_fixed; /* the rest is being waited for; these have had their turn */
	int chld, stops; /* signalfds: something happened in the tree; we are to give up */
	uint64_t started_ms, deadline_ms;
	char **envp; /* of the program, in arena */
	size_t nr_envp, cap_envp;
	int exited;              /* wait status of the program, -1: it lives */
	struct sock_fprog sieve; /* of no instructions: none */
};

uint64_t until_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is asked for ------------------------------------------------------------------ */

static void names_print(struct buf *out)
{
	for (size_t i = 0; i < NR_CONDITIONS; i++)
		buf_printf(out, "%s%s", i ? ", " : "", conditions[i]->name);
}

static int condition_unknown(const char *text, struct err *err)
{
	struct buf names = BUF_EMPTY;

	names_print(&names);
	err_set(err, EINVAL, "--until: there is no '%s'", text);
	err_hint(err, "there are %s", names.data);
	buf_finish(&names);
	return -EINVAL;
}

bool dump_until_nth(size_t i, struct dump_until *out)
{
	const struct condition *c = i < NR_CONDITIONS ? conditions[i] : NULL;

	if (c)
		*out = (struct dump_until){ .name = c->name,
			.usage = c->usage,
			.summary = c->summary,
			.must = c->arg == ARG_MUST,
			.may = c->arg == ARG_MAY,
			.value = c->value };
	return c != NULL;
}

static const struct condition *condition_find(const char *text, size_t len)
{
	for (size_t i = 0; i < NR_CONDITIONS; i++)
		if (strlen(conditions[i]->name) == len && !strncmp(text, conditions[i]->name, len))
			return conditions[i];
	return NULL;
}

/* "name" or "name=argument". */
static int wait_parse(struct wait *w, const char *text, struct err *err)
{
	const char *arg = strchr(text, '=');
	const struct condition *c = condition_find(text, strcspn(text, "="));

	if (!c)
		return condition_unknown(text, err);
	if (arg && c->arg == ARG_NONE)
		return err_set(err, EINVAL, "--until: %s takes no argument", c->name);
	if (!arg && c->arg == ARG_MUST)
		return err_set(
			err, EINVAL, "--until: %s needs an argument: %s=...", c->name, c->name);
	w->condition = c;
	w->fds[0] = w->fds[1] = -1;
	w->next_ms = UINT64_MAX;
	return c->parse ? c->parse(w, arg ? arg + 1 : NULL, err) : 0;
}

static int until_add(struct until *u, const char *text, struct err *err)
{
	struct wait *w = &u->waits[u->nr];
	int ret;

	if (u->nr + 1 == MAX_WAITS) /* one is left for the quiet after a warm-up */
		return err_set(err, E2BIG, "--until: given more than %d times", MAX_WAITS - 1);
	*w = (struct wait){ .until = u, .d = u->d, .arena = u->arena };
	ret = wait_parse(w, text, err);
	if (!ret)
		u->nr++;
	return ret;
}

static int until_add_all(struct until *u, struct err *err)
{
	const char *const *texts = u->d->opts->until;
	int ret = 0;

	if (!texts || !*texts)
		return until_add(u, condition_quiescent.name, err);
	for (size_t i = 0; !ret && texts[i]; i++)
		ret = until_add(u, texts[i], err);
	return ret;
}

static int until_check_settle(const struct until *u, struct err *err)
{
	const struct dump_opts *opts = u->d->opts;

	if (!opts->settle_ms || opts->settle_ms < opts->timeout_ms ||
		u->waits[0].condition != &condition_quiescent || u->nr > 1)
		return 0;
	err_set(err, EINVAL, "--timeout %g s leaves no time to be quiet for %g s (--settle)",
		opts->timeout_ms / 1000.0, opts->settle_ms / 1000.0);
	return err_hint(err, "give it more time with --timeout, or ask for less with --settle");
}

/* A warm-up needs a program that runs. */
static int until_check(const struct until *u, struct err *err)
{
	int ret = until_check_settle(u, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < u->nr; i++) {
		if (!u->waits[i].condition->exact || !u->d->opts->warmup)
			continue;
		err_set(err, EINVAL, "--warmup does not go with --until=%s",
			u->waits[i].condition->name);
		return err_hint(err, "the program stands still from that moment on; wait for "
				     "something else, such as ready or listen");
	}
	return 0;
}

static void waits_finish(struct until *u)
{
	for (size_t i = 0; i < u->nr; i++)
		if (u->waits[i].condition->finish)
			u->waits[i].condition->finish(&u->waits[i]);
}

int dump_until_check(const char *value, struct err *err)
{
	struct dumping none = { .opts = &(struct dump_opts){ 0 } };
	struct until u = { .arena = arena_create(), .d = &none };
	int ret = until_add(&u, value, err);

	waits_finish(&u);
	arena_destroy(u.arena);
	return ret;
}

/* ---- before the launch ------------------------------------------------------------------ */

static void env_add(struct until *u, char *text)
{
	u->envp = arena_grow(u->arena, u->envp, u->nr_envp, &u->cap_envp, sizeof *u->envp);
	u->envp[u->nr_envp++] = text;
}

void until_env(struct until *u, const char *name, const char *value)
{
	char *text = arena_printf(u->arena, "%s=%s", name, value);

	for (size_t i = 0; i < u->nr_envp; i++) {
		if (strncmp(u->envp[i], text, strlen(name) + 1))
			continue;
		u->envp[i] = text;
		return;
	}
	env_add(u, text);
}

struct wait *until_nth(struct until *u, size_t i)
{
	return i < u->nr ? &u->waits[i] : NULL;
}

struct wait *until_first(struct until *u, const struct condition *condition)
{
	for (size_t i = 0; i < u->nr; i++)
		if (u->waits[i].condition == condition)
			return &u->waits[i];
	return NULL;
}

static int until_arm(struct until *u, struct err *err)
{
	int ret = 0;

	for (char **e = environ; *e; e++)
		env_add(u, *e);
	for (size_t i = 0; !ret && i < u->nr; i++)
		if (u->waits[i].condition->arm)
			ret = u->waits[i].condition->arm(&u->waits[i], err);
	return ret;
}

static int until_signals(struct until *u, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	u->chld = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (u->d->stop)
		u->stops = signalfd(-1, &u->d->stop->watched, SFD_CLOEXEC | SFD_NONBLOCK);
	return u->chld < 0 || (u->d->stop && u->stops < 0) ? err_sys(err, "signalfd") : 0;
}

int until_create(struct dumping *d, struct until **out, struct err *err)
{
	struct until *u = calloc(1, sizeof *u);
	int ret;

	if (!u)
		return err_nomem(err);
	*out = u;
	u->d = d;
	u->arena = arena_create();
	u->chld = u->stops = u->exited = -1;
	ret = until_add_all(u, err);
	if (!ret)
		ret = until_check(u, err);
	if (!ret)
		ret = until_signals(u, err);
	return ret < 0 ? ret : until_arm(u, err);
}

void until_destroy(struct until *u)
{
	if (!u)
		return;
	waits_finish(u);
	fd_close(&u->chld);
	fd_close(&u->stops);
	arena_destroy(u->arena);
	free(u);
}

/* ---- the launch ------------------------------------------------------------------------- */

static int until_enter(void *arg)
{
	struct until *u = arg;
	int code = 0;

	for (size_t i = 0; !code && i < u->nr; i++)
		if (u->waits[i].condition->enter)
			code = u->waits[i].condition->enter(&u->waits[i]);
	return !code && u->sieve.len ? sieve_enter(&u->sieve) : code;
}

static bool until_tell(void *arg, const struct tracee_note *note)
{
	struct until *u = arg;
	bool stay = false;

	for (size_t i = u->nr_fixed; i < u->nr; i++) {
		struct wait *w = &u->waits[i];

		if (!w->condition->tell || w->holds ||
			(note->event == TRACEE_CALL && !w->condition->wants))
			continue;
		w->holds = w->condition->tell(w, note);
		stay |= w->holds && w->condition->exact;
	}
	return stay;
}

static bool until_wants(const void *arg, int64_t nr)
{
	const struct until *u = arg;

	for (size_t i = 0; i < u->nr; i++)
		if (u->waits[i].condition->wants && u->waits[i].condition->wants(&u->waits[i], nr))
			return true;
	return false;
}

void until_launch(struct until *u, struct tracee_launch *what)
{
	struct tracer_observer observer = { .tell = until_tell, .arg = u };

	for (size_t i = 0; i < u->nr; i++)
		observer.calls |= u->waits[i].condition->wants != NULL;
	/* What goes on without us must not have the filter. */
	if (observer.calls && !u->d->opts->leave_running && sieve_is_possible()) {
		sieve_make(&u->sieve, u->arena, until_wants, u);
		observer.sieved = u->d->sieved = true;
	}
	tracer_observe(u->d->tracer, &observer);
	env_add(u, NULL);
	what->envp = u->envp;
	what->prepare = until_enter;
	what->arg = u;
}

bool until_has(const struct until *u, pid_t pid)
{
	return tracer_find(u->d->tracer, pid) != NULL;
}

/* ---- words ------------------------------------------------------------------------------ */

static void waited_for(const struct until *u, struct buf *out)
{
	for (size_t i = u->nr_fixed; i < u->nr; i++) {
		buf_printf(out, i > u->nr_fixed ? ", or " : "");
		u->waits[i].condition->words(&u->waits[i], out);
	}
	if (u->nr_fixed == u->nr)
		buf_printf(out, "the warm-up `%s` had ended", u->d->opts->warmup);
}

static int until_over(struct until *u, struct err *err)
{
	struct buf what = BUF_EMPTY, tree = BUF_EMPTY;
	double over_s = (double)(until_now_ms() - u->started_ms) / 1000;
	int ret = busy_describe(u->d, &tree, err);

	if (!ret) {
		waited_for(u, &what);
		err_set(err, ETIMEDOUT, "%.3g s were over before %s: %s", over_s, what.data,
			tree.data);
		ret = err_hint(err, "give it more time with --timeout, or start it yourself and "
				    "dump it with --pid");
	}
	buf_finish(&what);
	buf_finish(&tree);
	return ret;
}

static int until_ended(struct until *u, struct err *err)
{
	struct dump_result *result = u->d->result;
	struct buf what = BUF_EMPTY;
	int status = u->exited;

	result->ended = true;
	result->wait_status = status;
	waited_for(u, &what);
	if (WIFSIGNALED(status))
		err_set(err, ECHILD, "the program was killed by signal %d (%s) before %s",
			WTERMSIG(status), strsignal(WTERMSIG(status)), what.data);
	else
		err_set(err, ECHILD, "the program ended with status %d before %s",
			WEXITSTATUS(status), what.data);
	buf_finish(&what);
	if (u->d->tracer->nr_tracees > 1)
		return err_hint(err,
			"it left other processes behind, as daemons do: start it so that "
			"it stays in the foreground, or dump a running one with --pid");
	return err_hint(err, "only what goes on running can be dumped: look at what it said, or "
			     "stop it earlier with --until");
}

/* ---- the loop --------------------------------------------------------------------------- */

void until_extend(struct until *u, uint64_t ms)
{
	uint64_t deadline = until_now_ms() + ms;

	if (deadline > u->deadline_ms)
		u->deadline_ms = deadline;
}

static uint64_t until_next(const struct until *u, uint64_t now)
{
	uint64_t next = now + SLEEP_MS;

	for (size_t i = 0; i < u->nr; i++)
		if (u->waits[i].next_ms < next)
			next = u->waits[i].next_ms;
	return u->deadline_ms < next ? u->deadline_ms : next;
}

/* Until something happens, or until it is time for the next look. */
static void until_sleep(const struct until *u)
{
	struct pollfd fds[2 + 2 * MAX_WAITS] = {
		{ .fd = u->chld, .events = POLLIN },
		{ .fd = u->stops, .events = POLLIN },
	};
	uint64_t now = until_now_ms(), next = until_next(u, now);
	struct signalfd_siginfo info;
	nfds_t nr = 2;

	for (size_t i = 0; i < u->nr; i++) {
		for (size_t j = 0; j < 2; j++)
			fds[nr++] = (struct pollfd){ .fd = u->waits[i].fds[j], .events = POLLIN };
	}
	poll(fds, nr, next > now ? (int)(next - now) : 0);
	while (read(u->chld, &info, sizeof info) > 0)
		;
}

/* Those that have had their turn are asked as well where the program talks to them: its output
 * still wants to be passed on. */
static bool wait_is_awake(const struct until *u, const struct wait *w)
{
	bool talks = w->fds[0] >= 0 || w->fds[1] >= 0, over = w < u->waits + u->nr_fixed;

	return w->condition->look && (talks || !(over || w->holds));
}

static int until_look(struct until *u, struct err *err)
{
	for (size_t i = 0; i < u->nr; i++) {
		struct wait *w = &u->waits[i];
		int ret;

		if (!wait_is_awake(u, w))
			continue;
		w->next_ms = UINT64_MAX;
		ret = w->condition->look(w, until_now_ms(), err);
		if (ret < 0)
			return ret;
		w->holds |= ret > 0;
	}
	return 0;
}

static struct wait *until_held(struct until *u)
{
	for (size_t i = u->nr_fixed; i < u->nr; i++)
		if (u->waits[i].holds)
			return &u->waits[i];
	return NULL;
}

/*
 * One look around. What the tree has sent is read before its ends are noted, so that who has sent
 * it is still known.
 */
static int until_turn(struct until *u, struct err *err)
{
	int ret = stop_requested(u->d->stop, err);

	if (!ret)
		ret = until_look(u, err);
	if (!ret)
		ret = tracer_poll(u->d->tracer, 0, &u->exited, err);
	if (ret < 0)
		return ret;
	if (until_held(u))
		return 0;
	if (u->exited != -1)
		return until_ended(u, err);
	if (until_now_ms() >= u->deadline_ms)
		return until_over(u, err);
	if (!ret)
		until_sleep(u);
	return 0;
}

static int until_loop(struct until *u, uint64_t limit_ms, struct wait **held, struct err *err)
{
	int ret = 0;

	u->started_ms = until_now_ms();
	u->deadline_ms = u->started_ms + limit_ms;
	while (!ret && !(*held = until_held(u)))
		ret = until_turn(u, err);
	return ret;
}

/* What had its turn is over; from now on the tree is waited for until it is quiet. */
static int until_quiet(struct until *u, uint64_t limit_ms, struct err *err)
{
	struct wait *held = NULL;
	int ret;

	u->nr_fixed = u->nr;
	ret = until_add(u, condition_quiescent.name, err);
	return ret < 0 ? ret : until_loop(u, limit_ms, &held, err);
}

/* A server is still busy with the end of a probe's connection, and who says READY=1 for others is
 * about to end; a program that is always busy is not to be waited for. */
static int until_calm(struct until *u, struct err *err)
{
	uint64_t limit_ms = u->d->opts->timeout_ms;
	int ret = until_quiet(u, limit_ms < STIRRED_MS ? limit_ms : STIRRED_MS, err);

	return ret == -ETIMEDOUT ? 0 : ret;
}

int until_wait(struct until *u, struct err *err)
{
	struct wait *held = NULL;
	int ret = until_loop(u, u->d->opts->timeout_ms, &held, err);

	if (ret < 0)
		return ret;
	u->d->reason = held->found ? held->found : held->condition->name;
	log_info("stopped: %s", u->d->reason);
	return held->condition->stirs && !u->d->opts->warmup ? until_calm(u, err) : 0;
}

/* ---- afterwards ------------------------------------------------------------------------- */

static int until_turn_warmup(void *arg, struct err *err)
{
	return until_turn(arg, err);
}

int until_warm_up(struct until *u, struct err *err)
{
	int ret;

	if (!u->d->opts->warmup)
		return 0;
	u->nr_fixed = u->nr;
	u->started_ms = until_now_ms();
	u->deadline_ms = u->started_ms + u->d->opts->timeout_ms;
	for (size_t i = 0; i < u->nr; i++)
		u->waits[i].next_ms = UINT64_MAX;
	ret = warmup_run(u->d->opts->warmup, u->d->target->pid, until_turn_warmup, u, err);
	return ret < 0 ? ret : until_quiet(u, u->d->opts->timeout_ms, err);
}

int until_undo(struct until *u, struct err *err)
{
	int ret = 0;

	tracer_observe(u->d->tracer, NULL);
	for (size_t i = 0; !ret && i < u->nr; i++)
		if (u->waits[i].condition->undo)
			ret = u->waits[i].condition->undo(&u->waits[i], err);
	return ret;
}
