# shellcheck shell=bash disable=SC2034,SC2154
# Programs that start and watch others: they have to notice afterwards that one of theirs has died. See web.bash.

# A service that writes its pid, and lives until it is killed.
service_script() { printf '#!/bin/sh\necho $$ >"%s/service.pid"\nexec sleep 10000\n' "$dir" >"$1"; chmod 755 "$1"; }
service_again() { [ -s "$dir/service.pid" ] && [ "$(cat "$dir/service.pid")" != "$1" ]; }
# The service is killed, and comes back. In a namespace its pid is not ours: all of these sleep.
ask_watching() {
    local old
    until_true service_again "" || { echo "no service"; return 1; }
    old=$(cat "$dir/service.pid")
    kill_service && until_true service_again "$old" || { echo "it did not come back"; return 1; }
}
kill_service() {
    local one
    for one in $(below "$pid"); do
        [ "$(cat "/proc/$one/comm" 2>/dev/null)" != sleep ] || [ "$(tr '\0' ' ' <"/proc/$one/cmdline")" != "sleep 10000 " ] || { kill "$one"; return; }
    done
    return 1
}

run_supervisord() {
    need supervisord
    service_script "$dir/service"
    printf '%s\n' '[supervisord]' 'nodaemon=true' "logfile=$dir/slog" "pidfile=$dir/pidfile" "[unix_http_server]" "file=$dir/sock" "[rpcinterface:supervisor]" "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface" \
        '[supervisorctl]' "serverurl=unix://$dir/sock" '[program:x]' "command=$dir/service" 'startsecs=0' '[program:y]' 'command=cat' >"$dir/conf"
    command=(/usr/bin/supervisord -c "$dir/conf") kind=watching
}
kept_supervisord() { ask_watching && is "$(timeout 10 supervisorctl -c "$dir/conf" status | grep -c RUNNING)" 2; }
run_runit() {
    need runsvdir runsv svlogd
    mkdir -p "$dir/sv/x/log" "$dir/logs"
    service_script "$dir/sv/x/run"
    printf '#!/bin/sh\nexec svlogd "%s/logs"\n' "$dir" >"$dir/sv/x/log/run"
    chmod 755 "$dir/sv/x/log/run"
    command=(runsvdir -P "$dir/sv" ...........................................) kind=watching
}
run_daemontools() {
    need svscan supervise
    mkdir -p "$dir/sv/x"
    service_script "$dir/sv/x/run"
    command=(svscan "$dir/sv") kind=watching
}
run_s6() {
    need s6-svscan
    mkdir -p "$dir/sv/x"
    service_script "$dir/sv/x/run"
    command=(s6-svscan "$dir/sv") kind=watching
}
run_xinetd() {
    need xinetd
    printf '%s\n' "service x" "{" "type = UNLISTED" "port = $port" "bind = 127.0.0.1" "socket_type = stream" "wait = no" "user = root" "server = /bin/echo" "server_args = answered" "protocol = tcp" "}" >"$dir/conf"
    command=(xinetd -dontfork -f "$dir/conf" -pidfile "$dir/pidfile")
}
ask_xinetd() { is "$(say '' 1)" answered; }
run_socat_fork() { need socat; command=(socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "EXEC:echo answered"); }
ask_socat_fork() { is "$(say '' 1)" answered; }
run_socat_pty() { need socat; command=(socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "EXEC:bash --norc -i,pty,setsid,ctty,stderr"); }
ask_socat_pty() { is "$(say 'tty | cut -c1-8; exit\n' 9 | grep -o '/dev/pts$')" /dev/pts; }
# Both ends of each of these are in one tree, with a shell at the one and cat at the other.
run_socat_chain() {
    need socat
    port2=$(free_port)
    command=(bash -c "socat UNIX-LISTEN:'$dir/s1',fork EXEC:cat & socat TCP-LISTEN:$port2,bind=127.0.0.1,fork UNIX-CONNECT:'$dir/s1' & socat UDP4-RECVFROM:$port2,bind=127.0.0.1,fork EXEC:cat & socat ABSTRACT-LISTEN:kept$port,fork TCP:127.0.0.1:$port2 &
        socat TCP-LISTEN:$port,bind=127.0.0.1,fork ABSTRACT-CONNECT:kept$port & wait")
}
ask_socat_chain() {
    is "$(say 'through\n' 1)" through &&
        is "$(echo datagram | timeout 5 socat -t 2 - "UDP4-SENDTO:127.0.0.1:$port2")" datagram
}
run_make() {
    need make
    printf 'all: one two three\n\tcat one two three >result; touch done\n%%:\n\tfor i in 1 2 3 4 5 6 7 8 9 10; do echo $@ $$i; sleep 0.6; done >$@\n' >"$dir/Makefile"
    job :
    command=(make -j3)
    wanted=$(for x in one two three; do for i in 1 2 3 4 5 6 7 8 9 10; do echo $x $i; done; done | sha256sum)
}
ready_make() { grown one 6; }
ask_make() { job_done; }
run_ninja() {
    need ninja
    printf 'rule r\n  command = for i in 1 2 3 4 5 6 7 8 9 10; do echo $out $$i; sleep 0.6; done >$out\nrule c\n  command = cat one two three >$out; touch done\nbuild one: r\nbuild two: r\nbuild three: r\nbuild result: c one two three\n' >"$dir/build.ninja"
    job :
    command=(ninja -j3)
    wanted=$(for x in one two three; do for i in 1 2 3 4 5 6 7 8 9 10; do echo $x $i; done; done | sha256sum)
}
ready_ninja() { grown one 6; }
ask_ninja() { job_done; }
run_parallel() {
    need parallel
    mkdir "$dir/.parallel"
    : >"$dir/.parallel/will-cite"
    job "parallel -j3 -k 'sleep 0.\$(({} % 7 + 1)); echo {}' ::: {1..60} >result"
    wanted=$(seq 60 | sha256sum)
}
ready_parallel() { [ "$(below "$pid" | wc -l)" -gt 3 ]; }
ask_parallel() { job_done; }
run_cargo() {
    need cargo
    export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
    (cd "$dir" && HOME=$dir CARGO_HOME=$dir/.c cargo new -q --vcs none x) || exit 77
    awk 'BEGIN { print "fn main() { println!(\"{}\", f0(1)); }"; for (i = 0; i < 300; i++) printf "fn f%d(x: u64) -> u64 { if x > 1000 { x } else { (0..x).map(|i| i * %d).sum::<u64>() + %s } }\n", i, i, i == 299 ? "1" : "f" (i + 1) "(x + 1)" }' >"$dir/x/src/main.rs"
    (cd "$dir/x" && rustc -O src/main.rs -o ../plain 2>/dev/null && ../plain >../plain.out) || exit 77
    wanted=$(digest "$dir/plain.out")
    job "export CARGO_HOME=$dir/.c RUSTUP_HOME=$RUSTUP_HOME; cd x && cargo build -q --release --offline && target/release/x >../result; cd .."
}
ready_cargo() { below "$pid" | while read -r one; do cat "/proc/$one/comm" 2>/dev/null; done | grep -q rustc; }
ask_cargo() { job_done; }
