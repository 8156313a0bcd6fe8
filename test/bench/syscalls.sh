#!/bin/bash
# How many system calls a restore of the static C server takes, against what it has: at most four per
# mapping and descriptor, and 150 besides. strace sees snapctl with its threads; the process being made is
# traced by snapctl itself, its steps are counted by `restore -vv`.
set -eu
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR source=programs.bash
. "$here/programs.bash"

: "${SNAPCTL:?run me through make bench}"
command -v strace >/dev/null || { echo "strace is not here"; exit 77; }
scratch=$(mktemp -d)
pid=
cleanup() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

program static "$(free_port)" "$scratch"
"$SNAPCTL" dump -q -o "$scratch/image" "${command[@]}" </dev/null >/dev/null
timeout 60 strace -c -f -o "$scratch/calls" \
    "$SNAPCTL" restore -vv -d --pidfile "$scratch/pid" "$scratch/image" </dev/null >/dev/null 2>"$scratch/said" || {
    cat "$scratch/said" >&2
    echo "restore under strace failed" >&2
    exit 1
}
pid=$(cat "$scratch/pid")
mappings=$(wc -l <"/proc/$pid/maps")
descriptors=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
steps=$(sed -n 's/.*restorer: \([0-9]*\) steps.*/\1/p' "$scratch/said")
calls=$(($(awk '$NF == "total" { print $4 }' "$scratch/calls") + steps))
budget=$((4 * (mappings + descriptors) + 150))
cat "$scratch/calls"
echo "$calls system calls, $steps of them by the new process, for $mappings mappings and $descriptors descriptors; budget $budget"
[ "$calls" -le "$budget" ]
