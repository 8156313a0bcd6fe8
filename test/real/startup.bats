#!/usr/bin/env bats
# Programs with much to load, dumped when they have loaded it; one image, and three restores that are told different
# things. The programs are those of doc/examples.
load ../helpers/real

examples=$PWD/doc/examples

# thrice [WORD]: restored with a port and a greeting of its own each time; what it answers begins with that
thrice() {
    local i answer
    for i in 1 2 3; do
        [ -n "${fixed:-}" ] || port=$(free_port)
        restore --setenv PORT="$port" --setenv GREETING="instance-$i"
        wait_port "$port"
        answer=$(get "$port")
        [[ $answer == "instance-$i"* ]] || fail "instance $i says $answer"
        echo "$answer" >>"$scratch/answers"
        kill -KILL "$pid"
        "$TARGET" --wait-exit "$pid" 20
        until_true gone "$pid"
    done
    [ "$(sort -u "$scratch/answers" | wc -l)" = 3 ]
}

reason_is() {
    local reason
    reason=$(snapctl show --json "$(image)" | jq -r .reason)
    # shellcheck disable=SC2053
    [[ $reason == $1 ]] || fail "$reason"
}

@test "start-up: Python that checks in" {
    snapctl dump -o "$(image)" --until=checkin env PYTHONPATH="$PWD/lib/python" \
        LIBSNAPCTL="$BUILD/libsnapctl.so.0" "$python" "$examples/server.py"
    reason_is 'checkin of process*'
    thrice
}

@test "start-up: Python before its first effect" {
    # It writes no .pyc and connects nowhere: the first effect is the address of its socket.
    snapctl dump -o "$(image)" --until=effect=-identity,-clock,-random env PYTHONDONTWRITEBYTECODE=1 \
        PYTHONPATH="$PWD/lib/python" LIBSNAPCTL="$BUILD/libsnapctl.so.0" "$python" -c "
import asyncio, decimal, http.server, json, numpy, sqlite3, os, snapctl
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write((snapctl.env()['GREETING'] + '\n').encode())
os.mkdir('first-effect')
http.server.HTTPServer(('127.0.0.1', int(snapctl.env()['PORT'])), H).serve_forever()"
    reason_is 'effect (files): mkdir "first-effect"*'
    thrice_after() { rm -rf "$scratch/work/first-effect"; }
    local i
    for i in 1 2 3; do
        thrice_after
        port=$(free_port)
        restore --setenv PORT="$port" --setenv GREETING="instance-$i"
        wait_port "$port"
        is "$(get "$port")" "instance-$i"
        kill -KILL "$pid"
        "$TARGET" --wait-exit "$pid" 20
        until_true gone "$pid"
    done
}

@test "start-up: Node before its first effect" {
    need node
    cp "$examples/server.js" "$examples/restored.js" "$scratch/work"
    snapctl dump -o "$(image)" --until=effect=-identity,-clock,-random env LD_PRELOAD="$BUILD/libsnapctl.so.0" \
        node server.js
    reason_is 'effect (files): mkdir "started"*'
    thrice
}

@test "start-up: Python with heavy imports, when it says that it is ready" {
    local fixed=1
    port=$(free_port)
    snapctl dump -o "$(image)" --until=ready env PORT="$port" PYTHONPATH="$PWD/lib/python" \
        LIBSNAPCTL="$BUILD/libsnapctl.so.0" "$python" "$examples/server.py"
    reason_is 'ready (serving):*'
    thrice
}

@test "start-up: Node when it says that it is ready" {
    need node
    need systemd-notify
    local fixed=1
    port=$(free_port)
    cp "$examples/server.js" "$examples/restored.js" "$scratch/work"
    snapctl dump -o "$(image)" --until=ready env PORT="$port" LD_PRELOAD="$BUILD/libsnapctl.so.0" node server.js
    reason_is 'ready:*'
    thrice
}

# jetty UNTIL OPTION...: dumped; what comes behind -- is for Java and Jetty
jetty() {
    local jars=/usr/share/java option=() until=$1
    shift
    need javac
    [ -e $jars/jetty9-server.jar ] || skip "libjetty9-java is not installed"
    while [ "$1" != -- ]; do
        option+=("$1")
        shift
    done
    shift
    jars=$jars/jetty9-server.jar:$jars/jetty9-util.jar:$jars/jetty9-http.jar:$jars/jetty9-io.jar:$jars/servlet-api.jar
    javac -cp "$jars" -d "$scratch/work" "$examples/JettyServer.java"
    snapctl dump -o "$(image)" --until="$until" "${option[@]}" env LD_PRELOAD="$BUILD/libsnapctl.so.0" \
        java -Xmx256m -XX:-UsePerfData -Dorg.eclipse.jetty.util.log.announce=false -Dorg.eclipse.jetty.LEVEL=OFF \
        -cp "$jars:$scratch/work" JettyServer "$@"
}

@test "start-up: Java with Jetty before its first effect" {
    jetty effect=-identity,-clock,-random --
    reason_is 'effect (files): write of *writeBytes*(libjava.so)*'
    if grep -q loaded "$scratch/said"; then fail "it has done it already"; fi
    thrice
}

@test "start-up: Java with Jetty when it says that it is ready" {
    local fixed=1
    need systemd-notify
    port=$(free_port)
    jetty ready -- "$port"
    reason_is 'ready:*'
    thrice
}

@test "start-up: Java with Jetty, warmed up" {
    local fixed=1
    port=$(free_port)
    jetty "listen=$port" --warmup "curl -sS localhost:$port" -- "$port"
    reason_is "listen $port*"
    thrice
}
