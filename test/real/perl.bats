#!/usr/bin/env bats
# perl HTTP::Daemon: see helpers/real.bash for what is checked.
load ../helpers/real

@test "perl: launched by the dump" { from_start perl; }
@test "perl: running" { running perl; }
