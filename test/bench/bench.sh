#!/bin/bash
# make bench: how long until the first answer, started and restored, medians of RUNS in one run; and the
# static C server against the floor, an empty static executable (DESIGN D16: at most 10 times).
set -eu
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR source=programs.bash
. "$here/programs.bash"

: "${SNAPCTL:?run me through make bench}" "${BUILD:?}"
runs=${RUNS:-20}
stopwatch=$BUILD/test/bench/stopwatch
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Microseconds, median, of a stopwatch call; what the program said if that fails.
median() {
    timeout 600 "$stopwatch" "$@" 2>"$scratch/said" | cut -d ' ' -f 1 || true
    [ "${PIPESTATUS[0]}" = 0 ] || { cat "$scratch/said" >&2; return 1; }
}

ms() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1000 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / b }'; }

measure() { # NAME: sets started, restored and packed, in microseconds
    local name=$1 port dir=$scratch/$1
    port=$(free_port)
    mkdir "$dir"
    program "$name" "$port" "$dir" || return 1
    started=$(median answer "$runs" "$port" "$request" "${command[@]}") || return 1
    "$SNAPCTL" dump -q -o "$dir/image" "${command[@]}" >"$scratch/said" 2>&1 </dev/null || {
        cat "$scratch/said" >&2
        return 1
    }
    restored=$(median answer "$runs" "$port" "$request" "$SNAPCTL" restore -q "$dir/image") || return 1
    bytes=$(du -sk "$dir/image" | cut -f 1)
    "$SNAPCTL" pack -q -o "$dir/image.snap" "$dir/image"
    packed=$(median answer "$runs" "$port" "$request" "$dir/image.snap" -q) || return 1
}

"$stopwatch" exit 200 "$BUILD/test/bench/empty" >/dev/null # the machine, awake
printf '%-10s %12s %12s %8s %12s %10s\n' program 'start (ms)' 'restore (ms)' times 'packed (ms)' 'image (K)'
failed=0
for name in static redis python node java; do
    if measure "$name"; then
        printf '%-10s %12s %12s %8s %12s %10s\n' "$name" "$(ms "$started")" "$(ms "$restored")" \
            "$(ratio "$started" "$restored")" "$(ms "$packed")" "$bytes"
        [ "$name" != static ] || static=$restored
    else
        printf '%-10s not measured\n' "$name"
        [ "$name" != static ] || failed=1
    fi
    # Beside the server it is compared with: a machine has moods.
    [ "$name" != static ] || floor=$(median exit "$runs" "$BUILD/test/bench/empty")
done
echo
echo "floor: vfork, exec and exit of an empty static executable: $floor us"
if [ $failed = 0 ]; then
    echo "restore of the static C server until its first answer: $static us, $(ratio "$static" "$floor") times the floor"
fi
"$here/syscalls.sh" || failed=1
exit $failed
