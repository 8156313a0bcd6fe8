#!/usr/bin/env bats
# Java: see helpers/real.bash for what is checked.
load ../helpers/real

@test "java: launched by the dump" { from_start java; }
@test "java: running" { running java; }

@test "java: of an ordinary user, new ids" {
    as_user
    running java pid,vpid,waiting -- --pids=new
}

@test "java: of an ordinary user, in a namespace" {
    as_user
    running java pid,ns,caps -- --pids=ns
}

@test "java: launched by an ordinary user" {
    as_user
    from_start java
}
