#!/usr/bin/env bats
# Job control in the caller's terminal: shells and their jobs are dumped in one terminal, and restored and used in
# another one. What is typed and what has to be seen is in jobs.py.
# not beside others: ptys
load ../helpers/real

# jobs SCENARIO [RESTORE OPTION...]
jobs() {
    local scenario=$1
    shift
    start jobs.log TERM=dumb "$python" "$real/jobs.py" "$scenario" "$SNAPCTL" "$(image)" "$@"
    "$TARGET" --wait-exit "$pid" 60 || fail "$scenario did not end"
    [ "$(tail -n 1 "$scratch/jobs.log")" = OK ] || fail "$(cat "$scratch/jobs.log")"
}

@test "jobs: a shell at its prompt" { jobs prompt; }
@test "jobs: a shell with a job in the foreground" { jobs foreground; }
@test "jobs: a shell with a stopped job" { jobs stopped; }
@test "jobs: a job, stopped and continued by another shell" { jobs job; }
@test "jobs: an editor" {
    need vim.tiny
    jobs editor
}
@test "jobs: a shell with a job in the foreground, in a namespace" { jobs foreground --pids=ns; }
@test "jobs: a job, stopped and continued, in a namespace" { jobs job --pids=ns; }
