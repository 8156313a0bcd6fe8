#!/usr/bin/env bats
# Unix sockets. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "unix_pair: socket pairs of three types" { roundtrip unix_pair; }
@test "unix_pair_queued: queued bytes" { roundtrip unix_pair_queued; }
@test "unix_full: as much as can be queued" { roundtrip unix_full; }
@test "unix_packets: queued packets" { roundtrip unix_packets; }
@test "unix_half: one end closed or shut down" { roundtrip unix_half; }
@test "unix_options: options" { roundtrip unix_options; }
@test "unix_listen: listeners: path, abstract, seqpacket" { roundtrip unix_listen; }
@test "unix_renamed: a path renamed after bind" { roundtrip unix_renamed; }
@test "unix_linked: a path that got another name, and lost the first" { roundtrip unix_linked; }
@test "unix_unlinked: a path removed after bind" { roundtrip unix_unlinked; }
@test "unix_replaced: a path taken over by another listener" { roundtrip unix_replaced; }
@test "unix_other_cwd: bound in another working directory" { roundtrip unix_other_cwd; }
@test "unix_connected: connection inside the process" { roundtrip unix_connected; }
@test "unix_not_accepted: connection not yet accepted" { roundtrip unix_not_accepted; }
@test "unix_waiting: sent before it was accepted" { roundtrip unix_waiting; }
@test "unix_waiting: the same, launched" { launched unix_waiting; }
@test "unix_waiting_packets: packets before it was accepted" { roundtrip unix_waiting_packets; }
@test "unix_waiting_rights: descriptors before it was accepted" { launched unix_waiting_rights; }
@test "unix_waiting_rights: not of a program that a failed dump must leave as it was" {
    refusal unix_waiting_rights 'a descriptor \(SCM_RIGHTS\) was sent over it already'
}

@test "unix_waiting: not of a program that runs on" {
    start_target unix_waiting_packets
    see before "$pid"
    if snapctl dump --pid "$pid" --leave-running -o "$(image)"; then fail "it was accepted behind its back"; fi
    grep -q 'something was sent over it already' "$scratch/said"
    see after "$pid"
    same before after
    check_target "$pid"
}
@test "unix_dgram: datagram sockets with names" { roundtrip unix_dgram; }
@test "unix_fresh: neither connected nor listening" { roundtrip unix_fresh; }
@test "unix_in_flight: a descriptor in flight (SCM_RIGHTS)" { roundtrip unix_in_flight; }
@test "unix_rights: descriptors in flight, also in each other" { roundtrip unix_rights; }
@test "unix_creds: senders' credentials in queues" { roundtrip unix_creds; }
@test "unix_pending: connections waiting to be accepted" { roundtrip unix_pending; }
@test "tree_unix_pair: pairs between parent and child" { roundtrip tree_unix_pair; }
@test "tree_unix_server: listener, client and accepted end apart" { roundtrip tree_unix_server; }
