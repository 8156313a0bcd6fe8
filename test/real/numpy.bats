#!/usr/bin/env bats
# Python with numpy and threads: see helpers/real.bash for what is checked.
load ../helpers/real

@test "numpy: launched by the dump" { from_start numpy; }
@test "numpy: running" { running numpy waiting; }
