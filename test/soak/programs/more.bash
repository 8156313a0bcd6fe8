# shellcheck shell=bash disable=SC2034,SC2154
# Agents, file servers, web servers of other languages, desktop, numbers; see web.bash.

run_ssh_agent() { need ssh-agent ssh-add; command=(ssh-agent -D -a "$dir/sock"); }
ssh_keys() { SSH_AUTH_SOCK=$dir/sock timeout 5 ssh-add "$@" 2>&1; }
ask_ssh_agent() { has "$(ssh_keys -l)" "no identities"; }
fill_ssh_agent() { ssh-keygen -q -t ed25519 -N '' -C kept -f "$dir/key" && ssh_keys -q "$dir/key"; }
kept_ssh_agent() { has "$(ssh_keys -l)" kept; }
run_gpg_agent() {
    need gpg-agent gpg-connect-agent
    mkdir -m 700 "$dir/g"
    command=(gpg-agent --homedir "$dir/g" --daemon -- sleep 100000)
}
gpg_says() { timeout 5 gpg-connect-agent --homedir "$dir/g" --no-autostart "$1" /bye 2>&1; }
ask_gpg_agent() { has "$(gpg_says 'GETINFO version')" OK; }
fill_gpg_agent() { gpg_says 'PUT_SECRET'; gpg_says 'PRESET_PASSPHRASE x -1 41'; :; }

run_svnserve() {
    need svnserve svnadmin svn
    svnadmin create "$dir/repo"
    printf '[general]\nanon-access = write\n' >"$dir/repo/conf/svnserve.conf"
    command=(svnserve -d --foreground -r "$dir" --listen-host 127.0.0.1 --listen-port "$port")
}
svn_to() { timeout 10 svn --non-interactive --config-dir "$dir.svn" "$@" 2>&1; }
ask_svnserve() { has "$(svn_to info "svn://127.0.0.1:$port/repo")" "Repository UUID"; }
fill_svnserve() { svn_to mkdir -m x "svn://127.0.0.1:$port/repo/kept"; }
kept_svnserve() { is "$(svn_to ls "svn://127.0.0.1:$port/repo")" kept/; }
run_hg() {
    need hg
    (cd "$dir" && HOME=$dir hg init r && cd r && echo "a page" >page && HOME=$dir hg -q add page && HOME=$dir hg -q commit -u me -m x)
    command=(hg serve -R "$dir/r" -a 127.0.0.1 -p "$port")
}
ask_hg() { is "$(get raw-file/tip/page)" "a page"; }
run_git_daemon() {
    need git
    git init -q --bare "$dir/r.git"
    command=(git daemon --export-all --reuseaddr --listen=127.0.0.1 --port="$port" --base-path="$dir")
}
ask_git_daemon() { timeout 10 git -c safe.directory='*' ls-remote "git://127.0.0.1:$port/r.git"; }

run_tornado() {
    has_module tornado
    py server <<'PY'
import sys, tornado.ioloop, tornado.web
count = 0
class H(tornado.web.RequestHandler):
    def get(self):
        global count
        count += 1
        self.write(str(count))
tornado.web.Application([("/", H)]).listen(int(sys.argv[1]), "127.0.0.1")
tornado.ioloop.PeriodicCallback(lambda: None, 50).start()
tornado.ioloop.IOLoop.current().start()
PY
}
ask_tornado() { ask_count; }
run_twisted() {
    has_module twisted
    py server <<'PY'
import sys
from twisted.internet import reactor, task, threads
from twisted.web import resource, server
class R(resource.Resource):
    isLeaf, count = True, 0
    def render_GET(self, request):
        self.count += 1
        threads.deferToThread(lambda: self.count).addCallback(lambda n: (request.write(b"%d" % n), request.finish()))
        return server.NOT_DONE_YET
task.LoopingCall(lambda: None).start(0.1)
reactor.listenTCP(int(sys.argv[1]), server.Site(R()), interface="127.0.0.1")
reactor.run()
PY
}
ask_twisted() { ask_count; }
run_hypercorn() { need hypercorn; asgi; command=(hypercorn --bind "127.0.0.1:$port" app:app); }
ask_hypercorn() { [ "$(get)" -gt 0 ]; }
run_starman() {
    need starman
    # shellcheck disable=SC2016
    printf 'sub { [200, ["Content-Type", "text/plain"], ["answered"]] }\n' >"$dir/app.psgi"
    command=(starman --workers 2 --listen "127.0.0.1:$port" "$dir/app.psgi")
}
ask_starman() { is "$(get)" answered; }
run_h2o() {
    need h2o
    file_page
    printf '%s\n' "user: root" "num-threads: 2" "hosts:" "  default:" "    listen:" "      host: 127.0.0.1" "      port: $port" "    paths:" "      /:" "        file.dir: $dir" >"$dir/conf"
    command=(h2o -m worker -c "$dir/conf")
}
ask_h2o() { ask_page; }
run_node_exporter() { need prometheus-node-exporter; command=(prometheus-node-exporter --web.listen-address="127.0.0.1:$port"); }
ask_node_exporter() { get metrics | grep -q ^node_load1; }
run_spamd() {
    need spamd
    command=(/usr/sbin/spamd -s stderr -L -x -i 127.0.0.1 -p "$port" -m 3 -H "$dir" --siteconfigpath=/etc/spamassassin)
}
ask_spamd() { has "$(say 'PING SPAMC/1.2\r\n\r\n')" PONG; }
run_icecast() {
    need icecast2
    chown nobody "$dir"
    printf '%s' "<icecast><limits><sources>2</sources></limits><authentication><source-password>x</source-password><admin-password>x</admin-password></authentication><hostname>localhost</hostname><listen-socket><port>$port</port><bind-address>127.0.0.1</bind-address></listen-socket>" \
        "<paths><basedir>$dir</basedir><logdir>$dir</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths><security><chroot>0</chroot></security></icecast>" >"$dir/conf"
    command=(setpriv --reuid nobody --regid nogroup --clear-groups icecast2 -c "$dir/conf")
}
ask_icecast() { has "$(get status-json.xsl)" icestats; }
run_pulseaudio() {
    need pulseaudio pactl
    mkdir -m 700 "$dir/run"
    command=(env XDG_RUNTIME_DIR="$dir/run" pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --disable-shm=no -L module-null-sink -L "module-native-protocol-unix socket=$dir/sock auth-anonymous=1")
}
ask_pulseaudio() { has "$(HOME=$dir PULSE_SERVER="unix:$dir/sock" timeout 8 pactl list short sinks 2>&1)" null; }

# ---- numbers in the middle ------------------------------------------------------------------------------------

run_openmp() {
    need gcc
    printf '%s\n' '#include <omp.h>' '#include <stdio.h>' 'int main(void) { double s = 0; for (int k = 0; k < 3000; k++) {' '#pragma omp parallel for reduction(+:s) num_threads(4)' 'for (int i = 0; i < 300000; i++) s += (i ^ k) % 7;' '} printf("%.0f\n", s); }' >"$dir/x.c"
    gcc -O1 -fopenmp -o "$dir/x" "$dir/x.c" || exit 77
    [ -e "$scratch/openmp" ] || "$dir/x" >"$scratch/openmp"
    wanted=$(digest "$scratch/openmp")
    job './x >result'
}
ready_openmp() { [ "$(find /proc/"$(pgrep -x x -P "$pid" || echo "$pid")"/task -maxdepth 1 -mindepth 1 2>/dev/null | wc -l)" -ge 4 ]; }
ask_openmp() { job_done; }
run_asan() {
    need g++
    printf '%s\n' '#include <map>' '#include <string>' '#include <cstdio>' 'int main() { std::map<int, std::string> m; unsigned long s = 0; for (int i = 0; i < 1500000; i++) { m[i % 5000] = std::to_string(i); s += m[(i * 7) % 5000].size(); } printf("%lu\n", s); }' >"$dir/x.cc"
    g++ -O1 -fsanitize=address,undefined -o "$dir/x" "$dir/x.cc" || exit 77
    [ -e "$scratch/asan" ] || "$dir/x" >"$scratch/asan"
    wanted=$(digest "$scratch/asan")
    job './x >result'
}
ready_asan() { pgrep -x x >/dev/null; }
ask_asan() { job_done; }
run_git_gc() {
    need git
    job 'git clone -q --bare --no-hardlinks src r.git && cd r.git && git -c pack.threads=2 -c gc.autoDetach=false gc -q --aggressive --prune=now && git fsck --full 2>&1 | tail -n 1 >../result; git rev-parse HEAD >>../result; cd ..'
    (cd "$dir" && git init -q src && cd src && for i in $(seq 60); do seq "$i" 20000 >"f$i"; done && git add . && git -c user.name=a -c user.email=a@b commit -q -m x)
    wanted=$(git -C "$dir/src" rev-parse HEAD | sha256sum)
}
ready_git_gc() { pgrep -x git >/dev/null && [ -d "$dir/r.git/objects" ]; }
ask_git_gc() { job_done; }
run_tar_zstd() {
    need zstd
    big_text
    wanted=$(digest "$scratch/text")
    job 'for i in 1 2 3 4; do tar cf - text | zstd -q -6 -T2 | zstd -dc | tar xOf - text >result; done'
}
ready_tar_zstd() { pgrep -x zstd >/dev/null; }
ask_tar_zstd() { job_done; }
run_dd() {
    big_text
    wanted=$(digest "$scratch/text")
    job 'for i in 1 2 3; do dd if=text of=result bs=512 conv=fsync status=none; done'
}
ready_dd() { grown result 1000000; }
ask_dd() { job_done; }
