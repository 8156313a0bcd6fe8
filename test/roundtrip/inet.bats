#!/usr/bin/env bats
# TCP, UDP, netlink. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "tcp_listen: listeners, IPv4 and IPv6" { roundtrip tcp_listen; }
@test "tcp_v6only: IPV6_V6ONLY on and off" { roundtrip tcp_v6only; }
@test "tcp_options: 26 options" { roundtrip tcp_options; }
@test "tcp_deferred: TCP_DEFER_ACCEPT, TCP_FASTOPEN" { roundtrip tcp_deferred; }
@test "tcp_reuseport: three listeners on one port" { roundtrip tcp_reuseport; }
@test "tcp_device: SO_BINDTODEVICE, IPv6 options" { roundtrip tcp_device; }
@test "tcp_fresh: not bound, not listening" { roundtrip tcp_fresh; }
@test "tcp_ended: a connection that was reset" { roundtrip_or_refusal tcp_ended sockets; }
@test "udp_sockets: bound, connected, fresh" { roundtrip udp_sockets; }
@test "udp_queued: a datagram nobody has read" { roundtrip udp_queued; }
@test "udp_queue: datagrams nobody has read, from several senders" { roundtrip udp_queue; }
@test "udp_queue_any: the same, with the address they were sent to" { roundtrip udp_queue_any; }
@test "udp_multicast: member of a group" { roundtrip_or_refusal udp_multicast; }
@test "netlink_idle: netlink with groups" { roundtrip netlink_idle; }
@test "netlink_answers: answers of the kernel" { roundtrip netlink_answers; }
@test "netlink_messages: messages between netlink sockets" { roundtrip netlink_messages; }
@test "netlink_audit: an audit socket of who only writes" { roundtrip netlink_audit; }
@test "raw_idle: raw sockets" { roundtrip raw_idle; }
@test "packet_idle: a packet socket" { roundtrip packet_idle; }
