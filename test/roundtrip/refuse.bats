#!/usr/bin/env bats
# What is refused: check and dump say what it is and what to do, and the target runs on as if nothing had been.
load ../helpers/snap

@test "refuse_io_uring: io_uring" { refusal refuse_io_uring 'io_uring'; }
@test "refuse_userfaultfd: userfaultfd" { refusal refuse_userfaultfd 'userfaultfd'; }
@test "refuse_bpf: a bpf map" { refusal refuse_bpf 'bpf'; }
@test "refuse_perf: a perf event" { refusal refuse_perf 'perf_event_open'; }
@test "refuse_fanotify: fanotify" { refusal refuse_fanotify 'fanotify'; }
@test "refuse_device: a device file" { refusal refuse_device '/dev/kmsg|/dev/fuse'; }
@test "refuse_mqueue: a POSIX message queue" { refusal refuse_mqueue 'POSIX message queue'; }
@test "refuse_aio: an io_setup context" { refusal refuse_aio 'asynchronous I/O \(io_setup\)'; }
@test "refuse_packet: a packet socket" { refusal refuse_packet 'packet socket'; }
@test "refuse_alg: a socket of the crypto interface" { refusal refuse_alg 'crypto'; }
@test "refuse_tcp: an established TCP connection" { refusal refuse_tcp 'is established.*--tcp-close|--tcp-close'; }
@test "refuse_unix_outside: a unix socket whose peer is elsewhere" { refusal refuse_unix_outside 'outside|not part of the dump'; }
@test "refuse_pipe_outside: a pipe whose reader is elsewhere" { refusal refuse_pipe_outside 'other end is in a process outside the dump'; }
@test "refuse_pidfd_outside: a pidfd of a process elsewhere" { refusal refuse_pidfd_outside 'pidfd of process [0-9]+, which is not part of the dump'; }
@test "refuse_child: a child process" { refusal refuse_child '2 processes: process trees are not supported'; }
@test "refuse_zombie: a child that has ended" { refusal refuse_zombie 'process trees are not supported.*ended'; }
@test "refuse_seccomp: a seccomp filter" { refusal refuse_seccomp 'seccomp'; }
@test "refuse_chroot: another root directory" { refusal refuse_chroot 'another root directory'; }
@test "refuse_traced: traced by another process" { refusal refuse_traced 'already traced by [0-9]+'; }
@test "refuse_namespace: another mount namespace" { refusal refuse_namespace 'another mount namespace'; }
