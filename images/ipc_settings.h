#ifndef IMAGES_IPC_SETTINGS_H
#define IMAGES_IPC_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What every IPC namespace has for itself in /proc/sys. Those in which a program's own differs from
 * a fresh one are written down.
 */

enum { IPC_SETTING_MOST = 64 }; /* bytes of a value, with its end */

extern const char *const ipc_setting_names[]; /* below /proc/sys; ends with NULL */

/* The one of these names; NULL: it is none. */
const char *ipc_setting_name(const char *name);
/* Numbers with blanks between them? */
bool ipc_setting_valid(const char *value);
/* As this thread's namespace has it; false: this kernel has none. */
bool ipc_setting_read(const char *name, char value[IPC_SETTING_MOST]);

#endif
