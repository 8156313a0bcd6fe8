#!/bin/bash
# SIGKILL of snapctl at SOAK_KILLS (50) random moments of each: a dump of a running process, the dump of a
# launched one, a restore. The running process runs on, what stands at the image's place is a whole image
# or nothing, and a restored process is whole or not there.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
kills=${SOAK_KILLS:-50}

cp "${SERVER:?}" "$scratch/server"
port=$(free_port)
SERVER=$scratch/server
program static "$port" "$scratch"

answers() { [ -n "$(answer "$port" "$request")" ]; }

# The image is whole, or there is none.
image_sound() { [ ! -e "$scratch/image" ] || snapctl verify -q "$scratch/image" >"$scratch/said" 2>&1; }

# Run snapctl, kill it after a random part of $1 ms (what it takes undisturbed, and a little more).
killed() {
    local ms=$1 pid
    shift
    "$scratch/snapctl" "$@" </dev/null >"$scratch/said" 2>&1 &
    pid=$!
    sleep "$(awk -v ms="$ms" -v r=$RANDOM 'BEGIN { printf "%.4f", ms * 1.2 * r / 32768 / 1000 }')"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
}

elapsed_ms() { # COMMAND...: how long it takes
    local begin=${EPOCHREALTIME/./}
    "$@" >"$scratch/said" 2>&1 || return 1
    echo $(((${EPOCHREALTIME/./} - begin) / 1000 + 1))
}

clean_slate() {
    ours_end
    until_true gone
    rm -rf "$scratch"/image* "$scratch"/.image* "$scratch/pid"
}

kill_dump_running() {
    local i ms
    clean_slate
    "${command[@]}" </dev/null >/dev/null 2>&1 &
    soak_pid=$!
    until_true answers || { fail "the server does not start"; return; }
    ms=$(elapsed_ms snapctl dump -q --pid $soak_pid --leave-running -o "$scratch/image") || {
        fail "dump of a running process, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        rm -rf "$scratch/image"
        killed "$ms" dump -q --pid $soak_pid --leave-running -o "$scratch/image"
        answers || { fail "dump --pid, kill $i: the process does not run on"; return; }
        grep -q 'TracerPid:.0$' "/proc/$soak_pid/status" || { fail "dump --pid, kill $i: still traced"; return; }
        image_sound || { fail "dump --pid, kill $i: half an image"; return; }
    done
    pass "dump --pid killed at $kills moments"
    { kill -KILL $soak_pid; wait $soak_pid; } 2>/dev/null
    soak_pid=
}

kill_dump_launched() {
    local i ms
    clean_slate
    ms=$(elapsed_ms snapctl dump -q -o "$scratch/image" "${command[@]}") || {
        fail "dump of a program, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        rm -rf "$scratch/image"
        killed "$ms" dump -q -o "$scratch/image" "${command[@]}"
        until_true gone || { fail "dump PROGRAM, kill $i: left: $(ours)"; return; }
        image_sound || { fail "dump PROGRAM, kill $i: half an image"; return; }
    done
    pass "dump PROGRAM killed at $kills moments"
}

# Whole, or not there.
restored_sound() { gone || answers; }

kill_restore() {
    local i ms
    clean_slate
    snapctl dump -q -o "$scratch/image" "${command[@]}" >"$scratch/said" 2>&1 &&
        ms=$(elapsed_ms snapctl restore -d --pidfile "$scratch/pid" "$scratch/image") || {
        fail "dump and restore, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        ours_end
        until_true gone || { fail "restore, before kill $i: left: $(ours)"; return; }
        if [ $((i % 2)) = 0 ]; then
            killed "$ms" restore "$scratch/image"
        else
            killed "$ms" restore -d "$scratch/image"
        fi
        until_true restored_sound || { fail "restore, kill $i: half a process: $(ours)"; return; }
    done
    pass "restore killed at $kills moments"
    clean_slate
}

kill_dump_running
kill_dump_launched
kill_restore
finish
