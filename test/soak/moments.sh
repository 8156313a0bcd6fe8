#!/bin/bash
# Programs that judge themselves, as the tests of other projects do: each is dumped at random moments, and its exit
# status after the restore compared with an undisturbed one.
#
#   moments.sh FILE          a command on each line
#
# Half of the moments are times (dump --pid), the other half system calls that strace has seen it make (dump --until).
# MOMENTS (4) is how many; MOMENTS_LIMIT (30) seconds are what a program may take; MOMENTS_KEEP=DIR gets the images of
# those that ended otherwise. All of it in namespaces of its own, where whatever is left over can be killed.
#
# What measures its own time, or traces its children, may end otherwise without a fault of ours.
# shellcheck source-path=SCRIPTDIR source=soak.bash
set -u
list=$(realpath "${1:?a file of commands}")
[ -n "${MOMENTS_INSIDE:-}" ] || MOMENTS_INSIDE=1 exec unshare --pid --fork --kill-child --mount-proc --net --ipc "$0" "$list"
ip link set lo up
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
limit=${MOMENTS_LIMIT:-30}
result=$scratch/result image=$scratch/image
mkdir "$scratch/work"
cd "$scratch/work" || exit 1

# All others: we are the init of this namespace.
clear_up() {
    local end=$((SECONDS + 10))
    while kill -KILL -1 2>/dev/null && [ $SECONDS -lt $end ]; do
        wait 2>/dev/null
        sleep 0.01
    done
}

# The exit status of a command, or "late".
status_of() { # COMMAND...
    timeout -k 5 "$limit" "$@" </dev/null >>"$result" 2>&1
    local status=$?
    [ $status != 124 ] && echo $status || echo late
}

# A random call that it makes, as NAME:N.
random_call() {
    timeout -k 5 "$limit" strace -f -qq -o "$scratch/trace" -- "${command[@]}" </dev/null >/dev/null 2>&1
    sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$scratch/trace" | awk '{ print $1 ":" ++nr[$1] }' | shuf -n 1
}

# 0: there is an image. 1: refused. 2: it has ended before.
dump_at() { # MOMENT
    local pid status=0
    case $1 in
    after*)
        timeout -k 5 "$limit" "${command[@]}" </dev/null >>"$result" 2>&1 &
        sleep "${1#after }"
        pid=$(pgrep -P $! | head -n 1)
        [ -n "$pid" ] || return 2
        snapctl dump -q --pid "$pid" -o "$image" >"$scratch/said" 2>&1 || status=1 ;;
    *) snapctl dump -q --until="syscall=$1" --timeout "$limit" -o "$image" -- "${command[@]}" >"$scratch/said" 2>&1 || status=1 ;;
    esac
    [ $status = 0 ] || ! grep -q 'ended\|ending\|no such process' "$scratch/said" || status=2
    return $status
}

one_moment() { # MOMENT
    local got
    rm -rf "$image"
    dump_at "$1"
    case $? in
    1) refused+=("$(grep -m 1 '^snapctl:' "$scratch/said" | sed 's/[0-9]\+/N/g')") ;;
    0)
        clear_up
        got=$(status_of "$scratch/snapctl" restore -q "$image")
        [ "$got" = "$wanted" ] || differs+="$1: $got instead of $wanted; "
        [ "$got" = "$wanted" ] || [ -z "${MOMENTS_KEEP:-}" ] || cp -r "$image" "$MOMENTS_KEEP/$number-${1//[^a-z0-9]/_}" ;;
    esac
    clear_up
}

number=0
refused=()
while read -r -a command; do
    number=$((number + 1)) differs='' began=$EPOCHREALTIME
    wanted=$(status_of "${command[@]}")
    took=$(awk "BEGIN { print $EPOCHREALTIME - $began }")
    clear_up
    [ "$wanted" != late ] || continue
    for ((i = 0; i < ${MOMENTS:-4}; i++)); do
        moment=''
        [ $((i % 2)) = 0 ] || moment=$(random_call 2>/dev/null)
        clear_up
        one_moment "${moment:-after $(awk "BEGIN { print $took * $RANDOM / 32768 }")}"
    done
    if [ -z "$differs" ]; then pass "${command[*]}"; else fail "${command[*]}: $differs"; fi
done <"$list"
[ ${#refused[@]} = 0 ] || printf '# refused: %s\n' "${refused[@]}" | sort | uniq -c | sort -rn
finish
