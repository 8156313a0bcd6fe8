#!/bin/bash
# Images that nobody has dumped and that the reader takes for sound: mutants of a server of three processes (fuzz_image
# -w), restored by snapctl built with ASan. They run or are refused with status 125; nothing crashes, and no process is
# left of what was refused. All in namespaces of its own with a file system that cannot be written, as root.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
: "${SNAPCTL_ASAN:?run me through make soak}" "${FUZZ_IMAGE:?}"

# In the namespaces: each image in turn, and what is wrong with how it ended.
try_all() {
    mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs none /dev/shm && cd /dev/shm || exit 1
    local image status bad=0 pid
    for image in "$1"/*/; do
        ASAN_OPTIONS=detect_leaks=0 timeout -k 5 30 "$SNAPCTL_ASAN" restore -d --pids=ns "${image%/}" </dev/null >said 2>&1
        status=$?
        if { [ $status != 0 ] && [ $status != 125 ]; } || grep -q 'runtime error\|ERROR: AddressSanitizer' said; then
            bad=$((bad + 1))
            echo "# $image: status $status: $(grep -m 1 'runtime error\|ERROR' said || head -n 1 said)"
        fi
        for pid in $(ours); do
            if [ $status = 125 ]; then
                bad=$((bad + 1))
                echo "# $image: process $pid is left"
            fi
            kill -KILL "$pid" 2>/dev/null
        done
        until_true gone
    done
    exit $((bad > 0))
}

if [ "${1-}" = inside ]; then
    rm -rf "$scratch"
    scratch=$2
    trap - EXIT
    try_all "$scratch/mutants"
fi
if [ "$(id -u)" != 0 ]; then
    echo "ok - hostile images # skip root only"
    exit
fi
cp "${SERVER:?}" "$scratch/server"
SERVER=$scratch/server
program static "$(free_port)" "$scratch"
command+=(2 3) # threads, processes
mkdir -m 700 "$scratch/mutants"
if ! snapctl dump -q -o "$scratch/image" "${command[@]}" >"$scratch/said" 2>&1; then
    fail "dump of the server"
elif ! "$FUZZ_IMAGE" -n 0 -p 0 -m "${SOAK_MUTANTS:-1000}" -s "${SOAK_SEED:-$RANDOM}" -w "$scratch/mutants" "$scratch/image"; then
    fail "mutants of it"
elif unshare -m -p -n -i -u --fork --mount-proc --kill-child "$0" inside "$scratch"; then
    pass "hostile images run or are refused"
else
    fail "hostile images"
fi
finish
