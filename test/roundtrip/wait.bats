#!/usr/bin/env bats
# System calls that wait. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "wait_forever: 18 system calls without a timeout" { roundtrip wait_forever; }
@test "wait_long: 11 system calls with a long timeout" { roundtrip wait_long; }
@test "wait_timed: 14 system calls with short timeouts" { roundtrip wait_timed waiting; }
@test "wait_restarted: interrupted by a stop before (restart_syscall)" { roundtrip wait_restarted; }
@test "wait_half_written: a write that is half done" { roundtrip wait_half_written waiting; }
@test "wait_open: open of a FIFO" { roundtrip wait_open; }
@test "wait_pause: pause" { roundtrip wait_pause; }
@test "wait_eintr: signals still interrupt" { roundtrip wait_eintr; }
@test "wait_more_forever: 22 more system calls without a timeout" { roundtrip wait_more_forever; }
@test "wait_more_long: 7 more with a long timeout" { roundtrip wait_more_long; }
@test "wait_more_timed: 17 more with short timeouts" { roundtrip wait_more_timed waiting; }
@test "wait_connect: connect to a full queue" { roundtrip_or_refusal wait_connect; }
@test "wait_ppoll_mask: ppoll with a signal mask" { roundtrip wait_ppoll_mask; }
