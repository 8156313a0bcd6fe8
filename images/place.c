/* Where something new shall appear; see place.h. */
#include "images/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

enum {
	RANDOM_DIGITS = 16,
	/* A name has at most 255 bytes (NAME_MAX), of which two dots, random and ".tmp" take 22. */
	BASE_IN_NAME = 200,
};

#define TMP_END ".tmp"
#define HEX     "0123456789abcdef"

static int place_split(
	struct place *p, const char *path, const char *what, char **parent, struct err *err)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		len--;
	p->path = strndup(path, len);
	slash = p->path ? strrchr(p->path, '/') : NULL;
	p->base = slash ? slash + 1 : p->path;
	*parent = !slash             ? strdup(".")
		  : slash == p->path ? strdup("/")
				     : strndup(p->path, (size_t)(slash - p->path));
	if (!p->path || !*parent)
		return err_nomem(err);
	if (!p->base[0] || !strcmp(p->base, ".") || !strcmp(p->base, "..")) {
		err_set(err, EINVAL, "\"%s\" cannot be the name of %s", path, what);
		return err_hint(err, "give a name that does not exist yet, such as %s/image",
			len ? p->path : ".");
	}
	return 0;
}

static int place_open_parent(struct place *p, const char *parent, struct err *err)
{
	int ret;

	p->parentfd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->parentfd >= 0)
		return 0;
	ret = err_sys(err, "%s: open the directory it shall be in", p->path);
	if (ret == -ENOENT)
		err_hint(err, "make it first: mkdir -p %s", parent);
	else if (ret == -EACCES)
		err_hint(err, "choose a place that you may look into and write to with -o");
	return ret;
}

int place_open(const char *path, const char *what, struct place *out, struct err *err)
{
	struct place p = { .parentfd = -1 };
	char *parent = NULL;
	int ret = place_split(&p, path, what, &parent, err);

	if (ret == 0)
		ret = place_open_parent(&p, parent, err);
	free(parent);
	if (ret < 0)
		place_close(&p);
	else
		*out = p;
	return ret;
}

void place_close(struct place *place)
{
	/* A zeroed one holds no descriptor, although 0 is one: only an opened one has a path. */
	if (!place->path)
		return;
	fd_close(&place->parentfd);
	free(place->path);
	*place = (struct place){ .parentfd = -1 };
}

int place_refused(const struct place *place, struct err *err)
{
	switch (err ? err->code : 0) {
	case ENOSPC:
	case EDQUOT:
		err_hint(err, "free some space there, or choose another place with -o");
		break;
	case EFBIG:
		err_hint(err, "files may not get that large here: raise the limit (ulimit -f), or "
			      "choose another place with -o");
		break;
	case ENOENT: /* of mkdir(2) in /proc and the like */
	case EROFS:
	case EACCES:
	case EPERM:
		err_hint(err, "choose a place that can be written to with -o");
		break;
	}
	return err_wrap(err, "%s", place->path);
}

/* ---- temporary names ------------------------------------------------------------------------- */

static int tmp_prefix(const char *base, char *out, size_t len)
{
	return snprintf(out, len, ".%.*s.", BASE_IN_NAME, base);
}

int place_tmp_name(const char *base, char name[PLACE_TMP_NAME])
{
	int len = tmp_prefix(base, name, PLACE_TMP_NAME);
	uint64_t random;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return -1;
	snprintf(name + len, (size_t)(PLACE_TMP_NAME - len), "%016llx" TMP_END,
		(unsigned long long)random);
	return 0;
}

bool place_is_tmp_name(const char *name, const char *base)
{
	char prefix[PLACE_TMP_NAME];
	size_t len = (size_t)tmp_prefix(base, prefix, sizeof prefix);

	return text_starts(name, prefix) && strspn(name + len, HEX) == RANDOM_DIGITS &&
	       !strcmp(name + len + RANDOM_DIGITS, TMP_END);
}
