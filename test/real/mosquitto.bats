#!/usr/bin/env bats
# mosquitto: see helpers/real.bash for what is checked.
load ../helpers/real

@test "mosquitto: launched by the dump" { from_start mosquitto; }
@test "mosquitto: running" { running mosquitto; }
