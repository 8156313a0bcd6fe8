#!/usr/bin/env bats
# The line on a terminal that says how far the work is. With --debug-progress it is there from the beginning; without,
# after a second.
# not beside others: ptys (their numbers are looked at)
load ../helpers/snap

# on_terminal SNAPCTL ARGUMENT...: what the screen shows then is in $scratch/screen, all bytes are in $scratch/raw.
on_terminal() {
    (
        close_others
        cd "$scratch/work" || exit 1
        exec timeout "$limit" python3 "$BATS_TEST_DIRNAME/../helpers/screen.py" "$scratch/raw" "$SNAPCTL" "$@" \
            </dev/null >"$scratch/screen" 2>&1
    ) || fail "status $?: $(cat "$scratch/screen")"
}

drawn() { # PATTERN: such a line was drawn
    tr '\r' '\n' <"$scratch/raw" | grep -qE "^.\[Ksnapctl: $1" || fail "no such line: $(cat -v "$scratch/raw")"
}

# The screen shows these lines, and nothing else.
shows() { # PATTERN...
    local line i=0 patterns=("$@")
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        [ $i -lt ${#patterns[@]} ] || fail "too much on the screen: $line"
        [[ $line =~ ^${patterns[i]}$ ]] || fail "not '${patterns[i]}': $line"
        i=$((i + 1))
    done <"$scratch/screen"
    [ $i = ${#patterns[@]} ] || fail "too little on the screen: $(cat "$scratch/screen")"
}

server() {
    start server.log python3 -c 'import signal; x = bytearray(range(256)) * 100000; signal.pause()'
    until_true snapctl check --pid "$pid"
}

@test "progress: dump, verify and restore, and nothing of it stays on the screen" {
    server
    on_terminal dump --debug-progress --pid "$pid" -o "$(image)"
    drawn 'reading memory: [0-9.]+ [KM]iB(, [0-9.]+ [KMG]iB/s)?.?$'
    drawn 'bringing the image to the disk'
    shows "snapctl: dumped process $pid to .* of memory in .*"
    "$TARGET" --wait-exit "$pid" 10
    until_true gone "$pid"
    on_terminal verify --debug-progress "$(image)"
    drawn 'reading pages: [0-9.]+ [KM]iB of [0-9.]+ MiB \([0-9]+%\)'
    shows "$(image): whole and consistent"
    on_terminal restore --debug-progress --detach --pidfile pidfile "$(image)"
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    drawn 'filling memory: [0-9.]+ [KM]iB of [0-9.]+ MiB \([0-9]+%\)'
    shows "snapctl: restored $(image) as process $pid: [0-9.]+ MiB of memory in 0\.[0-9] s"
}

@test "progress: pack, unpack, core" {
    server
    dump_pid "$pid"
    on_terminal pack --debug-progress "$(image)" -o server.snap
    drawn 'copying pages: [0-9.]+ .* of '
    shows "snapctl: packed $(image) as server.snap .*"
    on_terminal unpack --debug-progress server.snap -o again
    drawn 'copying pages: '
    shows "snapctl: unpacked server.snap to again"
    on_terminal core --debug-progress "$(image)" -o core
    drawn 'writing memory: [0-9.]+ [KM]iB of [0-9.]+ MiB \([0-9]+%\)'
    shows "snapctl: wrote process $pid, 1 thread, .*"
}

@test "progress: in a namespace, with messages" {
    server
    dump_pid "$pid"
    on_terminal restore -v --debug-progress --detach --pids=ns --pidfile pidfile "$(image)"
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    note_parent "$pid"
    drawn 'filling memory'
    ! grep -qE 'filling|%' "$scratch/screen" || fail "it stays: $(cat "$scratch/screen")"
    grep -q '^snapctl: restored ' "$scratch/screen"
}

@test "progress: after a second, and not before" {
    start big.log python3 -c 'import random, signal; x = random.randbytes(4 << 20); signal.pause()'
    until_true snapctl check --pid "$pid"
    on_terminal dump --leave-running --pid "$pid" -o "$(image)"
    ! grep -q reading "$scratch/raw" || [ "$(grep -oE 'still for [0-9]+' "$scratch/screen" | grep -oE '[0-9]+')" -ge 1000 ] ||
        fail "too soon: $(cat -v "$scratch/raw")"
    on_terminal dump --leave-running --force --level 19 --threads 1 --pid "$pid" -o "$(image)"
    drawn 'reading memory: '
    shows "snapctl: dumped .*"
}

plain() { if grep -q -e $'\r' -e reading "$scratch/said"; then fail "$(cat -v "$scratch/said")"; fi; }

@test "progress: none in a pipe, with -q, and in front of an error" {
    server
    snapctl dump --debug-progress --leave-running --pid "$pid" -o "$(image)"
    plain
    on_terminal dump -q --debug-progress --leave-running --force --pid "$pid" -o "$(image)"
    [ ! -s "$scratch/raw" ] || fail "$(cat -v "$scratch/raw")"
    snapctl verify --debug-progress "$(image)"
    plain
    truncate -s -1 "$(image)/pages"
    run on_terminal restore --debug-progress "$(image)"
    [ "$status" != 0 ]
    shows "snapctl: restore: .*" '  hint: .*'
}

@test "progress: a restore in a pipe asks nobody whether there is a terminal" {
    server
    dump_pid "$pid"
    timeout "$limit" strace -f -qq -e trace=ioctl -o "$scratch/trace" \
        "$SNAPCTL" restore -d --pidfile "$scratch/work/pidfile" "$(image)" </dev/null 2>&1 | cat
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    if grep -E 'TCGETS|TIOCGWINSZ' "$scratch/trace"; then fail "it does"; fi
}
