#!/usr/bin/env bats
# Descriptors of files, directories and devices. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "file_modes: offsets, flags, append" { roundtrip file_modes; }
@test "file_dup: duplicates share an offset" { roundtrip file_dup; }
@test "file_high: high numbers" { roundtrip file_high; }
@test "file_path: O_PATH" { roundtrip file_path; }
@test "file_dir: reading a directory goes on" { roundtrip file_dir; }
@test "file_dir_removed: directories that were removed" { roundtrip file_dir_removed; }
@test "file_deleted: a deleted file" { roundtrip file_deleted; }
@test "file_deleted_link: deleted, but with another name" { roundtrip_or_refusal file_deleted_link; }
@test "file_tmpfile: O_TMPFILE" { roundtrip file_tmpfile openflags; }
@test "file_hole: a deleted file of 8 GiB with holes" { roundtrip file_hole; }
@test "file_devices: null, zero, full, random, urandom" { roundtrip file_devices; }
@test "file_owner: F_SETOWN, F_SETSIG, O_ASYNC" { roundtrip file_owner; }
@test "file_proc: files of /proc" { roundtrip file_proc; }
@test "file_no_stdio: 0, 1 and 2 closed" { roundtrip file_no_stdio; }
