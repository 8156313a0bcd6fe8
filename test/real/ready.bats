#!/usr/bin/env bats
# Services of systemd (Type=notify), dumped when they say READY=1: each is started as its unit file does, and is then
# asked for what it is there for.
load ../helpers/real

# ready PROGRAM [ARG...]: until it says so
ready() {
    snapctl dump -o "$(image)" --until=ready -- "$@" || fail "dump failed"
    snapctl show --json "$(image)" | jq -r .reason | grep -q '^ready' || fail "it was not ready"
}

@test "ready: redis --supervised systemd" {
    need redis-server
    port=$(free_port)
    ready redis-server --port "$port" --supervised systemd --save ''
    restore
    is "$(redis-cli -p "$port" incr n)" 1
    # And once more: the image has not changed.
    kill -TERM "$pid"
    "$TARGET" --wait-exit "$pid" 20
    restore
    is "$(redis-cli -p "$port" incr n)" 1
}

@test "ready: mosquitto" {
    need mosquitto
    port=$(free_port)
    printf 'listener %d 127.0.0.1\nallow_anonymous true\n' "$port" >"$scratch/work/mosquitto.conf"
    ready mosquitto -c "$scratch/work/mosquitto.conf"
    restore
    mqtt publish new "another"
    is "$(mqtt retained new)" another
}

@test "ready: php-fpm with its workers" {
    need php-fpm8.2
    cat >"$scratch/work/fpm.conf" <<END
[global]
error_log = $scratch/work/fpm.log
pid = $scratch/work/fpm.pid
daemonize = no
[www]
listen = $scratch/work/fpm.sock
pm = static
pm.max_children = 2
END
    [ "$(id -u)" != 0 ] || printf 'user = nobody\ngroup = nogroup\nlisten.mode = 0666\n' >>"$scratch/work/fpm.conf"
    echo '<?php echo 6 * 7, " ", getenv("NOTIFY_SOCKET") === false ? "clean" : "dirty";' >"$scratch/work/x.php"
    chmod 644 "$scratch/work/x.php"
    ready php-fpm8.2 --nodaemonize --fpm-config "$scratch/work/fpm.conf"
    rm -f "$scratch/work/fpm.sock"
    restore
    is "$(timeout 20 "$python" "$real/fcgi.py" "$scratch/work/fpm.sock" "$scratch/work/x.php")" "42 clean"
}

@test "ready: PostgreSQL" {
    local bin=/usr/lib/postgresql/15/bin as=()
    [ -x $bin/postgres ] || skip "PostgreSQL is not installed"
    port=$(free_port)
    mkdir "$scratch/work/data"
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid postgres --regid postgres --clear-groups --)
        chown postgres: "$scratch/work" "$scratch/work/data"
    fi
    chmod 700 "$scratch/work/data"
    "${as[@]}" $bin/initdb -A trust -N -D "$scratch/work/data" >/dev/null
    ready "${as[@]}" $bin/postgres -D "$scratch/work/data" -p "$port" -k "$scratch/work"
    restore
    is "$(timeout 20 psql -h 127.0.0.1 -p "$port" -U postgres -d postgres -tAc 'select 6 * 7')" 42
    timeout 20 psql -h 127.0.0.1 -p "$port" -U postgres -d postgres -qc 'create table t (i int); checkpoint'
    kill -INT "$pid" # fast shutdown
    "$TARGET" --wait-exit "$pid" 20
    $bin/pg_controldata "$scratch/work/data" | grep -q 'cluster state: *shut down'
}
