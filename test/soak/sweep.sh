#!/bin/bash
# Many programs of all sorts, each dumped and restored in every way: launched by the dump; from a running one with its
# ids; the restored one again into a namespace; and from there once more. After each restore it has to answer.
#
#   sweep.sh [NAME...]       all of programs/*.bash, or these
#
# SWEEP_KEEP=1 keeps the scratch directory; SWEEP_USER=NAME does it as that ordinary user; SWEEP_WAYS='running again' only
# in these ways.
#
# A program is a function run_NAME in programs/, see there. What is not installed is skipped; all of it is
# apt-get install --no-install-recommends $(cat test/soak/programs/packages).
# shellcheck source-path=SCRIPTDIR source=soak.bash
set -u
here=$(cd "$(dirname "$0")" && pwd)
# Those who ask, too: a session bus and a screen answer nobody else.
if [ -n "${SWEEP_USER:-}" ] && [ "$(id -un)" != "$SWEEP_USER" ]; then
    exec setpriv --reuid "$SWEEP_USER" --regid "$SWEEP_USER" --clear-groups "$here/sweep.sh" "$@"
fi
[ -n "${SWEEP_REAPED:-}" ] || SWEEP_REAPED=1 exec "${TARGET:?run me through make soak}" --reap "$here/sweep.sh" "$@"
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$here/soak.bash"
for file in "$here"/programs/*.bash; do
    # shellcheck disable=SC1090
    . "$file"
done
limit=90
# shellcheck disable=SC2317 # instead of soak.bash's
snapctl() { timeout -k 5 "$limit" "$scratch/snapctl" "$@" </dev/null; }

# ---- processes ------------------------------------------------------------------------------------------------

below() { # PID
    local child
    # shellcheck disable=SC2013 # words, not lines
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        below "$child"
    done
}

# Whatever runs below the reaper but this script and what it is made of: servers, orphans, inits of namespaces.
strangers() { below $PPID | grep -vx -e $$ -e "$(pgrep -P $$ -d $'\n' -x tee)"; }
nobody_left() {
    local pid
    for pid in $(strangers); do
        [ "$(sed -n 's/^PPid:\t//p' "/proc/$pid/status" 2>/dev/null)" = $$ ] && [ "$(cat "/proc/$pid/comm")" = sweep.sh ] && continue
        case $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) in
        '' | Z) ;;
        *) kill -KILL "$pid" 2>/dev/null; return 1 ;;
        esac
    done
}
end_all() { until_true nobody_left; }
trap 'end_all; [ -n "${SWEEP_KEEP:-}" ] || rm -rf "$scratch"' EXIT

gone_all() { # PID...
    local one
    for one; do [ ! -e "/proc/$one" ] || return 1; done
}

# ---- what programs use -------------------------------------------------------------------------------------------

need() { # COMMAND...: who is not installed is skipped
    local one
    for one; do command -v "$one" >/dev/null || exit 77; done
}
get() { timeout 10 curl -gsS --max-time 8 "http://127.0.0.1:$port/${1:-}"; }
is() { [ "$1" = "$2" ] || { echo "got \"$1\" instead of \"$2\""; return 1; }; }
has() { case $1 in *"$2"*) ;; *) echo "no \"$2\" in \"$1\""; return 1 ;; esac; }
# say TEXT [LINES]: sent to the port, the first lines of the answer
say() { timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; head -n "$3" <&3 | tr -d "\r"' - "${3:-$port}" "$1" "${2:-1}" 2>/dev/null; }
# grown NAME BYTES: a file has
grown() { [ "$(stat -c %s "$dir/$1" 2>/dev/null || echo 0)" -ge "$2" ]; }
has_function() { declare -F "$1" >/dev/null; }

# ---- one program ----------------------------------------------------------------------------------------------

# its PART OTHERWISE: the function of this program for that, or of its kind
its() {
    local one
    for one in "$1_$name" "$1_${kind:-}"; do
        ! has_function "$one" || { "$one"; return; }
    done
    $2
}
ask() { its ask false; }
ready() { its ready ask >"$dir.why" 2>&1; }
kept() { its kept ask >"$dir.why" 2>&1; }
fill() { its fill : >"$dir.why" 2>&1; }
fine() { ask >"$dir.why" 2>&1; }

begin() {
    : >"$dir.log"
    chmod 666 "$dir.log"
    (
        cd "$dir" || exit 1
        exec env -i PATH="$PATH" HOME="$dir" LC_ALL=C.UTF-8 TERM=xterm "${command[@]}" </dev/null >>"$dir.log" 2>&1
    ) &
    pid=$!
    until_true ready || { why="does not start: $(tail -n 1 "$dir.why") $(tail -n 2 "$dir.log")"; return 1; }
    # One that goes into the background says where it is.
    ! has_function "pid_$name" || pid=$("pid_$name")
}

dump_why() { grep "^snapctl:\|^hint:" "$dir.said" | tail -n 2 | tr "\n" " "; }
# A client's connection is about to end; a process is in the middle of vfork: once more, but not for long.
dump_running() {
    local i
    for i in {1..20}; do
        # shellcheck disable=SC2086
        snapctl dump -q --pid "$pid" -o "$dir.image" --force ${dump_options:-} >"$dir.said" 2>&1 && return
        [ $i -gt 1 ] || why="dump: $(dump_why)"
        sleep 0.3
    done
    why+=", then: $(dump_why)"
    return 1
}

restore() { # OPTION...
    rm -f "$dir.pid"
    # shellcheck disable=SC2086
    (cd "$dir" && snapctl restore -d --pidfile "$dir.pid" ${restore_options:-} "$@" "$dir.image") >"$dir.said" 2>&1 || { why="restore: $(head -n 1 "$dir.said")"; return 1; }
    pid=$(cat "$dir.pid")
}

# With SWEEP_VISIBLE: what shows of it before and after, where nothing moves by itself meanwhile. For people to look at:
# what a program does first when it goes on is no failure.
look() { [ -z "${SWEEP_VISIBLE:-}" ] || timeout 30 "${visible[@]}" --limit 2 "$pid" >"$dir.$1" 2>/dev/null; }
differs() { timeout 30 "${visible[@]}" --diff "$dir.$1" "$dir.$2" --allow ppid,pgid,waiting,pid,ns | grep -v ' peercred '; }
differences() {
    [ -n "${SWEEP_VISIBLE:-}" ] || return 0
    if differs earlier before | grep -q '^[-+]\['; then
        echo "$way: it lives" >>"$scratch/differences"
    else
        differs before after | sed -n "s/^[-+]\[/$way: &/p" | head -n 40 >>"$scratch/differences"
    fi
}

# trip CHECK [RESTORE OPTION...]
trip() {
    local old check=$1
    shift
    old=$(below "$pid")
    look earlier
    look before
    dump_running || return 1
    # shellcheck disable=SC2086
    until_true gone_all "$pid" $old || { why="lives on after the dump"; return 1; }
    restore "$@" || return 1
    look after
    differences
    until_true "$check" || { why="after restore: $(tail -n 1 "$dir.why") $(tail -n 2 "$dir.log")"; return 1; }
}

# Refused by name, and it goes on.
is_refused() {
    ! snapctl dump -q --pid "$pid" -o "$dir.image" >"$dir.said" 2>&1 || { why="is not refused"; return 1; }
    grep -q "$refused" "$dir.said" || { why="refused with: $(dump_why)"; return 1; }
    kept || why="after the refusal: $(cat "$dir.why")"
}

way_launch() {
    # shellcheck disable=SC2086
    (cd "$dir" && exec 2>&1 && HOME=$dir snapctl dump -q -o "$dir.image" --force ${dump_options:-} -- "${command[@]}") >"$dir.said" 2>&1 || { why="dump: $(dump_why)"; return 1; }
    restore || return 1
    until_true fine || { why="after restore: $(tail -n 1 "$dir.why")"; return 1; }
}
way_running() {
    begin || return 1
    fill || { why="fill: $(cat "$dir.why")"; return 1; }
    [ -z "${refused:-}" ] || { is_refused; return; }
    trip kept
}
way_ns() { trip kept --pids=ns; }
way_again() { trip kept; }

# Each in a shell of its own, so that variables of one program are not those of the next.
one() { # NAME
    local way result=''
    name=$1
    for way in ${SWEEP_WAYS:-launch running ns again}; do
        [[ " ${ways:-launch running ns again} " = *" $way "* ]] || continue
        case $way in launch | running)
            dir=$scratch/$name.$way
            mkdir -m 777 "$dir"
            # shellcheck disable=SC2034
            port=$(free_port)
            "run_$name" || { echo "$name: cannot be prepared"; return 1; }
            [[ " ${ways:-launch running ns again} " = *" $way "* ]] || continue ;;
        esac
        why=
        "way_$way" || { echo "$name: $way: $why"; return 1; }
        result+=" $way"
        [ "$way" != launch ] || end_all
    done
    echo "$name:$result${refused:+ refused}"
}

[ $# -gt 0 ] || mapfile -t names < <(declare -F | sed -n 's/^declare -f run_//p')
set -- "${names[@]-}" "$@"
for name; do
    [ -n "$name" ] || continue
    start=$SECONDS
    : >"$scratch/differences"
    (trap - EXIT; one "$name") >"$scratch/line" 2>"$scratch/errors"
    case $? in
    0) pass "$(cat "$scratch/line") ($((SECONDS - start)) s)" ;;
    77) echo "ok - $name # skip not installed" ;;
    *) fail "$(tr '\n' ' ' <"$scratch/line") ($((SECONDS - start)) s)"; sed 's/^/#   /' "$scratch/errors" | tail -n 3 ;;
    esac
    sed 's/^/#   /' "$scratch/differences"
    end_all
done
finish
