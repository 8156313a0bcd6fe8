#!/usr/bin/env bats
# dump --until=checkin and libsnapctl: what a program that takes part says and learns, and whoever would say it in its
# place. test/lib/checkin.c is the program; what it finds out is in its log.
load ../helpers/snap

checkin=${BUILD:?}/test/checkin

# checked_in MODE [OPTION...]: dumped there
checked_in() {
    local mode=$1
    shift
    snapctl dump -o "$(image)" --until=checkin --timeout 20s "$@" "$checkin" "$mode" || fail "dump failed"
    snapctl show --json "$(image)" | jq -r .reason | grep -q '^checkin of process' || fail "it did not check in"
}

# go_on [OPTION...]: restored to its end; only what it says from here on is in the log
go_on() {
    : >"$scratch/work/log"
    snapctl restore "$@" || fail "restore failed"
    cat "$scratch/work/log"
}

said() { grep -qx -- "$1" "$scratch/work/log" || fail "it did not say '$1': $(cat "$scratch/work/log")"; }
log_is() { [ "$(tr '\n' ';' <"$scratch/work/log")" = "$1" ] || fail "the log is $(cat "$scratch/work/log")"; }

@test "checkin: 1 in what is restored; token and descriptor are gone" {
    checked_in plain
    log_is 'tokens 1;'
    go_on "$(image)"
    said 'ready 1'
    said 'variable gone'
    said 'tokens 0'
    said 'channel -9' # EBADF
    said 'again -107' # ENOTCONN
    said 'getenv -'
    if tr '\0' '\n' <"$scratch/work/log" | grep -q '^arg\|^env'; then fail "it was told something"; fi
}

@test "checkin: 0 in the original that goes on" {
    checked_in plain --leave-running
    until_true grep -qs again "$scratch/work/log"
    said 'ready 0'
    said 'variable gone'
    said 'tokens 0'
    said 'channel -9'
    said 'generation 00000000-0000-0000-0000-000000000000'
}

@test "checkin: nobody waits for it" {
    (cd "$scratch/work" && "$checkin" plain)
    said 'ready -107'
    (cd "$scratch/work" && : >log && SNAPCTL_READY=77:nonsense "$checkin" hooks)
    said 'ready -107'
}

@test "checkin: one image, many configurations" {
    local i
    checked_in plain
    for i in 1 2 3; do
        go_on --setenv WHO="number $i" --setenv EMPTY= "$(image)" -- "first $i" --setenv ''
        said 'ready 1'
        said "getenv number $i"
        said "env WHO=number $i"
        said 'env EMPTY='
        said "arg first $i"
        said 'arg --setenv'
        said 'arg '
        grep generation "$scratch/work/log" >>"$scratch/generations"
    done
    [ "$(sort -u "$scratch/generations" | wc -l)" = 3 ]
    if grep -q 00000000-0000 "$scratch/generations"; then fail "no generation"; fi
    run snapctl restore --setenv X="$(head -c 70000 /dev/zero | tr '\0' x)" "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"longer than"* ]]
    run snapctl restore --setenv =1 "$(image)"
    [[ $output == *"is not NAME=VALUE"* ]]
}

@test "checkin: --setenv is refused where nobody would see it" {
    snapctl dump -o "$(image)" --until=after=100ms sleep 100
    run snapctl restore --setenv A=1 "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"would not see --setenv"*hint:*libsnapctl* ]]
    run snapctl restore "$(image)" -- x
    [ "$status" = 125 ]
    [[ $output == *"would not see the arguments"* ]]
}

@test "checkin: hooks, in order and back" {
    checked_in hooks
    log_is 'before one;before two;'
    go_on "$(image)"
    log_is 'reseed 1;after two 1;after one 1;ready 1;'
    rm -r "$(image)"
    : >"$scratch/work/log"
    checked_in hooks --leave-running
    until_true grep -qs ready "$scratch/work/log"
    log_is 'before one;before two;after two 0;after one 0;ready 0;'
}

@test "checkin: a hook that fails calls it off, and is named" {
    run snapctl dump -o "$(image)" --until=checkin "$checkin" bad-hook
    [ "$status" = 125 ]
    [[ $output == *"hook 'database': Input/output error"* ]]
    [ ! -e "$(image)" ]
    grep -qx 'after one 0' "$scratch/work/log"
    if grep -q three "$scratch/work/log"; then fail "the hooks behind it ran"; fi
}

@test "checkin: a child of the program" {
    checked_in child
    go_on "$(image)"
    said 'child 1'
    said 'parent 0'
}

# ---- adversaries -----------------------------------------------------------------------------------------

@test "checkin: wrong tokens are refused, and the right one still counts" {
    checked_in wrong
    [ "$(grep -cx 'child -13' "$scratch/work/log")" = 2 ] || fail "$(cat "$scratch/work/log")"
    go_on "$(image)"
    said 'ready 1'
}

@test "checkin: said again with the same token, in the original and in what is restored" {
    checked_in replay --leave-running
    until_true grep -qs '^later' "$scratch/work/log"
    log_is 'ready 0;again -107;send -9;later -107;'
    rm -r "$(image)"
    : >"$scratch/work/log"
    checked_in replay
    go_on "$(image)"
    log_is 'ready 1;again -107;send -9;later -107;'
}

@test "checkin: several at once, of which one is heard" {
    checked_in several
    go_on "$(image)"
    [ "$(grep -cx 'ready 1' "$scratch/work/log")" = 1 ] || fail "$(cat "$scratch/work/log")"
    [ "$(grep -c '^ready' "$scratch/work/log")" = 5 ]
    # Nobody told the others so, but they were restored, too: they must not draw the same random numbers.
    [ "$(grep -cx 'reseed 1' "$scratch/work/log")" = 5 ] || fail "$(cat "$scratch/work/log")"
}

@test "checkin: a child that was forked during it, and a number that is somebody else's by now" {
    (cd "$scratch/work" && timeout 20 "$checkin" number-taken)
    said 'ready -125' # ECANCELED
    said 'number 0'
    checked_in fork-in-hook
    said 'hook 0'
    said 'child -107'
}

@test "checkin: garbage, and areas that are no memory of the program" {
    checked_in garbage
    go_on "$(image)"
    said 'ready 1'
}

@test "checkin: 10,000 refused ones in a row" {
    checked_in flood
    go_on "$(image)"
    said 'ready 1'
}

@test "checkin: the right token from outside the tree is refused" {
    start dump.log "$SNAPCTL" dump -o "$(image)" --until=checkin --timeout 30s "$checkin" leak
    until_true test -S "$scratch/work/leak.sock"
    until_true grep -qs leaking "$scratch/work/log"
    (cd "$scratch/work" && timeout 20 /usr/bin/python3 -c '
import array, ctypes, mmap, socket, struct
s = socket.socket(socket.AF_UNIX); s.connect("leak.sock")
text, anc, _, _ = s.recvmsg(256, 256)
fd = array.array("i", anc[0][2])[0]
token = text.split(b":")[1]
area = mmap.mmap(-1, 1 << 16)
addr = ctypes.addressof(ctypes.c_char.from_buffer(area))
area[:16] = struct.pack("=QII", 0x3161657261637073, 65536, 0)
channel = socket.socket(fileno=fd)
for i in range(50):
    channel.send(struct.pack("=8s32sIIQ192s", b"snapctl1", token, 1, 0, addr, b""))
import time
time.sleep(0.3)
assert area[12:16] == bytes(4), "somebody wrote to us"
channel.close()
s.send(b"x")')
    [ ! -e "$(image)" ] || fail "the outsider was believed"
    "$TARGET" --wait-exit "$pid" 30
    snapctl show "$(image)" | grep -q 'checkin of process'
    go_on "$(image)"
    said 'ready 1'
}

@test "checkin: the end of the program ends the wait, with its status" {
    run snapctl dump -o "$(image)" --until=checkin --timeout 60s "$checkin" exit
    [ "$status" = 125 ]
    [[ $output == *"ended with status 7 before it checked in"* ]]
}

@test "checkin: nobody holds the descriptor any more" {
    local begin=$SECONDS
    run snapctl dump -o "$(image)" --until=checkin --timeout 60s "$checkin" close
    [ "$status" = 125 ]
    [[ $output == *"so that none can check in"*hint:* ]]
    [ $((SECONDS - begin)) -lt 10 ]
}

@test "checkin: 10,000 that are accepted in a row, without a leak" {
    timeout 60 "$BUILD/test/checkins" 10000
}

# ---- what applications get ------------------------------------------------------------------------------

@test "checkin: a program is compiled with what pkg-config says" {
    command -v pkg-config >/dev/null || skip "pkg-config is not installed"
    make -s install B="$BUILD" PREFIX="$scratch/usr" LIBDIR=lib
    printf '%s\n' '#include <snapctl.h>' '#include <stdio.h>' 'int main(void)' '{' \
        'int ret = snapctl_ready();' 'printf("%d %s\n", ret, snapctl_getenv("PORT"));' 'return 0;' '}' >"$scratch/x.c"
    config() { PKG_CONFIG_PATH=$scratch/usr/lib/pkgconfig pkg-config "$@" snapctl; }
    # shellcheck disable=SC2046 # words
    gcc -Wall -Werror -o "$scratch/shared" "$scratch/x.c" $(config --cflags --libs)
    # shellcheck disable=SC2046
    gcc -Wall -Werror -static -o "$scratch/static" "$scratch/x.c" $(config --static --cflags --libs)
    # shellcheck disable=SC2046
    g++ -x c++ -Wall -Werror -o "$scratch/plus" "$scratch/x.c" $(config --cflags --libs)
    local program
    for program in shared static plus; do
        snapctl dump --force -o "$(image)" --until=checkin env LD_LIBRARY_PATH="$scratch/usr/lib" "$scratch/$program"
        snapctl restore --setenv PORT=8080 "$(image)"
        [ "$(cat "$scratch/said")" = '1 8080' ] || fail "$program: $(cat "$scratch/said")"
    done
}

# ---- other languages ---------------------------------------------------------------------------------------

@test "checkin: Python, with the module over ctypes" {
    cat >"$scratch/work/program.py" <<'END'
import random, snapctl
told = []
snapctl.hook("h", before=lambda: told.append("before"), after=lambda restored: told.append(f"after {restored}"))
snapctl.reseed(lambda generation: told.append(f"reseed {len(generation)} {any(generation)}"))
random.seed(1)
if snapctl.ready() == snapctl.RESTORED:
    print(told, snapctl.args(), snapctl.env(), len(snapctl.generation()), random.random(), flush=True)
END
    snapctl dump -o "$(image)" --until=checkin env PYTHONPATH="$PWD/lib/python" \
        LIBSNAPCTL="$BUILD/libsnapctl.so.0" /usr/bin/python3 program.py
    snapctl restore --setenv A=1 --setenv B=x=y "$(image)" -- one two >"$scratch/first"
    grep -qF "['before', 'reseed 16 True', 'after True'] ['one', 'two'] {'A': '1', 'B': 'x=y'} 36 " "$scratch/said"
    snapctl restore --setenv A=1 --setenv B=x=y "$(image)" -- one two >"$scratch/second"
    ! cmp -s "$scratch/first" "$scratch/second" || fail "both instances draw the same random numbers"
}

@test "checkin: copies of the environment do not have the token" {
    cat >"$scratch/work/program.py" <<'END'
import os, snapctl, time
open("token", "w").write(os.environ["SNAPCTL_READY"].split(":")[1])
kept = os.environ["SNAPCTL_READY"] * 3
snapctl.ready()
open("told", "w").write(str(len(kept)))
time.sleep(100)
END
    snapctl dump -o "$(image)" --until=checkin env PYTHONPATH="$PWD/lib/python" \
        LIBSNAPCTL="$BUILD/libsnapctl.so.0" bash -c '/usr/bin/python3 program.py; true'
    restore
    until_true test -s "$scratch/work/told"
    local member
    for member in $pid $(descendants "$pid"); do
        if /usr/bin/python3 "$BATS_TEST_DIRNAME/../helpers/memory_has.py" "$member" "$(cat "$scratch/work/token")"; then
            fail "the token is in the memory of process $member"
        fi
    done
}

@test "checkin: the library shows its own symbols only" {
    [ "$(nm -D --defined-only "$BUILD/libsnapctl.so.0" | grep -v ' A ' | sed 's/@.*//; s/.* //' | grep -cv '^snapctl_')" = 0 ]
}
