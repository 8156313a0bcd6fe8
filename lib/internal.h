#ifndef SNAPCTL_INTERNAL_H
#define SNAPCTL_INTERNAL_H

#include "lib/protocol.h"

/* What the files of lib/ share. */

/* Run the before hooks; 0, or -ECANCELED with words ("hook 'db': Input/output error") after those
 * that had run were told. */
int hooks_before(char words[SNAPCTL_WORDS_LEN]);
void hooks_after(int restored);

/* The area, made at first use; NULL: no memory. */
struct snapctl_area *area_get(void);
/* The hello of this process. */
void hello_init(struct snapctl_hello *hello, enum snapctl_kind kind);
/*
 * Until snapctl has written another state than SNAPCTL_ASKING. alive() says whether there is still
 * somebody who could; -ECANCELED where not. Returns as snapctl_ready().
 */
int area_wait(int (*alive)(void *arg), void *arg);

/* One conversation at a time, of whatever thread. */
void snapctl_lock(void);
void snapctl_unlock(void);

#endif
