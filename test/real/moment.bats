#!/usr/bin/env bats
# dump --until=...: every condition with a program of Debian that reaches it, restored and asked. `ready` has
# ready.bats, `effect` and `checkin` have startup.bats; what is special about each, roundtrip/until.bats.
# not beside others: ptys
load ../helpers/real

# moment UNTIL REASON OPTION... -- PROGRAM...: dumped then, and for that reason; what was said is in $scratch/dumped
moment() {
    local until=$1 wanted=$2 reason
    shift 2
    snapctl dump -o "$(image)" --until="$until" "$@" || fail "dump failed"
    cp "$scratch/said" "$scratch/dumped"
    reason=$(snapctl show --json "$(image)" | jq -r .reason)
    # shellcheck disable=SC2053
    [[ $reason == $wanted ]] || fail "$reason"
}

redis_server() {
    need redis-server
    port=$(free_port)
    command=(redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$scratch/work")
}

works() {
    restore
    wait_port "$port"
    is "$(timeout 20 redis-cli -p "$port" incr n)" 1
}

@test "moment: quiescent, redis" {
    redis_server
    moment quiescent 'quiescent:*' -- "${command[@]}"
    works
}

@test "moment: listen on a port, nginx with its workers" {
    need nginx
    port=$(free_port)
    mkdir "$scratch/work/www"
    echo "a page" >"$scratch/work/www/index.html"
    cat >"$scratch/work/nginx.conf" <<END
daemon off;
worker_processes 2;
pid $scratch/work/nginx.pid;
error_log stderr;
events {}
http { access_log off; server { listen 127.0.0.1:$port; root $scratch/work/www; } }
END
    chmod -R a+rX "$scratch/work"
    # The master listens before it has workers, and goes on to make them: the moment has nothing to say about that.
    moment "listen=$port" "listen $port:*" -- nginx -c "$scratch/work/nginx.conf"
    restore
    is "$(get "$port")" "a page"
}

@test "moment: listen at a path, memcached" {
    need memcached
    local sock=$scratch/work/memcached.sock
    moment "listen=$sock" "listen $sock:*" -- memcached -u nobody -s "$sock"
    rm -f "$sock"
    restore
    is "$(printf 'set k 0 0 1\r\nx\r\nquit\r\n' | timeout 10 socat -t5 - "UNIX-CONNECT:$sock" | tr -d '\r')" STORED
}

@test "moment: output into a pipe, redis" {
    redis_server
    moment 'output=Ready to accept connections' 'output "*Ready to accept connections*' -- "${command[@]}"
    grep -q 'Ready to accept connections' "$scratch/dumped"
    if snapctl show "$(image)" | grep -q 'pipe:.*stdout'; then fail "the pipe is in the image"; fi
    works
}

@test "moment: output on a terminal, bash" {
    need script
    cat >"$scratch/work/tell.sh" <<'END'
tty <&1 >before
echo 'in color'
while [ ! -e restored ]; do read -rt 0.01 <>fifo; done
tty <&1 >after
END
    mkfifo "$scratch/work/fifo"
    (
        cd "$scratch/work"
        timeout 60 script -qec "$SNAPCTL dump -o $(image) --leave-running --until='output=^in color' bash tell.sh" \
            typescript </dev/null >/dev/null
    )
    grep -q '^in color' "$scratch/work/typescript"
    snapctl show --json "$(image)" | jq -r .reason | grep -q '^output "in color"'
    # While it waited it had a terminal of its own; the image has that of snapctl, and one only.
    grep -q '^/dev/pts/' "$scratch/work/before"
    [ "$(snapctl show "$(image)" | grep -o '/dev/pts/[0-9]*' | sort -u | wc -l)" = 1 ]
    if snapctl show "$(image)" | grep -qF "$(cat "$scratch/work/before")"; then fail "it has got the one in between"; fi
}

@test "moment: probe with curl, node" {
    need node
    local port
    port=$(free_port)
    command_node
    moment "probe=curl -sf -o /dev/null localhost:$port" 'probe `curl*try *' --probe-interval 100ms -- "${command[@]}"
    restore
    # The probe that succeeded was its first client.
    is "$(get "$port")" "2 4711 4"
}

@test "moment: probe and a warm-up with curl, lighttpd" {
    port=$(free_port)
    command_lighttpd
    moment "probe=curl -sf localhost:$port/file" 'probe `curl*' --warmup "curl -sSf localhost:$port/file" -- \
        "${command[@]}"
    grep -q '^a file' "$scratch/dumped"
    restore
    is "$(get "$port" file)" "a file"
}

@test "moment: syscall, before redis listens" {
    redis_server
    moment syscall=listen 'syscall listen, the 1st, at listen+*libc.so.6*' -- "${command[@]}"
    works # it binds when it is made, and listens when it is restored
}

@test "moment: syscall by number, sqlite's second fdatasync" {
    need sqlite3
    local n
    n=$scratch/work/base.db
    moment syscall=fdatasync:2 'syscall fdatasync, the 2nd, at *' -- sqlite3 "$n" \
        'create table t (x); insert into t values (42); select x from t;'
    snapctl restore "$(image)"
    is "$(tail -n 1 "$scratch/said")" 42
    is "$(sqlite3 "$n" 'select x from t')" 42
}

@test "moment: signal, redis supervised by upstart raises SIGSTOP" {
    redis_server
    moment signal=STOP 'signal SIGSTOP:*' -- env UPSTART_JOB=redis "${command[@]}" --supervised upstart
    works # it is not stopped
}

@test "moment: exec, sh becomes redis" {
    redis_server
    # shellcheck disable=SC2016
    moment exec 'exec */redis-*, the 1st:*' -- sh -c 'exec "$@"' - "${command[@]}"
    ! grep -q 'Redis is starting' "$scratch/dumped" || fail "it has begun"
    works
}

@test "moment: after some time, ruby" {
    need ruby
    port=$(free_port)
    moment after=1s 'after=1s:*' -- ruby "$real/server.rb" "$port"
    restore
    wait_port "$port"
    is_number "$port" 1
}

@test "moment: effect, bash before its first child" {
    # shellcheck disable=SC2016
    moment effect=-identity,-clock,-random,-output 'effect (process): clone*' -- \
        bash -c 'declare -A seen; for i in {1..1000}; do seen[$i]=1; done; echo "${#seen[@]} $(exec -a "$0" expr 6 "*" 7)"' x
    snapctl restore "$(image)"
    is "$(tail -n 1 "$scratch/said")" "1000 42"
}
