#!/usr/bin/env bats
# `snapctl diff`: the same state is the same wherever its pages lie; what has changed is said in words.
load ../helpers/snap

# differ [OPTION...] A B: the status is that of diff(1).
differ() {
    run snapctl diff "$@"
    [ "$status" = 1 ] || fail "status $status: $output"
}

says() { [[ $output == *"$1"* ]] || fail "no '$1' in: $output"; }

@test "diff: the same state, stored in another way" {
    # Of musl, which registers no rseq area for the kernel to write to.
    start server.log "$SERVER_MUSL" "$(free_port)"
    until_true snapctl check --pid "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/one"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/two" --level 19
    ! cmp -s "$scratch/one/pages" "$scratch/two/pages" || fail "they are not stored in another way"
    snapctl diff "$scratch/one" "$scratch/two"
    [ ! -s "$scratch/said" ] || fail "it says something"
    snapctl diff --json "$scratch/one" "$scratch/two"
    jq -e '.same and .differences == []' "$scratch/said"
    snapctl pack "$scratch/two" -o "$scratch/two.snap"
    snapctl diff "$scratch/one" "$scratch/two.snap"
}

# A Python process that changes much of itself when it is told to.
changer() {
    mkfifo "$scratch/work/go"
    start changer.log python3 -u -c '
import ctypes, mmap, os, resource, signal, threading
memory = mmap.mmap(-1, 64 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = b"a" * len(memory)
shared = mmap.mmap(-1, 16 * 4096)
shared[0] = 1
memfd = os.memfd_create("box")
os.ftruncate(memfd, 4096)
pipe = os.pipe()
twice = os.dup(0)
go = os.open("go", os.O_RDWR)
print("started")
os.read(go, 1)
memory[3 * 4096] = memory[4 * 4096] = memory[9 * 4096 + 5] = 0
shared[5 * 4096] = 1
os.pwrite(memfd, b"x", 0)
os.umask(0o27)
os.chdir("/")
os.write(pipe[1], b"five5")
os.close(twice)
os.setgroups([33])
resource.setrlimit(resource.RLIMIT_NOFILE, (77, 99))
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
ctypes.CDLL(None).prctl(15, b"renamed")
more = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
etc = os.open("/etc/passwd", os.O_RDONLY)
threading.Thread(target=signal.pause, daemon=True).start()
child = os.fork() or signal.pause()
print("changed")
os.read(go, 1)'
    until_true grep -q started "$scratch/changer.log"
    until_true snapctl check --pid "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/one"
    echo -n x >"$scratch/work/go"
    until_true grep -q changed "$scratch/changer.log"
    until_true snapctl check --pid "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/two"
}

@test "diff: what has changed is said in words" {
    changer
    differ "$scratch/one" "$scratch/two"
    says "process $pid"$'\n'
    says ": only in B: \"renamed\""
    says "umask: 0022 in A, 0027 in B"
    says "cwd: $scratch/work in A, / in B"
    says "name: \"python3\" in A, \"renamed\" in B"
    says "credentials, groups: "
    says "limit NOFILE: "
    says "in A, 77 in B"
    says "action of signal 10: only in B"
    says 'thread '
    says "process $(cat "/proc/$pid/task/$pid/children" | tr -d ' '): only in B"
    says "mapping: only in B: "
    says "open file: "
    says "/etc/passwd"
    says "buffers 0: only in B: data \"five5\""
    says ": 3 of 64 stored differ: "
    says "memory memfd box"
    says "memory shared anonymous"
    says "pages: 1 of 2 stored differs: 5000-6000"
}

@test "diff: the same for programs" {
    changer
    differ --json "$scratch/one" "$scratch/two"
    jq -e --argjson pid "$pid" '(.same | not) and
        any(.differences[]; .process == $pid and .what == "umask" and .a == "0022" and .b == "0027") and
        any(.differences[]; .pages == 3 and (.ranges | length) == 2) and
        any(.differences[]; .descriptor and .what == "open file" or .what == "descriptor 0")' "$scratch/said"
}

@test "diff: another program, and what is no image" {
    start server.log "$SERVER" "$(free_port)"
    until_true snapctl check --pid "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/one"
    start other.log "$SERVER_MUSL" "$(free_port)"
    until_true snapctl check --pid "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$scratch/two"
    differ "$scratch/one" "$scratch/two"
    says "exe: $SERVER in A, $SERVER_MUSL in B"
    run snapctl diff "$scratch/one" "$scratch/nothing"
    [ "$status" = 125 ]
    run snapctl diff "$scratch/one"
    [ "$status" = 125 ]
    says 'Name two directories'
    printf 'x' | dd of="$scratch/two/pages" bs=1 seek=30 conv=notrunc status=none
    run snapctl diff "$scratch/two" "$scratch/two"
    [ "$status" = 125 ]
}
