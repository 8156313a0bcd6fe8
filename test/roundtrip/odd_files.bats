#!/usr/bin/env bats
# Files in states that few programs leave them in. See test/targets/odd_files.c for what is checked.
load ../helpers/snap

@test "odd_files_proc: files bound to the memory of the process" { roundtrip odd_files_proc; }
@test "odd_files_half_read: a file of /proc, read by half" { roundtrip odd_files_half_read; }
@test "odd_files_zombie: files of a process that has ended" { roundtrip odd_files_zombie; }
@test "odd_files_ns: namespaces that it is in" { roundtrip odd_files_ns; }
@test "odd_files_two_names: one removed file by two names" { roundtrip odd_files_two_names othername; }
@test "odd_files_tmpfile: O_TMPFILE, named later" { roundtrip odd_files_tmpfile; }
@test "odd_files_nofollow: shm_open and shm_unlink" { roundtrip odd_files_nofollow; }
@test "odd_files_removed_directory: removed with its directories" { roundtrip odd_files_removed_directory; }
@test "odd_files_modes: fchmod and fchown of pipes and sockets" { roundtrip odd_files_modes; }
@test "odd_files_thread_owner: F_SETOWN_EX of a thread" { roundtrip odd_files_thread_owner; }
@test "odd_files_protected: immutable and append-only files" { roundtrip odd_files_protected; }

@test "files of /proc and namespaces: in a namespace of its own" {
    roundtrip odd_files_proc pid,ns -- --pids=ns
}

@test "as an ordinary user" {
    as_user
    for name in odd_files_proc odd_files_tmpfile odd_files_thread_owner; do
        rm -rf "$scratch/ctl" "$scratch/work/image"
        roundtrip "$name" pid,ns,caps
    done
}
