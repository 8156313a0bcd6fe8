#!/usr/bin/env bats
# Groups and sessions that their founder has left. One test for each target of test/targets/tree_group.c.
load ../helpers/snap

@test "treegrp_founder_moved: a group whose founder is in another" { roundtrip treegrp_founder_moved; }
@test "treegrp_exchanged: two in each other's groups" { roundtrip treegrp_exchanged; }
@test "treegrp_ended_alone: a group of ended ones" { roundtrip treegrp_ended_alone; }
@test "treegrp_ended_uid: whose an ended one was" { roundtrip treegrp_ended_uid; }
@test "treegrp_session_ended: two groups of a session whose leader is a zombie" { roundtrip treegrp_session_ended; }
@test "treegrp_session_orphan: an orphan of a child's session" { roundtrip treegrp_session_orphan; }
@test "treegrp_stopped_leaderless: stopped without a first thread" { roundtrip treegrp_stopped_leaderless; }
@test "treegrp_stopped_together: stopped in one group by SIGTSTP" { roundtrip treegrp_stopped_together; }
@test "treegrp_stop_queued: a queued SIGCHLD of a stop" { roundtrip treegrp_stop_queued; }
@test "treegrp_trap_queued: queued SIGTRAPs" { roundtrip treegrp_trap_queued; }
@test "treegrp_undo_shared: SEM_UNDO with CLONE_SYSVSEM" { refusal_late treegrp_undo_shared 'shares its semaphore adjustments'; }
