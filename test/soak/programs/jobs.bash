# shellcheck shell=bash disable=SC2034,SC2154
# Programs in the middle of their work, which is finished after several trips: the result has to be the same. And programs
# with a terminal. See web.bash; `job` says when it may be dumped first, and what the result must be.

# job SCRIPT CHECK: bash runs SCRIPT, which writes into the file result; CHECK says what must come out
job() {
    ways="running again"
    command=(bash -c "$1; touch done")
}
started() { [ -s "$dir/started" ] || grown result 1; }
# After the first trip it goes on; after the last it has to end.
job_goes_on() { [ -e "/proc/$pid" ] || [ -e "$dir/done" ]; }
job_done() {
    [ "$way" = again ] || { job_goes_on; return; }
    [ -e "$dir/done" ] || { echo "it is not done"; return 1; }
    [ "$(digest "$dir/result")" = "$wanted" ] || { echo "another result"; return 1; }
}
digest() { sha256sum <"$1"; }

big_text() { [ -e "$scratch/text" ] || seq 1 3000000 >"$scratch/text"; ln "$scratch/text" "$dir/text"; }

run_xz() { need xz; big_text; wanted=$(digest "$scratch/text"); job 'xz -1 -T2 -c text | xz -dc >result'; }
ready_xz() { pgrep -x xz >/dev/null; }
ask_xz() { job_done; }
run_pigz() { need pigz; big_text; wanted=$(digest "$scratch/text"); job 'for i in 1 2 3; do pigz -9 -c text | pigz -dc >result; done'; }
ready_pigz() { pgrep -x pigz >/dev/null; }
ask_pigz() { job_done; }
run_sort() { big_text; wanted=$(LC_ALL=C sort -r "$dir/text" | sha256sum); job 'sort --parallel=2 -S 4M -T . -r text >result'; }
ready_sort() { pgrep -x sort >/dev/null; }
ask_sort() { job_done; }
run_awk() { big_text; wanted=$(awk '{ s += $1 * 3 } END { print s }' "$dir/text" | sha256sum); job "cat text text text | head -n 3000000 | awk '{ s += \$1 * 3 } END { print s }' >result; sleep 1"; }
ready_awk() { pgrep -x awk >/dev/null || pgrep -x mawk >/dev/null; }
ask_awk() { job_done; }
run_bc() { need bc; wanted=$(echo 'scale=1500; 4*a(1)' | bc -l | sha256sum); job 'echo "scale=1500; 4*a(1)" | bc -l >result'; }
ready_bc() { pgrep -x bc >/dev/null; }
ask_bc() { job_done; }
run_gcc() {
    need gcc
    awk 'BEGIN { for (i = 0; i < 400; i++) printf "int f%d(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * %d ^ x; return s; }\n", i, i; print "int main(void) { return 0; }" }' >"$dir/x.c"
    (cd "$dir" && gcc -O2 -c x.c -o wanted.o && objcopy -O binary -j .text wanted.o wanted)
    wanted=$(digest "$dir/wanted")
    job 'gcc -pipe -O2 -c x.c -o x.o && objcopy -O binary -j .text x.o result'
}
ready_gcc() { pgrep -x cc1 >/dev/null; }
ask_gcc() { job_done; }
run_ffmpeg() {
    need ffmpeg
    job 'ffmpeg -nostdin -v error -f lavfi -i testsrc=duration=40:size=640x360:rate=25 -threads 2 -c:v mpeg4 -bitexact -f avi -y result'
    (cd "$dir" && ffmpeg -nostdin -v error -f lavfi -i testsrc=duration=40:size=640x360:rate=25 -threads 2 -c:v mpeg4 -bitexact -f avi -y wanted)
    wanted=$(digest "$dir/wanted")
}
ready_ffmpeg() { grown result 1; }
ask_ffmpeg() { job_done; }
run_convert() {
    [ -x /usr/bin/convert-im6.q16 ] || exit 77
    job 'convert-im6.q16 -size 1500x1500 plasma:red-blue -seed 1 -blur 0x9 -resize 50% x.ppm; convert-im6.q16 -size 600x600 gradient:red-blue -blur 0x20 ppm:result'
    (cd "$dir" && convert-im6.q16 -size 600x600 gradient:red-blue -blur 0x20 ppm:wanted)
    wanted=$(digest "$dir/wanted")
}
ready_convert() { pgrep -f '^convert-im6' >/dev/null; }
ask_convert() { job_done; }
run_tar() {
    job 'for i in 1 2; do tar cf - -C /usr/share doc 2>/dev/null | gzip -1 | zcat | tar tf - | sort | sha256sum >result; done'
    wanted=$(tar cf - -C /usr/share doc 2>/dev/null | tar tf - | sort | sha256sum | sha256sum)
}
ready_tar() { pgrep -x gzip >/dev/null; }
ask_tar() { job_done; }
run_valgrind() {
    need valgrind
    wanted=$(seq 1 20000 | factor | sha256sum)
    job 'seq 1 20000 | valgrind -q factor >result'
}
ready_valgrind() { grown result 1; }
ask_valgrind() { job_done; }
run_wget() {
    need wget python3
    ways="running again" dump_options=--tcp-established restore_options=--tcp-established
    head -c 30000000 /dev/urandom >"$dir/served"
    (cd "$dir" && exec python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 </dev/null) &
    until_true get >/dev/null
    wanted=$(digest "$dir/served")
    job "wget -q --limit-rate=10m -O result http://127.0.0.1:$port/served"
}
ready_wget() { grown result 1000000; }
ask_wget() { job_done; }
run_curl() {
    run_wget
    job "curl -s --limit-rate 10M -o result http://127.0.0.1:$port/served"
}
ready_curl() { grown result 1000000; }
ask_curl() { job_done; }

# ---- with a terminal ------------------------------------------------------------------------------------------

run_screen() {
    need screen
    mkdir -m 700 "$dir/s"
    command=(env SCREENDIR="$dir/s" screen -D -m -S x bash --norc)
}
in_screen() { SCREENDIR=$dir/s screen -S x -X stuff "$1"; }
screen_wrote() { [ "$(cat "$dir/typed" 2>/dev/null)" = "$1" ]; }
ask_screen() { in_screen "echo $way \$((6 * 7)) \$(tty | cut -c1-8) >typed
" && until_true screen_wrote "$way 42 /dev/pts"; }

run_emacs() {
    need emacs emacsclient
    command=(emacs -Q --fg-daemon="$dir/sock")
}
emacs_eval() { timeout 10 emacsclient -s "$dir/sock" -e "$1" 2>&1; }
ask_emacs() { is "$(emacs_eval '(* 6 7)')" 42; }
fill_emacs() { emacs_eval '(setq kept 4711)' && emacs_eval '(start-process "cat" nil "cat")'; }
kept_emacs() { is "$(emacs_eval 'kept')" 4711; }

run_script() {
    mkfifo "$dir/in"
    command=(bash -c 'exec script -q -f -c "bash --norc -i" out <>in')
}
script_says() { grep -q "$1" "$dir/out"; }
ask_script() { echo "echo $way\$((6 * 7))" >"$dir/in" && until_true script_says "${way}42"; }

run_xterm() {
    need Xvfb xterm
    command=(bash -c 'Xvfb :78 -screen 0 640x480x24 -nolisten tcp & sleep 1; exec xterm -display :78 -e bash --norc -c "while :; do date >>ticks; sleep 0.1; done"')
    ways="running again"
}
ask_xterm() { local was; was=$(wc -l <"$dir/ticks") && until_true more_than "$was"; }

# Traced already: it must be refused, and go on.
run_gdb() {
    need gdb
    ways=running refused="already traced by .*gdb"
    command=(gdb -q -batch -ex run --args sleep 1000)
}
ask_gdb() { pgrep -x sleep -P "$pid" >/dev/null; }
run_strace() {
    need strace
    ways=running refused="already traced by .*strace"
    command=(strace -f -o "$dir/out" sleep 1000)
}
ask_strace() { pgrep -x sleep -P "$pid" >/dev/null; }
