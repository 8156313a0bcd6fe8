#!/usr/bin/env bats
# Births that take more than one process. One test for each target of test/targets/tree_born.c.
load ../helpers/snap

@test "treeborn_vm_forks: a fork of one that shares memory" { roundtrip treeborn_vm_forks; }
@test "treeborn_own_table: a thread's table, and one of two processes" { roundtrip treeborn_own_table; }
@test "treeborn_adopted: a session of one who is somebody's zombie" { roundtrip treeborn_adopted; }
@test "treeborn_exit_signal: an adopted one's exit signal" { roundtrip treeborn_exit_signal; }
@test "treeborn_order: zombies with groups in the order of births" { roundtrip treeborn_order; }
