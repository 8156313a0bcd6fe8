#!/bin/bash
# A dump to a full disk (a small tmpfs) fails in words, leaves nothing there, and the target runs on.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"

mkdir "$scratch/disk"
mount -t tmpfs -o size=256k tmpfs "$scratch/disk" 2>"$scratch/said" || {
    echo "ok - full disk # skip cannot mount: $(cat "$scratch/said")"
    exit 0
}
port=$(free_port)
mkdir "$scratch/python"
program python "$port" "$scratch/python"

answers() { [ -n "$(answer "$port" "$request")" ]; }

expect_full() { # WHAT STATUS
    [ "$2" = 125 ] || fail "$1: exit status $2 instead of 125"
    if grep -q 'No space left' "$scratch/said"; then pass "$1: says why"; else fail "$1: does not say why"; fi
    if [ -z "$(ls -A "$scratch/disk")" ]; then pass "$1: nothing is left"; else fail "$1: left: $(ls -A "$scratch/disk")"; fi
}

"${command[@]}" </dev/null >/dev/null 2>&1 &
soak_pid=$!
if until_true answers; then
    snapctl dump --pid $soak_pid -o "$scratch/disk/image" >"$scratch/said" 2>&1
    expect_full 'dump --pid' $?
    if answers; then pass 'dump --pid: runs on'; else fail 'dump --pid: does not run on'; fi
else
    fail "the server does not start"
fi
{ kill -KILL $soak_pid; wait $soak_pid; } 2>/dev/null
soak_pid=

snapctl dump -o "$scratch/disk/image" "${command[@]}" >"$scratch/said" 2>&1
expect_full 'dump PROGRAM' $?
if answers; then fail 'dump PROGRAM: left a process'; else pass 'dump PROGRAM: no process is left'; fi
finish
