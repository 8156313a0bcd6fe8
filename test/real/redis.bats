#!/usr/bin/env bats
# redis: see helpers/real.bash for what is checked.
# It wakes ten times a second and asks epoll_wait for what is left until the next time: 100 ms, or 99 on a busy machine.
load ../helpers/real

@test "redis: launched by the dump" { from_start redis; }
@test "redis: running" { running redis waiting; }
@test "redis: with 200 MB of keys" { running large_redis waiting; }

@test "redis: of an ordinary user, new ids" {
    as_user
    running redis pid,vpid,waiting -- --pids=new
}

@test "redis: of an ordinary user, in a namespace" {
    as_user
    running redis pid,ns,caps,waiting -- --pids=ns
}

@test "redis: launched by an ordinary user" {
    as_user
    from_start redis
}
