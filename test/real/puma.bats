#!/usr/bin/env bats
# puma: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "puma: launched by the dump" { launched_tree puma; }
@test "puma: running" { running_tree puma waiting; }
