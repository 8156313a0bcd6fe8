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
