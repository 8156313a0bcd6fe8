#!/usr/bin/env bats
# javachild: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "javachild: launched by the dump" { launched_tree javachild; }
@test "javachild: running" { running_tree javachild waiting; }
