#!/usr/bin/env bats
# `snapctl dump PROGRAM`: what the file of the program tells, where the kernel has only a number.
load ../helpers/snap

# says STATUS TEXT PROGRAM: dump of it ends so, with this text
says() {
    status=0
    snapctl dump -f --timeout 20s -o "$(image)" "$3" || status=$?
    output=$(<"$scratch/said")
    [ "$status" = "$1" ] || fail "$3: status $status: $output"
    [[ $output == *"$2"* ]] || fail "$3: no '$2' in: $output"
}

# script NAME FIRST-LINE: executable
script() {
    printf '%s\nsleep 1000\n' "$2" >"$scratch/work/$1"
    chmod 755 "$scratch/work/$1"
}

@test "program: why it cannot be run" {
    script interpreter '#! /no/such/interpreter -x'
    script here 'true'
    says 127 'its interpreter /no/such/interpreter is not' "$scratch/work/interpreter"
    says 127 'in no directory of PATH' no-such-program
    says 126 'it is a directory' /tmp
    says 126 'it is not executable: chmod +x' /etc/passwd
    cd "$scratch/work"
    says 127 'did you mean `./here`?' here
    says 125 'what? Name a program' ''
}

@test "program: a library loader that is missing" {
    echo 'int main(void) { return 0; }' | gcc -x c -Wl,--dynamic-linker=/no/such/ld.so -o "$scratch/work/dynamic" -
    says 127 'its interpreter /no/such/ld.so is not' "$scratch/work/dynamic"
}

@test "program: one on a file system without exec" {
    [ "$(id -u)" = 0 ] || skip "mounts something"
    mkdir "$scratch/noexec"
    # shellcheck disable=SC2016
    status=0
    output=$(unshare --mount sh -c 'mount -t tmpfs -o noexec none "$2/noexec" && cp /bin/sleep "$2/noexec" &&
        exec "$1" dump -o "$2/work/image" "$2/noexec/sleep" 1000' sh "$SNAPCTL" "$scratch" 2>&1) || status=$?
    [ "$status" = 126 ] || fail "status $status: $output"
    [[ $output == *"mounted noexec"* ]] || fail "$output"
}

@test "program: a 32-bit one is not even started" {
    # The header of an ELF file is all that is looked at.
    printf '\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0' >"$scratch/work/i386"
    chmod 755 "$scratch/work/i386"
    says 125 'only 64-bit programs can be dumped' "$scratch/work/i386"
}

@test "program: a script without #!, and a static executable that can be anywhere" {
    script plain 'true'
    says 0 'dumped' "$scratch/work/plain"
    echo 'int pause(void); int main(void) { for (;;) pause(); }' | gcc -x c -static-pie -o "$scratch/work/pie" -
    says 0 'dumped' "$scratch/work/pie"
    restore
    kill -0 "$pid"
}

@test "program: set-user-ID for somebody who may not trace such" {
    [ "$(id -u)" = 0 ] || skip "makes files of two users"
    cp /bin/sleep "$scratch/work/sleep"
    chmod 4755 "$scratch/work/sleep"
    says 125 'ended with status 1' "$scratch/work/sleep" # no operand
    [[ $output != *set-user-ID* ]] || fail "root keeps it: $output"
    as_user
    says 125 'sleep runs without the set-user-ID of its file' "$scratch/work/sleep"
}

@test "program: a path that is too long" {
    local long
    long=$(printf 'a/%.0s' {1..3000})
    run snapctl dump -o "$long" sleep 1000
    [ "$status" = 125 ]
    [[ $output == *"File name too long"*"hint:"*"4095 bytes"* ]] || fail "$output"
    run snapctl show "$long"
    [ "$status" = 125 ]
    [[ $output == *"File name too long"*"hint:"*"4095 bytes"* ]] || fail "$output"
}
