#!/usr/bin/env bats
# haproxy: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "haproxy: launched by the dump" { launched_tree haproxy; }
@test "haproxy: running" { running_tree haproxy; }
