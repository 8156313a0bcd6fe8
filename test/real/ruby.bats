#!/usr/bin/env bats
# ruby webrick: see helpers/real.bash for what is checked.
load ../helpers/real

@test "ruby: launched by the dump" { from_start ruby; }
@test "ruby: running" { running ruby; }
