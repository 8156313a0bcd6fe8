# shellcheck shell=bash
# What the bats tests share: a scratch directory, a time limit for every command, certain cleanup of all processes
# that were started, and the round trip itself. Nothing sleeps to synchronise: `target --wait-line` and
# `--wait-exit` wait for what happens, until_true asks again where nobody tells.
#
# setup() makes $scratch; everything that runs is noted in $scratch/pids and killed by teardown(), also when a test
# fails.

: "${SNAPCTL:?run me through make check}" "${TARGET:?}" "${VISIBLE:?}"
# shellcheck source-path=SCRIPTDIR source=descendants.bash
. "$(dirname "${BASH_SOURCE[0]}")/descendants.bash"
tool=$TARGET # for its tools, also where a test has another target
limit=90     # seconds for one command; a dump gives up after 60

# ---- before and after ----------------------------------------------------------------------------------

# Below /tmp under a short name: a unix socket's path has 108 bytes. Open to ordinary users. For each of a thousand tests
# bash runs all this under the traces of bats, so what is done here is done with few commands and fewer processes.
setup() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/snaptest.XXXXXX")
    chmod 755 "$scratch"
    mkdir -m 777 "$scratch/work"
    : >"$scratch/pids"
    user=() snapctl=$SNAPCTL
}

teardown() {
    local pid start
    # Children of what was noted, and orphans: whoever has our HOME.
    while read -r pid; do note_pid "${pid//[!0-9]/}"; done < <(grep -lzsx "HOME=$scratch/work" /proc/[0-9]*/environ)
    while read -r pid start; do
        ! is_still "$pid" "$start" || kill -KILL "$pid" 2>/dev/null || true
    done <"$scratch/pids"
    while read -r pid start; do
        ! is_still "$pid" "$start" || "$TARGET" --wait-exit "$pid" 10
    done <"$scratch/pids"
    # System V segments outlive processes.
    if [ -e "$scratch/work/segments" ]; then
        while read -r pid; do ipcrm -m "$pid" 2>/dev/null; done <"$scratch/work/segments"
    fi
    rm -rf "$scratch"
}

# stat_of PID: sets stat[N] to field N of its stat, proc(5), from the state (3) on; fails if there is no such process.
stat_of() {
    local line
    ! IFS= read -r -d '' line <"/proc/$1/stat"
    [ -n "$line" ] || return 1
    read -r -a stat <<<"0 1 2 ${line##*) }"
} 2>/dev/null

# When a process began, in ticks: a pid and this name a process for ever. Empty: no such process.
start_time() { ! stat_of "$1" || echo "${stat[22]}"; }
is_still() { stat_of "$1" && [ "${stat[22]}" = "$2" ]; }

# Have teardown kill pid.
note_pid() { ! stat_of "$1" || echo "$1 ${stat[22]}" >>"$scratch/pids"; }

# And all below: who overwrites its environment to show a title is not found by it.
note_tree() { # PID
    local member
    for member in "$1" $(descendants "$1"); do note_pid "$member"; done
}

# ---- running things --------------------------------------------------------------------------------------

# bats, make and CI leave pipes open in us; a server that inherits them has a pipe to outside.
close_others() {
    local fd
    for fd in /proc/"$BASHPID"/fd/*; do
        fd=${fd##*/}
        [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
}

# start LOG COMMAND...: in the background with a small environment; sets pid. As another user, there is an exec(2) before
# the one of COMMAND, for which setpriv still has the capabilities of root.
start() {
    local log=$1
    shift
    : >>"$scratch/$log"
    chmod 666 "$scratch/$log" # an ordinary user opens it again
    "$tool" --alone "$scratch/work" "${user[@]}" ${user[0]:+env} "$@" </dev/null >>"$scratch/$log" 2>&1 &
    pid=$!
    note_pid "$pid"
}

# snapctl with a time limit; what it says is in $scratch/said, and printed.
snapctl() {
    local status=0
    "$tool" --alone "$scratch/work" timeout -k 5 "$limit" "${user[@]}" ${user[0]:+env} "$snapctl" "$@" \
        </dev/null >"$scratch/said" 2>&1 || status=$?
    cat "$scratch/said"
    return "$status"
}

# From here on as an ordinary user, with a copy of what lies where others cannot look.
as_user() {
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
    cp "$SNAPCTL" "$scratch/snapctl"
    snapctl=$scratch/snapctl
    chmod 755 "$scratch/snapctl"
    chown 65534:65534 "$scratch/work"
}

# fail TEXT: end the test, and say why.
fail() {
    echo "$@"
    return 1
}

gone() { [ ! -e "/proc/$1" ]; }

# image: where the image of the test is made.
image() { echo "$scratch/work/image"; }

# dump_pid PID [OPTION...]: the process and its children end once the image is safe.
dump_pid() {
    local pid=$1 family member
    shift
    family=$(descendants "$pid")
    snapctl dump --pid "$pid" -o "$(image)" "$@" || fail "dump of $pid failed"
    "$TARGET" --wait-exit "$pid" 10 || fail "process $pid lives on after the dump"
    for member in $pid $family; do
        until_true gone "$member" || fail "process $member is not reaped" # only then its id is free
    done
}

# restore [OPTION...]: detached; sets pid.
restore() {
    rm -f "$scratch/work/pidfile"
    snapctl restore --detach --pidfile "$scratch/work/pidfile" "$@" "$(image)" || fail "restore failed"
    read -r pid <"$scratch/work/pidfile"
    note_tree "$pid"
    # With --pids=ns, the parent is a small init that ends when the program does.
    note_parent "$pid"
}

note_parent() {
    local comm=
    ! stat_of "$1" || read -r comm <"/proc/${stat[4]}/comm" || true
    case $comm in snapctl* | server.snap) note_pid "${stat[4]}" ;; esac
} 2>/dev/null

# ---- visible state -----------------------------------------------------------------------------------------

see() { # NAME PID
    timeout "$limit" "$VISIBLE" --limit 3 "$2" >"$scratch/$1.state"
}

# What may always differ: group and session are those of the caller's shell.
allowed=ppid,pgid

# same BEFORE AFTER [ALLOW,...]
same() {
    timeout "$limit" "$VISIBLE" --diff "$scratch/$1.state" "$scratch/$2.state" --allow "$allowed${3:+,$3}" ||
        fail "the visible state is another one"
}

# see_same BEFORE AFTER PID [ALLOW,...]: see AFTER PID, and same BEFORE AFTER
see_same() {
    timeout "$limit" "$VISIBLE" --limit 3 --same "$scratch/$1.state" --allow "$allowed${4:+,$4}" "$3" >"$scratch/$2.state" ||
        fail "the visible state is another one"
}

# ---- targets --------------------------------------------------------------------------------------------------

target_env() { echo TARGET_CTL="$scratch/ctl" TARGET_OUT="$scratch/out" TARGET_DIR="$scratch/work"; }

prepare_target() {
    mkfifo -m 666 "$scratch/ctl"
    : >"$scratch/out"
    chmod 666 "$scratch/out"
}

# start_target NAME: returns when its state stands; sets pid. Skips where the machine lacks what it needs.
start_target() {
    prepare_target
    # shellcheck disable=SC2046 # three words
    start target.log env $(target_env) "$TARGET" "$1"
    "$TARGET" --wait-line "$scratch/out" READY 20 >/dev/null || {
        ! grep '^SKIP' "$scratch/out" || skip "$(sed -n 's/^SKIP //p' "$scratch/out")"
        fail "target $1 did not become ready: $(cat "$scratch/out" "$scratch/target.log")"
    }
}

has_flag() { "$TARGET" --has-flag "$1" "$2"; } # NAME LETTER

# check_target PID: let it judge, and see it end.
check_target() {
    local lines
    echo check 1<>"$scratch/ctl" # for reading too: without the target, this does not wait for one
    "$TARGET" --wait-exit "$1" 30 || fail "the target never came to its judgement"
    mapfile -t lines <"$scratch/out"
    [ "${lines[-1]}" = OK ] || fail "$(tail -n 5 "$scratch/out") $(cat "$scratch/target.log")"
}

# ---- round trips ------------------------------------------------------------------------------------------------

# trip NAME [ALLOW,...] [-- RESTORE OPTION...]: dump the process $pid that is there, restore it, compare.
trip() {
    local name=$1 allow=
    shift
    if [ $# -gt 0 ] && [ "$1" != -- ]; then
        allow=$1
        shift
    fi
    [ $# = 0 ] || shift
    dump_pid "$pid"
    restore "$@"
    if ! has_flag "$name" u; then
        see_same before after "$pid" "$allow"
    fi
}

# roundtrip NAME [ALLOW,...] [-- RESTORE OPTION...]
roundtrip() {
    start_target "$1"
    has_flag "$1" u || see before "$pid" # unsteady: it never comes to rest, and is not compared
    trip "$@"
    check_target "$pid"
}

# A state which may be refused, in words; if it is dumped, it has to be right.
roundtrip_or_refusal() {
    start_target "$1"
    see before "$pid"
    if snapctl check --pid "$pid" >"$scratch/check"; then
        trip "$@"
        check_target "$pid"
    else
        refused_in_words
    fi
}

# The target $pid is refused by check and dump alike, with a hint, and runs on unchanged.
refused_in_words() {
    if snapctl dump --pid "$pid" -o "$(image)"; then fail "dump went well although check objects"; fi
    grep -q 'hint:' "$scratch/said" || fail "no remedy is named"
    [ ! -e "$(image)" ] || fail "there is an image"
    see_same before after "$pid"
    check_target "$pid"
}

# refusal NAME PATTERN: dump must fail with a message that matches, and leave the target as it was.
refusal() {
    start_target "$1"
    see before "$pid"
    if snapctl check --pid "$pid"; then fail "check has nothing against it"; fi
    grep -qE "$2" "$scratch/said" || fail "check does not say $2"
    refused_in_words
    grep -qE "$2" "$scratch/said" || fail "dump does not say $2"
}

# What only the stopped target tells: `check`, which stops nothing, cannot see it.
refusal_late() { # NAME PATTERN
    start_target "$1"
    see before "$pid"
    refused_in_words
    grep -qE "$2" "$scratch/said" || fail "dump does not say $2"
}

# launched NAME: from `dump PROGRAM` instead of a running process.
launched() {
    prepare_target
    # shellcheck disable=SC2046 # three words
    snapctl dump -o "$(image)" env $(target_env) "$TARGET" "$1" || fail "dump failed"
    grep -q '^READY' "$scratch/out" || fail "it was dumped before it was ready"
    restore
    check_target "$pid"
}

# ---- servers -------------------------------------------------------------------------------------------------------

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# until_true COMMAND...: again and again, for a minute at most: the machine may be busy.
until_true() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

listens() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_port() { until_true listens "$1" || fail "nobody listens on port $1: $(cat "$scratch"/*.log)"; }

get() { timeout 20 curl -sS --max-time 15 "http://127.0.0.1:$1/${2:-}"; }
