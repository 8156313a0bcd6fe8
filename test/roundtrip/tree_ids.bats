#!/usr/bin/env bats
# Sessions and process groups of a tree. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeid_groups: groups joined by siblings" { roundtrip treeid_groups; }
@test "treeid_nephews: groups joined by nephews" { roundtrip treeid_nephews; }
@test "treeid_root_joins: a group that a child leads" { roundtrip treeid_root_joins; }
@test "treeid_group_leader_gone: a group whose leader is gone" { roundtrip treeid_group_leader_gone; }
@test "treeid_group_leader_zombie: a group whose leader is a zombie" { roundtrip treeid_group_leader_zombie; }
@test "treeid_session: sessions with groups" { roundtrip treeid_session; }
@test "treeid_nested: sessions below sessions" { roundtrip treeid_nested; }
@test "treeid_old_session: a child in its parent's old session" { roundtrip treeid_old_session; }
@test "treeid_root_old_session: a child in the launcher's session" { roundtrip treeid_root_old_session; }
@test "treeid_session_leader_gone: a session whose leader is gone" { roundtrip treeid_session_leader_gone; }
@test "treeid_session_leader_zombie: a session whose leader is a zombie" { roundtrip treeid_session_leader_zombie; }
@test "treeid_kill: signals to groups reach their members" { roundtrip treeid_kill; }
