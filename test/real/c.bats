#!/usr/bin/env bats
# static C servers, with glibc and with musl: see helpers/real.bash for what is checked.
load ../helpers/real

@test "static: launched by the dump" { from_start static; }
@test "static: running" { running static; }

@test "static: of an ordinary user, new ids" {
    as_user
    running static pid,vpid,waiting -- --pids=new
}

@test "static: of an ordinary user, in a namespace" {
    as_user
    running static pid,ns,caps -- --pids=ns
}

@test "static: launched by an ordinary user" {
    as_user
    from_start static
}
@test "musl: launched by the dump" { from_start musl; }
@test "musl: running" { running musl; }
@test "forked: launched by the dump" { from_start forked; }
@test "forked: running" { running forked; }

@test "forked: of an ordinary user, in a namespace" {
    as_user
    running forked pid,ns,caps -- --pids=ns
}
