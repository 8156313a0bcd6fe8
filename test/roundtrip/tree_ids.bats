#!/usr/bin/env bats
# Sessions and process groups of a tree. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeid_groups: " { roundtrip treeid_groups; }
@test "treeid_nephews: " { roundtrip treeid_nephews; }
@test "treeid_root_joins: " { roundtrip treeid_root_joins; }
@test "treeid_group_leader_gone: " { roundtrip treeid_group_leader_gone; }
@test "treeid_group_leader_zombie: " { roundtrip treeid_group_leader_zombie; }
@test "treeid_session: " { roundtrip treeid_session; }
@test "treeid_nested: " { roundtrip treeid_nested; }
@test "treeid_old_session: " { roundtrip treeid_old_session; }
@test "treeid_root_old_session: " { roundtrip treeid_root_old_session; }
@test "treeid_session_leader_gone: " { roundtrip treeid_session_leader_gone; }
@test "treeid_session_leader_zombie: " { roundtrip treeid_session_leader_zombie; }
@test "treeid_kill: " { roundtrip treeid_kill; }
