#!/usr/bin/env bats
# TCP connections that are carried over: those inside the program by themselves, others with --tcp-established.
# Needs root: TCP_REPAIR, nftables.
load ../helpers/snap
eval "$(declare -f teardown | sed '1s/teardown/teardown_processes/')"

# Is there a table of this image? It is named after the image.
held() { nft_tables | grep -q "^$(table)\$"; }
table() { "$SNAPCTL" show --json "$(image)" | jq -r '"snapctl-" + .id'; }
nft_tables() { /usr/bin/python3 "$BATS_TEST_DIRNAME/../helpers/nft_tables.py" "$@"; }

# A test that fails must not leave its table.
teardown() {
    [ ! -e "$(image)/state" ] || ! held || nft_tables --delete "$(table)"
    teardown_processes
}

# A target that echoes to a peer outside: this shell, on descriptor 7.
start_outside() {
    prepare_target
    # shellcheck disable=SC2046 # three words
    start target.log env $(target_env) "$TARGET" tcp_carried_outside
    until_true test -s "$scratch/work/port" || fail "no port"
    exec 7<>"/dev/tcp/127.0.0.1/$(cat "$scratch/work/port")"
    printf 'readqueued' >&7
    [ "$(head -c 4 <&7)" = read ]
    "$TARGET" --wait-line "$scratch/out" READY 20 >/dev/null || fail "not ready"
}

echoes() { # TEXT: comes back
    printf '%s' "$1" >&7
    expect_echo "$1"
}

expect_echo() { [ "$(timeout 20 head -c ${#1} <&7)" = "$1" ] || fail "$1 does not come back"; }

# goes_on TEXT: the target echoes what it was sent before and during its absence, and what comes now, to the end.
goes_on() {
    timeout 10 bash -c "echo check >'$scratch/ctl'"
    expect_echo "$1"
    echoes again
    exec 7>&-
    "$TARGET" --wait-exit "$pid" 30
    [ "$(tail -n 1 "$scratch/out")" = OK ]
}

@test "tcp_carried: established connections" { roundtrip tcp_carried tcp; }
@test "tcp_carried_queued: bytes in both queues" { roundtrip tcp_carried_queued tcp; }
@test "tcp_carried_full: queues full, window closed" { roundtrip tcp_carried_full tcp; }
@test "tcp_carried_half: one direction closed" { roundtrip tcp_carried_half tcp; }
@test "tcp_carried_closed: the other end is closed" { roundtrip tcp_carried_closed tcp; }
@test "tcp_carried_options: options" { roundtrip tcp_carried_options tcp; }
@test "tcp_carried_mapped: IPv4 over an IPv6 socket" { roundtrip tcp_carried_mapped tcp; }

@test "tcp_waiting: TCP connections that nobody accepted yet" { roundtrip tcp_waiting; }
@test "tcp_waiting: the same, launched by an ordinary user" { as_user; launched tcp_waiting; }
@test "tcp_waiting_mapped: the same, an IPv6 listener" { roundtrip tcp_waiting_mapped; }
@test "tree_tcp: TCP connections between processes" { roundtrip tree_tcp tcp; }
@test "tcp_inside: a connection inside the process" { roundtrip tcp_inside tcp; }

@test "tcp_carried_outside: what the peer sends meanwhile arrives" {
    start_outside
    dump_pid "$pid" --tcp-established
    held || fail "nothing is held back"
    printf 'meanwhile' >&7
    restore --tcp-established
    ! held || fail "packets are held back still"
    goes_on queuedmeanwhile
}

@test "the peer that goes on after --leave-running" {
    start_outside
    snapctl dump --pid "$pid" -o "$(image)" --tcp-established --leave-running
    ! held || fail "packets are held back still"
    goes_on queued
}

@test "a dump that fails leaves the connection as it was" {
    start_outside
    mkdir "$(image)" # in the way
    ! snapctl dump --pid "$pid" -o "$(image)" --tcp-established || fail "went well"
    goes_on queued
}

@test "restore without saying what to do with connections fails, and can be tried again" {
    start_outside
    dump_pid "$pid" --tcp-established
    ! snapctl restore --detach "$(image)" || fail "went well"
    grep -q 'the image holds an established connection' "$scratch/said"
    grep -q 'hint: say --tcp-established' "$scratch/said"
    held
    restore --tcp-established
    goes_on queued
}

@test "restore --tcp-close of a carried connection: reset, and nothing is held back" {
    start_outside
    dump_pid "$pid" --tcp-established
    restore --tcp-close
    ! held || fail "packets are held back still"
    timeout 10 bash -c "echo check >'$scratch/ctl'"
    "$TARGET" --wait-exit "$pid" 30
    grep -q 'FAIL.*Connection reset' "$scratch/out"
    echo more >&7 # nobody is there who could take it, which the peer is told
    [ "$(timeout 20 head -c 1 <&7 2>"$scratch/peer" | wc -c)" = 0 ]
    grep -q 'Connection reset' "$scratch/peer"
    exec 7>&-
}

@test "without --tcp-established an established connection is refused" {
    start_outside
    ! snapctl dump --pid "$pid" -o "$(image)" || fail "went well"
    grep -q 'use --tcp-established to carry it over' "$scratch/said"
    exec 7>&-
}

# A server that leaves who connects waiting until somebody traces it, and a moment longer.
slow_server() {
    cat >"$scratch/work/slow.py" <<'END'
import os, socket, time
def traced(): return [l for l in open("/proc/self/status") if l.startswith("TracerPid") and l.split()[1] != "0"]
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
with open("port.new", "w") as f: f.write(str(s.getsockname()[1]))
os.rename("port.new", "port")
while True:
    while not traced(): time.sleep(0.01)
    time.sleep(0.2)
    c = s.accept()[0]
    c.sendall(b"accepted")
    c.close()
END
    start slow.log /usr/bin/python3 slow.py
    until_true test -s "$scratch/work/port" || fail "no port"
    exec 7<>"/dev/tcp/127.0.0.1/$(cat "$scratch/work/port")"
}

@test "a connection that waits to be accepted is waited for" {
    slow_server
    dump_pid "$pid"
    [ "$(timeout 20 cat <&7)" = accepted ] || fail "it was not accepted"
    restore
    wait_port "$(cat "$scratch/work/port")"
}

# Two connections of one port, one of which has ended: then it can be chosen by connect(2), but not by bind(2).
@test "a connection that waits to be accepted, whose port is also that of a connection that lingers" {
    as_user
    cat >"$scratch/work/two.py" <<'END'
import signal, socket, struct
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
here, there = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
waits = socket.create_connection(here.getsockname())
waits.sendall(b"waited")
port = waits.getsockname()[1]
ends = socket.socket()
try:
    ends.setsockopt(socket.IPPROTO_IP, 51, struct.pack("I", port << 16 | port)) # IP_LOCAL_PORT_RANGE
except OSError:
    print("SKIP", flush=True)
ends.connect(there.getsockname())
assert ends.getsockname()[1] == port
other = there.accept()[0]
ends.close()
other.recv(1)
other.close()
print("UP", flush=True)
signal.sigwait({signal.SIGUSR1})
print(here.accept()[0].recv(9), waits.getsockname()[1] == port, flush=True)
END
    start two.log /usr/bin/python3 two.py
    until_true grep -q '^UP' "$scratch/two.log"
    ! grep -q SKIP "$scratch/two.log" || skip "IP_LOCAL_PORT_RANGE"
    dump_pid "$pid"
    restore
    kill -USR1 "$pid"
    until_true grep -qxF "b'waited' True" "$scratch/two.log" || fail "$(cat "$scratch/two.log")"
}
