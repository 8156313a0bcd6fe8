#!/usr/bin/env bats
# Budgets. An image takes at most 0.3 times the bytes of the pages in it (none of which is zero), with all that is beside them.
load ../helpers/real

is_small() { # NAME
    local stored pages
    # shellcheck disable=SC2034 # for command_NAME
    port=$(free_port)
    "command_$1"
    snapctl dump -o "$(image)" -- "${command[@]}" || fail "dump failed"
    stored=$(cat "$(image)"/* | wc -c)
    snapctl show --json "$(image)" >/dev/null
    pages=$(jq .memory.bytes "$scratch/said")
    [ "$pages" -gt 1000000 ] || fail "only $pages bytes of pages"
    [ $((stored * 10)) -le $((pages * 3)) ] || fail "$pages bytes of pages take $stored"
    echo "# $1: $pages bytes of pages take $stored"
}

@test "redis: the size of its image" { is_small redis; }
@test "python: the size of its image" { is_small python; }
@test "node: the size of its image" { is_small node; }

# The same as in `make bench`, where the numbers are shown.
@test "static: the system calls of a restore" { bash "$BATS_TEST_DIRNAME/../bench/syscalls.sh"; }
