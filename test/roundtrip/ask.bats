#!/usr/bin/env bats
# dump --ask PID: processes that have called snapctl_listen(), the directory in which both meet, and who else may be
# there. test/lib/checkin.c is the program; what it finds out is in its log.
load ../helpers/snap

checkin=${BUILD:?}/test/checkin

eval "$(declare -f teardown | sed '1s/.*/teardown_all ()/')"
teardown() {
    teardown_all
    [ "$(id -u)" != 0 ] || rm -rf /tmp/snapctl-65501
}

# The directory is below the scratch one.
runtime() {
    run_dir=$scratch/run
    mkdir -m 700 "$run_dir"
    [ ${#user[@]} = 0 ] || chown 65534:65534 "$run_dir"
}

# listener MODE [NAME=VALUE...]: started, and it listens; sets pid
listener() {
    local mode=$1
    shift
    runtime
    : >"$scratch/work/log"
    chmod 666 "$scratch/work/log"
    cp "$checkin" "$scratch/checkin" # an ordinary user has to read it
    start listener.log env XDG_RUNTIME_DIR="$run_dir" "$@" "$scratch/checkin" "$mode"
    until_true grep -qs '^listen' "$scratch/work/log"
    said 'listen 0'
}

# One that has never heard of libsnapctl; with its environment, which it gets when it is executed.
sleeper() {
    start log env XDG_RUNTIME_DIR="$run_dir" sleep 1000
    until_true grep -qs '^sleep' "/proc/$pid/comm"
}

# As lib/place.h calls its files.
name_of() { # PID
    echo "$(stat -Lc %i "/proc/$1/ns/pid")-$(awk '/^NSpid/ { print $NF }' "/proc/$1/status")"
}

said() { grep -qx -- "$1" "$scratch/work/log" || fail "it did not say '$1': $(cat "$scratch/work/log")"; }

ask() { snapctl dump --ask "$pid" -o "$(image)" "$@"; }

# refused PATTERN [OPTION...]: asking fails with these words, and the process lives
refused() {
    local pattern=$1
    shift
    if ask "$@"; then fail "it was dumped"; fi
    grep -qE "$pattern" "$scratch/said" || fail "it does not say $pattern"
    [ ! -e "$(image)" ]
    kill -0 "$pid"
}

@test "ask: hooks run, and nothing of the asking is in the image" {
    listener listen
    said 'listen -114' # EALREADY
    [ "$(stat -c %a "$run_dir/snapctl")" = 700 ]
    name=$(name_of "$pid")
    ask
    snapctl show --json "$(image)" | jq -r .reason | grep -q '^asked for'
    if snapctl show "$(image)" | grep -q 'unix\|\.sock'; then fail "a socket is in the image"; fi
    [ "$(ls "$run_dir/snapctl")" = "$name.listens" ]
    "$TARGET" --wait-exit "$pid" 10
    until_true gone "$pid"
    : >"$scratch/work/log"
    restore
    until_true grep -qsx 'after one 1' "$scratch/work/log"
    # It can be asked again, under whatever id and start time it has now.
    rm -r "$(image)"
    ask
    said 'before one'
}

@test "ask: the original goes on" {
    listener listen
    ask --leave-running
    until_true grep -qsx 'after one 0' "$scratch/work/log"
    rm -r "$(image)"
    ask --leave-running
    kill -0 "$pid"
    [ -e "$(image)" ]
}

@test "ask: the original goes on where snapctl is killed before there is an image" {
    listener listen
    # Its word says "restored" until the image is on the disk.
    command -v strace >/dev/null || skip "strace is not installed"
    run timeout 30 strace -qq -f -o "$scratch/trace" -e trace=fsync,fdatasync -e inject=fsync,fdatasync:signal=KILL \
        "$SNAPCTL" dump --ask "$pid" -o "$(image)"
    [ "$status" != 0 ]
    grep -q 'killed by SIGKILL' "$scratch/trace"
    until_true grep -qs '^after' "$scratch/work/log"
    said 'after one 0'
    [ ! -e "$(image)" ]
    ask --leave-running
}

@test "ask: an ordinary user" {
    as_user
    listener listen
    ask
    "$TARGET" --wait-exit "$pid" 10
}

@test "ask: a hook that fails, and another signal" {
    listener listen-bad
    refused "hook 'database': Input/output error"
    said 'after one 0'
    refused "hook 'database': Input/output error" # it still listens
}

@test "ask: a dump that fails afterwards, or before" {
    listener listen-refused
    refused 'userfaultfd'
    until_true grep -qsx 'after one 0' "$scratch/work/log"
    kill -USR1 "$pid"
    until_true grep -qsx 'closed' "$scratch/work/log"
    # What is wrong with the image's place is found before anybody is asked.
    : >"$scratch/work/log"
    mkdir "$(image)"
    : >"$(image)/something"
    if ask; then fail "it was dumped"; fi
    if grep -q before "$scratch/work/log"; then fail "its hooks ran"; fi
    rm -r "$(image)"
    ask
    said 'before one'
}

@test "ask: nobody listens there" {
    runtime
    sleeper
    refused 'does not listen.*' && grep -q 'hint:.*snapctl_listen' "$scratch/said"
    # A file left behind by an earlier process with this id.
    mkdir -m 700 "$run_dir/snapctl"
    echo "3 12345" >"$run_dir/snapctl/$(name_of "$pid").listens"
    refused 'does not listen'
    # And one that would have it killed: there is no handler.
    echo "3 $(start_time "$pid")" >"$run_dir/snapctl/$(name_of "$pid").listens"
    refused 'has no handler for signal 3'
    echo "900 x" >"$run_dir/snapctl/$(name_of "$pid").listens"
    refused 'is not what a process has written'
}

@test "ask: the signal alone means what it always did" {
    listener listen
    kill -QUIT "$pid"
    "$TARGET" --wait-exit "$pid" 10
}

@test "ask: a signal that is taken is left alone" {
    runtime
    (cd "$scratch/work" && XDG_RUNTIME_DIR=$run_dir "$checkin" listen-taken)
    said 'listen -16' # EBUSY
}

@test "ask: a signal that was ignored, as in the background of a script, still is" {
    listener listen-ignored
    kill -QUIT "$pid"
    ask --leave-running
    kill -0 "$pid"
    until_true grep -qsx 'after one 0' "$scratch/work/log"
}

@test "ask: the asker gets the right to trace, and loses it again" {
    # There is Yama on few machines: what the process would say to it is what counts.
    printf '%s\n' '#define _GNU_SOURCE' '#include <stdio.h>' '#include <fcntl.h>' '#include <stdarg.h>' \
        '#include <sys/prctl.h>' '#include <sys/syscall.h>' '#include <unistd.h>' \
        'int prctl(int option, ...)' '{' 'va_list ap; unsigned long arg;' \
        'va_start(ap, option); arg = va_arg(ap, unsigned long); va_end(ap);' \
        'if (option == PR_SET_PTRACER) {' \
        'int fd = open("log", O_WRONLY | O_APPEND); dprintf(fd, "ptracer %lu\n", arg); close(fd); }' \
        'return syscall(SYS_prctl, option, arg, 0, 0, 0);' '}' >"$scratch/shim.c"
    gcc -shared -fPIC -o "$scratch/shim.so" "$scratch/shim.c"
    listener listen LD_PRELOAD="$scratch/shim.so"
    ask --leave-running
    until_true grep -qsx 'after one 0' "$scratch/work/log"
    [[ $(tr '\n' ';' <"$scratch/work/log") =~ \;'before one;ptracer '[1-9][0-9]*';ptracer 0;after one 0;'$ ]] ||
        fail "$(cat "$scratch/work/log")"
}

@test "ask: what was dumped otherwise listens when it says so again" {
    listener listen-again
    dump_pid "$pid"
    restore
    rm -r "$(image)"
    refused 'does not listen' # the file is that of an earlier process
    : >"$scratch/work/log"
    kill -USR1 "$pid"
    until_true grep -qsx 'listen 0' "$scratch/work/log"
    ask --leave-running
    kill -USR1 "$pid"
    until_true grep -qsx 'listen -114' "$scratch/work/log"
}

@test "ask: a child of a process that listens" {
    listener listen-child
    until_true grep -qs '^child' "$scratch/work/log"
    local parent=$pid
    pid=$(sed -n 's/^child \([0-9]*\) 0$/\1/p' "$scratch/work/log")
    ask
    "$TARGET" --wait-exit "$pid" 10
    kill -0 "$parent"
}

# ---- adversaries -----------------------------------------------------------------------------------------------

@test "ask: a directory that belongs to somebody else, is open to others, or is a link" {
    local run_dir=$scratch/run2
    mkdir -m 777 "$run_dir"
    mkdir "$run_dir/snapctl"
    chown 65534 "$run_dir/snapctl" || skip "root only"
    chmod 700 "$run_dir/snapctl"
    (cd "$scratch/work" && XDG_RUNTIME_DIR=$run_dir timeout 5 "$checkin" listen-try)
    said 'listen -1' # EPERM
    sleeper
    refused "$run_dir/snapctl belongs to user 65534"
    chown 0 "$run_dir/snapctl"
    chmod 750 "$run_dir/snapctl"
    refused 'can be entered by others \(mode 750\)'
    : >"$scratch/work/log"
    (cd "$scratch/work" && XDG_RUNTIME_DIR=$run_dir timeout 5 "$checkin" listen-try)
    said 'listen -1'
    rm -r "$run_dir/snapctl"
    mkdir -m 700 "$scratch/elsewhere"
    ln -s "$scratch/elsewhere" "$run_dir/snapctl"
    refused 'is not a directory'
    : >"$scratch/work/log"
    (cd "$scratch/work" && XDG_RUNTIME_DIR=$run_dir timeout 5 "$checkin" listen-try)
    grep -qx 'listen -\(20\|40\)' "$scratch/work/log" # ENOTDIR, ELOOP
    [ -z "$(ls "$scratch/elsewhere")" ]
    # Not even a link that ends with nothing is followed.
    rm -r "$scratch/elsewhere"
    refused 'is not a directory'
}

# The place in /tmp, of a user who has nothing else there.
@test "ask: without a runtime directory, and with one that is not there" {
    [ "$(id -u)" = 0 ] || skip "root only"
    local uid=65501 place=/tmp/snapctl-65501
    as_user
    user=(setpriv --reuid "$uid" --regid "$uid" --clear-groups --)
    chown $uid "$scratch/work"
    cp "$checkin" "$scratch/checkin"
    : >"$scratch/work/log"
    chmod 666 "$scratch/work/log"
    start one.log "$scratch/checkin" listen
    until_true grep -qs '^listen' "$scratch/work/log"
    [ "$(stat -c '%a %u' $place)" = "700 $uid" ]
    ask --leave-running
    kill -KILL "$pid"
    # Somebody else is there first: an error on both sides, and no other place is tried.
    rm -r $place
    mkdir -m 700 $place
    : >"$scratch/work/log"
    start two.log "$scratch/checkin" listen
    until_true grep -qs '^listen' "$scratch/work/log"
    said 'listen -1' || said 'listen -13'
    rm -rf "$(image)"
    refused "$place belongs to user 0|open $place: Permission denied"
    rm -r $place
    kill -KILL "$pid"
    : >"$scratch/work/log"
    start three.log env XDG_RUNTIME_DIR="$scratch/nowhere" "$scratch/checkin" listen
    until_true grep -qs '^listen' "$scratch/work/log"
    said 'listen -2' # ENOENT
    refused 'does not listen'
    [ ! -e $place ]
}

@test "ask: another user" {
    [ "$(id -u)" = 0 ] || skip "root only"
    listener listen
    as_user
    refused "belongs to user 0, not to user 65534"
}

@test "ask: root is no exception" {
    [ "$(id -u)" = 0 ] || skip "root only"
    as_user
    listener listen
    # shellcheck disable=SC2034
    user=() snapctl=$SNAPCTL # of helpers/snap
    refused "belongs to user 65534, not to user 0"
}

@test "ask: somebody answers in its place" {
    listener listen
    kill -STOP "$pid"
    start fake.log /usr/bin/python3 -c "
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind('$run_dir/snapctl/$(name_of "$pid").sock'); s.listen()
c, _ = s.accept()
c.recv(1000)" && local fake=$pid
    pid=$(pgrep -fx "$scratch/checkin listen")
    until_true test -S "$run_dir/snapctl/$(name_of "$pid").sock"
    refused "process $fake answers in place of process $pid"
    # Our signal comes when it goes on: it finds that it was asked, and not that it is to quit.
    kill -CONT "$pid"
    until_true test ! -e "$run_dir/snapctl/$(name_of "$pid").ask"
    kill -0 "$pid"
    kill "$fake" 2>/dev/null || true
    ask
}

@test "ask: whoever connects and says nothing, again and again" {
    listener listen
    start flood.log /usr/bin/python3 -c "
import socket, time
held = []
end = time.monotonic() + 20
while time.monotonic() < end:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect('$run_dir/snapctl/$(name_of "$pid").sock')
        held.append(s)
        if len(held) == 4: break
    except OSError:
        time.sleep(0.001)
print(len(held))" && local flood=$pid
    pid=$(pgrep -fx "$scratch/checkin listen")
    ask
    kill "$flood" 2>/dev/null || true
}

@test "ask: connections without end, slow ones, and some that talk nonsense" {
    listener listen
    local process=$pid
    cat >"$scratch/work/flood.py" <<END
import socket, sys, threading, time
held = []
def flood(say):
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            s.connect('$run_dir/snapctl/$(name_of "$process").sock')
            if say: s.send(say)
            held.append(s) # silent for ever
            del held[:-300]
        except OSError:
            time.sleep(0.0001)
for say in (b'', b'', b'snapctl1', b'snapctl1' + bytes(248), bytes(5000)):
    threading.Thread(target=flood, args=(say,), daemon=True).start()
while True:
    time.sleep(1)
END
    start flood.log /usr/bin/python3 flood.py
    pid=$process
    local _ begin=$SECONDS
    for _ in 1 2 3; do
        ask --force --leave-running
        until_true grep -qsx 'after one 0' "$scratch/work/log"
        : >"$scratch/work/log"
    done
    [ $((SECONDS - begin)) -lt 10 ] || fail "it took $((SECONDS - begin)) s"
    # None of them is left in it.
    [ "$(find "/proc/$pid/fd" -lname 'socket:*' | wc -l)" = 0 ]
}

@test "ask: a file and a signal of somebody who never connects" {
    listener listen
    : >"$run_dir/snapctl/$(name_of "$pid").ask"
    kill -QUIT "$pid"
    until_true test -S "$run_dir/snapctl/$(name_of "$pid").sock"
    [ "$(stat -c '%a' "$run_dir/snapctl/$(name_of "$pid").sock")" = 600 ]
    [ ! -e "$run_dir/snapctl/$(name_of "$pid").ask" ]
    if grep -q before "$scratch/work/log"; then fail "its hooks ran"; fi
    ask --leave-running
    until_true grep -qsx 'after one 0' "$scratch/work/log"
    # What is no file of its own means nothing to it, and it is what it was.
    ln -s /etc/passwd "$run_dir/snapctl/$(name_of "$pid").ask"
    kill -QUIT "$pid"
    "$TARGET" --wait-exit "$pid" 10
}

@test "ask: one at a time" {
    listener listen
    : >"$run_dir/snapctl/$(name_of "$pid").ask"
    refused 'somebody else asks process'
    rm "$run_dir/snapctl/$(name_of "$pid").ask"
    ask
}

@test "ask: not in set-uid programs" {
    [ "$(id -u)" = 0 ] || skip "root only"
    cp "$checkin" "$scratch/suid"
    chown 65534 "$scratch/suid"
    chmod 4755 "$scratch/suid"
    mkdir -m 777 "$scratch/open"
    (cd "$scratch/open" && timeout 5 "$scratch/suid" listen-try)
    grep -qx 'listen -1' "$scratch/open/log"
}

@test "ask: copies in namespaces of their own are asked one by one" {
    listener listen
    ask
    for copy in 1 2; do
        : >"$scratch/work/log"
        restore --pids=ns
        until_true grep -qsx 'after one 1' "$scratch/work/log"
        copies+=("$pid")
    done
    for pid in "${copies[@]}"; do
        rm -r "$(image)"
        ask
        "$TARGET" --wait-exit "$pid" 10
    done
}
