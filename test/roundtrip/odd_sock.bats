#!/usr/bin/env bats
# Sockets in states that few programs leave them in. See test/targets/odd_sock.c for what is checked.
load ../helpers/snap

@test "odd_sock_stream_options: multicast and IP options of TCP" { roundtrip odd_sock_stream_options; }
@test "odd_sock_udp6: IPv6 with an address by connect" { roundtrip odd_sock_udp6; }
@test "odd_sock_never: refused, or shut down without a connection" { roundtrip odd_sock_never sockets; }
@test "odd_sock_more: a datagram held back (MSG_MORE)" { refusal odd_sock_more 'MSG_MORE'; }
@test "odd_sock_same_name: two unix sockets of one name" { roundtrip odd_sock_same_name sockets; }
@test "odd_sock_moved_directory: unix sockets in directories that were moved or removed" { roundtrip odd_sock_moved_directory; }
@test "odd_sock_urgent: urgent bytes of unix sockets (MSG_OOB)" { roundtrip odd_sock_urgent; }
@test "bound_earlier: addresses had by options that are off by now" { roundtrip bound_earlier; }
@test "bound_earlier, as an ordinary user" {
    as_user
    roundtrip bound_earlier pid,ns -- --pids=ns
}
@test "idle_options: options of raw sockets and of idle TCP" { roundtrip idle_options; }
@test "repairing: TCP in repair mode" { refusal repairing 'repair mode'; }

@test "odd_sock_stderr: messages never go into a descriptor of the program" {
    start_target odd_sock_stderr
    dump_pid "$pid"
    restore --pids=ns
    grep -q "warning: .*process group .* outside of the PID namespace" "$scratch/said"
    check_target "$pid"
}
