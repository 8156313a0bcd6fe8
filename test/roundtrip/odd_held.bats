#!/usr/bin/env bats
# Where descriptors and mappings lead. See test/targets/odd_held.c for what is checked.
load ../helpers/snap

@test "odd_held_pending: who waits to be accepted" { roundtrip odd_held_pending; }
@test "odd_held_proc: directories of /proc of a child" { roundtrip odd_held_proc; }
@test "odd_held_xattr: attributes of removed files" { roundtrip odd_held_xattr; }
@test "odd_held_linked: removed files with another name" { roundtrip odd_held_linked; }
@test "odd_held_moved_away: a removed file with a name elsewhere" {
    [ "$(id -u)" = 0 ] || skip "needs CAP_DAC_READ_SEARCH"
    roundtrip odd_held_moved_away
}
@test "odd_held_elsewhere: mapped here, open in a child" { roundtrip odd_held_elsewhere; }
@test "odd_held_exec: a program in a memfd" { roundtrip odd_held_exec; }
@test "odd_held_shm: a System V segment in pieces" { roundtrip odd_held_shm; }
@test "odd_held_shut: TCP shut down for reading" { roundtrip odd_held_shut tcp; }

@test "in a namespace of its own" {
    for name in odd_held_pending odd_held_proc; do
        rm -rf "$scratch/ctl" "$scratch/work/image"
        roundtrip "$name" pid,ns -- --pids=ns
    done
}

@test "removed files, as an ordinary user" {
    as_user
    for name in odd_held_xattr odd_held_elsewhere; do
        rm -rf "$scratch/ctl" "$scratch/work/image"
        roundtrip "$name" pid,ns,caps
    done
}

@test "removed files with another name, as an ordinary user" {
    as_user
    roundtrip odd_held_linked pid,ns,caps,linkedname
}
