#!/usr/bin/env bats
# lighttpd: see helpers/real.bash for what is checked.
load ../helpers/real

@test "lighttpd: launched by the dump" { from_start lighttpd; }
@test "lighttpd: running" { running lighttpd; }
