#!/usr/bin/env bats
# What the commands promise: images appear whole or not at all, targets run on, options do what they say.
load ../helpers/snap

server() { # a static server on $port
    port=$(free_port)
    start server.log "$SERVER" "$port" 2
    wait_port "$port"
}

counts() { [ "$(get "$port")" = "$1" ]; }

@test "leave-running: it goes on, and can be dumped again" {
    server
    counts 1
    until_true snapctl check --pid "$pid"
    see before "$pid"
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    see after "$pid"
    same before after
    counts 2
    until_true snapctl check --pid "$pid"
    dump_pid "$pid" --force
    restore
    counts 3
}

@test "leave-running: what goes on does not wait for the disk" {
    start_target proc_umask
    timeout "$limit" strace -f -qq -o /dev/null -e inject=fsync:delay_enter=200000 "$SNAPCTL" dump -q --json \
        --leave-running --pid "$pid" -o "$(image)" >"$scratch/json" </dev/null
    jq -e '.total_ms - .frozen_ms > 600' "$scratch/json" || fail "$(cat "$scratch/json")"
    check_target "$pid"
}

@test "leave-running: sleeps with timeouts go on for their time" {
    start_target wait_timed
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    snapctl dump --leave-running --pid "$pid" -o "$(image)" --force
    check_target "$pid"
}

@test "later generations equal the first" {
    start_target thread_sched
    see before "$pid"
    for _ in 1 2 3; do
        dump_pid "$pid" --force
        restore
    done
    see after "$pid"
    same before after
    check_target "$pid"
}

@test "twelve restores from one image" {
    server
    counts 1
    until_true snapctl check --pid "$pid"
    dump_pid "$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        restore
        counts 2
        kill -KILL "$pid"
        "$TARGET" --wait-exit "$pid" 10
    done
}

# A copy in a network namespace of its own: ask it there.
get_in() { # PID
    nsenter --net="/proc/$1/ns/net" bash -c 'ip link set lo up && timeout 10 curl -sS "http://127.0.0.1:$1/"' - "$port"
}

@test "eight copies at the same time, with their own ids and networks" {
    local i inits=()
    server
    counts 1
    until_true snapctl check --pid "$pid"
    dump_pid "$pid"
    for i in 1 2 3 4 5 6 7 8; do
        start "restore$i.log" unshare --net "$SNAPCTL" restore --pids=ns --pidfile "pid$i" "$(image)"
        inits+=("$pid")
    done
    for i in 1 2 3 4 5 6 7 8; do
        until_true [ -s "$scratch/work/pid$i" ] || fail "$(cat "$scratch/restore$i.log")"
        note_pid "$(cat "$scratch/work/pid$i")"
    done
    for i in 1 2 3 4 5 6 7 8; do
        [ "$(get_in "$(cat "$scratch/work/pid$i")")" = 2 ] || fail "copy $i does not count"
    done
    [ "$(get_in "$(cat "$scratch/work/pid8")")" = 3 ]
    for i in "${inits[@]}"; do
        kill -TERM "$i"
        "$TARGET" --wait-exit "$i" 10
    done
}

@test "the vdso of another kernel" { roundtrip cpu_vdso maps -- --debug-vdso-differs; }
@test "the vdso of another kernel, timers" { roundtrip timer_clocks maps -- --debug-vdso-differs; }

@test "what stands there is replaced only with --force, and only an image" {
    start_target proc_umask
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    run snapctl dump --leave-running --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *--force* ]]
    mkdir "$scratch/work/precious"
    run snapctl dump --leave-running --pid "$pid" -o "$scratch/work/precious" --force
    [ "$status" = 125 ]
    [ -d "$scratch/work/precious" ]
    see before "$pid"
    check_target "$pid"
}

@test "show, show --json, verify" {
    start_target epoll_level
    dump_pid "$pid"
    snapctl show "$(image)"
    grep -q 'eventfd' "$scratch/said"
    grep -q '\[stack\]' "$scratch/said"
    snapctl show --json "$(image)"
    jq -e . "$scratch/said" >/dev/null
    snapctl verify "$(image)"
}

@test "a damaged image is refused, and no process is left" {
    start_target mem_private
    dump_pid "$pid"
    local file size
    for file in "$(image)"/*; do
        size=$(stat -c %s "$file")
        cp "$file" "$scratch/whole"
        truncate -s $((size - 1)) "$file"
        run snapctl verify "$(image)"
        [ "$status" = 125 ]
        run snapctl restore --detach "$(image)"
        [ "$status" = 125 ]
        [ ! -e "/proc/$pid" ]
        cp "$scratch/whole" "$file"
    done
    restore
    check_target "$pid"
}

@test "missing, swapped and foreign files are refused" {
    local file other
    start_target proc_umask
    dump_pid "$pid"
    cp -r "$(image)" "$scratch/whole"
    for file in inventory state pages; do
        rm "$(image)/$file"
        not_an_image
        for other in inventory state pages; do
            [ "$file" != "$other" ] || continue
            cp "$scratch/whole/$other" "$(image)/$file"
            not_an_image
        done
        cp "$scratch/whole/$file" "$(image)/$file"
    done
    restore
    check_target "$pid"
}

# Neither command takes it, and no process is left.
not_an_image() {
    run snapctl verify "$(image)"
    [ "$status" = 125 ] && [[ $output == *hint:* ]]
    run snapctl restore --detach "$(image)"
    [ "$status" = 125 ] && [[ $output == *hint:* ]]
    gone "$pid" || fail "there is a process"
}

# shellcheck disable=SC2059 # they are the format
bytes() { printf "$(sed 's/../\\x&/g' <<<"$1")"; } # HEX

# set_version MAJOR MINOR: with digests that are right; see proto/inventory.proto.
set_version() {
    local inventory
    inventory=$(image)/inventory
    [ "$(head -c 12 "$inventory" | od -An -tx1)" = " 53 4e 41 50 43 54 4c 01 08 01 10 03" ] || fail "version 1.3?"
    {
        head -c 8 "$inventory"
        bytes "$(printf '08%02x10%02x' "$1" "$2")"
        tail -c +13 "$inventory" | head -c -16
    } >"$scratch/inventory"
    bytes "$(xxh128sum <"$scratch/inventory" | head -c 32)" >>"$scratch/inventory"
    cp "$scratch/inventory" "$inventory"
}

@test "an image of a later version is refused, not misread" {
    start_target proc_umask
    dump_pid "$pid"
    set_version 1 4
    not_an_image
    [[ $output == *"an image of format 1.4 "* ]]
}

@test "an image of an earlier version is read" {
    start_target proc_umask
    dump_pid "$pid"
    set_version 1 0
    snapctl verify "$(image)"
}

@test "an image of another major version is refused" {
    start_target proc_umask
    dump_pid "$pid"
    set_version 2 0
    not_an_image
    [[ $output == *"an image of format 2.0 "* ]]
}

# untrusted WORDS: of restore, show and verify, once each
untrusted() {
    local command
    for command in 'restore --detach' show verify; do
        # shellcheck disable=SC2086 # two words
        run snapctl $command "$(image)"
        [ "$status" = 125 ]
        [[ $output == *"$(image): $1"*hint:* ]] || fail "does not say $1"
        [[ $output != *"image: $(image): $(image)"* ]] || fail "says it twice"
    done
    gone "$pid" || fail "there is a process"
}

@test "an image that others may write is refused" {
    start_target proc_umask
    dump_pid "$pid"
    chmod 777 "$(image)"
    untrusted "others may write to it (mode 0777)"
    chmod 770 "$(image)"
    untrusted "others may write to it (mode 0770)"
    chmod 700 "$(image)"
    chmod 620 "$(image)/state"
    untrusted "state: others may write to it (mode 0620)"
    chmod 600 "$(image)/state"
    restore
    check_target "$pid"
}

@test "an image of somebody else is refused" {
    start_target proc_umask
    dump_pid "$pid"
    chown 65534 "$(image)/pages"
    untrusted "pages: it belongs to user 65534, who is neither root nor you"
    chown 65534 "$(image)"
    untrusted "it belongs to user 65534, who is neither root nor you"
    chown -R 0 "$(image)"
    restore
    check_target "$pid"
}

@test "a mapped program that has changed is refused by name" {
    port=$(free_port)
    cp "$SERVER" "$scratch/work/server"
    start server.log "$scratch/work/server" "$port"
    wait_port "$port"
    until_true snapctl check --pid "$pid"
    dump_pid "$pid"
    cp --remove-destination "$SERVER_MUSL" "$scratch/work/server"
    run snapctl restore --detach "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"$scratch/work/server"* ]]
    if listens "$port"; then fail "somebody listens on port $port"; fi
}

@test "a port that is taken: the restore fails and leaves no process" {
    server
    until_true snapctl check --pid "$pid"
    dump_pid "$pid"
    local dumped=$pid
    start second.log "$SERVER" "$port"
    wait_port "$port"
    run snapctl restore --detach "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"image: tcp 127.0.0.1:$port is in use"*"hint:"*"process $pid"*"holds it: end that first"* ]]
    [ ! -e "/proc/$dumped" ]
}

@test "a pidfile that cannot be made: nothing is started" {
    mkfifo "$scratch/work/go"
    snapctl dump -o "$(image)" sh -c 'read -r line <>go; echo ran >ran'
    echo >"$scratch/work/go" &
    for file in "$scratch/work/nowhere/pid" "$scratch/work" "$scratch/said/pid"; do
        run snapctl restore --detach --pidfile "$file" "$(image)"
        [ "$status" = 125 ]
        [[ $output == *"make pidfile $file: "*hint:* ]]
    done
    [ ! -e "$scratch/work/ran" ]
    kill $!
}

@test "tcp-close: connections come back as reset ones" {
    start_target refuse_tcp
    dump_pid "$pid" --tcp-close
    restore --tcp-close
    timeout 10 bash -c "echo check >'$scratch/ctl'"
    "$TARGET" --wait-exit "$pid" 20
    [[ $(tail -n 1 "$scratch/out") == FAIL*send* ]]
}

@test "no such process, not a process of ours, no image" {
    run snapctl dump --pid 4194303 -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"process 4194303: no such process"*hint:* ]]
    run snapctl check --pid 4194303
    [ "$status" = 125 ] # 1 says that something stands against it
    [[ $output == *"process 4194303: no such process"*hint:* ]]
    run snapctl dump --pid 2 -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"is a kernel thread: it has no program"*hint:* ]]
    run snapctl restore "$scratch/work"
    [ "$status" = 125 ]
    [[ $output == *"$scratch/work: "*hint:* ]]
    run snapctl restore "$scratch/nothing"
    [ "$status" = 125 ]
    [[ $output == *"$scratch/nothing: open the image: No such file"*hint:* ]]
}

@test "a file that an ordinary user may not look for is refused in words" {
    as_user
    mkdir -m 700 "$scratch/closed"
    (
        close_others
        exec "${user[@]}" sleep 1000 </dev/null >/dev/null 2>&1 3>"$scratch/closed/log"
    ) &
    pid=$!
    note_pid "$pid"
    until_true grep -qs sleep "/proc/$pid/comm"
    run snapctl check --pid "$pid"
    [ "$status" = 1 ]
    [[ $output == *"descriptor 3 ($scratch/closed/log): you may not look at that path: Permission denied"*root* ]]
    run snapctl dump --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"you may not look at that path: Permission denied"*hint:* ]]
    kill -0 "$pid"
}

@test "an ordinary user may not dump a process of root" {
    server
    as_user
    run snapctl dump --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *hint:* ]]
    counts 1
}
