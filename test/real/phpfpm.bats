#!/usr/bin/env bats
# phpfpm: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "phpfpm: launched by the dump" { launched_tree phpfpm; }
@test "phpfpm: running" { running_tree phpfpm waiting; }
