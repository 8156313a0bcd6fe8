#ifndef RESTORE_IPC_SETTINGS_H
#define RESTORE_IPC_SETTINGS_H

struct err;
struct job;

/*
 * Limits of the new IPC namespace as the program's had them: those that are raised before its
 * objects are made, which may need that; the others after, as they may be more than are allowed by
 * now.
 */
int ipc_settings_raise(const struct job *job, struct err *err);
int ipc_settings_lower(const struct job *job, struct err *err);

#endif
