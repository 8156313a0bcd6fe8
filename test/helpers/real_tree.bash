# shellcheck shell=bash
# Real programs of many processes. As in real.bash there are command_NAME, fill_NAME and check_NAME; check_NAME can be
# asked again and again.
# shellcheck source-path=SCRIPTDIR source=real.bash
. "$(dirname "${BASH_SOURCE[0]}")/real.bash"

# ---- the whole way -------------------------------------------------------------------------------------------

nr_below() { descendants "$1" | wc -l; }

may_be_dumped() { snapctl check --pid "$pid" >/dev/null; }

# No process of the old tree is left, and the new one runs.
trip_tree() {
    local old
    until_true may_be_dumped || fail "check: $(cat "$scratch/said")"
    old=$(descendants "$pid")
    dump_pid "$pid" --force
    for member in $old; do until_true gone "$member" || fail "process $member lives on"; done
    restore
    note_tree "$pid"
}

# running_tree NAME [ALLOW,...]: from a running one, twice
running_tree() {
    # shellcheck disable=SC2034 # for check_NAME
    launched=0 port=$(free_port)
    "command_$1"
    start "$1.log" "${command[@]}"
    wait_port "$port"
    note_tree "$pid"
    "fill_$1"
    until_true may_be_dumped || fail "check: $(cat "$scratch/said")"
    see before "$pid"
    trip_tree
    see after "$pid"
    same before after "${2:-}"
    "check_$1"
    note_tree "$pid"
    trip_tree
    "check_$1"
    note_tree "$pid"
    kill -0 "$pid" || fail "it has ended"
}

# launched_tree NAME: from `dump PROGRAM`
launched_tree() {
    from_start "$1"
    note_tree "$pid"
}

# ---- nginx: master and two workers ------------------------------------------------------------------------------

command_nginx() {
    need nginx
    mkdir -p "$scratch/work/html" "$scratch/work/logs"
    echo "a file" >"$scratch/work/html/file"
    chmod 755 "$scratch/work/html"
    cat >"$scratch/work/nginx.conf" <<END
daemon off; worker_processes 2; pid $scratch/work/nginx.pid; error_log $scratch/work/error.log; user root;
events { worker_connections 64; }
http { access_log $scratch/work/access.log; server { listen 127.0.0.1:$port; root $scratch/work/html; } }
END
    command=(nginx -c "$scratch/work/nginx.conf" -e "$scratch/work/error.log")
}
fill_nginx() { is "$(get "$port" file)" "a file"; }
has_new_workers() { # OLD...
    local now
    now=$(descendants "$pid")
    [ "$(wc -w <<<"$now")" = 2 ] && ! grep -qxF "$(tr ' ' '\n' <<<"$*")" <<<"$now"
}
# Workers answer; a reload makes new ones.
check_nginx() {
    local old
    fill_nginx
    old=$(descendants "$pid")
    is "$(wc -w <<<"$old")" 2
    kill -HUP "$pid"
    until_true has_new_workers "$old" || fail "no new workers after SIGHUP: $(cat "$scratch/work/error.log")"
    note_tree "$pid"
    fill_nginx
}

# ---- haproxy: master and worker ------------------------------------------------------------------------------------

command_haproxy() {
    need haproxy
    cat >"$scratch/work/haproxy.cfg" <<END
global
    maxconn 100
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend all
    bind 127.0.0.1:$port
    http-request return status 200 content-type text/plain string answered
END
    command=(haproxy -W -db -f "$scratch/work/haproxy.cfg")
}
fill_haproxy() { is "$(get "$port")" answered; }
check_haproxy() {
    fill_haproxy
    is "$(nr_below "$pid")" 1
}

# ---- gunicorn: arbiter and two workers -----------------------------------------------------------------------------

command_gunicorn() {
    need gunicorn
    cat >"$scratch/work/app.py" <<'END'
import os
served = 0
def app(environ, start_response):
    global served
    served += 1
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [b"%d %d\n" % (os.getpid(), served)]
END
    command=(gunicorn --workers 2 --bind "127.0.0.1:$port" --pythonpath "$scratch/work" --worker-tmp-dir /dev/shm app:app)
}
both_answer() {
    get "$port" >>"$scratch/workers"
    [ "$(cut -d' ' -f1 "$scratch/workers" | sort -u | wc -l)" = 2 ]
}
fill_gunicorn() {
    : >"$scratch/workers"
    until_true both_answer || fail "only one worker answers"
}
check_gunicorn() {
    fill_gunicorn
    # Of these very workers, which go on counting.
    is "$(cut -d' ' -f1 "$scratch/workers" | sort -un)" "$(descendants "$pid" | sort -n)"
    [ "$launched" = 1 ] || is "$(awk '$2 < 2' "$scratch/workers")" ""
}

# ---- puma: master and two workers with four threads each ---------------------------------------------------------

command_puma() {
    need puma
    cat >"$scratch/work/config.ru" <<'END'
lock, served = Mutex.new, 0
run lambda { |env|
  text = lock.synchronize { "#{Process.pid} #{served += 1}\n" }
  sleep 0.05 if env["PATH_INFO"] == "/slow"
  [200, { "Content-Type" => "text/plain", "Connection" => "close" }, [text]]
}
END
    command=(puma --workers 2 --threads 4:4 --bind "tcp://127.0.0.1:$port" "$scratch/work/config.ru")
}
fill_puma() { fill_gunicorn; }
check_puma() {
    check_gunicorn
    # Eight threads at a time.
    curl -sS --max-time 15 --parallel --parallel-max 8 "http://127.0.0.1:$port/slow?[1-16]" >"$scratch/slow"
    is "$(wc -l <"$scratch/slow")" 16
}

# ---- postfix: master, pickup, qmgr, and what master starts when somebody comes ---------------------------------------

postfix=/usr/lib/postfix/sbin
command_postfix() {
    need postfix
    [ "$(id -u)" = 0 ] || skip "needs root"
    local etc=$scratch/work/etc
    mkdir -m 755 "$etc" "$scratch/work/spool" "$scratch/work/lib" "$scratch/work/mail"
    chown postfix "$scratch/work/lib"
    chown nobody "$scratch/work/mail"
    {
        echo "127.0.0.1:$port inet n - n - - smtpd"
        echo "postlog unix-dgram n - n - 1 postlogd"
        awk '/^[a-z]/ && $8 !~ /^(pipe|smtpd|postlogd)$/ { $5 = "n"; print }' /usr/share/postfix/master.cf.dist
    } >"$etc/master.cf"
    printf '%s\n' "compatibility_level = 3.6" "queue_directory = $scratch/work/spool" "data_directory = $scratch/work/lib" \
        "command_directory = /usr/sbin" "daemon_directory = $postfix" "maillog_file_prefixes = $scratch/work" \
        "maillog_file = $scratch/work/maillog" "inet_interfaces = 127.0.0.1" "mynetworks = 127.0.0.0/8" "myhostname = kept.test" \
        "mydestination =" "virtual_mailbox_domains = kept.test" "virtual_mailbox_base = $scratch/work/mail" "virtual_minimum_uid = 1" \
        "virtual_mailbox_maps = static:box" "virtual_uid_maps = static:$(id -u nobody)" "virtual_gid_maps = static:$(id -g nobody)" >"$etc/main.cf"
    command=(postfix -c "$etc" start-fg)
    # It naps five times before it does anything.
    dump_options=(--until=listen --warmup true)
}
# A mail is taken, and delivered by other processes.
mail_send() { # TEXT
    printf '%s\r\n' "EHLO me" "MAIL FROM:<me@kept.test>" "RCPT TO:<you@kept.test>" DATA "Subject: $1" "" "$1" . QUIT |
        timeout 20 curl -sS --max-time 15 --no-buffer "telnet://127.0.0.1:$port" >"$scratch/smtp"
    grep -q '^250 .*queued as' "$scratch/smtp" || fail "not taken: $(cat "$scratch/smtp" "$scratch/work/maillog")"
    until_true grep -qsxF "$1" "$scratch/work/mail/box" || fail "not delivered: $(cat "$scratch/work/maillog")"
}
fill_postfix() { mail_send "the first one"; }
check_postfix() {
    mail_send "number $((SRANDOM % 100000))"
    [ "$(nr_below "$pid")" -ge 4 ] || fail "only $(nr_below "$pid") processes"
}

# ---- php-fpm: master and two workers -------------------------------------------------------------------------------

command_phpfpm() {
    need php-fpm8.2
    cat >"$scratch/work/fpm.conf" <<END
[global]
error_log = $scratch/work/fpm.log
daemonize = no
[www]
listen = 127.0.0.1:$port
pm = static
pm.max_children = 2
END
    [ "$(id -u)" != 0 ] || printf 'user = nobody\ngroup = nogroup\n' >>"$scratch/work/fpm.conf"
    echo '<?php echo 6 * 7;' >"$scratch/work/x.php"
    chmod 644 "$scratch/work/x.php"
    command=(php-fpm8.2 --nodaemonize --fpm-config "$scratch/work/fpm.conf")
}
fill_phpfpm() { is "$(timeout 20 "$python" "$real/fcgi.py" "$port" "$scratch/work/x.php")" 42; }
check_phpfpm() {
    fill_phpfpm
    is "$(nr_below "$pid")" 2
}

# ---- PostgreSQL ----------------------------------------------------------------------------------------------------

pg_bin=/usr/lib/postgresql/15/bin
command_postgresql() {
    [ -x $pg_bin/postgres ] || skip "PostgreSQL is not installed"
    local as=()
    mkdir "$scratch/work/data"
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid postgres --regid postgres --clear-groups --)
        chown postgres: "$scratch/work" "$scratch/work/data"
    fi
    chmod 700 "$scratch/work/data"
    "${as[@]}" "$pg_bin/initdb" -A trust -N -D "$scratch/work/data" >/dev/null
    command=("${as[@]}" "$pg_bin/postgres" -D "$scratch/work/data" -p "$port" -k "$scratch/work")
}
sql() { timeout 20 psql -h 127.0.0.1 -p "$port" -U postgres -d postgres -qtAc "$1"; }
nobody_connected() { [ "$(sql "select count(*) from pg_stat_activity where backend_type = 'client backend'")" = 1 ]; }
fill_postgresql() {
    rows=1000
    sql "create table t as select generate_series(1, 1000) x"
    is "$(sql 'select sum(x) from t')" 500500
    until_true nobody_connected
}
check_postgresql() {
    if [ "$launched" = 1 ]; then
        is "$(sql 'select 6 * 7')" 42
        return
    fi
    is "$(sql 'select count(*), sum(x) from t')" "$rows|500500"
    sql "begin; insert into t values (0); commit; checkpoint"
    sql "begin; insert into t values (1); rollback"
    rows=$((rows + 1))
}

# ---- python multiprocessing ----------------------------------------------------------------------------------------

command_pool() { command=("$python" "$real/pool.py" "$port"); }
fill_pool() {
    is "$(get "$port")" "1 285 True"
    is "$(get "$port")" "2 285 True"
    answered=2
}
check_pool() {
    [ "$launched" = 0 ] || answered=${answered:-0}
    answered=$((answered + 1))
    is "$(get "$port")" "$answered 285 True"
}

# ---- Java with a child ---------------------------------------------------------------------------------------------

command_javachild() {
    need javac
    [ -e "$scratch/work/Child.class" ] || javac -d "$scratch/work" "$real/Child.java"
    command=(java -Xmx128m -cp "$scratch/work" Child "$port")
}
fill_javachild() { is "$(get "$port" hello)" "child says hello"; }
check_javachild() {
    fill_javachild
    is "$(nr_below "$pid")" 1
}
