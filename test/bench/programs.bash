# shellcheck shell=bash
# The servers that bench and soak use. Sets, for `program NAME PORT DIR`:
#   command  how to start it, listening on PORT of 127.0.0.1, with files of its own in DIR
#   request  what to send it to get an answer (with \r \n)
# Returns 1 where it is not installed.

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# shellcheck disable=SC2034 # used by those who include this
program() {
    local name=$1 port=$2 dir=$3 here python=/usr/bin/python3
    here=$(dirname "${BASH_SOURCE[0]}")
    [ -x $python ] || python=python3
    request='GET / HTTP/1.0\r\n\r\n'
    case $name in
    static) command=("${SERVER:?}" "$port") ;;
    redis)
        command -v redis-server >/dev/null || return 1
        command=(redis-server --port "$port" --bind 127.0.0.1 --save '' --loglevel warning --dir "$dir")
        request='PING\r\nQUIT\r\n'
        ;;
    python) command=("$python" -m http.server --bind 127.0.0.1 --directory "$dir" "$port") ;;
    node)
        command -v node >/dev/null || return 1
        command=(node -e "require('http').createServer((q, a) => a.end('hello\n')).listen($port, '127.0.0.1')")
        ;;
    java)
        command -v javac >/dev/null || return 1
        [ -e "$dir/Server.class" ] || javac -d "$dir" "$here/Server.java" || return 1
        command=(java -cp "$dir" Server "$port")
        ;;
    *) return 1 ;;
    esac
}
