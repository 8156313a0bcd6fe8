# shellcheck shell=bash disable=SC2034,SC2154
# More programs in the middle of their work, and REPLs; see jobs.bash and repl.bash.

run_dc() { need dc; wanted=$(echo '2 30000 ^ p' | dc | sha256sum); job 'for i in 1 2 3 4; do echo "2 30000 ^ p" | dc >result; sleep 0.5; done'; }
ready_dc() { grown result 10; }
ask_dc() { job_done; }
run_gawk() {
    need gawk
    big_text
    wanted=$(seq 1 300000 | gawk '{ a[$1 % 100] += $1 } END { for (i = 0; i < 100; i++) print a[i] }' | sha256sum)
    job 'seq 1 300000 | gawk "{ a[\$1 % 100] += \$1; \"echo \" \$1 % 7 | getline x; close(\"echo \" \$1 % 7); if (NR > 300) while ((getline) > 0) a[\$1 % 100] += \$1 } END { for (i = 0; i < 100; i++) print a[i] }" >result'
}
ready_gawk() { pgrep -x gawk >/dev/null; }
ask_gawk() { job_done; }
run_xargs() { job "seq 60 | xargs -P 4 -I{} sh -c 'sleep 0.2; echo {} >>result.unsorted'; sort -n result.unsorted >result"; wanted=$(seq 60 | sha256sum); }
ready_xargs() { grown result.unsorted 6; }
ask_xargs() { job_done; }
run_mbuffer() { need mbuffer; big_text; wanted=$(digest "$scratch/text"); job 'mbuffer -q -m 1M -r 8M <text | mbuffer -q -m 4M >result'; }
ready_mbuffer() { grown result 1000000; }
ask_mbuffer() { job_done; }
run_pv() { need pv; big_text; wanted=$(digest "$scratch/text"); job 'pv -q -L 8M text | cat >result'; }
ready_pv() { grown result 1000000; }
ask_pv() { job_done; }
run_find() { job 'for i in 1 2 3; do find /usr/share -type f -print0 | sort -z | xargs -0 -n 500 stat -c %s | awk "{ s += \$1 } END { print s }" >result; done'; wanted=$(find /usr/share -type f -print0 | xargs -0 stat -c %s | awk '{ s += $1 } END { print s }' | sha256sum); }
ready_find() { pgrep -x find >/dev/null; }
ask_find() { job_done; }
run_rsync_local() { need rsync; big_text; wanted=$(digest "$scratch/text"); job 'rsync --bwlimit=12m --inplace --whole-file text copy; mv copy result'; }
ready_rsync_local() { grown copy 1000000; }
ask_rsync_local() { job_done; }
run_netcat() {
    need pv
    need nc
    big_text
    wanted=$(digest "$scratch/text")
    dump_options=--tcp-established restore_options=--tcp-established
    job "nc -N -l 127.0.0.1 $port >result & while ! ss -ltn | grep -q :$port; do sleep 0.05; done; pv -q -L 5M text | nc -N 127.0.0.1 $port; wait"
}
ready_netcat() { grown result 1; }
ask_netcat() { job_done; }
run_ccache() { need gcc ccache; run_gcc; job "export CCACHE_DIR=$dir/cc; ccache gcc -O2 -c x.c -o x.o && objcopy -O binary -j .text x.o result"; }
ready_ccache() { pgrep -x cc1 >/dev/null; }
ask_ccache() { job_done; }
run_fio() {
    need fio
    job "fio --name=x --directory=. --size=8M --rw=randrw --bs=4k --ioengine=psync --numjobs=2 --verify=crc32c --do_verify=1 --rate_iops=800 --output=fio.out && grep -c 'err= 0' fio.out >result"
    wanted=$(echo 2 | sha256sum)
}
ready_fio() { grown x.0.0 100; }
ask_fio() { job_done; }
run_fio_mmap() { run_fio; job "fio --name=x --directory=. --size=8M --rw=randwrite --bs=4k --ioengine=mmap --numjobs=2 --thread --verify=crc32c --do_verify=1 --rate_iops=800 --output=fio.out && grep -c 'err= 0' fio.out >result"; }
ready_fio_mmap() { ready_fio; }
ask_fio_mmap() { job_done; }
run_sysbench() {
    need sysbench
    job "sysbench --threads=3 --events=8000 --time=0 cpu run >out && grep -o 'events:  *8000' out | tr -d ' ' >result"
    wanted=$(echo 'events:8000' | sha256sum)
}
ready_sysbench() { pgrep -x sysbench >/dev/null; }
ask_sysbench() { job_done; }
# Stressors that check themselves.
run_stress() {
    need stress-ng
    job "stress-ng --temp-path . --verify --oomable -t 25 --pipe 1 --sem 1 --sem-sysv 0 --mutex 1 --futex 1 --fork 1 --vm 1 --vm-bytes 16M --switch 1 --poll 1 --eventfd 1 --timer 1 --sigq 1 --qsort 1 --matrix 1 --hsearch 1 --epoll 0 --zlib 1 --yaml s.yaml >out 2>&1; echo \$? >result"
    wanted=$(echo 0 | sha256sum)
}
ready_stress() { [ "$(below "$pid" | wc -l)" -gt 8 ]; }
ask_stress() { job_done; }
run_qemu_user() {
    need qemu-x86_64
    wanted=$(seq 1 3000 | factor | sha256sum)
    job 'for i in 1 2 3; do seq 1 3000 | qemu-x86_64 /usr/bin/factor >result; done'
}
ready_qemu_user() { pgrep -x qemu-x86_64 >/dev/null; }
ask_qemu_user() { job_done; }
run_javac() {
    need javac
    ways="running again"
    awk 'BEGIN { print "class X {"; for (i = 0; i < 3000; i++) printf "static int f%d(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * %d ^ x; return s; }\n", i, i; print "public static void main(String[] a) { int s = 0;"; for (i = 0; i < 1500; i++) printf "s += f%d(100);\n", i; print "System.out.println(s); } }" }' >"$dir/X.java"
    [ -e "$scratch/javac" ] || (cd "$dir" && mkdir w && javac -d w X.java && java -cp w X >"$scratch/javac")
    wanted=$(digest "$scratch/javac")
    job 'javac X.java && java X >result'
}
ready_javac() { pgrep -x javac >/dev/null; }
ask_javac() { job_done; }
run_docs() {
    need groff
    job 'for i in 1 2 3 4 5 6; do for f in bash.1 tar.1; do zcat -f /usr/share/man/man1/$f.gz | groff -man -Tutf8 -P-c 2>/dev/null; done | sha256sum >result; done'
    wanted=$(for f in bash.1 tar.1; do zcat -f /usr/share/man/man1/$f.gz | groff -man -Tutf8 -P-c 2>/dev/null; done | sha256sum | sha256sum)
}
ready_docs() { pgrep -x groff >/dev/null; }
ask_docs() { job_done; }
run_sox() {
    need sox
    job 'sox -n -r 44100 x.wav synth 60 sine 440 vol 0.5; sox -D x.wav -t raw - reverb lowpass 900 | sha256sum >result'
    (cd "$dir" && sox -n -r 44100 w.wav synth 60 sine 440 vol 0.5; sox -D w.wav -t raw - reverb lowpass 900 | sha256sum >wanted)
    wanted=$(digest "$dir/wanted")
}
ready_sox() { grown x.wav 100000; }
ask_sox() { job_done; }
run_go_build() {
    need go
    mkdir -p "$dir/src/x"
    awk 'BEGIN { print "package main\nimport (\"fmt\"; \"net/http\"; \"encoding/json\")\nvar _ = http.Get\nvar _ = json.Marshal"; for (i = 0; i < 2000; i++) printf "func f%d(x int) int { s := 0; for i := 0; i < x; i++ { s += i * %d ^ x }; return s }\n", i, i; print "func main() { s := 0"; for (i = 0; i < 2000; i++) printf "s += f%d(100)\n", i; print "fmt.Println(s) }" }' >"$dir/src/x/x.go"
    [ -e "$scratch/gobuild" ] || (cd "$dir/src/x" && HOME=$dir GO111MODULE=off GOCACHE=$dir/c0 GOFLAGS=-p=2 go run x.go >"$scratch/gobuild") || exit 77
    wanted=$(digest "$scratch/gobuild")
    job "cd src/x; HOME=$dir GO111MODULE=off GOCACHE=$dir/c1 go build -p 2 -o ../../y x.go && ../../y >../../result; cd ../.."
}
ready_go_build() { pgrep -x compile >/dev/null; }
ask_go_build() { job_done; }

# ---- REPLs -----------------------------------------------------------------------------------------------------

run_chez() { need chezscheme; repl "chezscheme -q" '(define kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_gambit() { need gsi; repl gsi '(define kept 4711)' '(* 6 107)' '(* 2 kept)'; }
# smlnj is a 32-bit program.
run_newlisp() { need newlisp; repl newlisp '(set (quote kept) 4711)' '(* 6 107)' '(* 2 kept)'; }
run_mujs() { need mujs; repl mujs 'var kept = 4711' '6 * 107' 'kept * 2'; }
run_luajit_repl() { need luajit; repl luajit 'kept = 4711' '=6 * 107' '=kept * 2'; }
run_pypy_repl() { need pypy3; repl "pypy3 -q" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_pike_repl() { need pike8.0; repl pike8.0 'int kept = 4711;' '6 * 107;' 'kept * 2;'; }
run_raku_repl() { need raku; repl raku 'my $kept = 4711;' '6 * 107' '$kept * 2'; }
run_bc_repl() { need bc; repl "bc -q" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_dc_repl() { need dc; repl dc '4711 sk' '6 107 * p' 'lk 2 * p'; }
run_gdb_repl() { need gdb; repl "gdb -q" 'set $kept = 4711' 'print 6 * 107' 'print $kept * 2'; }
run_sqlite_memory() { need sqlite3; repl "sqlite3 :memory:" 'create table t as select 4711 x;' 'select 6 * 107;' 'select x * 2 from t;'; }
