#!/usr/bin/env bats
# Mappings in states that few programs leave them in. See test/targets/odd_mem.c for what is checked.
load ../helpers/snap

@test "odd_mem_vdso_gone: the vdso was unmapped" { roundtrip odd_mem_vdso_gone; }
@test "odd_mem_vdso_moved: the vdso was moved away from vvar" { roundtrip odd_mem_vdso_moved; }
@test "odd_mem_apart: neighbours that are no one mapping" { roundtrip odd_mem_apart; }
@test "odd_mem_guard_file: guards in mappings of a file" { roundtrip odd_mem_guard_file; }
@test "odd_mem_sysv_pieces: a System V segment in pieces" { roundtrip odd_mem_sysv_pieces; }
@test "odd_mem_lock_future: MCL_FUTURE, and nothing locked yet" { roundtrip odd_mem_lock_future; }

@test "as an ordinary user" {
    as_user
    for name in odd_mem_vdso_gone odd_mem_apart odd_mem_guard_file; do
        rm -rf "$scratch/ctl" "$scratch/work/image"
        roundtrip "$name" pid,ns,caps
    done
}
