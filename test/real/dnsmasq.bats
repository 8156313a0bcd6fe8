#!/usr/bin/env bats
# dnsmasq: see helpers/real.bash for what is checked.
load ../helpers/real

@test "dnsmasq: launched by the dump" { from_start dnsmasq; }
@test "dnsmasq: running" { running dnsmasq; }
