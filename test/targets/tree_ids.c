#include "target.h"

const struct target targets_tree_ids[] = {
	{ NULL, NULL, NULL, 0 },
};
