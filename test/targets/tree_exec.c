#include "target.h"

const struct target targets_tree_exec[] = {
	{ NULL, NULL, NULL, 0 },
};
