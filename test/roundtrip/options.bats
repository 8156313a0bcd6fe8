#!/usr/bin/env bats
# What the options of dump and restore do: --files, --embed, --inherit, --threads, and the hidden ones of other kernels
# (--debug-vdso-differs, --debug-clock-back).
load ../helpers/real

# ---- data files that have changed -------------------------------------------------------------------------

# A shell that has read the first line of `data` and prints the second when it is told to. Sets pid.
reader() {
    printf 'one\ntwo\n' >"$scratch/work/data"
    mkfifo "$scratch/work/go"
    # shellcheck disable=SC2016 # for the shell that is dumped
    start reader.log sh -c 'exec 5<data 6<>go; read -r first <&5; echo "$first"; read -r _ <&6; read -r second <&5; echo "$second"'
    until_true grep -qs one "$scratch/reader.log"
    until_true snapctl check --pid "$pid" >/dev/null
    dump_pid "$pid"
}

# The last line of LOG once the program has ended; what is a regular file stays one.
goes_on() { # LOG
    echo >"$scratch/work/go"
    "$TARGET" --wait-exit "$pid" 10
    tail -n 1 "$scratch/$1"
}

# What is open on tmpfs is in the image.
waits_for_us() { [ "$(stat -f -c %T "$scratch/work")" != tmpfs ] || skip "$scratch is on tmpfs"; }

changed_data() { printf 'one\nother\n' >"$scratch/work/data"; }

# refused_restore PATTERN [OPTION...]
refused_restore() {
    local pattern=$1
    shift
    run snapctl restore -d "$@" "$(image)"
    [ "$status" = 125 ] || fail "exit status $status: $output"
    grep -qE "$pattern" <<<"$output" || fail "does not say $pattern: $output"
    grep -q 'hint:' <<<"$output" || fail "no remedy is named"
    gone "$pid" || fail "there is a process"
}

@test "files: what is as it was needs no option" {
    reader
    restore
    [ "$(goes_on reader.log)" = two ]
}

@test "files: a changed one is refused by name" {
    reader
    changed_data
    refused_restore "$scratch/work/data has changed since the dump: it was 8 bytes of .*, it is 10 bytes of "
    refused_restore "$scratch/work/data" --files=auto
    refused_restore "$scratch/work/data" --files=fail
}

@test "files=keep: a changed one is used as it is" {
    reader
    changed_data
    restore --files=keep
    [ "$(goes_on reader.log)" = other ]
}

@test "files=restore: what is not in the image cannot be put back" {
    waits_for_us
    reader
    changed_data
    refused_restore "$scratch/work/data" --files=restore
    [ "$(tail -n 1 "$scratch/work/data")" = other ]
}

@test "files: one that is gone is refused by name" {
    waits_for_us
    reader
    rm "$scratch/work/data"
    refused_restore "$scratch/work/data"
    refused_restore "$scratch/work/data" --files=keep
}

@test "files: a directory in its place is refused" {
    reader
    rm "$scratch/work/data"
    mkdir "$scratch/work/data"
    refused_restore "$scratch/work/data was a (regular )?file at the dump and is a directory" --files=keep
}

# A program that shares `data` with others through a mapping, and prints it when it is told to. Sets pid.
mapper() {
    printf 'as it was' >"$scratch/work/data"
    mkfifo "$scratch/work/go"
    start mapper.log "$python" -c 'import mmap
file = open("data", "r+b")
data = mmap.mmap(file.fileno(), 0)
go = open("go", "r+b", 0)
print(bytes(data).decode(), flush=True)
go.readline()
print(bytes(data).decode())'
    until_true grep -qs 'as it was' "$scratch/mapper.log"
    dump_pid "$pid"
}

@test "files, mapped: auto keeps one of the same size" {
    mapper
    printf 'otherwise' >"$scratch/work/data"
    restore
    [ "$(goes_on mapper.log)" = otherwise ]
}

@test "files, mapped: auto refuses one of another size" {
    mapper
    printf 'longer than it was' >"$scratch/work/data"
    refused_restore "$scratch/work/data"
}

@test "files, mapped: fail" {
    mapper
    printf 'otherwise' >"$scratch/work/data"
    refused_restore "$scratch/work/data" --files=fail
}

@test "files, mapped: keep" {
    mapper
    printf 'longer than it was' >"$scratch/work/data"
    restore --files=keep
    [ "$(goes_on mapper.log)" = 'longer th' ]
}

@test "files, mapped: restore puts the old contents back" {
    mapper
    printf 'longer than it was' >"$scratch/work/data"
    restore --files=restore
    [ "$(cat "$scratch/work/data")" = 'as it was' ]
    [ "$(goes_on mapper.log)" = 'as it was' ]
}

@test "files, mapped: what is gone is made again" {
    mapper
    rm "$scratch/work/data"
    restore
    [ "$(cat "$scratch/work/data")" = 'as it was' ]
    [ "$(goes_on mapper.log)" = 'as it was' ]
}

# A program that has written to `data` and `log`, and goes on with both when it is told to. Sets pid.
writer() {
    printf 'as it was' >"$scratch/work/data"
    mkfifo "$scratch/work/go"
    start writer.log "$python" -c 'file = open("data", "r+b", 0)
log = open("log", "ab", 0)
log.write(b"begun\n")
file.read(3)
go = open("go", "r+b", 0)
print("stands", flush=True)
go.readline()
log.write(b"ended\n")
print(file.read().decode())'
    until_true grep -qs stands "$scratch/writer.log"
    dump_pid "$pid"
}

@test "files, open for writing: what is gone is made again" {
    writer
    chmod 640 "$scratch/work/log" # one that is there keeps what it has by now
    rm "$scratch/work/data"
    restore
    [ "$(cat "$scratch/work/data")" = 'as it was' ]
    [ "$(goes_on writer.log)" = 'it was' ]
    [ "$(cat "$scratch/work/log")" = $'begun\nended' ]
    [ "$(stat -c %a "$scratch/work/log")" = 640 ]
}

@test "files, open for writing: restore leaves a log that has grown" {
    writer
    printf 'longer than it was' >"$scratch/work/data"
    echo grown >>"$scratch/work/log"
    refused_restore "$scratch/work/data"
    restore --files=restore
    [ "$(goes_on writer.log)" = 'it was' ]
    [ "$(cat "$scratch/work/log")" = $'begun\ngrown\nended' ]
}

@test "files, open for writing: a failed restore leaves nothing it has made" {
    writer
    rm "$scratch/work/data" "$scratch/work/log" "$scratch/work/go"
    refused_restore "$scratch/work/go"
    [ ! -e "$scratch/work/data" ] || fail "data was made again"
    [ ! -e "$scratch/work/log" ] || fail "log was made again"
}

@test "files, mapped: a failed restore leaves nothing it has made" {
    mapper
    rm "$scratch/work/data" "$scratch/work/go"
    refused_restore "$scratch/work/go"
    [ ! -e "$scratch/work/data" ] || fail "data was made again"
}

# ---- contents of programs and libraries ----------------------------------------------------------------------

own_server() { # a copy of the static server runs, has counted to 1, and is dumped
    port=$(free_port)
    cp "$SERVER" "$scratch/work/server"
    start server.log "$scratch/work/server" "$port"
    wait_port "$port"
    is_number "$port" 1
    until_true snapctl check --pid "$pid" >/dev/null
    dump_pid "$pid" "$@"
}

@test "embed: the program was replaced" {
    own_server --embed
    cp --remove-destination "$SERVER_MUSL" "$scratch/work/server"
    restore
    is_number "$port" 2
    cmp "$SERVER_MUSL" "$scratch/work/server"
    cmp "$SERVER" "/proc/$pid/exe"
}

@test "embed: the program is gone" {
    own_server --embed
    rm "$scratch/work/server"
    restore
    is_number "$port" 2
    [ "$(readlink "/proc/$pid/exe")" = "$scratch/work/server (deleted)" ]
    [ ! -e "$scratch/work/server" ] || fail "the program was made again"
}

@test "embed: nothing has changed" {
    own_server --embed
    restore
    is_number "$port" 2
    [ "$(readlink "/proc/$pid/exe")" = "$scratch/work/server" ]
}

@test "embed: a library was replaced" {
    local libc
    libc=$(ldd "$TARGET" | awk '$1 == "libc.so.6" { print $3 }')
    cp "$libc" "$scratch/work/libc.so.6"
    mkfifo "$scratch/work/go"
    start sh.log env LD_LIBRARY_PATH="$scratch/work" sh -c 'echo started; read -r line <>go; printf "%s\n" again; exit 7'
    until_true grep -qs started "$scratch/sh.log"
    grep -q "$scratch/work/libc.so.6" "/proc/$pid/maps"
    snapctl dump --pid "$pid" --leave-running -o "$scratch/work/without"
    dump_pid "$pid" --embed
    # Another library: not even its text is where it was.
    head -c 4096 /dev/zero | cat - "$libc" >"$scratch/libc.so.6"
    mv "$scratch/libc.so.6" "$scratch/work/libc.so.6"
    run snapctl restore -d "$scratch/work/without"
    [ "$status" = 125 ]
    [[ $output == *"$scratch/work/libc.so.6"* ]]
    restore
    [ "$(goes_on sh.log)" = again ]
}

@test "a program that was installed again is the same" {
    own_server
    cp --remove-destination "$SERVER" "$scratch/work/server"
    restore
    is_number "$port" 2
}

# What is appended (packed scripts, archives) leaves its build-id as it was.
@test "a program that has got longer is refused" {
    own_server
    cp --remove-destination "$SERVER" "$scratch/work/server"
    echo >>"$scratch/work/server"
    refused_restore "mapped file: $scratch/work/server has changed since the dump: it was [0-9]+ bytes of .*, it is "
}

# ---- descriptors of the launcher ------------------------------------------------------------------------------

# A shell that was launched with descriptors 5 and 6, and says which is which when it is told to.
two_outputs() {
    mkfifo "$scratch/work/go"
    : >"$scratch/work/old5"
    : >"$scratch/work/old6"
    (
        close_others
        cd "$scratch/work" || exit 1
        exec "$SNAPCTL" dump -q -o "$(image)" sh -c 'read -r _ <>go; echo five >&5; echo six >&6; echo one' \
            </dev/null >old1 2>"$scratch/said" 5>old5 6>old6
    ) || fail "dump failed: $(cat "$scratch/said")"
    ! grep -q . "$scratch"/work/old? || fail "it said something before the dump"
}

# restore_to OPTION...: with descriptors 1 and 5 to 7 to files new1, new5 ...; in the foreground.
restore_to() {
    local status=0
    (
        close_others
        cd "$scratch/work" || exit 1
        exec timeout "$limit" "$SNAPCTL" restore "$@" "$(image)" </dev/null >new1 2>"$scratch/said" 5>new5 6>new6 7>new7
    ) &
    note_pid $!
    timeout 10 sh -c "echo >'$scratch/work/go'"
    wait $! || fail "restore failed: $(cat "$scratch/said")"
}

said() { # CONTENTS of new1, new5, new6, new7
    local i contents=()
    for i in 1 5 6 7; do contents+=("$(cat "$scratch/work/new$i")"); done
    is "${contents[*]}" "$*"
    ! grep -q . "$scratch"/work/old? || fail "the files of the dump were written to"
}

@test "inherit: descriptors are the caller's of the same number" {
    two_outputs
    restore_to
    said one five six ''
}

@test "inherit: others by number" {
    two_outputs
    restore_to --inherit=5=7 --inherit 6=5
    said one six '' five
}

@test "inherit: one for several" {
    two_outputs
    restore_to --inherit=1=6 --inherit=5=6
    said '' '' "$(printf 'five\nsix\none')" ''
}

@test "inherit: one that is not open here becomes /dev/null, and that is said" {
    two_outputs
    restore_to --inherit=5=9
    said one '' six ''
    grep -q 'warning: .*descriptor 5 .*/dev/null' "$scratch/said"
}

@test "inherit: standard output has to be there" {
    two_outputs
    run snapctl restore -d --inherit=1=9 "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"descriptor 9"*hint:* ]]
}

@test "inherit: snapctl's own descriptors are not the caller's" {
    two_outputs
    for own in 3 4 5; do
        run snapctl restore -d --inherit="1=$own" "$(image)"
        [ "$status" = 125 ]
        [[ $output == *"descriptor $own"*hint:*$own* ]]
    done
}

@test "inherit: a standard descriptor that is closed is not replaced by a file of the image" {
    two_outputs
    for closed in 0 1 2; do
        status=0
        (
            close_others
            exec </dev/null >"$scratch/out" 2>"$scratch/said"
            eval "exec $closed>&-"
            exec timeout "$limit" "$SNAPCTL" restore -d "$(image)"
        ) || status=$?
        [ "$status" = 125 ]
        [ "$closed" = 2 ] || grep -q "descriptor $closed .*not open" "$scratch/said"
    done
}

@test "inherit: a descriptor that the program did not get from outside is refused" {
    two_outputs
    run snapctl restore -d --inherit=4=1 "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"descriptor 4"*hint:* ]]
}

# ---- another kernel --------------------------------------------------------------------------------------------

@test "vdso of another kernel: static" { running static maps -- --debug-vdso-differs; }
@test "vdso of another kernel: python" { running python maps -- --debug-vdso-differs; }
@test "vdso of another kernel: python, launched" { from_start python -- --debug-vdso-differs; }
@test "vdso of another kernel: static, second generation" {
    port=$(free_port)
    start server.log "$SERVER" "$port" 3
    wait_port "$port"
    is_number "$port" 1
    until_true snapctl check --pid "$pid" >/dev/null
    dump_pid "$pid"
    restore --debug-vdso-differs
    is_number "$port" 2
    until_true snapctl check --pid "$pid" >/dev/null
    see before "$pid"
    dump_pid "$pid" --force
    restore
    see after "$pid"
    same before after
    is_number "$port" 3
}

@test "a monotonic clock that would go back: static" { running static ns -- --debug-clock-back; }
@test "a monotonic clock that would go back: python" { running python ns -- --debug-clock-back; }
@test "a monotonic clock that would go back: what the program sees" {
    mkfifo "$scratch/work/go"
    start clock.log "$python" -c 'import time
go = open("go", "r+b", 0)
while True:
    print(int(time.monotonic()), int(time.clock_gettime(time.CLOCK_BOOTTIME)), int(time.time()), flush=True)
    go.readline()'
    until_true grep -q . "$scratch/clock.log"
    dump_pid "$pid"
    restore --debug-clock-back
    echo >"$scratch/work/go"
    two_lines() { [ "$(wc -l <"$scratch/clock.log")" = 2 ]; }
    until_true two_lines
    paste -sd ' ' "$scratch/clock.log" >"$scratch/times"
    # The image says that both clocks were a million seconds further; the time of day is not touched.
    awk '{ exit !($4 - $1 >= 1000000 && $4 - $1 < 1000100 && $5 - $2 >= 1000000 && $5 - $2 < 1000100 &&
        $6 - $3 < 100) }' "$scratch/times" || fail "$(cat "$scratch/times")"
}

@test "a monotonic clock that goes back for an ordinary user is told" {
    as_user
    port=$(free_port)
    start server.log "$SERVER" "$port"
    wait_port "$port"
    until_true snapctl check --pid "$pid" >/dev/null
    dump_pid "$pid"
    restore --pids=new --debug-clock-back
    grep -q 'warning: .*monotonic clock goes back' "$scratch/said"
    is_number "$port" 1
}

# ---- threads of snapctl -------------------------------------------------------------------------------------------

threads_made() { # N: how many threads a dump with --threads N starts
    timeout "$limit" strace -f -qq -e trace=clone,clone3 -o "$scratch/trace" "$SNAPCTL" dump -q --force \
        --leave-running --level 12 --threads "$1" --pid "$pid" -o "$(image)"
    grep -c 'clone.*CLONE_THREAD' "$scratch/trace"
}

@test "threads: as many compress as were asked for" {
    local one three
    start_target mem_big
    one=$(threads_made 1)
    three=$(threads_made 3)
    [ $((three - one)) = 2 ] || fail "$one threads with 1, $three with 3"
    dump_pid "$pid" --force --threads 3
    restore --threads 1
    check_target "$pid"
}

# ---- compression --------------------------------------------------------------------------------------------------

@test "level: 0 stores pages as they are, 19 makes them small" {
    local bytes=() level
    port=$(free_port)
    start server.log "$SERVER" "$port"
    wait_port "$port"
    until_true snapctl check --pid "$pid" >/dev/null
    for level in 0 1 19; do
        snapctl dump -q --force --leave-running --level $level --pid "$pid" -o "$(image)"
        bytes+=("$(stat -c %s "$(image)/pages")")
    done
    [ "${bytes[0]}" -gt "${bytes[1]}" ] || fail "${bytes[*]}"
    [ "${bytes[1]}" -gt "${bytes[2]}" ] || fail "${bytes[*]}"
    dump_pid "$pid" --force --level 0
    snapctl verify "$(image)"
    restore
    is_number "$port" 1
}
