# shellcheck shell=bash
# Real programs: how each is started, filled before the dump, and asked afterwards. For a program NAME:
#   command_NAME   sets `command`; it has to listen on $port of 127.0.0.1
#   fill_NAME      (running programs) puts in what must be there afterwards
#   check_NAME     asks for it; $launched is 1 where the program was dumped before anybody could fill it
# shellcheck source-path=SCRIPTDIR source=snap.bash
. "$(dirname "${BASH_SOURCE[0]}")/snap.bash"
real=$(cd "$(dirname "${BASH_SOURCE[0]}")/../real" && pwd)
python=/usr/bin/python3
dump_options=() # a command_NAME may say when its program is ready

need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

# is GOT WANTED
is() { [ "$1" = "$2" ] || fail "got \"$1\" instead of \"$2\""; }

# What the next request is answered with: counters go on where they were.
is_number() { # PORT NUMBER [REST]
    is "$(get "$1")" "$2${3:+ $3}"
}

# ---- the whole way -------------------------------------------------------------------------------------------

# running NAME [ALLOW,...] [-- RESTORE OPTION...]: from a running process
running() {
    local name=$1 allow=
    shift
    if [ $# -gt 0 ] && [ "$1" != -- ]; then
        allow=$1
        shift
    fi
    [ $# = 0 ] || shift
    launched=0 port=$(free_port)
    "command_$name"
    start "$name.log" "${command[@]}"
    wait_port "$port"
    "fill_$name"
    # The last client's connection is about to end.
    until_true snapctl check --pid "$pid" >/dev/null || fail "check: $(cat "$scratch/said")"
    see before "$pid"
    dump_pid "$pid"
    restore "$@"
    see after "$pid"
    same before after "$allow"
    "check_$name"
    kill -0 "$pid" || fail "it has ended"
}

# from_start NAME [-- RESTORE OPTION...]: from `dump PROGRAM`, which waits until it is quiet
from_start() {
    local name=$1
    shift
    [ $# = 0 ] || shift
    launched=1 port=$(free_port)
    "command_$name"
    snapctl dump "${dump_options[@]}" -o "$(image)" -- "${command[@]}" || fail "dump failed"
    ! listens "$port" || fail "the launched program lives on"
    restore "$@"
    listens "$port" || fail "it does not listen any more"
    "check_$name"
    kill -0 "$pid" || fail "it has ended"
}

# ---- servers that count --------------------------------------------------------------------------------------------

fill_counter() {
    is_number "$port" 1 "$1"
    is_number "$port" 2 "$1"
}

check_counter() {
    local i=$((launched ? 1 : 3))
    is_number "$port" "$i" "$1"
    is_number "$port" $((i + 1)) "$1"
}

command_static() { command=("${SERVER:?}" "$port" 3); }
fill_static() { fill_counter; }
check_static() { check_counter; }

# Three processes of two threads that count in memory they share.
command_forked() { command=("${SERVER:?}" "$port" 2 3); }
fill_forked() { fill_counter; }
check_forked() { check_counter; }

command_musl() { command=("${SERVER_MUSL:?}" "$port" 2); }
fill_musl() { fill_counter; }
check_musl() { check_counter; }

command_rust() {
    [ -n "${SERVER_RUST:-}" ] || skip "rustc is not installed"
    command=("$SERVER_RUST" "$port")
}
fill_rust() { fill_counter; }
check_rust() { check_counter; }

command_ruby() {
    need ruby
    command=(ruby "$real/server.rb" "$port")
}
fill_ruby() { fill_counter; }
check_ruby() { check_counter; }

command_perl() {
    need perl
    command=(perl "$real/server.pl" "$port")
}
fill_perl() { fill_counter; }
check_perl() { check_counter; }

command_numpy() { command=("$python" "$real/servers.py" numpy "$port"); }
fill_numpy() { fill_counter "wrong 0 sum True"; }
check_numpy() { check_counter "wrong 0 sum True"; }

command_java() {
    need javac
    [ -e "$scratch/work/Server.class" ] || javac -d "$scratch/work" "$real/Server.java"
    command=(java -Xmx256m -cp "$scratch/work" Server "$port")
}
fill_java() { fill_counter 4711; }
check_java() { check_counter 4711; }

command_node() {
    need node
    cp "$real/server.js" "$scratch/work"
    command=(node "$scratch/work/server.js" "$port")
}
fill_node() {
    is "$(get "$port")" "1 4711 2"
    is "$(get "$port")" "2 4711 4"
}
check_node() {
    local i=$((launched ? 1 : 3))
    is "$(get "$port")" "$i 4711 $((2 * i))"
}

# ---- servers with data ------------------------------------------------------------------------------------------------

command_redis() {
    need redis-server
    command=(redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$scratch/work" --enable-debug-command yes)
}
redis() { timeout 20 redis-cli -p "$port" "$@"; }
fill_redis() {
    is "$(redis SET kept 'a value')" OK
    is "$(redis RPUSH list a b c)" 3
    is "$(redis INCR counter)" 1
}
check_redis() {
    if [ $launched = 0 ]; then
        is "$(redis GET kept)" 'a value'
        is "$(redis LLEN list)" 3
        is "$(redis INCR counter)" 2
    fi
    is "$(redis SET new x)" OK
    is "$(redis GET new)" x
}

# 200 MB of keys
command_large_redis() { command_redis; }
fill_large_redis() {
    is "$(redis DEBUG POPULATE 200000 key 1000)" OK
    digest=$(redis DEBUG DIGEST)
}
check_large_redis() {
    is "$(redis DBSIZE)" 200000
    is "$(redis DEBUG DIGEST)" "$digest"
    is "$(redis SET new x)" OK
}

command_memcached() {
    need memcached
    command=(memcached -u nobody -l 127.0.0.1 -p "$port" -U 0 -m 64)
}
memcached_says() { # COMMAND NUMBER: the first NUMBER lines of the answer
    timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"; printf "$2" >&3; head -n "$3" <&3 | tr -d "\r"' - "$port" "$1" "$2"
}
fill_memcached() {
    is "$(memcached_says 'set kept 0 0 5\r\nvalue\r\n' 1)" STORED
    is "$(memcached_says 'set count 0 0 1\r\n1\r\n' 1)" STORED
}
check_memcached() {
    if [ $launched = 0 ]; then
        is "$(memcached_says 'get kept\r\n' 2 | tail -n 1)" value
        is "$(memcached_says 'incr count 1\r\n' 1)" 2
    fi
    is "$(memcached_says 'set new 0 0 1\r\nx\r\n' 1)" STORED
}

command_python() {
    echo "a file" >"$scratch/work/file"
    command=("$python" -m http.server --bind 127.0.0.1 --directory "$scratch/work" "$port")
}
fill_python() { is "$(get "$port" file)" "a file"; }
check_python() {
    is "$(get "$port" file)" "a file"
    echo "another" >"$scratch/work/new"
    is "$(get "$port" new)" another
}

command_lighttpd() {
    need lighttpd
    echo "a file" >"$scratch/work/file"
    printf '%s\n' "server.document-root = \"$scratch/work\"" "server.port = $port" 'server.bind = "127.0.0.1"' \
        'server.modules = ("mod_status")' 'status.statistics-url = "/statistics"' >"$scratch/lighttpd.conf"
    command=(lighttpd -D -f "$scratch/lighttpd.conf")
}
fill_lighttpd() { is "$(get "$port" file)" "a file"; }
check_lighttpd() { fill_lighttpd; }

command_dnsmasq() {
    need dnsmasq
    command=(dnsmasq --keep-in-foreground --port="$port" --listen-address=127.0.0.1 --bind-interfaces --no-resolv
        --no-hosts --conf-file=/dev/null --pid-file= --user=root --address=/kept.test/10.1.2.3)
}
fill_dnsmasq() { is "$("$python" "$real/dns.py" "$port" kept.test)" 10.1.2.3; }
check_dnsmasq() { fill_dnsmasq; }

command_mosquitto() {
    need mosquitto
    command=(mosquitto -p "$port")
}
mqtt() { timeout 20 "$python" "$real/mqtt.py" "$port" "$@"; }
fill_mosquitto() { mqtt publish kept "a message"; }
check_mosquitto() {
    [ $launched = 1 ] || is "$(mqtt retained kept)" "a message"
    mqtt publish new "another"
    is "$(mqtt retained new)" another
}
