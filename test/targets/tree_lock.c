#include "target.h"

const struct target targets_tree_lock[] = {
	{ NULL, NULL, NULL, 0 },
};
