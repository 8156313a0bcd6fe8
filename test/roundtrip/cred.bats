#!/usr/bin/env bats
# Credentials. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "cred_ids: uids, gids, groups" { roundtrip cred_ids; }
@test "cred_nobody: an ordinary user" { roundtrip cred_nobody; }
@test "cred_caps: capability sets" { roundtrip cred_caps; }
@test "cred_keepcaps: a user with capabilities" { roundtrip cred_keepcaps; }
@test "cred_securebits: securebits" { roundtrip cred_securebits; }
@test "cred_no_new_privs: no_new_privs" { roundtrip cred_no_new_privs; }
@test "cred_locked: secure bits and capabilities that are locked" { roundtrip cred_locked; }
@test "cred_thread: a thread of another user" { roundtrip cred_thread; }

# set_id MODE NAME: the target as a file of another user and group, with these bits
set_id() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    cp "$TARGET" "$scratch/setid"
    chown 65534:65534 "$scratch/setid"
    chmod "$1" "$scratch/setid"
    TARGET=$scratch/setid roundtrip "$2"
}
@test "cred_setid_dropped: a set-group-id program that gave the group up" { set_id 2755 cred_setid_dropped; }
@test "cred_setid_dropped: a set-user-id program that gave all up" { set_id 6755 cred_setid_dropped; }
@test "cred_setid_kept: a set-group-id program that uses its group" { set_id 2755 cred_setid_kept; }

@test "cred_keyrings: keys that are lost are told" {
    start_target cred_keyrings
    dump_pid "$pid"
    [ "$(grep -c "warning: process $pid, thread $pid: .* keyring.* is lost, with [12] key" "$scratch/said")" = 3 ]
    restore
    check_target "$pid"
}
