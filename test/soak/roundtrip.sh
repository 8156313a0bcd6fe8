#!/bin/bash
# SOAK_ROUNDS (200) round trips in a row of redis, python and java (or SOAK_PROGRAMS) while both cores are busy. Each one dumps
# what the one before restored; the visible state before and after must be equal, and the server answer.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
rounds=${SOAK_ROUNDS:-200}

state() { timeout 60 "$VISIBLE" "$soak_pid" >"$1" 2>"$scratch/said"; }

restore() { # IMAGE; sets soak_pid
    rm -f "$scratch/pid"
    # Nowhere: what a server logs late would be a difference of files.
    snapctl restore -d --pidfile "$scratch/pid" "$1" >/dev/null 2>&1 || return 1
    soak_pid=$(cat "$scratch/pid")
}

# One trip of the server soak_pid; says where it failed.
trip() { # NAME
    local image=$scratch/$1.image
    state "$scratch/before" || { echo "state before"; return 1; }
    snapctl dump -q --pid "$soak_pid" -o "$image" --force >"$scratch/said" 2>&1 || { echo dump; return 1; }
    until_true gone_pid "$soak_pid" || { echo "still there after the dump"; return 1; }
    restore "$image" || { echo restore; return 1; }
    state "$scratch/after" || { echo "state after"; return 1; }
    # A program that lives wakes between two looks: a JVM all the time, redis' allocator now and then; and
    # glibc's condition variables wait on two words in turn.
    # Where somebody else has taken an id meanwhile, it is restored in a namespace of its own.
    timeout 60 "$VISIBLE" --diff "$scratch/before" "$scratch/after" --allow waiting,pid >"$scratch/said" 2>&1 || {
        echo "state differs"
        return 1
    }
    [ -n "$(answer "$port" "$request")" ] || { echo "no answer"; return 1; }
}

gone_pid() { ! kill -0 "$1" 2>/dev/null; }

soak_program() { # NAME
    local name=$1 dir=$scratch/$1 i
    port=$(free_port)
    mkdir "$dir"
    program "$name" "$port" "$dir" || { echo "ok - $name # skip not installed"; return; }
    snapctl dump -q -o "$scratch/$name.image" "${command[@]}" >"$scratch/said" 2>&1 &&
        restore "$scratch/$name.image" || { fail "$name: first dump and restore"; return; }
    if [ "$name" = redis ]; then answer "$port" 'SET kept 4711\r\nQUIT\r\n' >/dev/null; fi
    for ((i = 1; i <= rounds; i++)); do
        trip "$name" >"$scratch/why" || { fail "$name: trip $i: $(cat "$scratch/why")"; break; }
        [ $((i % 20)) != 0 ] || echo "# $name: $i trips"
    done
    if [ "$name" = redis ] && ! answer "$port" 'GET kept\r\nQUIT\r\n' | grep -q 4711; then fail "redis: data"; fi
    [ $i -le "$rounds" ] || pass "$name: $rounds trips"
    kill -KILL "$soak_pid"
    until_true gone_pid "$soak_pid"
    soak_pid=
}

load_start
for name in ${SOAK_PROGRAMS:-redis python java}; do
    soak_program "$name"
done
finish
