#ifndef SNAPCTL_INTERNAL_H
#define SNAPCTL_INTERNAL_H

#include "lib/protocol.h"

/* What the files of lib/ share. */

/* Run the before hooks; 0, or -ECANCELED with words ("hook 'db': Input/output error") after those
 * that had run were told. */
int hooks_before(char words[SNAPCTL_WORDS_LEN]);
void hooks_after(int restored);
/* In a child: whoever was adding one has stayed with the parent. */
void hooks_lock_forget(void);

/* The area, made at first use; NULL: no memory. */
struct snapctl_area *area_get(void);
/* The hello of this process. */
void hello_init(struct snapctl_hello *hello, enum snapctl_kind kind);
/* One conversation, and what was before it; begin it before the hooks. */
struct talk {
	unsigned char generation[16];
};

void talk_begin(struct talk *talk);
/*
 * Until snapctl has written another state than SNAPCTL_ASKING. alive() says whether there is still
 * somebody who could; -ECANCELED where not. Returns as snapctl_ready().
 */
int talk_wait(const struct talk *talk, int (*alive)(void *arg), void *arg);
/* Nobody was asked, or nobody will answer. */
void talk_end(void);
/* Is this another instance than at its beginning? Whoever was heard: the image may have been made
 * for another process that checked in at the same time. */
int talk_restored(const struct talk *talk);

/* One conversation at a time, of whatever thread; a child begins with none. */
void snapctl_lock(void);
void snapctl_unlock(void);

#endif
