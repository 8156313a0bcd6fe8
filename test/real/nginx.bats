#!/usr/bin/env bats
# nginx: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "nginx: launched by the dump" { launched_tree nginx; }
@test "nginx: running" { running_tree nginx; }
