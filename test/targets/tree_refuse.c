#include "target.h"

const struct target targets_tree_refuse[] = {
	{ NULL, NULL, NULL, 0 },
};
