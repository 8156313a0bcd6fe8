#!/usr/bin/env bats
# `snapctl restore` in the foreground stands in for the program: output, exit status, signals; and the ids.
load ../helpers/snap

# An image of a shell that waits for a line in a FIFO and then does what it says.
shell_image() {
    mkfifo "$scratch/work/line"
    snapctl dump -o "$(image)" sh -c 'read -r line <>line; eval "$line"'
}

# foreground COMMAND: restore in the foreground, then have the shell run COMMAND; sets status.
foreground() {
    start said_by_program "$SNAPCTL" restore "$(image)"
    status=0
    timeout 10 sh -c "echo '$1' >'$scratch/work/line'"
    wait "$pid" || status=$?
}

@test "foreground: exit status and output" {
    shell_image
    foreground 'echo from the program; echo to stderr >&2; exit 42'
    [ "$status" = 42 ]
    grep -q 'from the program' "$scratch/said_by_program"
    grep -q 'to stderr' "$scratch/said_by_program"
}

@test "foreground: 128+N when a signal ends it" {
    shell_image
    foreground 'kill -KILL $$'
    [ "$status" = 137 ]
}

@test "foreground: signals are passed on" {
    mkfifo "$scratch/work/line"
    snapctl dump -o "$(image)" sh -c 'trap "echo got it; exit 5" TERM; while :; do read -r line <>line; done'
    start said_by_program "$SNAPCTL" restore "$(image)"
    local supervisor=$pid status=0
    until_true pgrep -P "$supervisor"
    until_true sh -c "grep -q '^State:.*S' /proc/\$(pgrep -P $supervisor)/status"
    kill -TERM "$supervisor"
    wait "$supervisor" || status=$?
    [ "$status" = 5 ]
    grep -q 'got it' "$scratch/said_by_program"
}

@test "ids: keep" { roundtrip thread_recursive -- --pids=keep; }
@test "ids: new" { roundtrip thread_join_pending pid,vpid,waiting -- --pids=new; }
@test "ids: new, with timers and owners" { roundtrip timer_thread_id pid,vpid -- --pids=new; }
@test "ids: namespace" { roundtrip thread_recursive pid,ns -- --pids=ns; }
@test "ids: namespace, timers of threads" { roundtrip timer_thread_clock pid,ns -- --pids=ns; }

@test "ids: keep while they are taken fails and says so" {
    start_target proc_umask
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    run snapctl restore --detach --pids=keep "$(image)"
    [ "$status" = 125 ]
    [[ $output == *hint:* ]]
    check_target "$pid"
}

@test "ids: auto while they are taken finds another way" {
    start_target proc_umask
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    local first=$pid
    restore
    [ "$pid" != "$first" ]
    kill -KILL "$first" # both read from one FIFO
    "$TARGET" --wait-exit "$first" 10
    check_target "$pid"
}

@test "ids: auto while that of a zombie is taken" {
    # Whoever gets the orphaned zombie leaves it.
    start reaper.log /usr/bin/python3 -c '
import ctypes, os, signal
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) # PR_SET_CHILD_SUBREAPER
pid = os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "sh -c \"exit 3\" & echo $! >zombie; exec sleep 1000")
open("pid", "w").write("%d\n" % pid)
os.waitpid(pid, 0)
while True: signal.pause()'
    until_true test -s "$scratch/work/pid"
    pid=$(cat "$scratch/work/pid")
    local zombie
    zombie() { zombie=$(cat "$scratch/work/zombie" 2>/dev/null) && grep -q '^State:.Z' "/proc/$zombie/status"; }
    until_true zombie
    until_true grep -q sleep "/proc/$pid/comm"
    snapctl dump --pid "$pid" -o "$(image)"
    until_true gone "$pid"
    zombie || fail "it is reaped"
    restore
    [ -n "$(descendants "$pid")" ] || fail "the zombie is lost"
}

@test "detached in a namespace: nothing of the caller's stays open" {
    start_target proc_umask
    dump_pid "$pid"
    # Comes to an end when nobody has the pipe any more.
    (close_others; timeout 30 "$SNAPCTL" restore --detach --pids=ns --pidfile "$scratch/work/pidfile" "$(image)" 2>&1) |
        timeout 20 cat >"$scratch/said" || fail "the pipe stays open"
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    note_parent "$pid"
    [ "$(readlink "/proc/$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f2)/cwd")" = / ]
    check_target "$pid"
}
