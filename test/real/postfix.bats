#!/usr/bin/env bats
# postfix: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "postfix: launched by the dump" { launched_tree postfix; }
@test "postfix: running" { running_tree postfix waiting,lockowner; }
