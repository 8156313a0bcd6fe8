#include "target.h"

const struct target targets_tree_end[] = {
	{ NULL, NULL, NULL, 0 },
};
