#!/usr/bin/env bats
# Dump, restore, dump, restore: what the second restore makes is equal to what the first made. (make soak: 200 times.)
load ../helpers/real

generations() { # NAME [ALLOW,...]
    local round
    # shellcheck disable=SC2034 # for check_NAME
    launched=0 port=$(free_port)
    "command_$1"
    start "$1.log" "${command[@]}"
    wait_port "$port"
    "fill_$1"
    for round in 1 2; do
        until_true snapctl check --pid "$pid" >/dev/null || fail "check: $(cat "$scratch/said")"
        dump_pid "$pid" --force
        restore
        see "generation$round" "$pid"
    done
    same generation1 generation2 "${2:-}"
    "check_$1"
}

@test "static: second generation" { generations static; }
@test "redis: second generation" { generations redis; }
@test "python: second generation" { generations python; }
@test "node: second generation" { generations node waiting; }
@test "java: second generation" { generations java waiting; }
