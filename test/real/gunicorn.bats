#!/usr/bin/env bats
# gunicorn: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "gunicorn: launched by the dump" { launched_tree gunicorn; }
@test "gunicorn: running" { running_tree gunicorn waiting,openflags; }
