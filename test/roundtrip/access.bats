#!/usr/bin/env bats
# Who may trace whom: each refusal of the kernel made to happen, for an ordinary user (65534) or in a sandbox. `check` and
# `dump` name the rule and what would help, and the process lives on. What needs a /proc or a kernel of its own (hidepid,
# Yama) is in unit/tracee_access.c, which compares each rule with what the kernel itself says.
load ../helpers/snap

# refused PATTERN HINT: of process $pid
refused() {
    local command
    for command in "check" "dump -o $(image)"; do
        # shellcheck disable=SC2086 # words
        if snapctl $command --pid "$pid"; then fail "$command has nothing against it"; fi
        grep -qE "$1" "$scratch/said" || fail "$command does not say $1"
        grep -qE "^ .*$2" "$scratch/said" || fail "$command does not give the hint $2"
    done
    [ ! -e "$(image)" ]
    kill -0 "$pid"
}

root() { [ "$(id -u)" = 0 ] || skip "root only"; }

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)

# In Python: what to do before it execs what follows.
confined=(/usr/bin/python3 -c "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def must(ret):
    if ret < 0: sys.exit('errno %d' % ctypes.get_errno())
    return ret
must(libc.prctl(38, 1, 0, 0, 0)) # PR_SET_NO_NEW_PRIVS
if sys.argv[1] == 'landlock':
    rules = ctypes.create_string_buffer(struct.pack('=Q', 1 << 12))
    fd = must(libc.syscall(444, rules, 8, 0))
    must(libc.syscall(446, fd, 0))
    os.close(fd)
else: # ptrace(2) is answered with EPERM
    insns = ctypes.create_string_buffer(struct.pack('=' + 'HBBI' * 4, 0x20, 0, 0, 0, 0x15, 0, 1, 101, 0x06, 0, 0, 0x50001,
        0x06, 0, 0, 0x7fff0000))
    must(libc.prctl(22, 2, struct.pack('@HP', 4, ctypes.addressof(insns))))
os.execvp(sys.argv[2], sys.argv[2:])")

@test "access: another user" {
    root
    start log sleep 1000
    as_user
    refused 'runs with uid 0/0/0 and gid 0/0/0 \(real/effective/saved\), snapctl with uid 65534' "run snapctl as that user"
}

@test "access: the same user, another group" {
    root
    start log setpriv --reuid 65534 --regid 65533 --clear-groups sleep 1000
    as_user
    refused 'gid 65533/65533/65533 .*snapctl with uid 65534 and gid 65534' "run snapctl as that user"
}

@test "access: a set-user-ID program" {
    root
    cp "$(command -v sleep)" "$scratch/sleep"
    chmod 4755 "$scratch/sleep"
    as_user
    start log "$scratch/sleep" 1000
    refused 'uid 65534/0/0' 'set-user-ID'
}

@test "access: not dumpable" {
    root
    as_user
    start log /usr/bin/python3 -c '
import ctypes, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
open("there", "w").close()
time.sleep(1000)'
    until_true test -e "$scratch/work/there"
    refused 'is not dumpable: .*prctl\(PR_SET_DUMPABLE, 0\)' 'as root \(CAP_SYS_PTRACE\)'
}

@test "access: a program that its user cannot read is not dumpable either" {
    root
    cp "$(command -v sleep)" "$scratch/sleep"
    chmod 711 "$scratch/sleep"
    as_user
    start log "$scratch/sleep" 1000
    until_true grep -qx sleep "/proc/$pid/comm"
    refused 'is not dumpable: .*program file is not readable' 'as root'
}

@test "access: more capabilities" {
    root
    as_user
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +net_raw --ambient-caps +net_raw --)
    start log sleep 1000
    until_true grep -q '^CapPrm:.*2000$' "/proc/$pid/status"
    user=("${nobody[@]}")
    refused 'has capabilities that snapctl lacks: cap_net_raw' 'CAP_SYS_PTRACE'
}

@test "access: another user namespace" {
    root
    as_user
    start log sleep 1000
    # shellcheck disable=SC2034 # of helpers/snap
    user=("${nobody[@]}" unshare -U)
    "${user[@]}" true || skip "no user namespaces here"
    refused 'lives in another user namespace' "nsenter -U"
}

@test "access: traced by a debugger" {
    start log sleep 1000
    local target=$pid
    start strace.log strace -p "$target" -o "$scratch/work/trace"
    until_true grep -q '^TracerPid:.[^0]' "/proc/$target/status"
    local tracer=$pid
    pid=$target
    refused "already traced by $tracer \(strace\)" 'one tracer'
}

@test "access: a kernel thread" {
    [ -e /proc/2 ] || skip "none to be seen here"
    pid=2
    refused 'process 2 \(kthreadd\) is a kernel thread' 'without brackets'
}

@test "access: a seccomp filter of snapctl's own" {
    start log sleep 1000
    # shellcheck disable=SC2034
    user=("${confined[@]}" seccomp)
    refused 'a seccomp filter that snapctl runs under forbids ptrace\(2\)' 'outside of that sandbox'
    if snapctl dump -o "$(image)" sleep 1000; then fail "it can start programs"; fi
    grep -q 'a seccomp filter that snapctl runs under forbids ptrace(2)' "$scratch/said"
}

@test "access: a security module (Landlock)" {
    start log sleep 1000
    # shellcheck disable=SC2034
    user=("${confined[@]}" landlock)
    "${user[@]}" true || skip "this kernel has no Landlock"
    refused 'the kernel forbids to trace it, though ids, capabilities and its dumpable flag allow it' 'Landlock'
    # What it starts itself is in the same sandbox.
    snapctl dump -o "$(image)" --until=after=10ms sleep 1000
}
