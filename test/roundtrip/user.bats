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

# 125, and all of that is said, and nothing of a /proc that is another one's.
fails_with() { # TEXT... -- ARGUMENT...
    local texts=() status=0
    while [ "$1" != -- ]; do
        texts+=("$1")
        shift
    done
    shift
    snapctl "$@" || status=$?
    [ "$status" = 125 ] || fail "status $status"
    for one in "${texts[@]}"; do grep -qF -- "$one" "$scratch/said" || fail "it does not say: $one"; done
    ! grep -q 'mount -t proc' "$scratch/said" || fail "/proc is not to blame"
}

# under LIMIT...: snapctl from here on with these limits (prlimit)
under() {
    [ -n "${plain[*]-}" ] || plain=("${user[@]}")
    user=(prlimit "$@" -- "${plain[@]}")
}

@test "user: limits that are lower than the program's" {
    as_user
    snapctl dump --until=syscall=clock_nanosleep -o "$(image)" sleep 1000
    under --core=0:0
    fails_with 'had a hard limit of' 'for core, here it is 0' 'only root can raise it' -- restore -d "$(image)"
    under --nofile=7:7
    fails_with 'limit of open files is 7 here' 'hint: raise the limit' -- restore -d "$(image)"
    under --nofile=12:12
    fails_with 'Too many open files' 'ulimit -n' -- restore -d "$(image)"
    under --nofile=64:64
    fails_with 'for nofile, here it is 64' -- restore -d "$(image)"
    user=(nice "${plain[@]}")
    fails_with 'sched_setattr' 'do not run snapctl under nice' -- restore -d "$(image)"
}

@test "user: files that may not get large" {
    as_user
    under --fsize=8192:
    fails_with 'File too large' 'ulimit -f' -- dump --until=syscall=clock_nanosleep -o "$(image)" --level 0 sleep 1000
    user=("${plain[@]}")
    snapctl dump --until=syscall=clock_nanosleep -o "$(image)" sleep 1000
    snapctl pack -q -o "$scratch/work/packed" "$(image)"
    under --fsize=2048:
    fails_with 'File too large' 'ulimit -f' -- pack -o "$scratch/work/x" "$(image)"
    fails_with 'File too large' 'ulimit -f' -- core -o "$scratch/work/x" "$(image)"
    fails_with 'File too large' 'ulimit -f' -- unpack -o "$scratch/work/x" "$scratch/work/packed"
    under --fsize=0:
    # What it has to say goes to a file, too.
    ! snapctl restore -d --pidfile "$scratch/work/pidfile" "$(image)" || fail "it has written a pidfile"
    [ "$(ls -A "$scratch/work")" = $'image\npacked' ] || fail "it left $(ls -A "$scratch/work")"
}

@test "user: no memory for threads that compress" {
    as_user
    under --as=30000000:
    snapctl dump --until=syscall=clock_nanosleep -o "$(image)" sleep 1000
    snapctl verify "$(image)"
}

@test "user: root in a user namespace, in whose PID namespace nobody may choose ids" {
    as_user
    plain=("${user[@]}")
    user=("${plain[@]}" unshare -r)
    snapctl dump --until=syscall=clock_nanosleep -o "$(image)" sleep 1000
    fails_with 'Operation not permitted' 'use --pids=ns' -- restore -d --pids=keep "$(image)"
    restore -v
    grep -q 'a namespace of its own, since' "$scratch/said"
    grep -qx sleep "/proc/$pid/comm"
}
