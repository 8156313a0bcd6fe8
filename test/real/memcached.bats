#!/usr/bin/env bats
# memcached: see helpers/real.bash for what is checked.
load ../helpers/real

@test "memcached: launched by the dump" { from_start memcached; }
@test "memcached: running" { running memcached; }
