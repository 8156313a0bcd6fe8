#!/usr/bin/env bats
# snapctl pack and unpack: one file that restores itself.
load ../helpers/snap

packed() { echo "$scratch/work/server.snap"; }

# The packed image, run like any program: what it says is in $scratch/said.
run_packed() {
    local name=$snapctl status=0
    snapctl=$(packed)
    snapctl "$@" || status=$?
    snapctl=$name
    return $status
}

# As restore of the helpers, by the packed file alone: no image is there, nor snapctl.
restore_packed() {
    rm -rf "$(image)" "$scratch/work/pidfile"
    run_packed --detach --pidfile "$scratch/work/pidfile" "$@" || fail "the packed image did not run"
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    note_parent "$pid"
}

packed_target() { # NAME
    start_target "$1"
    see before "$pid"
    dump_pid "$pid"
    snapctl pack "$(image)" -o "$(packed)"
}

# An image of a shell that waits for a line in a FIFO and then does what it says.
shell_image() {
    mkfifo -m 666 "$scratch/work/line"
    snapctl dump -o "$(image)" sh -c 'read -r line <>line; eval "$line"'
}

@test "pack: the file restores itself, and nothing differs" {
    packed_target thread_recursive
    [ "$(stat -c %a "$(packed)")" = 700 ]
    restore_packed
    see after "$pid"
    same before after
    check_target "$pid"
}

@test "pack: pages, files that travel, memory objects are read from where they lie" {
    for name in mem_private file_deleted memfd_mapped; do
        "$TARGET" --list "$name" | grep -q "^$name" || fail "there is no target $name"
        packed_target "$name"
        restore_packed
        see after "$pid"
        same before after
        check_target "$pid"
        rm -f "$(packed)" "$scratch/ctl"
    done
}

@test "pack: restore's options: ids in a namespace" {
    packed_target thread_recursive
    restore_packed --pids=ns
    see after "$pid"
    same before after pid,ns
    check_target "$pid"
}

@test "pack: in the foreground it stands in for the program" {
    local line
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    rm -r "$(image)"
    for line in 'echo from the program; exit 42' 'kill -KILL $$'; do
        start said_by_program "$(packed)"
        status=0
        timeout 10 sh -c "echo '$line' >'$scratch/work/line'"
        wait "$pid" || status=$?
        case $line in
        echo*) [ "$status" = 42 ] && grep -q 'from the program' "$scratch/said_by_program" ;;
        kill*) [ "$status" = 137 ] ;;
        esac
    done
}

@test "pack: what is said to the program" {
    snapctl dump -o "$(image)" --until=checkin --timeout 20s "${BUILD:?}/test/checkin" plain
    snapctl pack "$(image)" -o "$(packed)"
    : >"$scratch/work/log"
    run_packed --setenv WHO=packed -- one two
    grep -qx 'arg one' "$scratch/work/log"
    grep -qx 'arg two' "$scratch/work/log"
    grep -qx 'env WHO=packed' "$scratch/work/log"
}

@test "pack: wrong words are explained" {
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    run run_packed word
    [ "$status" = 125 ] && [[ $output == *"server.snap: 'word'"*hint:*--* ]]
    run run_packed --detahc
    [ "$status" = 125 ] && [[ $output == *"did you mean --detach"* ]]
    run run_packed --help
    [ "$status" = 0 ] && [[ $output == "usage: server.snap [OPTION"*--pidfile* ]]
    run run_packed --setenv A=1
    [ "$status" = 125 ] && [[ $output == *"server.snap: "*"would not see --setenv"* ]]
}

@test "pack: show, verify and restore take the file; a new pack, too" {
    packed_target mem_private
    snapctl show "$(packed)"
    grep -q '\[stack\]' "$scratch/said"
    snapctl show --json "$(packed)"
    jq -e '.image' "$scratch/said"
    snapctl verify "$(packed)"
    snapctl pack "$(packed)" -o "$scratch/work/again.snap"
    cmp "$(packed)" "$scratch/work/again.snap"
    rm -r "$(image)" && mv "$(packed)" "$(image)" # where the helper looks for it
    restore
    check_target "$pid"
}

@test "unpack gives the same image back" {
    packed_target mem_private
    mv "$(image)" "$scratch/before"
    snapctl unpack "$(packed)" -o "$(image)"
    diff -r "$scratch/before" "$(image)"
    [ "$(stat -c %a "$(image)")" = 700 ]
    [ "$(stat -c %a "$(image)"/* | sort -u)" = 600 ]
    run snapctl unpack "$(packed)" -o "$(image)"
    [ "$status" = 125 ] && [[ $output == *--force* ]]
    snapctl unpack --force "$(packed)" -o "$(image)"
    run snapctl unpack "$(image)" -o "$scratch/work/other"
    [ "$status" = 125 ] && [[ $output == *"not packed"*hint:* ]] && [ ! -e "$scratch/work/other" ]
    restore
    check_target "$pid"
}

@test "pack: what stands there is replaced only with --force, and only a packed image" {
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    run snapctl pack "$(image)" -o "$(packed)"
    [ "$status" = 125 ] && [[ $output == *--force* ]]
    snapctl pack --force "$(image)" -o "$(packed)"
    echo precious >"$scratch/work/file"
    cp "$SNAPCTL" "$scratch/work/program"
    ln -s server.snap "$scratch/work/link"
    mkdir "$scratch/work/directory"
    for name in file program link directory; do
        run snapctl pack --force "$(image)" -o "$scratch/work/$name"
        [ "$status" = 125 ] && [[ $output == *"is not a packed image"*hint:* ]] || fail "$name: $output"
    done
    [ "$(cat "$scratch/work/file")" = precious ]
    cmp "$SNAPCTL" "$scratch/work/program"
    run snapctl pack "$scratch/work/file" -o "$scratch/work/new"
    [ "$status" = 125 ] && [[ $output == *hint:* ]]
    run snapctl pack "$scratch/work/program" -o "$scratch/work/new"
    [ "$status" = 125 ] && [ ! -e "$scratch/work/new" ]
    run snapctl pack "$(image)" -o "$scratch/nowhere/new"
    [ "$status" = 125 ] && [[ $output == *"mkdir -p"* ]]
    [ -z "$(find "$scratch/work" -name '.*.tmp')" ]
}

# What is wrong with the file is said, by all that read it, and no process is left.
damaged() { # WHAT; "run" as second word: the program itself runs and says so
    run snapctl verify "$(packed)"
    [ "$status" = 125 ] && [[ $output == *hint:* ]] || fail "$1: verify says: $output"
    if [ "${2:-}" = run ]; then
        run run_packed --detach
        [ "$status" = 125 ] && [[ $output == *hint:* ]] || fail "$1: it says: $output"
        gone "$pid" || fail "$1: there is a process"
    fi
    run snapctl restore --detach "$(packed)"
    if [ "$1" != program ]; then [ "$status" = 125 ] && [[ $output == *hint:* ]] || fail "$1: restore: $output"; fi
    gone "$pid" || fail "$1: there is a process"
    if [ "$1" != pages ] && [ "$1" != program ]; then # a frame is looked at when it is needed
        run snapctl show "$(packed)"
        [ "$status" = 125 ]
        run snapctl unpack "$(packed)" -o "$scratch/work/other"
        [ "$status" = 125 ] && [ ! -e "$scratch/work/other" ]
    fi
    cp "$scratch/whole" "$(packed)"
}

flip() { # POSITION: change one byte
    local byte
    byte=$(dd if="$(packed)" bs=1 skip="$1" count=1 status=none | od -An -tu1)
    # shellcheck disable=SC2059 # an octal number
    printf "\\$(printf %o $((byte ^ 64)))" | dd of="$(packed)" bs=1 seek="$1" conv=notrunc status=none
}

@test "pack: a file that is cut, changed, continued or swapped" {
    local size pages state inventory
    packed_target mem_private
    cp "$(packed)" "$scratch/whole"
    size=$(stat -c %s "$(packed)") inventory=$(stat -c %s "$(image)/inventory") state=$(stat -c %s "$(image)/state")
    pages=$(stat -c %s "$(image)/pages")

    for cut in 1 79 80 81 $((80 + inventory)) $((80 + inventory + state)) $((80 + inventory + state + pages / 2)); do
        truncate -s -"$cut" "$(packed)"
        damaged "cut by $cut" run
    done
    truncate -s 4096 "$(packed)"
    damaged 'all but nothing'
    echo more >>"$(packed)"
    damaged 'continued' run
    for at in 1 20 40 60 80; do # in the trailer
        flip $((size - at))
        damaged "trailer at $at" run
    done
    flip $((size - 80 - inventory / 2))
    damaged inventory run
    flip $((size - 80 - inventory - state / 2))
    damaged state run
    flip $((size - 80 - inventory - state - 9))
    damaged pages run
}

@test "pack: a changed program is found by verify" {
    packed_target proc_umask
    cp "$(packed)" "$scratch/whole"
    flip 3000
    run snapctl verify "$(packed)"
    [ "$status" = 125 ] && [[ $output == *"digest of its program"*hint:* ]]
}

@test "pack: the inventory of another image does not fit" {
    start_target mem_private
    snapctl dump --leave-running --pid "$pid" -o "$scratch/work/second"
    dump_pid "$pid"
    local inventory
    inventory=$(stat -c %s "$(image)/inventory")
    [ "$inventory" = "$(stat -c %s "$scratch/work/second/inventory")" ]
    snapctl pack "$(image)" -o "$(packed)"
    cp "$(packed)" "$scratch/whole"
    dd if="$scratch/work/second/inventory" of="$(packed)" bs=4096 oflag=seek_bytes conv=notrunc status=none \
        seek=$(($(stat -c %s "$(packed)") - 80 - inventory))
    damaged swapped run
}

# on_small SIZE COMMAND...: a command of snapctl that writes the file "new" on a file system of that size; then what is
# there.
on_small() {
    local room=$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount bash -c 'mount -t tmpfs -o size='"$room"' none "$0" && cd "$0" && {
        "$@"; status=$?; echo "there is: $(ls -A)"; exit $status; }' "$scratch/small" "$SNAPCTL" "$@" -o new
}

@test "pack, unpack: a full disk leaves nothing" {
    [ "$(id -u)" = 0 ] || skip "mounting is for root"
    local room
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    mkdir "$scratch/small"
    for room in '64k pack' '2m pack' '4k unpack' '24k unpack'; do # in the middle of the program, and behind it; pages, state
        run on_small "${room% *}" "${room#* }" "$([ "${room#* }" = pack ] && image || packed)"
        [ "$status" = 125 ] || fail "$room: $output"
        [[ $output == *"No space left"*hint:*"free some space"*"there is: " ]] || fail "$room: $output"
    done
}

@test "pack, unpack, core: killed at any time, there is all of it or nothing" {
    local delay
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    for delay in 0.001 0.002 0.003 0.004 0.006 0.01; do
        timeout -s KILL $delay "$SNAPCTL" pack -q "$(image)" -o "$scratch/work/new" || true
        [ ! -e "$scratch/work/new" ] || snapctl verify "$scratch/work/new" || fail "after $delay s there is half a file"
        timeout -s KILL $delay "$SNAPCTL" unpack -q "$(packed)" -o "$scratch/work/back" || true
        [ ! -e "$scratch/work/back" ] || diff -r "$scratch/work/back" "$(image)" || fail "half an image"
        timeout -s KILL $delay "$SNAPCTL" core -q "$(image)" -o "$scratch/work/core" || true
        [ ! -e "$scratch/work/core" ] || readelf -nW "$scratch/work/core" >/dev/null || fail "half a core file"
        rm -rf "$scratch/work/new" "$scratch/work/back" "$scratch/work/core"
    done
    : >"$scratch/work/.server.snap.0123456789abcdef.tmp" # as if it had been killed for sure
    snapctl pack --force "$(image)" -o "$(packed)"
    snapctl unpack "$(packed)" -o "$scratch/work/back"
    snapctl pack "$(image)" -o "$scratch/work/new"
    snapctl core "$(image)" -o "$scratch/work/core"
    [ -z "$(find "$scratch/work" -name '.*.tmp')" ]
}

@test "pack: an ordinary user packs and runs" {
    [ "$(id -u)" = 0 ] || skip "we are one"
    as_user
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    rm -r "$(image)"
    [ "$(stat -c %u "$(packed)")" = 65534 ]
    start said_by_program "$(packed)"
    status=0
    timeout 10 sh -c "echo 'echo from the program; exit 42' >'$scratch/work/line'"
    wait "$pid" || status=$?
    [ "$status" = 42 ]
    grep -q 'from the program' "$scratch/said_by_program"
    chmod 111 "$(packed)"
    run run_packed
    [ "$status" = 125 ] && [[ $output == *"has to be readable"* ]] || fail "$output"
}

@test "pack: files of others are not read, but may be run" {
    [ "$(id -u)" = 0 ] || skip "chown is for root"
    shell_image
    snapctl pack "$(image)" -o "$(packed)"
    chmod 722 "$(packed)"
    run snapctl show "$(packed)"
    [ "$status" = 125 ] && [[ $output == *"others may write"* ]]
    chown 65534 "$(packed)"
    run snapctl unpack "$(packed)" -o "$scratch/work/other"
    [ "$status" = 125 ] && [[ $output == *"belongs to user 65534"* ]]
    start said_by_program "$(packed)"
    status=0
    timeout 10 sh -c "echo 'exit 42' >'$scratch/work/line'"
    wait "$pid" || status=$?
    [ "$status" = 42 ]
}

@test "pack: set-user-ID is refused" {
    [ "$(id -u)" = 0 ] || skip "for two users"
    shell_image
    snapctl pack "$(image)" -o "$scratch/server.snap"
    chmod 4755 "$scratch/server.snap"
    run setpriv --reuid 65534 --regid 65534 --clear-groups -- "$scratch/server.snap" --detach --pidfile "$scratch/work/pidfile"
    [ "$status" = 125 ] && [[ $output == *"set-user-ID"*hint:* ]] || fail "$output"
    [ ! -e "$scratch/work/pidfile" ]
}
