#ifndef SNAPCTL_PLACE_H
#define SNAPCTL_PLACE_H

#include <stddef.h>

/*
 * The private directory in which a process and whoever asks it for a dump meet:
 * $XDG_RUNTIME_DIR/snapctl, else /tmp/snapctl-UID. For each process that can be asked:
 *     NAME.listens   "SIGNAL START\n": the signal, and the start time of the process (proc(5))
 *     NAME.ask       made by the asker, right before it sends the signal
 *     NAME.sock      a SOCK_SEQPACKET socket, there for as long as an answer takes
 * NAME is NAMESPACE-PID: the inode of its pid namespace, since copies of one image may have the
 * same id in different ones, and its id in there.
 */

enum { SNAPCTL_PLACE_LEN = 256, SNAPCTL_PLACE_FILE_LEN = 48 };

/* Its name, 0 or -errno. */
int place_name(char name[SNAPCTL_PLACE_LEN]);
/* Make it if it is not there, check whose it is and open it; a descriptor or -errno. */
int place_open(const char *name);

#endif
