#include "target.h"

const struct target targets_tree_mem[] = {
	{ NULL, NULL, NULL, 0 },
};
