#ifndef DUMP_IPC_SETTINGS_H
#define DUMP_IPC_SETTINGS_H

struct dumping;
struct err;

/* What the IPC namespace we are in by now, the program's own, has set otherwise than a fresh one.
 */
int ipc_settings_collect(struct dumping *d, struct err *err);

#endif
