#!/usr/bin/env bats
# What processes may share beyond a fork, and trees that reach outside. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treerefuse_session: CLONE_FILES over sessions" { refusal treerefuse_session 'shares its descriptor table with process .* neither of them leads'; }
@test "treerefuse_files: CLONE_FILES" { roundtrip_or_refusal treerefuse_files; }
@test "treerefuse_fs: CLONE_FS" { roundtrip_or_refusal treerefuse_fs; }
@test "treerefuse_vm: CLONE_VM" { roundtrip_or_refusal treerefuse_vm; }
@test "treerefuse_sighand: CLONE_SIGHAND" { roundtrip_or_refusal treerefuse_sighand; }
@test "treerefuse_vfork: a parent blocked in vfork" { roundtrip_or_refusal treerefuse_vfork; }
@test "treerefuse_mount: a child's mount namespace" { roundtrip_or_refusal treerefuse_mount; }
@test "treerefuse_net: a child's network namespace" { roundtrip_or_refusal treerefuse_net; }
@test "treerefuse_pid: a child's PID namespace" { roundtrip_or_refusal treerefuse_pid; }
@test "treerefuse_traced: a child traced by its parent" { roundtrip_or_refusal treerefuse_traced; }
