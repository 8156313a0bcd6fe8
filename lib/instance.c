/* What this instance was told at its restore. */
#include "lib/snapctl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/internal.h"

enum { TEXTS_MAX = 4096 };

/* snapctl has made sure that what it wrote is well-formed; the end of the area is kept anyway. */
static const char *text_at(uint32_t nr)
{
	const struct snapctl_area *area = area_get();
	const char *at = (const char *)(area + 1), *end = (const char *)area + area->len;

	for (; nr > 0 && at < end; nr--)
		at += strnlen(at, (size_t)(end - at)) + 1;
	return at < end ? at : "";
}

static const char *const *texts(uint32_t from, uint32_t nr, const char **out)
{
	if (nr > TEXTS_MAX)
		nr = TEXTS_MAX;
	for (uint32_t i = 0; i < nr; i++)
		out[i] = text_at(from + i);
	out[nr] = NULL;
	return out;
}

const char *const *snapctl_restore_args(void)
{
	static const char *out[TEXTS_MAX + 1];
	const struct snapctl_area *area = area_get();

	return texts(0, area ? area->nr_args : 0, out);
}

const char *const *snapctl_restore_env(void)
{
	static const char *out[TEXTS_MAX + 1];
	const struct snapctl_area *area = area_get();

	return area ? texts(area->nr_args, area->nr_env, out) : texts(0, 0, out);
}

/* The last one wins, as it would in a shell. */
const char *snapctl_getenv(const char *name)
{
	const char *const *env = snapctl_restore_env(), *found = NULL;
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			found = *env + len + 1;
	return found ? found : getenv(name);
}

const char *snapctl_generation(void)
{
	static const uint8_t none[16];
	static char text[37];
	const struct snapctl_area *area = area_get();
	const uint8_t *id = area ? area->generation : none;
	size_t at = 0;

	for (int i = 0; i < 16; i++)
		at += (size_t)sprintf(text + at, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
	return text;
}
