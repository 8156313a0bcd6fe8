#ifndef IMAGES_TREE_H
#define IMAGES_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "images/snap.h"

/* How the processes of an image descend from each other. */

/*
 * Does this address space come from that one by fork(2), with no exec(2) in between? Both have the
 * same program at the same randomized places. Their pages may be shared by copy on write.
 */
bool snap_mm_is_fork(const struct snap_mm *mm, const struct snap_mm *of);

/* With whom it shares if it shares anything: its parent, or a sibling. ID_NONE: with nobody. */
uint32_t snap_shares_with(const struct snap *snap, uint32_t proc);
/* Does it share its address space with that one (clone(2) with CLONE_VM)? */
bool snap_shares_vm(const struct snap *snap, uint32_t proc);

/*
 * The process of which process `proc` is made by a fork at restore, sharing memory: its parent, or
 * a sibling where that has executed another program since, or for an orphan any process before it
 * with the same memory layout. ID_NONE: it is executed anew.
 */
uint32_t snap_base_of(const struct snap *snap, uint32_t proc);

#endif
