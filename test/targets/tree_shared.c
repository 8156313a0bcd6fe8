#include "target.h"

const struct target targets_tree_shared[] = {
	{ NULL, NULL, NULL, 0 },
};
