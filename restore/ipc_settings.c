/* Limits of an IPC namespace of its own; see ipc_settings.h. */
#include "restore/ipc_settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "images/ipc_settings.h"
#include "restore/job.h"

/*
 * kernel/sem has four numbers, of which the first says how many a set may have. shm_rmid_forced is
 * no limit: with it, segments that nobody has attached yet would go.
 */
static bool is_raised(const struct snap_ipc_setting *s)
{
	char now[IPC_SETTING_MOST];

	return strcmp(s->name, "kernel/shm_rmid_forced") != 0 && ipc_setting_read(s->name, now) &&
	       strtoull(s->value, NULL, 10) > strtoull(now, NULL, 10);
}

static int setting_write(const struct snap_ipc_setting *s, struct err *err)
{
	char path[64];
	OWNED_FD fd = -1;

	snprintf(path, sizeof path, "/proc/sys/%s", s->name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, s->value, strlen(s->value)) >= 0)
		return 0;
	err_sys(err, "write %s to %s, as the program's IPC namespace had it", s->value, path);
	return err_hint(err, "restore as root");
}

int ipc_settings_raise(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->snap->nr_ipc_settings; i++)
		if (is_raised(&job->snap->ipc_settings[i]) &&
			setting_write(&job->snap->ipc_settings[i], err) < 0)
			return -err->code;
	return 0;
}

int ipc_settings_lower(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->snap->nr_ipc_settings; i++)
		if (setting_write(&job->snap->ipc_settings[i], err) < 0)
			return -err->code;
	return 0;
}
