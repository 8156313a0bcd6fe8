#!/usr/bin/env bats
# a Rust server with threads: see helpers/real.bash for what is checked.
load ../helpers/real

@test "rust: launched by the dump" { from_start rust; }
@test "rust: running" { running rust; }
