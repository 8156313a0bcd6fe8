# shellcheck shell=bash disable=SC2034,SC2154
# Interpreters, compilers and frameworks; see web.bash. Servers of them count what they were asked.

count() { get >"$dir.count"; }
# More than before, if there was a before.
ask_count() {
    local was=0 now
    [ ! -s "$dir.count" ] || was=$(cat "$dir.count")
    get >"$dir.now" && now=$(cat "$dir.now") && [ "$now" = $((was + 1)) ] || { echo "was $was, is now ${now:-}"; return 1; }
    echo "$now" >"$dir.count"
}

py() { # NAME: python program from standard input
    cat >"$dir/$1.py"
    command=(/usr/bin/python3 "$dir/$1.py" "$port")
}
has_module() { /usr/bin/python3 -c "import $1" 2>/dev/null || exit 77; }

run_asyncio() {
    py server <<'END'
import asyncio, sys
count = 0
async def ticker():
    while True:
        await asyncio.sleep(0.2)
async def on(r, w):
    global count
    await r.readline()
    count += 1
    w.write(b"HTTP/1.0 200 OK\r\n\r\n%d" % count)
    await w.drain(); w.close()
async def main():
    asyncio.create_task(ticker())
    await asyncio.create_subprocess_exec("sleep", "1000")
    await (await asyncio.start_server(on, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
END
}
ask_asyncio() { ask_count; }

asgi() {
    cat >"$dir/app.py" <<'END'
count = 0
async def app(scope, receive, send):
    global count
    if scope["type"] != "http": return
    count += 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % count})
END
}
run_uvicorn() { need uvicorn; asgi; command=(uvicorn --app-dir "$dir" --host 127.0.0.1 --port "$port" app:app); }
ask_uvicorn() { ask_count; }
run_uvicorn_uvloop() { has_module uvloop; run_uvicorn; command+=(--loop uvloop); }
ask_uvicorn_uvloop() { ask_count; }
run_uvicorn_workers() { run_uvicorn; command+=(--workers 2); }
ask_uvicorn_workers() { [ "$(get)" -gt 0 ]; }
run_flask() {
    has_module flask
    py app <<'END'
import sys, flask
app = flask.Flask("x")
app.count = 0
@app.route("/")
def hello():
    app.count += 1
    return str(app.count)
if __name__ == "__main__": app.run("127.0.0.1", int(sys.argv[1]), debug="debug" in sys.argv)
END
}
ask_flask() { ask_count; }
# It watches its files from one process and serves from another.
run_flask_reloader() { run_flask; command+=(debug); }
ask_flask_reloader() { ask_count; }
run_aiohttp() {
    has_module aiohttp
    py server <<'END'
import sys
from aiohttp import web
count = 0
async def on(request):
    global count
    count += 1
    return web.Response(text=str(count))
app = web.Application(); app.add_routes([web.get("/", on)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
END
}
ask_aiohttp() { ask_count; }
run_django() {
    has_module django
    py manage <<'END'
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
count = 0
def on(request):
    global count
    count += 1
    return HttpResponse(str(count))
urlpatterns = [path("", on)]
settings.configure(DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
if __name__ == "__main__":
    execute_from_command_line(["manage.py", "runserver", "127.0.0.1:" + sys.argv[1]])
END
}
ask_django() { ask_count; }
run_celery() {
    has_module celery
    need redis-server
    # Its broker is outside.
    ways="running ns again" dump_options=--tcp-established restore_options=--tcp-established
    redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$dir" >/dev/null 2>&1 </dev/null &
    printf 'import celery\napp = celery.Celery("t", broker="redis://127.0.0.1:%s/0", backend="redis://127.0.0.1:%s/0")\n@app.task\ndef add(x, y): return x + y\n' "$port" "$port" >"$dir/t.py"
    /usr/bin/python3 -c 'import redis' 2>/dev/null || exit 77
    command=(/usr/bin/python3 -m celery -A t worker --concurrency 2)
}
ask_celery() { is "$(cd "$dir" && timeout 15 /usr/bin/python3 -c 'import t; print(t.add.delay(2, 3).get(timeout=12))' 2>&1 | tail -n 1)" 5; }
run_multithread() {
    py server <<'END'
import sys, threading, queue, time, http.server, concurrent.futures, multiprocessing.shared_memory as sm
pool = concurrent.futures.ThreadPoolExecutor(8)
procs = concurrent.futures.ProcessPoolExecutor(2)
mem = sm.SharedMemory(create=True, size=65536)
count = 0
def square(x): return x * x
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        count += 1
        assert list(pool.map(square, range(9))) == list(procs.map(square, range(9)))
        mem.buf[0] = count & 255
        self.send_response(200); self.end_headers(); self.wfile.write(b"%d" % count)
    def log_message(*a): pass
if __name__ == "__main__":
    for _ in range(5): threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()
    list(procs.map(square, range(9)))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
END
}
ask_multithread() { ask_count; }
run_uwsgi() {
    need uwsgi
    printf 'count = 0\ndef application(env, start):\n    global count\n    count += 1\n    start("200 OK", [])\n    return [b"%%d" %% count]\n' >"$dir/app.py"
    command=(uwsgi --plugin python3 --http-socket "127.0.0.1:$port" --wsgi-file "$dir/app.py" --master --processes 2 --threads 2 --need-app)
}
ask_uwsgi() { [ "$(get)" -gt 0 ]; }
run_gunicorn_threads() {
    need gunicorn
    printf 'count = 0\ndef app(env, start):\n    global count\n    count += 1\n    start("200 OK", [])\n    return [b"%%d" %% count]\n' >"$dir/app.py"
    command=(gunicorn --workers 1 --threads 4 --bind "127.0.0.1:$port" --pythonpath "$dir" app:app)
}
ask_gunicorn_threads() { ask_count; }

ruby_app() { printf '$count = 0\nrun lambda { |e| $count += 1; [200, {"Content-Type" => "text/plain"}, [$count.to_s]] }\n' >"$dir/config.ru"; }
run_puma() { need puma; ruby_app; command=(puma -b "tcp://127.0.0.1:$port" -t 4:4 "$dir/config.ru"); }
ask_puma() { ask_count; }
run_puma_cluster() { run_puma; command=(puma -w 2 -b "tcp://127.0.0.1:$port" -t 2:2 "$dir/config.ru"); }
ask_puma_cluster() { [ "$(get)" -gt 0 ]; }
run_unicorn() { need unicorn; ruby_app; printf 'worker_processes 2\n' >"$dir/u.rb"; command=(unicorn -c "$dir/u.rb" -l "127.0.0.1:$port" "$dir/config.ru"); }
ask_unicorn() { [ "$(get)" -gt 0 ]; }
run_thin() { need thin; ruby_app; command=(thin -a 127.0.0.1 -p "$port" -R "$dir/config.ru" start); }
ask_thin() { ask_count; }

run_node_cluster() {
    need node
    cat >"$dir/s.js" <<END
const c = require('cluster'), http = require('http'), { Worker, isMainThread } = require('worker_threads');
if (c.isPrimary) { c.fork(); c.fork(); require('fs').watch('$dir'); setInterval(() => {}, 100); }
else { new Worker('setInterval(() => {}, 50)', { eval: true }); http.createServer((q, a) => a.end('hello')).listen($port, '127.0.0.1'); }
END
    command=(node "$dir/s.js")
}
ask_node_cluster() { is "$(get)" hello; }
run_node_spawn() {
    need node
    cat >"$dir/s.js" <<END
const http = require('http'), { spawn } = require('child_process');
const cat = spawn('cat'); let waiting = [];
cat.stdout.on('data', d => waiting.shift().end(d));
http.createServer((q, a) => { waiting.push(a); cat.stdin.write('through cat'); }).listen($port, '127.0.0.1');
END
    command=(node "$dir/s.js")
}
ask_node_spawn() { is "$(get)" "through cat"; }

run_go() {
    need go
    cat >"$dir/s.go" <<'END'
package main
import ("fmt"; "net/http"; "os"; "os/signal"; "sync/atomic"; "syscall"; "time")
func main() {
	var n, ticks int64
	go func() { for range time.Tick(5 * time.Millisecond) { atomic.AddInt64(&ticks, 1) } }()
	for i := 0; i < 50; i++ { go func() { c := make(chan int); select { case <-c: case <-time.After(time.Hour): } }() }
	sig := make(chan os.Signal, 1); signal.Notify(sig, syscall.SIGHUP)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		before := atomic.LoadInt64(&ticks); time.Sleep(30 * time.Millisecond)
		if atomic.LoadInt64(&ticks) == before { fmt.Fprint(w, "no tick"); return }
		fmt.Fprint(w, atomic.AddInt64(&n, 1)) })
	http.ListenAndServe("127.0.0.1:" + os.Args[1], nil)
}
END
    [ -x "$scratch/go-server" ] || (cd "$dir" && HOME=$dir GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=$scratch/gocache go build -o "$scratch/go-server" s.go)
    command=("$scratch/go-server" "$port")
}
ask_go() { ask_count; }

run_erlang() {
    need erl
    cat >"$dir/s.erl" <<'END'
-module(s).
-export([start/1]).
start([P]) ->
    {ok, L} = gen_tcp:listen(list_to_integer(atom_to_list(P)), [binary, {active, false}, {ip, {127,0,0,1}}, {reuseaddr, true}]),
    loop(L, 1).
loop(L, N) ->
    {ok, S} = gen_tcp:accept(L),
    gen_tcp:recv(S, 0),
    gen_tcp:send(S, ["HTTP/1.0 200 OK\r\n\r\n", integer_to_list(N)]),
    gen_tcp:close(S),
    loop(L, N + 1).
END
    (cd "$dir" && erlc s.erl)
    command=(erl -noshell -noinput -pa "$dir" -s s start "$port")
}
ask_erlang() { ask_count; }

run_sbcl() {
    need sbcl
    cat >"$dir/s.lisp" <<END
(require :sb-bsd-sockets)
(let ((s (make-instance 'sb-bsd-sockets:inet-socket :type :stream :protocol :tcp)) (n 0))
  (setf (sb-bsd-sockets:sockopt-reuse-address s) t)
  (sb-bsd-sockets:socket-bind s #(127 0 0 1) $port) (sb-bsd-sockets:socket-listen s 5)
  (loop (let* ((c (sb-bsd-sockets:socket-accept s)) (st (sb-bsd-sockets:socket-make-stream c :input t :output t)))
    (ignore-errors (read-line st) (format st "HTTP/1.0 200 OK~c~c~c~c~d" #\return #\newline #\return #\newline (incf n)) (finish-output st))
    (sb-ext:gc) (close st))))
END
    command=(sbcl --script "$dir/s.lisp")
}
ask_sbcl() { ask_count; }
run_guile() {
    need guile
    cat >"$dir/s.scm" <<END
(use-modules (web server) (web request))
(define n 0)
(run-server (lambda (request body) (set! n (+ n 1)) (values '((content-type . (text/plain))) (number->string n))) 'http '(#:port $port))
END
    command=(env GUILE_AUTO_COMPILE=0 guile "$dir/s.scm")
}
ask_guile() { ask_count; }
run_tcl() {
    need tclsh
    cat >"$dir/s.tcl" <<END
set n 0
proc on {s a p} { fconfigure \$s -translation crlf; fileevent \$s readable [list answer \$s] }
proc answer s { global n; gets \$s; incr n; puts -nonewline \$s "HTTP/1.0 200 OK\n\n\$n"; close \$s }
socket -server on -myaddr 127.0.0.1 $port
proc tick {} { after 100 tick }
tick
vwait forever
END
    command=(tclsh "$dir/s.tcl")
}
ask_tcl() { ask_count; }
run_ghc() {
    need ghc
    cat >"$dir/s.hs" <<'END'
import Control.Concurrent
import Control.Monad
main = do
  m <- newMVar (0 :: Integer)
  forM_ [1 .. 20] $ \i -> forkIO $ forever $ do { modifyMVar_ m (return . (+ 1)); threadDelay 100000 }
  forever $ do { n <- readMVar m; appendFile "ticks" (show n ++ "\n"); threadDelay 50000 }
END
    [ -x "$scratch/hs" ] || (cd "$dir" && ghc -O0 -threaded -o "$scratch/hs" s.hs >/dev/null 2>&1)
    command=("$scratch/hs" +RTS -N2)
}
ask_ghc() { # it goes on, and never back
    local was
    was=$(wc -l <"$dir/ticks") && until_true more_than "$was" && sort -nc "$dir/ticks"
}
more_than() { [ "$(wc -l <"$dir/ticks")" -gt "$1" ]; }
run_ocaml() {
    need ocamlfind ocamlopt
    printf 'let () = let n = ref 0 in while true do incr n; let o = open_out_gen [Open_append; Open_creat] 0o644 "ticks" in Printf.fprintf o "%%d\\n" !n; close_out o; Unix.sleepf 0.05 done\n' >"$dir/s.ml"
    (cd "$dir" && ocamlfind ocamlopt -package unix -linkpkg s.ml -o s >/dev/null 2>&1)
    command=("$dir/s")
}
ask_ocaml() { ask_ghc; }
run_lua() {
    need lua5.4
    # shellcheck disable=SC2016
    printf 'local n = 0\nwhile true do n = n + 1; local f = io.open("ticks", "a"); f:write(n, "\\n"); f:close(); os.execute("sleep 0.05") end\n' >"$dir/s.lua"
    command=(lua5.4 "$dir/s.lua") ways="running ns again"
}
ask_lua() { ask_ghc; }
run_r() {
    need Rscript
    printf 'n <- 0\nrepeat { n <- n + 1; cat(n, "\\n", sep="", file="ticks", append=TRUE); x <- sum(rnorm(1000)); Sys.sleep(0.05) }\n' >"$dir/s.R"
    command=(Rscript --vanilla "$dir/s.R")
}
ask_r() { ask_ghc; }
run_octave() {
    need octave-cli
    printf 'n = 0; while true; n++; A = rand(50); f = fopen("ticks", "a"); fprintf(f, "%%d\\n", n); fclose(f); pause(0.05); end\n' >"$dir/s.m"
    command=(octave-cli --no-gui --no-history "$dir/s.m")
}
ask_octave() { ask_ghc; }
run_mono() {
    need mcs mono
    printf 'using System; using System.IO; using System.Threading; class S { static void Main() { for (int n = 1; ; n++) { File.AppendAllText("ticks", n + "\\n"); Thread.Sleep(50); } } }\n' >"$dir/s.cs"
    (cd "$dir" && mcs s.cs)
    command=(mono "$dir/s.exe")
}
ask_mono() { ask_ghc; }
run_elixir() {
    need elixir
    printf 'loop = fn f, n -> File.write!("ticks", "#{n}\\n", [:append]); Process.sleep(50); f.(f, n + 1) end\nloop.(loop, 1)\n' >"$dir/s.exs"
    command=(elixir "$dir/s.exs")
}
ask_elixir() { ask_ghc; }
run_java_nio() {
    need javac
    cat >"$dir/S.java" <<'END'
import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.util.concurrent.*;
public class S { public static void main(String[] a) throws Exception {
  ScheduledExecutorService e = Executors.newScheduledThreadPool(4); e.scheduleAtFixedRate(() -> {}, 0, 20, TimeUnit.MILLISECONDS);
  ForkJoinPool.commonPool().submit(() -> {}).get();
  WatchService w = FileSystems.getDefault().newWatchService(); Paths.get(".").register(w, StandardWatchEventKinds.ENTRY_CREATE);
  MappedByteBuffer m = FileChannel.open(Paths.get("mapped"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE).map(FileChannel.MapMode.READ_WRITE, 0, 65536);
  ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
  AsynchronousServerSocketChannel s = AsynchronousServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])));
  for (;;) { AsynchronousSocketChannel c = s.accept().get(); c.read(ByteBuffer.allocate(500)).get(); m.putInt(0, m.getInt(0) + 1);
    c.write(ByteBuffer.wrap(("HTTP/1.0 200 OK\r\n\r\n" + m.getInt(0)).getBytes())).get(); c.close(); } } }
END
    (cd "$dir" && javac S.java)
    command=(java -Xmx128m -XX:+UseZGC -cp "$dir" S "$port")
}
ask_java_nio() { ask_count; }
