# shellcheck shell=bash
# What the soak scripts share: a scratch directory with programs of its own (so that every process that
# belongs to a run can be told by its executable), a time limit for each step, TAP, and certain cleanup.
set -u
# shellcheck source-path=SCRIPTDIR source=../bench/programs.bash
. "$(dirname "${BASH_SOURCE[0]}")/../bench/programs.bash"
: "${SNAPCTL:?run me through make soak}" "${VISIBLE:?}"
# shellcheck disable=SC2034 # used by those who include this

# Pipes that make or CI have left open in us would be pipes to outside of the servers that are dumped.
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if [ "$fd" -gt 2 ] && [ "$fd" != 255 ]; then eval "exec $fd>&-"; fi
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/snapctl-soak.XXXXXX")
chmod 755 "$scratch"
load_pids=()

# Pids of all processes that run a program below $scratch: snapctl, and half-made ones too.
ours() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null) in "$scratch"/*) basename "${exe%/exe}" ;; esac
    done
}

ours_end() {
    local pid
    for pid in $(ours); do kill -KILL "$pid" 2>/dev/null; done
    for pid in ${soak_pid:-}; do kill -KILL "$pid" 2>/dev/null; done
}

soak_cleanup() {
    local pid
    for pid in ${load_pids[@]+"${load_pids[@]}"}; do kill "$pid" 2>/dev/null; done
    ours_end
    if mountpoint -q "$scratch/disk"; then umount -l "$scratch/disk"; fi
    rm -rf "$scratch"
}
trap soak_cleanup EXIT
trap 'exit 130' INT TERM

snapctl() { timeout -k 5 "${limit:-120}" "$scratch/snapctl" "$@" </dev/null; }

# Both cores busy, for as long as the script runs.
load_start() {
    local i
    for ((i = 0; i < $(nproc); i++)); do
        (while :; do :; done) &
        load_pids+=($!)
    done
}

# answer PORT REQUEST: the first bytes of the answer, within 10 s.
answer() {
    timeout 10 bash -c '
        exec 3<>/dev/tcp/127.0.0.1/$1 || exit 1
        printf "$2" >&3
        head -c 12 <&3' - "$1" "$2" 2>/dev/null
}

# Until a command succeeds, at most 20 s.
until_true() {
    local end=$((SECONDS + 20))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.01
    done
}

gone() { [ -z "$(ours)" ]; }

nr_passed=0 nr_failed=0
pass() {
    nr_passed=$((nr_passed + 1))
    echo "ok - $*"
}
fail() {
    nr_failed=$((nr_failed + 1))
    echo "not ok - $*"
    [ ! -s "$scratch/said" ] || tail -n 5 "$scratch/said" | sed 's/^/#   /'
}
finish() {
    echo "# ${0##*/}: $nr_passed passed, $nr_failed failed"
    [ $nr_failed = 0 ] && [ $nr_passed -gt 0 ]
}

cp "$SNAPCTL" "$scratch/snapctl"
