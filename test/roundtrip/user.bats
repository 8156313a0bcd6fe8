#!/usr/bin/env bats
# What an ordinary user meets where root does not: other ways, and refusals that say who could.
load ../helpers/snap

ordinary() { [ "$(id -u)" != 0 ] || as_user; }

@test "user: a removed file that its owner may not open" {
    ordinary
    roundtrip user_unreadable pid,vpid,waiting -- --pids=new
}

@test "user: the same, open for writing only" {
    ordinary
    refusal_late user_write_only 'open it for reading: Permission denied'
    grep -q 'run snapctl as root' "$scratch/said"
}

@test "user: files of modes that keep their owner out" {
    ordinary
    roundtrip user_closed pid,vpid,waiting -- --pids=new
}

@test "user: shared memory, mapped in parts by two" {
    ordinary
    roundtrip user_parts pid,ns,caps
}

@test "user: a TCP connection inside the program" {
    ordinary
    refusal tcp_inside 'is established, and only root \(CAP_NET_ADMIN\) can carry it over'
}

@test "user: a TCP connection that is to be carried over" {
    ordinary
    start log /usr/bin/python3 -c '
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
open("up", "w").close()
time.sleep(1000)'
    until_true test -e "$scratch/work/up"
    ! snapctl dump --pid "$pid" --tcp-established -o "$(image)" || fail "it was dumped"
    grep -q 'is established, and only root (CAP_NET_ADMIN) can carry it over' "$scratch/said"
}

@test "user: datagrams nobody has read" {
    ordinary
    roundtrip udp_queue pid,vpid,waiting -- --pids=new
}

@test "user: output that goes to a file of root's" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    as_user
    mkdir -m 700 "$scratch/closed"
    (
        close_others
        cd "$scratch/work"
        exec "${user[@]}" env -i HOME="$scratch/work" sleep 1000 </dev/null >"$scratch/closed/log" 2>"$scratch/errors"
    ) &
    pid=$!
    note_pid "$pid"
    until_true grep -qx sleep "/proc/$pid/comm"
    dump_pid "$pid"
    [ "$(grep -c 'warning: descriptor [12]: .* is not yours to open' "$scratch/said")" = 2 ]
    restore --pids=new
    [ "$(readlink "/proc/$pid/fd/1")" = "$scratch/said" ]
}

@test "user: a umask that takes all, and nowhere to write messages to" {
    ordinary
    (
        close_others
        cd "$scratch/work"
        umask 777
        exec timeout "$limit" "${user[@]}" "$snapctl" dump -vv --until=after=100ms -o "$(image)" sleep 1000 <&- >&- 2>&-
    )
    snapctl verify "$(image)"
    [ "$(stat -c %a "$(image)")" = 700 ]
}
