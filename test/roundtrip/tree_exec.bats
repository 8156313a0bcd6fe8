#!/usr/bin/env bats
# Children that run another program. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeexec_sleep: sleep(1)" { roundtrip treeexec_sleep; }
@test "treeexec_cat: cat(1) between pipes" { roundtrip treeexec_cat; }
@test "treeexec_pipeline: six cats in a row" { roundtrip treeexec_pipeline; }
@test "treeexec_shell: a shell with programs" { roundtrip treeexec_shell; }
@test "treeexec_subshells: nested subshells" { roundtrip treeexec_subshells; }
@test "treeexec_cousins: shared memory of processes whose parents are other programs" { roundtrip treeexec_cousins; }
@test "treeexec_again: the same program, placed elsewhere" { roundtrip treeexec_again; }
