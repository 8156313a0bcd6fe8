#!/usr/bin/env bats
# Credentials. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "cred_ids: uids, gids, groups" { roundtrip cred_ids; }
@test "cred_nobody: an ordinary user" { roundtrip cred_nobody; }
@test "cred_caps: capability sets" { roundtrip cred_caps; }
@test "cred_keepcaps: a user with capabilities" { roundtrip cred_keepcaps; }
@test "cred_securebits: securebits" { roundtrip cred_securebits; }
@test "cred_no_new_privs: no_new_privs" { roundtrip cred_no_new_privs; }
@test "cred_thread: a thread of another user" { roundtrip cred_thread; }
