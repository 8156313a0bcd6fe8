#!/usr/bin/env bats
# pool: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "pool: launched by the dump" { launched_tree pool; }
@test "pool: running" { running_tree pool; }
