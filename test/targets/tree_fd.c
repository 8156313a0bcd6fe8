#include "target.h"

const struct target targets_tree_fd[] = {
	{ NULL, NULL, NULL, 0 },
};
