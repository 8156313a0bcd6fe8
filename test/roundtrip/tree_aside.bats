#!/usr/bin/env bats
# Memory that siblings share, and not their parent. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeaside_versions: three versions, two kids each" { roundtrip treeaside_versions; }
@test "treeaside_replaced: mapped over and unmapped in the parent" { roundtrip treeaside_replaced; }
@test "treeaside_protected: several mappings, emptied in the parent" { roundtrip treeaside_protected; }
@test "treeaside_grandparent: changed in between" { roundtrip treeaside_grandparent; }
@test "treeaside_cousins: cousins" { roundtrip treeaside_cousins; }
@test "treeaside_orphans: orphans" { roundtrip treeaside_orphans; }
@test "treeaside_busy: a parent with threads, a heap, shared memory" { roundtrip treeaside_busy; }
