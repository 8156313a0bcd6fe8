/* Limits of an IPC namespace of its own; see ipc_settings.h. */
#include "dump/ipc_settings.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "images/ipc_settings.h"

static void setting_add(struct snap *snap, const char *name, const char *value)
{
	snap->ipc_settings = arena_grow(snap->arena, snap->ipc_settings, snap->nr_ipc_settings,
		&snap->cap_ipc_settings, sizeof *snap->ipc_settings);
	snap->ipc_settings[snap->nr_ipc_settings++] = (struct snap_ipc_setting){ name,
		arena_strdup(snap->arena, value) };
}

static void settings_read(struct snap *snap)
{
	char value[IPC_SETTING_MOST];

	for (const char *const *name = ipc_setting_names; *name; name++)
		if (ipc_setting_read(*name, value) && ipc_setting_valid(value))
			setting_add(snap, *name, value);
}

static void settings_drop_usual(struct snap *snap)
{
	char fresh[IPC_SETTING_MOST];
	size_t kept = 0;

	for (size_t i = 0; i < snap->nr_ipc_settings; i++)
		if (!ipc_setting_read(snap->ipc_settings[i].name, fresh) ||
			strcmp(fresh, snap->ipc_settings[i].value))
			snap->ipc_settings[kept++] = snap->ipc_settings[i];
	snap->nr_ipc_settings = kept;
}

int ipc_settings_collect(struct dumping *d, struct err *err)
{
	OWNED_FD theirs = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);

	if (theirs < 0)
		return err_sys(err, "open /proc/self/ns/ipc");
	settings_read(d->snap);
	if (unshare(CLONE_NEWIPC) < 0)
		return err_sys(err, "make an IPC namespace to compare with");
	settings_drop_usual(d->snap);
	if (setns(theirs, CLONE_NEWIPC) < 0)
		return err_sys(err, "go back to the IPC namespace of the program");
	return 0;
}
