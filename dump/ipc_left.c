/* Objects of an IPC namespace that nobody holds; see ipc_left.h. */
#include "dump/ipc_left.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/ipc.h"
#include "images/fd/kinds.h"
#include "images/fd/mqueue.h"

static int segments_check(const struct dumping *d, struct arena *a, struct err *err)
{
	const struct snap *snap = d->snap;
	int32_t *ids;
	size_t nr;
	int ret = ipc_ids("/proc/sysvipc/shm", a, &ids, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++) {
		bool known = false;

		for (size_t m = 0; m < snap->nr_mems && !known; m++)
			known = snap->mems[m].kind == MEM_SYSV && snap->mems[m].sysv_id == ids[i];
		if (known)
			continue;
		ret = err_set(err, ENOTSUP,
			"System V segment %d of its IPC namespace is attached by no process",
			ids[i]);
		err_hint(err,
			"let the program attach it, or remove it: nsenter --target %d --ipc "
			"ipcrm -m %d",
			d->target->pid, ids[i]);
	}
	return ret;
}

static bool queue_known(const struct snap *snap, const char *name)
{
	for (size_t i = 0; i < snap->nr_ofds; i++) {
		const struct mqueue_priv *priv = snap->ofds[i].priv;

		if (snap->ofds[i].kind == &fd_mqueue && priv && !priv->deleted &&
			!strcmp(priv->name, name))
			return true;
	}
	return false;
}

/* Their file system, of the namespace that we are in, without a place. NULL: a kernel without. */
static DIR *queues_open(void)
{
	OWNED_FD fs = fsopen("mqueue", FSOPEN_CLOEXEC);
	OWNED_FD mount = -1;
	int dir;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return NULL;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	dir = mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? NULL : fdopendir(dir);
}

static int queues_check(const struct dumping *d, struct err *err)
{
	DIR *dir = queues_open();
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return errno == ENODEV || errno == ENOSYS
			       ? 0
			       : err_sys(err, "message queues of the IPC namespace");
	while (!ret && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			queue_known(d->snap, entry->d_name))
			continue;
		ret = err_set(err, ENOTSUP,
			"message queue /%s of its IPC namespace is open in no process",
			entry->d_name);
		err_hint(err, "let the program keep it open, or remove it (mq_unlink)");
	}
	closedir(dir);
	return ret;
}

int ipc_left_check(struct dumping *d, struct err *err)
{
	struct arena *a = arena_create();
	int ret = segments_check(d, a, err);

	arena_destroy(a);
	return ret ? ret : queues_check(d, err);
}
