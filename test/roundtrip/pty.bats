#!/usr/bin/env bats
# Pseudo-terminals. One test for each target of test/targets; see there for what is checked.
# not beside others: ptys (their numbers are looked at)
load ../helpers/snap

@test "pty_pair: a pseudo-terminal: attributes, window, several slaves" { roundtrip pty_pair; }
@test "pty_many: several pseudo-terminals and their numbers" { roundtrip pty_many; }
@test "pty_lines: lines of input, end of file, a line being typed, output" { roundtrip pty_lines; }
@test "pty_raw: raw input and output" { roundtrip pty_raw; }
@test "pty_packet: packet mode, exclusive, locked, stopped" { roundtrip pty_packet; }
@test "pty_masters: masters whose slave is closed, or was never opened" { roundtrip pty_masters; }
@test "pty_hung_up: slaves whose master is closed" { roundtrip pty_hung_up; }
@test "pty_vhangup: a slave hung up by vhangup, another one alive" { roundtrip pty_vhangup; }
@test "pty_controlling: a controlling terminal, /dev/tty" { roundtrip pty_controlling; }
@test "pty_session: a session in a terminal, with its foreground group" { roundtrip pty_session; }
@test "pty_master_outside: a slave whose master is elsewhere" {
    refusal pty_master_outside 'other end is outside the dump'
}
@test "pty_slave_outside: a master whose slave is elsewhere" {
    refusal pty_slave_outside 'open in process [0-9]+ outside the dump'
}
@test "pty_console: a virtual console" { refusal pty_console 'is a virtual console'; }

@test "a dump that leaves the program running leaves its terminals as they are" {
    start_target pty_lines
    see before "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    see after "$pid"
    same before after
    check_target "$pid"
}

@test "pseudo-terminals of an ordinary user" {
    as_user
    start_target pty_lines
    see before "$pid"
    trip pty_lines pid,ppid,ns,caps -- --pids=ns
    check_target "$pid"
}
