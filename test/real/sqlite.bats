#!/usr/bin/env bats
# sqlite3 with a database in memory, which reads its commands from a FIFO.
load ../helpers/real

# tell COMMAND: one more command for it
tell() { timeout 10 bash -c "echo '$1' >'$scratch/commands'"; }

@test "sqlite: in memory, reading from a FIFO" {
    need sqlite3
    mkfifo "$scratch/commands"
    start answers bash -c "exec sqlite3 -batch :memory: <>'$scratch/commands'"
    tell 'CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (4711); BEGIN; DELETE FROM t WHERE n = 1;'
    tell 'SELECT "ready", count(*) FROM t;'
    "$TARGET" --wait-line "$scratch/answers" 'ready|2' 20
    see before "$pid"
    dump_pid "$pid"
    restore
    see after "$pid"
    same before after
    tell 'SELECT "inside", sum(n) FROM t;'
    "$TARGET" --wait-line "$scratch/answers" 'inside|4713' 20
    tell 'ROLLBACK; SELECT "after", sum(n) FROM t;'
    "$TARGET" --wait-line "$scratch/answers" 'after|4714' 20
}

@test "sqlite: launched by the dump" {
    need sqlite3
    mkfifo "$scratch/work/commands"
    printf '%s\n' 'CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (4711);' >"$scratch/work/setup"
    snapctl dump -o "$(image)" bash -c 'exec sqlite3 -batch -cmd ".read setup" :memory: <>commands' || fail "dump failed"
    rm "$scratch/work/setup"
    start answers "$SNAPCTL" restore "$(image)"
    timeout 10 bash -c "echo 'SELECT \"after\", sum(n) FROM t; INSERT INTO t VALUES (5);' >'$scratch/work/commands'"
    "$TARGET" --wait-line "$scratch/answers" 'after|4714' 20
    timeout 10 bash -c "printf '%s\n' 'SELECT \"new\", sum(n) FROM t;' .quit >'$scratch/work/commands'"
    "$TARGET" --wait-line "$scratch/answers" 'new|4719' 20
    wait "$pid" || fail "it ended with status $?"
}
