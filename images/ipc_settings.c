/* Limits of an IPC namespace; see ipc_settings.h. */
#include "images/ipc_settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

const char *const ipc_setting_names[] = {
	"kernel/shmmax",
	"kernel/shmall",
	"kernel/shmmni",
	"kernel/shm_rmid_forced",
	"kernel/sem",
	"kernel/msgmax",
	"kernel/msgmnb",
	"kernel/msgmni",
	"fs/mqueue/queues_max",
	"fs/mqueue/msg_max",
	"fs/mqueue/msgsize_max",
	"fs/mqueue/msg_default",
	"fs/mqueue/msgsize_default",
	NULL,
};

const char *ipc_setting_name(const char *name)
{
	for (const char *const *at = ipc_setting_names; *at; at++)
		if (!strcmp(*at, name))
			return *at;
	return NULL;
}

bool ipc_setting_valid(const char *value)
{
	size_t len = strlen(value);

	return len && len < IPC_SETTING_MOST && strspn(value, "0123456789 \t") == len;
}

bool ipc_setting_read(const char *name, char value[IPC_SETTING_MOST])
{
	char path[64];
	OWNED_FD fd = -1;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/sys/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, value, IPC_SETTING_MOST - 1);
	if (len <= 0)
		return false;
	value[len] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return true;
}
