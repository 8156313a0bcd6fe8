#!/usr/bin/env bats
# Streams at work between processes, dumped in the middle again and again: nothing is lost, doubled or reordered.
load ../helpers/snap

# trips NAME: as many dumps and restores in a row as SOAK_STREAMS says
trips() {
    local i
    start_target "$1"
    for ((i = 1; i <= ${SOAK_STREAMS:-3}; i++)); do
        dump_pid "$pid" --force
        restore
    done
    check_target "$pid"
}

@test "stream_local: pipes and unix sockets" { trips stream_local; }
@test "stream_tcp: TCP connections" { trips stream_tcp; }
