#!/usr/bin/env bats
# dump --until=...: each condition with a program that reaches it, one that does not, and whoever would like to fake it.
# not beside others: ptys (their numbers are looked at)
load ../helpers/snap

# A program in Python, in the scratch directory.
program() { cat >"$scratch/work/program.py"; }

# dump_until CONDITION [OPTION...]: of that program
dump_until() {
    local until=$1
    shift
    snapctl dump -o "$(image)" --until="$until" --timeout 20s "$@" /usr/bin/python3 program.py
}

reason() { snapctl show --json "$(image)" | jq -r .reason; }

# In programs: stay here until the restore, since a condition that is not exact lets them run on for a moment.
stay='
import os, time
def stay():
    while not os.path.exists("restored"): time.sleep(0.005)
'

# The program goes on from where it stood, and prints to a file.
go_on() {
    : >"$scratch/work/restored"
    (
        cd "$scratch/work" || exit 1
        exec timeout -k 5 30 "$SNAPCTL" restore "$(image)" </dev/null >"$scratch/out" 2>&1
    )
}

# ---- the moment ------------------------------------------------------------------------------------------

@test "until: what is wrong with a condition is said before anything runs" {
    local bad
    for bad in nonsense quiescent=1 output 'output=(' listen=0 listen=70000 listen=x syscall syscall=nosuchcall \
        syscall=read:0 syscall=read:x exec=0 signal=NOPE signal=KILL after after=x probe probe=; do
        run snapctl dump -o "$(image)" --until="$bad" touch ran
        [ "$status" = 125 ] || fail "--until=$bad: status $status"
        [[ $output == *--until* ]] || fail "--until=$bad: $output"
        [ ! -e "$scratch/work/ran" ] || fail "--until=$bad: the program ran"
    done
}

@test "until: several, and the first that holds wins" {
    snapctl dump -o "$(image)" --until=listen=1 --until=after=200ms --until=ready sleep 100
    [[ $(reason) == after=200ms:* ]]
}

@test "until: too late, and what it was doing meanwhile" {
    run snapctl dump -o "$(image)" --until=ready --until=listen=80 --timeout 1s sh -c 'while :; do :; done'
    [ "$status" = 125 ]
    [[ $output == *"before it said READY=1, or it listened on port 80: "*"(sh) used "*"% of a CPU"*hint:* ]]
    run snapctl dump -o "$(image)" --until=output=x --timeout 1s sleep 100
    [[ $output == *"before a line of its output matched /x/: thread "*"(sleep) waits in clock_nanosleep"* ]]
    [ ! -e "$(image)" ]
}

@test "until: a program that ends before" {
    run snapctl dump -o "$(image)" --until=listen sh -c 'exit 3'
    [ "$status" = 125 ]
    [[ $output == *"ended with status 3 before it listened"* ]]
    [ ! -e "$(image)" ]
}

@test "until: Ctrl-C ends the wait at once" {
    start log "$SNAPCTL" dump -o "$(image)" --until=ready sh -c 'echo >there; exec sleep 1000'
    until_true test -e "$scratch/work/there"
    kill -TERM "$pid"
    "$TARGET" --wait-exit "$pid" 10
    [ ! -e "$(image)" ]
}

@test "until=after: so long after the start" {
    snapctl dump -o "$(image)" --until=after=300ms sh -c 'while :; do :; done'
    [[ $(reason) == after=300ms:* ]]
    restore
    kill -KILL "$pid"
}

# ---- ready -------------------------------------------------------------------------------------------------

# sd_notify in a few lines: say(TEXT, [FD...])
notify=$stay'
import array, os, socket, sys
def say(text, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    a = os.environ["NOTIFY_SOCKET"]
    s.connect("\0" + a[1:] if a[0] == "@" else a)
    anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([text.encode()], anc)
    s.close()
'

@test "until=ready: READY=1, and the variable is gone from the image" {
    program <<<"$notify
say('STATUS=nearly there')
say('READY=1\nSTATUS=open for business')
stay()
print(len([v for v in open('/proc/self/environ').read().split('\0') if v.startswith('NOTIFY_SOCKET')]), flush=True)"
    dump_until ready
    [[ $(reason) == "ready (open for business): "* ]]
    go_on
    [ "$(cat "$scratch/out")" = 0 ]
}

@test "until=ready: copies that the program has made of its environment do not name the socket either" {
    program <<<"$notify
import ctypes
kept = ctypes.create_string_buffer(('NOTIFY_SOCKET=' + os.environ['NOTIFY_SOCKET']).encode())
open('socket', 'w').write(os.environ['NOTIFY_SOCKET'][-32:])
say('READY=1')
stay()
try: say('STOPPING=1')
except ConnectionRefusedError: open('told', 'w').write('nobody: ' + kept.value.decode())
time.sleep(100)"
    dump_until ready
    : >"$scratch/work/restored"
    restore
    until_true test -s "$scratch/work/told"
    [[ $(cat "$scratch/work/told") == 'nobody: SNAPCTL_PAST=---'* ]] || fail "$(cat "$scratch/work/told")"
    if /usr/bin/python3 "$BATS_TEST_DIRNAME/../helpers/memory_has.py" "$pid" "$(cat "$scratch/work/socket")"; then
        fail "the name is in its memory"
    fi
}

@test "until=ready: said by a child that ends at once" {
    program <<<"$notify
r, w = os.pipe()
if os.fork() == 0:
    say('READY=1')
    os._exit(0)
os.wait()
os.close(r), os.close(w)
stay()
print('went on', flush=True)"
    dump_until ready
    [[ $(reason) == ready:* ]]
    go_on
    [ "$(cat "$scratch/out")" = 'went on' ]
}

@test "until=ready: systemd-notify says it, waits for its barrier, and has ended" {
    command -v systemd-notify >/dev/null || skip "systemd-notify is not installed"
    program <<<"$stay
import subprocess
done = subprocess.run(['systemd-notify', '--ready', '--status=as told'])
stay()
print(done.returncode, flush=True)"
    dump_until ready
    [[ $(reason) == "ready (as told): 1 thread: "* ]] || fail "$(reason)"
    go_on
    [ "$(cat "$scratch/out")" = 0 ] || fail "$(cat "$scratch/out")"
}

@test "until=ready: a barrier is answered, stored descriptors are closed" {
    program <<<"$notify
import select
r, w = os.pipe()
say('BARRIER=1', [w])
os.close(w)
assert select.select([r], [], [], 15)[0], 'the barrier stands'
assert os.read(r, 1) == b''
os.close(r)
r, w = os.pipe()
say('FDSTORE=1\nFDNAME=x', [w])
os.close(w)
assert select.select([r], [], [], 15)[0], 'the descriptor is still held'
os.close(r)
say('READY=1')
stay()
print('all is well', flush=True)"
    dump_until ready
    go_on
    [ "$(cat "$scratch/out")" = 'all is well' ]
}

@test "until=ready: EXTEND_TIMEOUT_USEC" {
    program <<<"$notify
import time
say('EXTEND_TIMEOUT_USEC=15000000')
time.sleep(1.5)
say('READY=1')
time.sleep(100)"
    dump_until ready --timeout 700ms
}

@test "until=ready: what went wrong, as the program says it" {
    program <<<"$notify
say('STATUS=binding')
say('ERRNO=98\nSTATUS=Failed to bind')
sys.exit(7)"
    run dump_until ready
    [ "$status" = 125 ]
    [[ $output == *"ended with status 7 before it said READY=1 (its status: Failed to bind) (it said ERRNO=98: Address already in use)"* ]] ||
        fail "$output"
}

@test "until=ready: nobody outside the tree is heard, nor what is no message" {
    mkfifo "$scratch/work/fifo"
    program <<<"$notify
open('socket', 'w').write(os.environ['NOTIFY_SOCKET'])
for bad in ('READY=0', 'READY=1x', 'XREADY=1', 'STATUS=READY=1', 'READY=1' + 'x' * 5000, ''):
    say(bad)
say('READY=1\0READY=1')
open('fifo').read()
say('READY=1\nSTATUS=the real one')
stay()"
    cat >"$scratch/work/outsider.py" <<<"$notify
os.environ['NOTIFY_SOCKET'] = open('socket').read()
for i in range(300):
    say('READY=1\nSTATUS=a false one')"
    start log "$SNAPCTL" dump -o "$(image)" --until=ready --timeout 30s /usr/bin/python3 program.py
    until_true test -s "$scratch/work/socket"
    (cd "$scratch/work" && timeout 20 /usr/bin/python3 outsider.py)
    (cd "$scratch/work" && setpriv --reuid 65534 --clear-groups timeout 20 /usr/bin/python3 outsider.py)
    [ ! -e "$(image)" ]
    timeout 10 bash -c "echo >'$scratch/work/fifo'"
    "$TARGET" --wait-exit "$pid" 30
    [[ $(reason) == "ready (the real one):"* ]]
}

# ---- listen ------------------------------------------------------------------------------------------------

@test "until=listen: a port; another one before it does not count" {
    local one two
    one=$(free_port) two=$(free_port)
    program <<<"
import socket, time
a = socket.create_server(('127.0.0.1', $one))
time.sleep(0.2)
b = socket.create_server(('127.0.0.1', $two))
time.sleep(100)"
    dump_until listen="$two"
    [[ $(reason) == "listen $two:"* ]]
    dump_until listen --force
    [[ $(reason) == "listen $one:"* ]]
    restore
    listens "$one"
}

@test "until=listen: a socket file, an abstract name" {
    program <<<"
import socket, time
a = socket.socket(socket.AF_UNIX); a.bind('./here.sock'); a.listen()
b = socket.socket(socket.AF_UNIX); b.bind('\0until-$$'); b.listen()
time.sleep(100)"
    dump_until listen="$scratch/work/here.sock"
    [[ $(reason) == "listen ./here.sock:"* ]]
    rm "$scratch/work/here.sock"
    dump_until listen=@until-$$ --force
    [[ $(reason) == "listen @until-$$:"* ]]
}

@test "until=listen: somebody else who listens there does not count" {
    local port
    port=$(free_port)
    start log "$SERVER" "$port"
    wait_port "$port"
    run snapctl dump -o "$(image)" --until=listen="$port" --timeout 500ms sleep 100
    [ "$status" = 125 ]
    run snapctl dump -o "$(image)" --until=listen --timeout 500ms sleep 100
    [ "$status" = 125 ]
}

# ---- output ------------------------------------------------------------------------------------------------

@test "until=output: a line on either output; both reach the user, nothing stays in between" {
    program <<<"$stay
import os, sys
print('one', flush=True)
os.write(2, b'started in 7 ms, ')
os.write(2, b'ready\n')
stay()
print(*(os.path.basename(os.readlink('/proc/self/fd/%d' % n)) for n in (1, 2)), flush=True)"
    dump_until 'output=^started in [0-9]+ ms, ready$'
    grep -qx one "$scratch/said"
    grep -qx 'started in 7 ms, ready' "$scratch/said"
    [[ $(reason) == 'output "started in 7 ms, ready":'* ]]
    if snapctl show "$(image)" | grep 'pipe:'; then fail "there is a pipe in the image"; fi
    go_on
    [ "$(tail -n 1 "$scratch/out")" = 'out out' ]
}

@test "until=output: a line in parts does not count, nor half a match" {
    run snapctl dump -o "$(image)" --until='output=^ready$' --timeout 1s sh -c \
        'printf "ready to go\nnot ready\nready"; sleep 100'
    [ "$status" = 125 ]
    [[ $output == *'not ready'* ]]
}

@test "until=output: copies of the descriptor are found, whoever has them" {
    program <<<"$stay
import os, fcntl
fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 77)
os.dup2(2, 78)
print('ready', flush=True)
stay()
for n in (1, 2, 77, 78):
    print(n, os.path.basename(os.readlink('/proc/self/fd/%d' % n)), fcntl.fcntl(n, fcntl.F_GETFD), flush=True)"
    dump_until 'output=^ready'
    go_on
    [ "$(tr '\n' ';' <"$scratch/out")" = '1 out 0;2 out 0;77 out 1;78 out 0;' ] ||
        fail "$(cat "$scratch/out")"
}

@test "until=output: much of it, and whoever reads it is slow" {
    program <<<"
for i in range(100000):
    print('line', i)
print('ready', flush=True)
import time; time.sleep(100)"
    cd "$scratch/work"
    timeout 60 "$SNAPCTL" dump -o "$(image)" --until='output=^ready' --timeout 30s /usr/bin/python3 program.py </dev/null |
        (sleep 0.3; cat >"$scratch/lines")
    [ "$(grep -c '^line' "$scratch/lines")" = 100000 ]
    [ -e "$(image)" ]
}

@test "until=output: a terminal stays one" {
    program <<<"
import os, sys
print('a terminal' if os.isatty(1) else 'none', flush=True)
print('ready', flush=True)
print('a terminal' if os.isatty(1) else 'none', os.ttyname(1) == os.ttyname(0), flush=True)
import time; time.sleep(100)"
    cd "$scratch/work"
    timeout 60 script -qec "$SNAPCTL dump -o $(image) --leave-running --until='output=^ready' --timeout 20s \
        /usr/bin/python3 program.py" "$scratch/typescript" </dev/null >/dev/null || true
    grep -q '^a terminal' "$scratch/typescript"
    if grep -q $'\r\r' "$scratch/typescript"; then fail "carriage returns are doubled"; fi
    [ -e "$(image)" ]
}

@test "until=output: a program that watches it with epoll is refused" {
    program <<<"
import select, time
e = select.epoll(); e.register(1, select.EPOLLERR)
print('ready', flush=True)
time.sleep(100)"
    # Under a pipe of ours, since a file cannot be watched.
    run dump_until 'output=^ready'
    [ "$status" = 125 ]
    [[ $output == *"descriptor 1 is watched by its epoll set"*hint:* ]]
}

@test "until: an ordinary user" {
    as_user
    program <<<"$stay
import os
print('ready', flush=True)
stay()
os.mkdir('made')"
    chmod 644 "$scratch/work/program.py"
    dump_until 'output=^ready'
    rm -rf "$(image)"
    : >"$scratch/work/restored"
    dump_until syscall=mkdir
    [ ! -e "$scratch/work/made" ]
    snapctl restore "$(image)"
    [ -d "$scratch/work/made" ]
}

@test "until: not for processes that run already" {
    start log sleep 1000
    run snapctl dump --pid "$pid" --until=ready -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"for programs that it starts"* ]]
}

# ---- probe -------------------------------------------------------------------------------------------------

@test "until=probe: a command that succeeds in the end" {
    program <<<"
import os, time
time.sleep(0.3)
open('there', 'w').close()
time.sleep(100)"
    dump_until 'probe=test -e there && kill -0 $SNAPCTL_PID' --probe-interval 50ms
    [[ $(reason) == probe*test*"try "* ]]
}

@test "until=probe: a program that is never quiet is not waited for" {
    snapctl dump -o "$(image)" --until=probe=true --timeout 1s sh -c 'while :; do :; done'
    [[ $(reason) == 'probe `true`, try 1:'* ]]
}

@test "until=probe: one that hangs is killed with the wait" {
    run snapctl dump -o "$(image)" --until='probe=sleep 1234.5' --timeout 500ms sleep 100
    [ "$status" = 125 ]
    [[ $output == *"try 1 was under way"* ]]
    if pgrep -fx 'sleep 1234.5'; then fail "the probe lives on"; fi
}

# ---- warm-up -----------------------------------------------------------------------------------------------

@test "warm-up: runs when the condition holds, and has to succeed" {
    local port
    port=$(free_port)
    program <<<"
import http.server
class H(http.server.BaseHTTPRequestHandler):
    seen = 0
    def do_GET(self):
        H.seen += 1
        self.send_response(200); self.end_headers(); self.wfile.write(b'%d' % H.seen)
http.server.HTTPServer(('127.0.0.1', $port), H).serve_forever()"
    dump_until listen="$port" --warmup "for i in 1 2 3; do curl -sS localhost:$port; done"
    restore
    [ "$(get "$port")" = 4 ]
    kill -KILL "$pid"
    "$TARGET" --wait-exit "$pid" 10
    run dump_until listen="$port" --force --warmup 'exit 9'
    [ "$status" = 125 ]
    [[ $output == *"warm-up"*"ended with status 9"*hint:* ]]
    run dump_until syscall=getpid --force --warmup true
    [[ $output == *"--warmup does not go with --until=syscall"* ]]
}

# ---- stops at one instruction --------------------------------------------------------------------------------

@test "until=syscall: before it acts, in the image and in the original" {
    program <<<"
import os
os.mkdir('one')
os.mkdir('two')
os.mkdir('three')
print(sorted(d for d in os.listdir('.') if d in ('one', 'two', 'three')), flush=True)"
    dump_until syscall=mkdir:2
    [[ $(reason) == "syscall mkdir, the 2nd, at mkdir+"*"libc.so.6"* ]]
    [ -d "$scratch/work/one" ]
    [ ! -e "$scratch/work/two" ]
    go_on
    [ "$(cat "$scratch/out")" = "['one', 'three', 'two']" ]
    rm -r "$scratch"/work/{one,two,three}
    dump_until syscall=mkdir:3 --force --leave-running
    until_true test -d "$scratch/work/three" # the original goes on
}

# What it stopped for is told by a seccomp filter where that is possible (root, and the program ends with the dump).
seccomp='
import ctypes, os, re, struct
libc = ctypes.CDLL(None)
def filters():
    return [int(n) for n in re.findall("^(?:NoNewPrivs|Seccomp|Seccomp_filters):.([0-9]+)", open("/proc/self/status").read(), re.M)]
def confine(): # uname(2) is answered with EPERM
    insns = ctypes.create_string_buffer(struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, 63, 6, 0, 0, 0x50001,
        6, 0, 0, 0x7fff0000))
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, struct.pack("HP", 4, ctypes.addressof(insns))) == 0
'

@test "until=syscall, effect: the filter is not in the image" {
    local until
    program <<<"$seccomp
os.mkdir('one')
print(filters(), flush=True)
"
    for until in syscall=mkdir effect=-identity,-clock,-random; do
        dump_until $until --force
        go_on
        [ "$(cat "$scratch/out")" = '[0, 0, 0]' ] || fail "$(cat "$scratch/out")"
        rmdir "$scratch/work/one"
    done
}

@test "until=syscall: a filter of the program's own is, and its children have it" {
    program <<<"$seccomp
if os.fork() == 0:
    confine()
    os.mkdir('one')
    try: os.uname()
    except PermissionError: print('not permitted', filters(), flush=True)
    os._exit(0)
os.wait()
print(filters(), flush=True)
"
    [ "$(id -u)" = 0 ] || skip "only root may read filters"
    dump_until syscall=mkdir
    go_on
    [ "$(tr '\n' ' ' <"$scratch/out")" = 'not permitted [1, 2, 1] [0, 0, 0] ' ] || fail "$(cat "$scratch/out")"
}

@test "until=syscall: none in an original that goes on" {
    program <<<"$seccomp
os.mkdir('one')
open('seen', 'w').write(str(filters()))
os.rename('seen', 'told')
"
    dump_until syscall=mkdir --leave-running
    until_true test -e "$scratch/work/told"
    [ "$(cat "$scratch/work/told")" = '[0, 0, 0]' ]
}

@test "until=syscall: not within reach" {
    run snapctl dump -o "$(image)" --until=syscall=sync:2 --timeout 1s sh -c 'sync; sleep 100'
    [ "$status" = 125 ]
    [[ $output == *"2nd call of sync"* ]]
}

@test "until=exec: before the first instruction of the new program" {
    # shellcheck disable=SC2016
    snapctl dump -o "$(image)" --until=exec=2 sh -c 'exec env A=1 sh -c "echo ran; cat /proc/self/cmdline"'
    if grep -qx ran "$scratch/said"; then fail "it ran before the dump"; fi
    [[ $(reason) == "exec /usr/bin/dash, the 2nd:"* ]]
    go_on
    grep -q ran "$scratch/out"
}

@test "until=signal: raised by the program, and taken away" {
    program <<<"
import os, signal
got = []
signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
os.kill(os.getpid(), signal.SIGSTOP)
print('on', got, flush=True)"
    dump_until signal=STOP
    [[ $(reason) == "signal SIGSTOP:"* ]]
    go_on
    [ "$(cat "$scratch/out")" = 'on []' ]
}

@test "until=signal: from outside it does not count and arrives" {
    program <<<"
import os, signal, time
signal.signal(signal.SIGUSR1, lambda *a: open('got', 'w').close())
open('pid', 'w').write(str(os.getpid()))
while not os.path.exists('got'): time.sleep(0.01)
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(100)"
    start log "$SNAPCTL" dump -o "$(image)" --until=signal=USR1 --timeout 20s /usr/bin/python3 program.py
    until_true test -s "$scratch/work/pid"
    kill -USR1 "$(cat "$scratch/work/pid")"
    "$TARGET" --wait-exit "$pid" 30
    [ -e "$scratch/work/got" ]
    [[ $(reason) == "signal SIGUSR1:"* ]]
}

@test "until=signal: a fault happens again, at the same place" {
    program <<<"
import ctypes, faulthandler
faulthandler.enable()
ctypes.string_at(0x1234)"
    dump_until signal=SEGV
    [[ $(reason) == "signal SIGSEGV of the kernel:"* ]]
    for _ in 1 2; do
        run go_on
        [ "$status" = 139 ] || fail "$status: $(cat "$scratch/out")"
        grep -q 'Fatal Python error: Segmentation fault' "$scratch/out"
        grep -q 'string_at' "$scratch/out"
    done
}

# ---- effect ------------------------------------------------------------------------------------------------

# effect WORDS SCRIPT: Python stops there; what belongs to its own start does not count.
effect() {
    rm -rf "$(image)"
    program <<<"$2"
    dump_until effect=-random,-identity,-clock
    [[ $(reason) == "effect ($1"*", after "*" other calls, at "*"libc.so.6"* ]] || fail "$(reason)"
}

@test "until=effect: before anything is to be seen outside" {
    effect 'files): mkdir "here"' 'import os, json; [json.dumps(list(range(100))) for i in range(100)]; os.mkdir("here")'
    [ ! -e "$scratch/work/here" ]
    go_on
    [ -d "$scratch/work/here" ]
    effect 'files): openat "made"' 'open("/etc/passwd").read(); open("made", "w")'
    [ ! -e "$scratch/work/made" ]
    effect 'files): unlink "program.py"' 'import os; os.unlink("program.py")'
    [ -e "$scratch/work/program.py" ]
    effect 'net): bind' 'import socket; a, b = socket.socketpair(); a.send(b"x"); b.recv(1); socket.create_server(("", 0))'
    effect 'process): clone' 'import os, threading; t = threading.Thread(target=print); os.fork()'
    effect 'process): kill' 'import os; os.kill(os.getpid(), 0); os.kill(os.getppid(), 0)'
    effect 'process): exit_group' 'import os; r, w = os.pipe(); os.write(w, b"x"); os.read(r, 1); os._exit(0)'
}

@test "until=effect: a question to nscd is none, one to another service is" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    local asked
    for asked in nscd/socket dev-log; do
        cat >"$scratch/work/program.py" <<<"import socket, os
s = socket.socket(socket.AF_UNIX); s.connect('/run/$asked'); s.close(); os.mkdir('here')"
        (
            close_others
            cd "$scratch/work" && exec env HOME="$scratch/work" unshare --mount timeout "$limit" bash -c '
                mount -t tmpfs none /run && mkdir /run/nscd
                python3 -c "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])
s.listen(); time.sleep(1000)" "/run/$2" &
                until [ -e "/run/$2" ]; do :; done
                "$1" dump --force -o image --until=effect=-random,-identity,-clock /usr/bin/python3 program.py
                kill %1' - "$SNAPCTL" "$asked"
        ) </dev/null >"$scratch/said" 2>&1
        cat "$scratch/said"
        [ "$asked" = dev-log ] && grep -q 'effect (net): connect' "$scratch/said" && continue
        grep -q 'effect (files): mkdir "here"' "$scratch/said"
    done
}

@test "until=effect: the backtrace, by frame pointers and symbols" {
    printf '%s\n' '#include <sys/stat.h>' \
        '__attribute__((noinline)) int innermost(void) { return mkdir("here", 0700) + 1; }' \
        '__attribute__((noinline)) int in_between(int n) { return n ? in_between(n - 1) + 1 : innermost() + 1; }' \
        'int main(void) { return in_between(1) - 3; }' >"$scratch/deep.c"
    gcc -O0 -fno-omit-frame-pointer -o "$scratch/deep" "$scratch/deep.c"
    snapctl dump -o "$(image)" --until=effect "$scratch/deep"
    [[ $(reason) == 'effect (files): mkdir "here", '*', at mkdir+0x'*' (libc.so.6), called from innermost+0x'*' (deep) < in_between+0x'*' (deep) < in_between+0x'*' (deep) < main+0x'*' (deep)'* ]] ||
        fail "$(reason)"
    snapctl show "$(image)" | grep -q 'mkdir "here".*called from innermost'
    go_on
    # Without symbols and frame pointers: where it is in its file.
    rm -r "$scratch/work/here"
    gcc -O2 -s -o "$scratch/bare" "$scratch/deep.c"
    snapctl dump --force -o "$(image)" --until=effect "$scratch/bare"
    [[ $(reason) == *", called from bare+0x"* ]] || fail "$(reason)"
}

@test "until=effect: the answers that differ from instance to instance" {
    program <<<'import os; os.getpid()'
    dump_until effect=-clock,-files
    [[ $(reason) == "effect ("@(random|identity)"): get"@(random|tid|pid)* ]]
    run dump_until effect=-nonsense --force
    [ "$status" = 125 ]
    [[ $output == *"there is no '-nonsense'"*"files, output, input"* ]]
}

@test "until=effect: one image, and every instance does its own first step" {
    program <<<'
import os, sys
x = sum(i * i for i in range(100000))
os.write(1, b"%d %s\n" % (x, os.urandom(4).hex().encode()))'
    snapctl dump -o "$(image)" --until=effect=-identity,-clock env PYTHONHASHSEED=0 /usr/bin/python3 program.py
    [[ $(reason) == "effect (random): getrandom"* ]]
    for _ in 1 2 3; do
        go_on
        cat "$scratch/out" >>"$scratch/all"
    done
    cat "$scratch/all"
    [ "$(grep -c '^333328333350000 ' "$scratch/all")" = 3 ]
    [ "$(sort -u "$scratch/all" | wc -l)" = 3 ]
}
