#!/bin/bash
# SIGKILL of snapctl at SOAK_KILLS (50) random moments of each: a dump of a running program, the dump of a
# launched one, a restore. The running program runs on, what stands at the image's place is a whole image
# or nothing, and a restored program is whole or not there. All of it with one process, and with three of
# two threads each.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
kills=${SOAK_KILLS:-50}

cp "${SERVER:?}" "$scratch/server"
port=$(free_port)
SERVER=$scratch/server
program static "$port" "$scratch"
single=("${command[@]}")

answers() { [ -n "$(answer "$port" "$request")" ]; }

# How many processes of the server there are, of nr_processes.
nr_servers() {
    local pid nr=0
    for pid in $(ours); do
        if [ "$(readlink "/proc/$pid/exe")" = "$SERVER" ]; then nr=$((nr + 1)); fi
    done
    echo $nr
}
whole() { [ "$(nr_servers)" = $nr_processes ] && answers; }
# shellcheck disable=SC2046 # words
untraced() { ! grep -hq 'TracerPid:.[^0]' $(ours | sed 's|.*|/proc/&/status|'); }

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
    until_true whole || { fail "$what: does not start"; return; }
    ms=$(elapsed_ms snapctl dump -q --pid $soak_pid --leave-running -o "$scratch/image") || {
        fail "$what: dump --pid, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        rm -rf "$scratch/image"
        killed "$ms" dump -q --pid $soak_pid --leave-running -o "$scratch/image"
        whole || { fail "$what: dump --pid, kill $i: does not run on"; return; }
        untraced || { fail "$what: dump --pid, kill $i: still traced"; return; }
        image_sound || { fail "$what: dump --pid, kill $i: half an image"; return; }
    done
    pass "$what: dump --pid killed at $kills moments"
    clean_slate 2>/dev/null
    soak_pid=
}

kill_dump_launched() {
    local i ms
    clean_slate
    ms=$(elapsed_ms snapctl dump -q -o "$scratch/image" "${command[@]}") || {
        fail "$what: dump PROGRAM, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        rm -rf "$scratch/image"
        killed "$ms" dump -q -o "$scratch/image" "${command[@]}"
        until_true gone || { fail "$what: dump PROGRAM, kill $i: left: $(ours)"; return; }
        image_sound || { fail "$what: dump PROGRAM, kill $i: half an image"; return; }
    done
    pass "$what: dump PROGRAM killed at $kills moments"
}

# Whole, or not there.
restored_sound() { gone || whole; }

kill_restore() {
    local i ms
    clean_slate
    snapctl dump -q -o "$scratch/image" "${command[@]}" >"$scratch/said" 2>&1 &&
        ms=$(elapsed_ms snapctl restore -d --pidfile "$scratch/pid" "$scratch/image") || {
        fail "$what: dump and restore, undisturbed"
        return
    }
    for ((i = 1; i <= kills; i++)); do
        ours_end
        until_true gone || { fail "$what: restore, before kill $i: left: $(ours)"; return; }
        if [ $((i % 2)) = 0 ]; then
            killed "$ms" restore "$scratch/image"
        else
            killed "$ms" restore -d "$scratch/image"
        fi
        until_true restored_sound || { fail "$what: restore, kill $i: half of it: $(ours)"; return; }
    done
    pass "$what: restore killed at $kills moments"
    clean_slate
}

for nr_processes in 1 3; do
    what="$nr_processes process"
    [ "$nr_processes" = 1 ] || what+=es
    command=("${single[@]}" 2 "$nr_processes")
    kill_dump_running
    kill_dump_launched
    kill_restore
done
finish
