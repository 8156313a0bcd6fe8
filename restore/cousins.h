#ifndef RESTORE_COUSINS_H
#define RESTORE_COUSINS_H

#include <stdbool.h>

/*
 * Shared anonymous memory comes by inheritance: a process maps it, and its forks have it. Cousins
 * have no such ancestor any more, where one in between has executed another program since.
 */
struct snap;

/* By snap_mem: shared anonymous memory that not all of its processes can inherit. NULL: none. */
const bool *cousins_find(const struct snap *snap);

#endif
