#!/usr/bin/env bats
# redis: see helpers/real.bash for what is checked.
load ../helpers/real

@test "redis: launched by the dump" { from_start redis; }
@test "redis: running" { running redis; }
@test "redis: with 200 MB of keys" { running large_redis; }

@test "redis: of an ordinary user, new ids" {
    as_user
    running redis pid,vpid,waiting -- --pids=new
}

@test "redis: of an ordinary user, in a namespace" {
    as_user
    running redis pid,ns,caps -- --pids=ns
}

@test "redis: launched by an ordinary user" {
    as_user
    from_start redis
}
