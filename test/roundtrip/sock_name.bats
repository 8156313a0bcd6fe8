#!/usr/bin/env bats
# Unix sockets whose names outlive their files or owners. See test/targets/sock_name.c for what is checked.
load ../helpers/snap

@test "name_taken: a unix socket whose place is taken, one with two names" { roundtrip name_taken; }
@test "name_closed: what closed unix sockets have sent, under their names" { roundtrip name_closed; }
@test "name_closed, as an ordinary user" {
    as_user
    roundtrip name_closed pid,vpid,ns,waiting -- --pids=ns
}
@test "name_groups: SO_PEERGROUPS; options of those who wait" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    roundtrip name_groups
}
