#!/usr/bin/env bats
# node with a worker thread: see helpers/real.bash for what is checked.
load ../helpers/real

@test "node: launched by the dump" { from_start node; }
@test "node: running" { running node waiting; }

@test "node: of an ordinary user, new ids" {
    as_user
    running node pid,vpid,waiting -- --pids=new
}

@test "node: of an ordinary user, in a namespace" {
    as_user
    running node waiting,pid,ns,caps -- --pids=ns
}

@test "node: launched by an ordinary user" {
    as_user
    from_start node
}
