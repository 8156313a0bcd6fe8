#!/usr/bin/env bats
# System calls of snapctl that fail, and signals that reach it at a bad moment: a failed dump leaves the target as it was
# and nothing on the disk, a failed restore leaves nothing. A few moments; all of them: test/soak/fault.sh.
load ../helpers/snap

# with_fault STRACE OPTION... -- ARGUMENT...: snapctl with what strace injects; -f where all of it is to be followed.
with_fault() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    run timeout -k 5 "$limit" strace -qq -o "$scratch/trace" "${options[@]}" "$SNAPCTL" "$@" </dev/null
    echo "$output"
}

need_strace() { command -v strace >/dev/null || skip "strace is not installed"; }

# Neither an image nor what was to be one.
no_image() { [ -z "$(find "$scratch/work" -name '*image*')" ] || fail "left: $(find "$scratch/work" -name '*image*')"; }

@test "dump: the disk fails at any fsync" {
    need_strace
    start_target treeshm_posix
    see before "$pid"
    for when in 1 3 5; do
        with_fault -f -e trace=fsync -e inject=fsync:error=EIO:when=$when -- dump --pid "$pid" -o "$(image)"
        [ "$status" = 125 ]
        [[ "$output" == *fsync* ]] || fail "it does not say that fsync failed"
        no_image
    done
    see after "$pid"
    same before after
    check_target "$pid"
}

@test "dump: the disk fails when the old image is replaced" {
    need_strace
    start_target mem_private
    snapctl dump -q --pid "$pid" --leave-running -o "$(image)"
    cp -a "$(image)" "$scratch/kept"
    with_fault -f -e trace=fsync -e inject=fsync:error=EIO:when=5 -- dump --force --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    diff -r "$(image)" "$scratch/kept"
    [ "$(find "$scratch/work" -name '*image*' | wc -l)" = 1 ]
    check_target "$pid"
}

@test "dump: what does the work is killed" {
    need_strace
    start_target mem_private
    with_fault -f -e trace=fsync -e inject=fsync:signal=KILL:when=2 -- dump --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    [[ "$output" == *"killed by signal 9"* ]]
    no_image
    check_target "$pid"
}

@test "dump: nobody can say how large the image is" {
    need_strace
    start_target mem_private
    with_fault -f -P "$(image)" -e trace=openat -e inject=openat:error=ENOMEM -- dump --pid "$pid" -o "$(image)"
    [ "$status" = 0 ]
    grep -q INJECTED "$scratch/trace"
    "$TARGET" --wait-exit "$pid" 10
    until_true gone "$pid"
    restore
    check_target "$pid"
}

# No process of the target.
none_left() { [ -z "$(grep -lzsx "HOME=$scratch/work" /proc/[0-9]*/environ)" ]; }

# given_up CALL: SIGTERM for a detached restore in that call.
given_up() {
    with_fault -e trace="$1" -e inject="$1:signal=TERM:when=1" -- restore --detach "$(image)"
    [ "$status" = 125 ]
    [[ "$output" == *"given up: got SIGTERM"* ]] || fail "it does not say why"
    none_left || fail "processes are left"
}

@test "restore: given up, System V segments go" {
    need_strace
    start_target memsysv_removed
    dump_pid "$pid"
    ipcs -m | sort >"$scratch/segments"
    given_up shmat
    ipcs -m | sort | diff "$scratch/segments" -
    restore
    check_target "$pid"
}

@test "restore: given up, files go" {
    need_strace
    start_target file_deleted
    dump_pid "$pid"
    find "$scratch/work" | sort >"$scratch/files"
    given_up ftruncate
    find "$scratch/work" | sort | diff "$scratch/files" -
    restore
    check_target "$pid"
}

@test "restore --pids=ns: snapctl is killed, and nothing runs" {
    need_strace
    start_target mem_big # it takes its time
    dump_pid "$pid"
    with_fault -e trace=recvmsg -e inject=recvmsg:signal=KILL -- restore --detach --pids=ns "$(image)"
    [ "$status" != 0 ]
    grep -q 'killed by SIGKILL' "$scratch/trace"
    until_true none_left || fail "it runs"
    restore
    check_target "$pid"
}
