#ifndef DUMP_CONNECTIONS_H
#define DUMP_CONNECTIONS_H

/*
 * TCP connections that are carried over (--tcp-established, images/fd/tcp.h): from the freeze on
 * their packets are held back, and when the target ends the other ends are not told.
 */

struct dumping;
struct err;

/* Packets are held back from the first connection that is saved until connections_finish(). */
int connections_begin(struct dumping *d, struct err *err);
/* They stay held back when we are gone, too: before the image is finished. */
int connections_keep(struct dumping *d, struct err *err);
/* There will be no image after all. */
void connections_forget(struct dumping *d);
/* The target may end now: nobody is told. */
int connections_silence(struct dumping *d, struct err *err);
void connections_finish(struct dumping *d);

#endif
