#!/usr/bin/env bats
# What nobody can open by its name any more. See test/targets/nameless.c for what is checked.
load ../helpers/snap

@test "nameless_device: a removed device" { roundtrip nameless_device; }
@test "nameless_process: /proc of a process that is gone" { roundtrip nameless_process; }
@test "nameless_cwd: in /proc of a child" { refusal nameless_cwd 'its working directory is /proc/[0-9]+, of a process'; }

@test "in a namespace of its own" {
    roundtrip nameless_process pid,ns -- --pids=ns
}
