#!/usr/bin/env bats
# python3 -m http.server: see helpers/real.bash for what is checked.
load ../helpers/real

@test "python: launched by the dump" { from_start python; }
@test "python: running" { running python; }

@test "python: of an ordinary user, new ids" {
    as_user
    running python pid,vpid,waiting -- --pids=new
}

@test "python: of an ordinary user, in a namespace" {
    as_user
    running python pid,ns,caps -- --pids=ns
}

@test "python: launched by an ordinary user" {
    as_user
    from_start python
}
