#!/usr/bin/env bats
# What is refused: check and dump say what it is and what to do, and the target runs on as if nothing had been.
load ../helpers/snap

@test "refuse_io_uring: an io_uring at work" { refusal refuse_io_uring 'is an io_uring with operations under way'; }
@test "refuse_io_uring_event: an io_uring with an eventfd" { refusal_late refuse_io_uring_event 'io_uring with a registered eventfd'; }
@test "refuse_io_uring_wide: an io_uring with wide entries" { refusal_late refuse_io_uring_wide 'CQE32'; }
@test "refuse_io_uring_registered: a registered io_uring" { refusal_late refuse_io_uring_registered 'IORING_REGISTER_RING_FDS'; }
@test "refuse_userfaultfd: userfaultfd" { refusal refuse_userfaultfd 'userfaultfd'; }
@test "refuse_bpf: a bpf map" { refusal refuse_bpf 'bpf'; }
@test "refuse_perf: a perf event" { refusal refuse_perf 'perf_event_open'; }
@test "refuse_fanotify: fanotify" { refusal refuse_fanotify 'fanotify group that others ask for permission'; }
@test "refuse_device: a device file" { refusal refuse_device '/dev/kmsg|/dev/fuse'; }
@test "refuse_mqueue: a message queue with a notification" { refusal refuse_mqueue 'mq_notify'; }
@test "refuse_packet: a packet socket with a ring" { refusal refuse_packet 'packet socket with a ring'; }
@test "refuse_alg: a socket of the crypto interface" { refusal refuse_alg 'crypto'; }
@test "refuse_tcp: an established TCP connection" { refusal refuse_tcp 'is established.*--tcp-close|--tcp-close'; }
@test "refuse_unix_outside: a unix socket whose peer is elsewhere" { refusal refuse_unix_outside 'outside|not part of the dump'; }
@test "refuse_pipe_outside: a pipe whose reader is elsewhere" { refusal refuse_pipe_outside 'other end is in a process outside the dump'; }
@test "refuse_pidfd_outside: a pidfd of a process elsewhere" { refusal refuse_pidfd_outside 'pidfd of process [0-9]+, which is not part of the dump'; }
@test "refuse_seccomp: a seccomp filter, to an ordinary user" {
    as_user
    refusal refuse_seccomp 'seccomp \(a filter\), which only CAP_SYS_ADMIN may read'
}
@test "refuse_traced: traced by another process" { refusal refuse_traced 'already traced by [0-9]+'; }
@test "refuse_namespace: another mount namespace" { refusal refuse_namespace 'another mount namespace'; }
@test "refuse_sysv_outside: a SysV segment that others have, too" { refusal refuse_sysv_outside 'SysV segment [0-9]+ .*attached by another process'; }
@test "refuse_hugetlb: a file of hugetlbfs" { refusal refuse_hugetlb 'a file of hugetlbfs'; }
@test "refuse_secretmem: secret memory" { refusal refuse_secretmem 'secret memory'; }
@test "refuse_namespace_fd: a namespace" { refusal refuse_namespace_fd 'is a namespace, which cannot be dumped'; }
@test "refuse_tcp_waiting: a TCP connection that nobody accepted yet" { refusal refuse_tcp_waiting '1 connections? to .* waits? to be accepted'; }
@test "refuse_unix_waiting: a unix connection that nobody accepted yet" { refusal refuse_unix_waiting '1 connection to waiting waits? to be accepted'; }
@test "refuse_pid_for_children: a PID namespace for children" { refusal refuse_pid_for_children 'has made a namespace for its future children'; }
@test "refuse_time_for_children: a time namespace for children" { refusal refuse_time_for_children 'has made a namespace for its future children'; }
@test "refuse_timer_outside: a timer on another process' CPU clock" { refusal refuse_timer_outside 'timer [0-9]+ runs on the CPU clock of another process'; }
@test "refuse_thread_namespace: a thread in another namespace" { refusal refuse_thread_namespace 'is in other namespaces than the first thread \(uts\)'; }
@test "refuse_socket_elsewhere: a socket of another namespace" { refusal refuse_socket_elsewhere 'is a socket of another network namespace'; }
@test "refuse_queue_left: a message queue that nobody has open" { refusal_late refuse_queue_left 'message queue /left of its IPC namespace'; }
@test "refuse_speculation: speculation control" { refusal refuse_speculation 'PR_SET_SPECULATION_CTRL'; }
@test "refuse_lease_mapped: a lease on a mapped file" { refusal_late refuse_lease_mapped 'leased is mapped and has a lease for writing'; }
@test "refuse_lease_removed: a lease on a removed file" { refusal_late refuse_lease_removed 'leased.*has a lease for writing'; }
@test "refuse_pressure: a trigger of /proc/pressure" { refusal refuse_pressure 'waits for a pressure'; }
@test "refuse_maps_in_flight: a file of /proc in a message" { refusal_late refuse_maps_in_flight 'a message that nobody has received .* holds /proc/[0-9]+/maps'; }
@test "refuse_pidfd_in_flight: a child's pidfd in a message" { refusal_late refuse_pidfd_in_flight 'a message that nobody has received .* holds .*pidfd'; }
@test "refuse_proc_outside: a file of /proc of the caller" { refusal refuse_proc_outside 'belongs to process [0-9]+, which is not part of the dump'; }

@test "a 32-bit program" {
    cat >"$scratch/pause.s" <<'END'
.globl _start
_start: movl $29, %eax # pause(2)
    int $0x80
    jmp _start
END
    as --32 -o "$scratch/pause.o" "$scratch/pause.s"
    ld -m elf_i386 -o "$scratch/pause" "$scratch/pause.o"
    start pause.log "$scratch/pause"
    until_true grep -q '^29 ' "/proc/$pid/syscall" || skip "this kernel runs no 32-bit programs"
    run snapctl dump --pid "$pid" -o "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"is a 32-bit program"*hint:* ]]
    kill -0 "$pid"
}

@test "refused: a unix connection to outside, and who has the other end" {
    start outside.log /usr/bin/python3 -c '
import os, socket
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    os.set_inheritable(theirs.fileno(), True)
    os.execvp("sleep", ["sleep", "1000"])
theirs.close()
ours.recv(1)'
    until_true pgrep -P "$pid" -x sleep
    run snapctl check --pid "$(pgrep -P "$pid" -x sleep)"
    [ "$status" = 1 ]
    [[ $output == *"its other end is not part of the dump"*"process $pid (python3) has that"* ]] || fail "$output"
}
