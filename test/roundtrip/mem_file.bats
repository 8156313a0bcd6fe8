#!/usr/bin/env bats
# Mappings of files. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "memfile_private: clean and written pages, offsets" { roundtrip memfile_private; }
@test "memfile_private_ro: written, then read-only or PROT_NONE" { roundtrip memfile_private_ro; }
@test "memfile_shared: writes reach the file" { roundtrip memfile_shared; }
@test "memfile_shared_ro: opened read-only: cannot be made writable" { roundtrip memfile_shared_ro; }
@test "memfile_shared_rw_ro: opened for writing, mapped read-only" { roundtrip memfile_shared_rw_ro; }
@test "memfile_deleted: a deleted file mapped three times" { roundtrip memfile_deleted; }
@test "memfile_replaced: another file has its name" { roundtrip memfile_replaced ghostname; }
@test "memfile_hole: deleted sparse file of 4 GiB" { roundtrip memfile_hole; }
@test "memfile_beyond_eof: SIGBUS beyond the end, until the file grows" { roundtrip memfile_beyond_eof; }
@test "memfile_shm: POSIX shared memory, unlinked" { roundtrip memfile_shm openflags; }
@test "memfile_shm_named: POSIX shared memory with a name" { roundtrip memfile_shm_named; }
@test "memfile_text: code with a patch in it" { roundtrip memfile_text; }
@test "memfile_data: data, bss, relocated data" { roundtrip memfile_data; }
@test "memfile_neighbours: adjacent mappings in reverse order" { roundtrip memfile_neighbours; }
@test "memfile_dev_zero: /dev/zero private and shared" { roundtrip memfile_dev_zero; }
@test "memfile_guards: guards over files, shared and wiped memory" { roundtrip memfile_guards; }

@test "memfile_guards: of an ordinary user, who cannot look under them" {
    as_user
    start_target memfile_guards
    grep -q '^VmFlags:.* sh .*gu' "/proc/$pid/smaps" || skip "this kernel has no guards over shared memory"
    kill -KILL "$pid"
    rm -rf "$scratch/ctl"
    refusal_late memfile_guards 'shared memory mapped at [0-9a-f-]+ cannot be read: a guard lies over it'
}
