# shellcheck shell=bash disable=SC2034,SC2154
# Interpreters with compilers of their own, threads and processes of languages; see web.bash.

# Each counts, in the file out.
run_luajit() {
    need luajit
    # shellcheck disable=SC2016
    printf '%s\n' 'local x, n = 0, 0' 'local function f(i) x = (x * 7 + i) % 1000003 end' 'while true do for i = 1, 3000000 do f(i) end n = n + 1; local o = io.open("out", "w"); o:write(n); o:close() end' >"$dir/x.lua"
    command=(luajit "$dir/x.lua") kind=counts ways="running ns again"
}
# It must go on from where it was.
ask_counts() {
    local was now
    was=$(cat "$dir/was" 2>/dev/null || echo 0)
    counted() { now=$(cat "$dir/out" 2>/dev/null) && [ "${now:-0}" -gt "$was" ]; }
    until_soon counted || { echo "was $was, is now $now"; return 1; }
    [ "$now" -lt $((was + 100000)) ] || { echo "was $was, is now $now"; return 1; }
    echo "$now" >"$dir/was"
}
run_pypy() {
    need pypy3
    cat >"$dir/x.py" <<'END'
import os
x = n = 0
while True:
    for i in range(3000000):
        x = (x * 7 + i) % 1000003
    n += 1
    with open("out.new", "w") as f: f.write(str(n))
    os.rename("out.new", "out")
END
    command=(pypy3 "$dir/x.py") kind=counts ways="running ns again"
}
run_node_jit() {
    need node
    cat >"$dir/x.js" <<'END'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads'), fs = require('fs');
if (isMainThread) {
    const shared = new Int32Array(new SharedArrayBuffer(8));
    for (let i = 0; i < 3; i++) new Worker(__filename, { workerData: shared });
    setInterval(() => { fs.writeFileSync('out.new', String(Atomics.load(shared, 0))); fs.renameSync('out.new', 'out'); }, 50);
} else {
    for (let x = 0;; ) { for (let i = 0; i < 1e6; i++) x = (x * 7 + i) % 1000003; Atomics.add(workerData, 0, 1); Atomics.wait(workerData, 1, 0, 5); }
}
END
    command=(node "$dir/x.js") kind=counts ways="running ns again"
}
run_node_wasm() {
    need node
    cat >"$dir/x.js" <<'END'
const b = Uint8Array.from([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,5,1,1,102,0,0,10,9,1,7,0,32,0,65,1,106,11]);
const f = new WebAssembly.Instance(new WebAssembly.Module(b)).exports.f, fs = require('fs');
let n = 0;
setInterval(() => { for (let i = 0; i < 100000; i++) n = f(n); fs.writeFileSync('out.new', String(n / 100000)); fs.renameSync('out.new', 'out'); }, 20);
END
    command=(node "$dir/x.js") kind=counts ways="running ns again"
}
run_perl_threads() {
    need perl
    cat >"$dir/x.pl" <<'END'
use threads; use threads::shared; use Thread::Queue;
my $n :shared = 0; my $q = Thread::Queue->new;
threads->create(sub { while (defined(my $x = $q->dequeue)) { lock $n; $n += $x } }) for 1 .. 4;
while (1) { $q->enqueue(1); select undef, undef, undef, 0.02; open my $f, ">", "out.new"; print $f $n; close $f; rename "out.new", "out" }
END
    command=(perl "$dir/x.pl") kind=counts ways="running ns again"
}
run_tcl_threads() {
    need tclsh
    tclsh <<<"package require Thread; puts ok" 2>&1 | grep -q ok || exit 77
    cat >"$dir/x.tcl" <<'END'
package require Thread
tsv::set x n 0
for {set i 0} {$i < 3} {incr i} { thread::create { while 1 { tsv::incr x n; after 10 } } }
while 1 { after 20; set f [open out.new w]; puts -nonewline $f [tsv::get x n]; close $f; file rename -force out.new out }
END
    command=(tclsh "$dir/x.tcl") kind=counts ways="running ns again"
}
run_ruby_ractor() {
    need ruby
    cat >"$dir/x.rb" <<'END'
r = 3.times.map { Ractor.new { loop { Ractor.yield((1..1000).sum) } } }
n = 0
loop { Ractor.select(*r); n += 1; (File.write("out.new", n.to_s); File.rename("out.new", "out"); sleep 0.02) if n % 50 == 0 }
END
    command=(ruby -W0 "$dir/x.rb") kind=counts ways="running ns again"
}
run_ruby_fork() {
    need ruby
    cat >"$dir/x.rb" <<'END'
n = 0
q = Queue.new
Thread.new { loop { q << fork { exit! 3 }; sleep 0.01 } }
loop { Process.wait(q.pop); raise unless $?.exitstatus == 3; n += 1; File.write("out.new", n.to_s); File.rename("out.new", "out") }
END
    command=(ruby --jit "$dir/x.rb") kind=counts ways="running ns again"
}
run_php_pcntl() {
    need php8.2
    # shellcheck disable=SC2016
    echo '<?php for ($n = 0;;) { $p = []; for ($i = 0; $i < 3; $i++) { $f = pcntl_fork(); if (!$f) { usleep(20000); exit(7); } $p[] = $f; } foreach ($p as $f) { pcntl_waitpid($f, $s); if (pcntl_wexitstatus($s) != 7) exit(1); $n++; } file_put_contents("out.new", $n); rename("out.new", "out"); }' >"$dir/x.php"
    command=(php8.2 "$dir/x.php") kind=counts ways="running ns again"
}
run_go_work() {
    need go
    cat >"$dir/x.go" <<'END'
package main
import ("fmt"; "os"; "os/exec"; "sync"; "time")
func main() {
	c := make(chan int); var mu sync.Mutex; n := 0
	for g := 0; g < 2000; g++ { go func() { for range c { mu.Lock(); n++; mu.Unlock() } }() }
	go func() { for { c <- 1; time.Sleep(time.Millisecond) } }()
	go func() { for { if e := exec.Command("true").Run(); e != nil { os.Exit(9) } } }()
	for { time.Sleep(20 * time.Millisecond); mu.Lock(); os.WriteFile("out.new", []byte(fmt.Sprint(n)), 0644); mu.Unlock(); os.Rename("out.new", "out") }
}
END
    (cd "$dir" && HOME=$dir GO111MODULE=off go build -o x x.go >/dev/null 2>&1) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_rust_threads() {
    need rustc
    export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
    cat >"$dir/x.rs" <<'END'
use std::{fs, process::Command, sync::{mpsc, Arc, RwLock}, thread, time::Duration};
fn main() {
    let (tx, rx) = mpsc::channel(); let n = Arc::new(RwLock::new(0u64));
    for _ in 0..8 { let tx = tx.clone(); thread::spawn(move || loop { tx.send(1).unwrap(); thread::sleep(Duration::from_millis(5)) }); }
    thread::spawn(|| loop { if !Command::new("true").status().unwrap().success() { std::process::exit(9) } });
    let m = n.clone(); thread::spawn(move || for x in rx { *m.write().unwrap() += x; });
    loop { thread::sleep(Duration::from_millis(20)); fs::write("out.new", n.read().unwrap().to_string()).unwrap(); fs::rename("out.new", "out").unwrap(); }
}
END
    (cd "$dir" && rustc -O -o x x.rs 2>/dev/null) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_nim() {
    need nim
    printf '%s\n' 'import os, threadpool, osproc' 'var n = 0' 'proc f(x: int): int = sleep(5); x + 1' 'while true:' '  n = ^(spawn f(n))' '  if n mod 10 == 0:' '    writeFile("out.new", $n)' '    moveFile("out.new", "out")' >"$dir/x.nim"
    (cd "$dir" && HOME=$dir nim c --threads:on --hints:off --warnings:off x.nim >/dev/null 2>&1) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_ada() {
    need gnatmake
    cat >"$dir/x.adb" <<'END'
with Ada.Text_IO; use Ada.Text_IO; with Ada.Directories; with Ada.Calendar; use Ada.Calendar;
procedure X is
   protected Counter is procedure Add; function Get return Natural; private N : Natural := 0; end Counter;
   protected body Counter is procedure Add is begin N := N + 1; end; function Get return Natural is begin return N; end; end Counter;
   task type Worker; task body Worker is begin loop Counter.Add; delay 0.01; end loop; end Worker;
   W : array (1 .. 5) of Worker; F : File_Type; T : Time := Clock;
begin
   loop
      T := T + 0.02; delay until T;
      Create (F, Out_File, "out.new"); Put (F, Natural'Image (Counter.Get)); Close (F);
      if Ada.Directories.Exists ("out") then Ada.Directories.Delete_File ("out"); end if;
      Ada.Directories.Rename ("out.new", "out");
   end loop;
end X;
END
    (cd "$dir" && gnatmake -q x.adb >/dev/null 2>&1) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_d_lang() {
    need ldc2
    cat >"$dir/x.d" <<'END'
import std.concurrency, std.file, std.conv, core.thread, core.time, std.parallelism, std.range;
void worker(Tid main) { for (;;) { main.send(1); Thread.sleep(5.msecs); auto s = new int[1000]; } }
void main() { int n; foreach (i; 0 .. 4) spawn(&worker, thisTid); for (;;) { n += receiveOnly!int; if (n % 20 == 0) { write("out.new", n.to!string); rename("out.new", "out"); } } }
END
    (cd "$dir" && ldc2 -of=x x.d >/dev/null 2>&1) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_pascal() {
    need fpc
    cat >"$dir/x.pas" <<'END'
{$mode objfpc}
program x; uses cthreads, sysutils, classes;
type TW = class(TThread) procedure Execute; override; end;
var n: longint = 0; f: text; i: integer;
procedure TW.Execute; begin while true do begin InterlockedIncrement(n); sleep(5) end end;
begin
  for i := 1 to 4 do TW.Create(false);
  while true do begin sleep(20); assign(f, 'out.new'); rewrite(f); write(f, n); close(f); deletefile('out'); renamefile('out.new', 'out') end
end.
END
    (cd "$dir" && fpc x.pas >/dev/null 2>&1) || exit 77
    command=("$dir/x") kind=counts ways="running ns again"
}
run_raku() {
    need raku
    # shellcheck disable=SC2016
    echo 'my $n = 0; my $c = Channel.new; for ^3 { start { loop { $c.send(1); sleep 0.01 } } }; loop { $n += $c.receive; if $n %% 10 { spurt "out.new", $n.Str; rename "out.new", "out" } }' >"$dir/x.raku"
    command=(raku "$dir/x.raku") kind=counts ways="running ns again"
}
run_pike() {
    need pike8.0
    echo 'int n; void w() { while (1) { n++; sleep(0.01); } } int main() { for (int i = 0; i < 3; i++) Thread.Thread(w); while (1) { sleep(0.02); Stdio.write_file("out.new", (string)n); mv("out.new", "out"); } }' >"$dir/x.pike"
    command=(pike8.0 "$dir/x.pike") kind=counts ways="running ns again"
}
run_groovy() {
    need groovy
    echo 'def n = new java.util.concurrent.atomic.AtomicInteger(); 3.times { Thread.startDaemon { while (true) { n.incrementAndGet(); sleep 5 } } }; while (true) { sleep 20; new File("out.new").text = n.toString(); new File("out.new").renameTo("out") }' >"$dir/x.groovy"
    command=(groovy "$dir/x.groovy") kind=counts ways="running ns again"
}
run_clojure() {
    need clojure
    echo '(def n (atom 0)) (dotimes [_ 3] (future (loop [] (swap! n inc) (Thread/sleep 5) (recur)))) (loop [] (Thread/sleep 20) (spit "out.new" (str @n)) (.renameTo (java.io.File. "out.new") (java.io.File. "out")) (recur))' >"$dir/x.clj"
    command=(clojure "$dir/x.clj") kind=counts ways="running ns again"
}
run_mpi() {
    need mpicc mpirun
    cat >"$dir/x.c" <<'END'
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int me, n; long x = 0, sum, ring;
	MPI_Init(&argc, &argv); MPI_Comm_rank(MPI_COMM_WORLD, &me); MPI_Comm_size(MPI_COMM_WORLD, &n);
	for (long i = 1;; i++) {
		x += me + 1;
		MPI_Allreduce(&x, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
		if (sum != i * n * (n + 1) / 2) MPI_Abort(MPI_COMM_WORLD, 1);
		MPI_Sendrecv(&x, 1, MPI_LONG, (me + 1) % n, 0, &ring, 1, MPI_LONG, (me + n - 1) % n, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (me == 0 && i % 10 == 0) { FILE *f = fopen("out.new", "w"); fprintf(f, "%ld", i); fclose(f); rename("out.new", "out"); }
		usleep(2000);
	}
}
END
    (cd "$dir" && mpicc -o x x.c 2>/dev/null) || exit 77
    command=(env OMPI_MCA_btl_tcp_if_include=lo OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -np 4 "$dir/x") kind=counts ways="running ns again"
    dump_options=--tcp-established restore_options=--tcp-established ways="running again"
}
run_mpi_tcp() { run_mpi; command=(env "OMPI_MCA_btl=tcp,self" "${command[@]}"); }

# ---- Python's ways to have several of everything ---------------------------------------------------------------

python_counts() { cat >"$dir/x.py"; command=(/usr/bin/python3 "$dir/x.py" "$@") kind=counts ways="running ns again"; }
tell_count='
import os
def tell(n):
    with open("out.new", "w") as f: f.write(str(n))
    os.rename("out.new", "out")
'
multiprocessing() { # METHOD
    python_counts "$1" <<END
$tell_count
import multiprocessing as mp, sys, time
def work(q, lock, value, array):
    while True:
        with lock:
            value.value += 1
            array[value.value % 10] += 1
        q.put(1); time.sleep(0.005)
def square(x): return x * x
if __name__ == "__main__":
    c = mp.get_context(sys.argv[1])
    q, lock, value, array = c.Queue(), c.Lock(), c.Value("i", 0), c.Array("i", 10)
    for i in range(3): c.Process(target=work, args=(q, lock, value, array), daemon=True).start()
    manager = c.Manager(); d = manager.dict(n=0)
    n = 0
    with c.Pool(2, maxtasksperchild=50) as pool:
        while True:
            n += q.get()
            if n % 20 == 0:
                d["n"] = n
                assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
                with lock: assert sum(array) == value.value
                tell(d["n"])
END
}
run_mp_fork() { multiprocessing fork; }
run_mp_spawn() { multiprocessing spawn; }
run_mp_forkserver() { multiprocessing forkserver; }
run_futures() {
    python_counts <<END
$tell_count
import concurrent.futures as f, subprocess, threading, time
n = 0
def cpu(x): return sum(range(x))
if __name__ == "__main__":
    with f.ProcessPoolExecutor(2) as p, f.ThreadPoolExecutor(4) as t:
        while True:
            a = [p.submit(cpu, 20000 + i) for i in range(4)] + [t.submit(subprocess.check_output, ["echo", str(i)]) for i in range(4)]
            for x in f.as_completed(a): x.result()
            n += 1; tell(n)
END
}
run_joblib() {
    has_module joblib
    python_counts <<END
$tell_count
from joblib import Parallel, delayed
import math
n = 0
while True:
    assert Parallel(n_jobs=2)(delayed(math.sqrt)(i * i) for i in range(20)) == list(range(20))
    n += 1; tell(n)
END
}
run_gevent() {
    has_module gevent
    py server <<'END'
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sys
from gevent.pywsgi import WSGIServer
count = 0
def app(env, start):
    global count
    count += 1
    gevent.get_hub().threadpool.apply(sum, ([1],))
    start("200 OK", []); return [b"%d" % count]
WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None).serve_forever()
END
}
ask_gevent() { ask_count; }
run_eventlet() {
    has_module eventlet
    py server <<'END'
import eventlet, sys
from eventlet import wsgi
count = 0
def app(env, start):
    global count
    count += 1
    start("200 OK", [("Connection", "close")]); return [b"%d" % count]
wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), app, log_output=False)
END
}
ask_eventlet() { ask_count; }
run_trio() {
    has_module trio
    python_counts <<END
$tell_count
import trio
async def main():
    n = 0
    tx, rx = trio.open_memory_channel(0)
    async def w():
        while True:
            await trio.run_process(["true"]); await tx.send(1)
    async with trio.open_nursery() as nursery:
        for i in range(3): nursery.start_soon(w)
        async for x in rx:
            n += x; await trio.to_thread.run_sync(tell, n)
trio.run(main)
END
}
run_zmq() {
    has_module zmq
    dump_options=--tcp-established restore_options=--tcp-established
    python_counts <<END
$tell_count
import zmq, threading, multiprocessing as mp, time
c = zmq.Context()
def push(address):
    s = zmq.Context().socket(zmq.PUSH); s.connect(address)
    while True: s.send(b"x"); time.sleep(0.005)
if __name__ == "__main__":
    s = c.socket(zmq.PULL); p = s.bind_to_random_port("tcp://127.0.0.1"); s.bind("ipc://$dir/zmq")
    mp.Process(target=push, args=("tcp://127.0.0.1:%d" % p,)).start()
    mp.Process(target=push, args=("ipc://$dir/zmq",)).start()
    n = 0
    while True:
        s.recv(); n += 1
        if n % 10 == 0: tell(n)
END
}
run_dask() {
    has_module distributed
    dump_options=--tcp-established restore_options=--tcp-established ways="running again"
    python_counts <<END
$tell_count
from distributed import Client, LocalCluster
if __name__ == "__main__":
    c = Client(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None))
    n = 0
    while True:
        assert c.gather(c.map(lambda x: x * x, range(n, n + 5), pure=False)) == [x * x for x in range(n, n + 5)]
        n += 1; tell(n)
END
}
