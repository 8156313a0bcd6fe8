#!/bin/bash
# SOAK_TREES (100) round trips in a row of nginx and PostgreSQL while both cores are busy; and as many dumps of
# pipelines and of streams over sockets at work, from which no byte may be lost, doubled or reordered.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
# shellcheck source=../helpers/descendants.bash
. "$(dirname "$0")/../helpers/descendants.bash"
rounds=${SOAK_TREES:-100}
pg=/usr/lib/postgresql/15/bin
members=

gone_pids() { # PID...
    local pid
    for pid; do
        ! kill -0 "$pid" 2>/dev/null || return 1
    done
}

# The scripts' cleanup knows soak_pid only.
tree_note() { members=$(descendants "$soak_pid"); }
tree_end() {
    local pid now=
    [ -z "${soak_pid:-}" ] || now=$(descendants "$soak_pid")
    for pid in ${soak_pid:-} ${members:-} $now; do kill -KILL "$pid" 2>/dev/null; done
}
trap 'tree_end; soak_cleanup' EXIT

# One dump and restore of soak_pid; says where it failed.
trip() { # NAME
    local image=$scratch/$1.image
    tree_note
    snapctl dump -q --pid "$soak_pid" -o "$image" --force >"$scratch/said" 2>&1 || { echo dump; return 1; }
    # shellcheck disable=SC2086 # several pids
    until_true gone_pids "$soak_pid" $members || { echo "still there after the dump"; return 1; }
    rm -f "$scratch/pid"
    snapctl restore -d --pidfile "$scratch/pid" "$image" >"$scratch/said" 2>&1 || { echo restore; return 1; }
    soak_pid=$(cat "$scratch/pid")
    tree_note
}

# ---- servers ----------------------------------------------------------------------------------------------

# soak_server NAME CHECK: `rounds` trips of soak_pid, each followed by CHECK ROUND
soak_server() {
    local i
    for ((i = 1; i <= rounds; i++)); do
        trip "$1" >"$scratch/why" || { fail "$1: trip $i: $(cat "$scratch/why")"; return; }
        "$2" "$i" >"$scratch/why" 2>&1 || { fail "$1: trip $i: answer: $(tail -n 1 "$scratch/why")"; return; }
        [ $((i % 20)) != 0 ] || echo "# $1: $i trips"
    done
    pass "$1: $rounds trips"
}

nginx_answers() { # ROUND; every tenth time with new workers
    local old
    until_true answers_file || return 1
    [ $(($1 % 10)) = 0 ] || return 0
    old=$(descendants "$soak_pid")
    kill -HUP "$soak_pid"
    # shellcheck disable=SC2086 # several pids
    until_true gone_pids $old && until_true answers_file
}
answers_file() { [ "$(curl -sS --max-time 5 "http://127.0.0.1:$port/file")" = "a file" ]; }

soak_nginx() {
    command -v nginx >/dev/null || { echo "ok - nginx # skip not installed"; return; }
    mkdir -p "$scratch/nginx"
    echo "a file" >"$scratch/nginx/file"
    port=$(free_port)
    echo "daemon off; worker_processes 2; pid $scratch/nginx/pid; error_log $scratch/nginx/error; user root;
        events { worker_connections 64; }
        http { access_log off; server { listen 127.0.0.1:$port; root $scratch/nginx; } }" >"$scratch/nginx/conf"
    nginx -c "$scratch/nginx/conf" -e "$scratch/nginx/error" </dev/null >"$scratch/nginx/log" 2>&1 &
    soak_pid=$!
    until_true answers_file || { fail "nginx does not answer"; return; }
    soak_server nginx nginx_answers
}

sql() { timeout 20 psql -h 127.0.0.1 -p "$port" -U postgres -d postgres -qtAc "$1"; }
sql_ready() { sql 'select 1' >/dev/null 2>&1; }
alone() { [ "$(sql "select count(*) from pg_stat_activity where backend_type = 'client backend'")" = 1 ]; }
# A transaction of each round is there ever after.
postgresql_answers() { # ROUND
    sql "begin; insert into t values ($1); commit" || return 1
    [ "$(sql 'select count(*), sum(x) from t')" = "$1|$(($1 * ($1 + 1) / 2))" ] && until_true alone
}

soak_postgresql() {
    local as=() data=$scratch/postgresql
    [ -x $pg/postgres ] || { echo "ok - postgresql # skip not installed"; return; }
    mkdir -m 700 "$data"
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid postgres --regid postgres --clear-groups --)
        chown postgres: "$data"
    fi
    port=$(free_port)
    "${as[@]}" $pg/initdb -A trust -N -D "$data" >/dev/null
    "${as[@]}" $pg/postgres -D "$data" -p "$port" -k "$data" </dev/null >"$scratch/postgresql.log" 2>&1 &
    soak_pid=$!
    until_true sql_ready || { fail "PostgreSQL does not answer"; return; }
    sql 'create table t (x int)'
    until_true alone
    soak_server postgresql postgresql_answers
    kill -INT "$soak_pid"
    until_true gone_pids "$soak_pid" || fail "postgresql: does not end"
    $pg/pg_controldata "$data" | grep -q 'cluster state: *shut down' || fail "postgresql: no clean end"
}

# ---- pipelines ----------------------------------------------------------------------------------------------

has_bytes() { [ "$(stat -c %s "$scratch/$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

# One pipeline, dumped up to 20 times while it works; gives the number in $dumped.
pipeline_once() { # WANTED
    local i result=$scratch/result lines=20000000
    rm -f "$result" "$scratch/seen"
    dumped=0
    bash -c "seq 1 $lines | sed s/7/seven/ | tee $scratch/seen | sha256sum >$result" </dev/null >"$scratch/log" 2>&1 &
    soak_pid=$!
    for ((i = 1; i <= 20; i++)); do
        until_true has_bytes seen $((i * 5000000)) || { echo "no progress"; return 1; }
        trip pipeline || return 1
        dumped=$i
    done
    until_true has_bytes result 64 || until_true has_bytes result 64 || { echo "no end"; return 1; }
    [ "$(cat "$result")" = "$1" ] || { echo "other bytes came out"; return 1; }
}

soak_pipeline() {
    local total=0 wanted
    wanted=$(seq 1 20000000 | sed s/7/seven/ | sha256sum)
    while [ $total -lt "$rounds" ]; do
        pipeline_once "$wanted" >"$scratch/why" || { fail "pipeline: dump $((total + dumped + 1)): $(cat "$scratch/why")"; return; }
        total=$((total + dumped))
        echo "# pipeline: $total dumps"
    done
    pass "pipeline: $total dumps, no byte lost"
}

# ---- streams over pipes, unix and TCP sockets: 20 dumps of each -----------------------------------------------

soak_streams() {
    local file
    file=$(dirname "$0")/../roundtrip/tree_stream.bats
    if SOAK_STREAMS=20 "${TARGET:?}" --reap bats --tap "$file" >"$scratch/said" 2>&1; then
        pass "streams: 20 dumps, no byte lost"
    else
        fail "streams: 20 dumps"
    fi
}

load_start
for part in nginx postgresql pipeline streams; do
    "soak_$part"
    tree_end
    soak_pid='' members=
done
finish
