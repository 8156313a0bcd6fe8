/* What this instance is told; see instance.h. */
#include "restore/instance.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "lib/protocol.h"
#include "restore/job.h"
#include "restore/stops.h"

static size_t texts_len(const char *const *texts, uint32_t *nr)
{
	size_t len = 0;

	*nr = 0;
	for (; texts && texts[*nr]; ++*nr)
		len += strlen(texts[*nr]) + 1;
	return len;
}

static char *texts_put(const char *const *texts, char *at)
{
	for (; texts && *texts; texts++) {
		size_t len = strlen(*texts) + 1;

		memcpy(at, *texts, len);
		at += len;
	}
	return at;
}

static bool somebody_listens(const struct snap *snap)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].area)
			return true;
	return false;
}

int instance_prepare(struct job *job, struct err *err)
{
	const struct restore_opts *opts = job->opts;
	uint32_t nr_args, nr_env;
	size_t len = texts_len(opts->args, &nr_args) + texts_len(opts->setenv, &nr_env);
	bool listens = somebody_listens(job->snap);

	if (listens && getrandom(job->generation, sizeof job->generation, 0) !=
			       (ssize_t)sizeof job->generation)
		return err_sys(err, "getrandom");
	if (!nr_args && !nr_env)
		return 0;
	if (!listens) {
		err_set(err, ENOTSUP, "the program of this image would not see %s",
			nr_env ? "--setenv" : "the arguments behind --");
		return err_hint(err,
			"only programs that have loaded libsnapctl can ask for it: see "
			"snapctl-lib(3)");
	}
	if (len > SNAPCTL_AREA_LEN - sizeof(struct snapctl_area))
		return err_set(err, E2BIG, "--setenv and arguments are longer than %zu bytes",
			SNAPCTL_AREA_LEN - sizeof(struct snapctl_area));
	return 0;
}

/* For the one process that was heard the dump has written SNAPCTL_RESTORED already. Others may have
 * been asking, too; nobody will hear them, and they notice. */
static int state_of(struct job *job, uint32_t *state, struct err *err)
{
	const uint64_t at = job->proc->area + offsetof(struct snapctl_area, state);

	if (stops_read(job, at, state, sizeof *state, err) < 0)
		return -err->code;
	if (*state != SNAPCTL_ASKING)
		*state = SNAPCTL_RESTORED;
	return 0;
}

int instance_tell(struct job *job, struct err *err)
{
	const struct restore_opts *opts = job->opts;
	struct snapctl_area *area;
	char *end;

	if (!job->proc->area)
		return 0;
	area = arena_alloc(job->snap->arena, SNAPCTL_AREA_LEN);
	area->magic = SNAPCTL_AREA_MAGIC;
	area->len = SNAPCTL_AREA_LEN;
	memcpy(area->generation, job->generation, sizeof area->generation);
	texts_len(opts->args, &area->nr_args);
	texts_len(opts->setenv, &area->nr_env);
	end = texts_put(opts->setenv, texts_put(opts->args, (char *)(area + 1)));
	if (state_of(job, &area->state, err) < 0 ||
		stops_write(job, job->proc->area, area, (size_t)(end - (char *)area), err) < 0)
		return err_wrap(err, "what the program is told about its restore");
	return 0;
}
