#include "target.h"

const struct target targets_tree_attr[] = {
	{ NULL, NULL, NULL, 0 },
};
