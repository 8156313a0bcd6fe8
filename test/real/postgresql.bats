#!/usr/bin/env bats
# postgresql: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "postgresql: launched by the dump" { launched_tree postgresql; }
@test "postgresql: running" { running_tree postgresql waiting; }
