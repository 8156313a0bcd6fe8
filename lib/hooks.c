/* Hooks before a dump and after it. */
#include "lib/snapctl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/internal.h"

struct hook {
	struct hook *next, *previous;
	const char *name;
	int (*before)(void *arg);
	void (*after)(void *arg, int restored);
	void (*reseed)(void *arg, const unsigned char generation[16]);
	void *arg;
};

static struct {
	pthread_mutex_t mutex;
	struct hook *first, *last;
} hooks = { .mutex = PTHREAD_MUTEX_INITIALIZER };

void hooks_lock_forget(void)
{
	pthread_mutex_init(&hooks.mutex, NULL);
}

static int hook_add(const struct hook *what)
{
	struct hook *hook = malloc(sizeof *hook);

	if (!hook)
		return -ENOMEM;
	*hook = *what;
	pthread_mutex_lock(&hooks.mutex);
	hook->next = NULL;
	hook->previous = hooks.last;
	*(hooks.last ? &hooks.last->next : &hooks.first) = hook;
	hooks.last = hook;
	pthread_mutex_unlock(&hooks.mutex);
	return 0;
}

int snapctl_hook(const char *name, int (*before)(void *arg), void (*after)(void *arg, int restored),
	void *arg)
{
	return hook_add(
		&(struct hook){ .name = name, .before = before, .after = after, .arg = arg });
}

int snapctl_reseed(void (*reseed)(void *arg, const unsigned char generation[16]), void *arg)
{
	return hook_add(&(struct hook){ .reseed = reseed, .arg = arg });
}

static struct hook *hooks_end(int first)
{
	struct hook *hook;

	pthread_mutex_lock(&hooks.mutex);
	hook = first ? hooks.first : hooks.last;
	pthread_mutex_unlock(&hooks.mutex);
	return hook;
}

static void after_from(const struct hook *hook, int restored)
{
	for (; hook; hook = hook->previous)
		if (hook->after)
			hook->after(hook->arg, restored);
}

int hooks_before(char words[SNAPCTL_WORDS_LEN])
{
	for (const struct hook *hook = hooks_end(1); hook; hook = hook->next) {
		int code = hook->before ? hook->before(hook->arg) : 0;

		if (!code)
			continue;
		snprintf(words, SNAPCTL_WORDS_LEN, "hook '%s': %s", hook->name ? hook->name : "?",
			strerror(code < 0 ? -code : code));
		after_from(hook->previous, 0);
		return -ECANCELED;
	}
	return 0;
}

void hooks_after(int restored)
{
	const struct snapctl_area *area = area_get();

	for (const struct hook *hook = hooks_end(1); restored && hook; hook = hook->next)
		if (hook->reseed)
			hook->reseed(hook->arg, area->generation);
	after_from(hooks_end(0), restored);
}
