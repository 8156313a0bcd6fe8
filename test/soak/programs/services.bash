# shellcheck shell=bash disable=SC2034,SC2154
# More servers; see web.bash.

# Is the port open?
ask_open() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# ---- mail, files ----------------------------------------------------------------------------------------------

run_exim() {
    need exim4
    mkdir -m 777 "$dir/spool"
    printf '%s\n' "daemon_smtp_ports = $port" "local_interfaces = 127.0.0.1" "spool_directory = $dir/spool" "log_file_path = $dir/%slog" "keep_environment =" "exim_user = nobody" "exim_path = $(command -v exim4)" "exim_group = nogroup" "never_users =" "primary_hostname = kept.test" \
        "domainlist local = kept.test" "pid_file_path = $dir/pidfile" "acl_smtp_rcpt = accept" "tls_advertise_hosts =" "begin routers" "all:" "driver = accept" "transport = file" "begin transports" "file:" "driver = appendfile" "file = $dir/mail" "user = nobody" "create_directory = false" >"$dir/conf"
    chmod 644 "$dir/conf"
    command=(exim4 -C "$dir/conf" -bdf -q1m)
}
mailed() { grep -q "$1" "$dir/mail"; }
ask_exim() {
    local text=text$RANDOM
    timeout 8 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; read -r x <&3; for s in "HELO x" "MAIL FROM:<a@kept.test>" "RCPT TO:<b@kept.test>" DATA; do printf "$s\r\n" >&3; read -r x <&3; done; printf "Subject: $2\r\n\r\n.\r\nQUIT\r\n" >&3; cat <&3' - "$port" "$text" >/dev/null 2>&1
    until_soon mailed "$text" || { echo "no mail"; return 1; }
}
ftp_page() { file_page; chmod 755 "$dir"; mkdir -p "$dir/empty"; }
run_vsftpd() {
    need vsftpd
    ftp_page
    mkdir "$dir/root"
    cp "$dir/page" "$dir/root"
    chmod 644 "$dir/root/page"
    printf '%s\n' listen=YES background=NO "listen_port=$port" listen_address=127.0.0.1 anonymous_enable=YES "anon_root=$dir/root" "secure_chroot_dir=$dir/empty" ftp_username=daemon seccomp_sandbox=NO no_anon_password=YES >"$dir/conf"
    chown root "$dir/conf"
    chmod 755 "$dir/empty"
    command=(vsftpd "$dir/conf")
}
ask_ftp() { is "$(timeout 8 curl -gsS --max-time 6 "ftp://127.0.0.1:$port/page")" "a page"; }
ask_vsftpd() { ask_ftp; }
run_tftpd() { need in.tftpd; file_page; command=(in.tftpd -L --address "127.0.0.1:$port" -s "$dir"); }
ask_tftpd() { is "$(timeout 8 curl -gsS --max-time 6 "tftp://127.0.0.1:$port/page")" "a page"; }
run_nbd() {
    need nbd-server
    head -c 1048576 /dev/urandom >"$dir/disk"
    printf '[generic]\nport = %s\nlistenaddr = 127.0.0.1\n[kept]\nexportname = %s\n' "$port" "$dir/disk" >"$dir/conf"
    command=(nbd-server -C "$dir/conf" -p "$dir/pidfile")
    ways="running ns again"
}
pid_nbd() { cat "$dir/pidfile"; }
ask_nbd() { has "$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; head -c 8 <&3' - "$port" 2>/dev/null)" NBDMAGIC; }
run_nbdkit() { need nbdkit; command=(nbdkit -f -i 127.0.0.1 -p "$port" memory 8M); }
ask_nbdkit() { ask_nbd; }
run_syncthing() { need syncthing; dump_options=--tcp-close restore_options=--tcp-close; command=(syncthing serve --no-browser --no-upgrade --home="$dir/st" --gui-address="http://127.0.0.1:$port" --skip-port-probing); }
ask_syncthing() { get | grep -q -i syncthing; }
run_rclone() { need rclone; file_page; command=(rclone serve webdav "$dir" --addr "127.0.0.1:$port"); }
ask_rclone() { ask_page; }
run_rpcbind() { need rpcbind; ways="launch running again"; command=(rpcbind -f -w); }
ask_rpcbind() { has "$(timeout 5 rpcinfo -p 127.0.0.1)" portmapper; }
run_cups() {
    need cupsd
    mkdir -p "$dir/spool" "$dir/state" "$dir/cache" "$dir/root"
    printf '%s\n' "Listen 127.0.0.1:$port" "<Location />" "Order allow,deny" "Allow all" "</Location>" >"$dir/conf"
    printf '%s\n' "ServerRoot $dir/root" "RequestRoot $dir/spool" "StateDir $dir/state" "CacheDir $dir/cache" "AccessLog $dir/alog" "ErrorLog $dir/elog" "PageLog $dir/plog" >"$dir/files"
    command=(cupsd -f -c "$dir/conf" -s "$dir/files")
}
ask_cups() { has "$(get)" CUPS; }
run_fossil() { need fossil; (cd "$dir" && HOME=$dir USER=x fossil init r.fossil >/dev/null); command=(env USER=x fossil server --localhost --port "$port" "$dir/r.fossil"); }
ask_fossil() { has "$(get timeline)" "initial empty check-in"; }
run_lsyncd() {
    need lsyncd
    mkdir "$dir/from" "$dir/to"
    echo "settings { nodaemon = true } sync { default.rsync, source = \"$dir/from\", target = \"$dir/to\", delay = 0 }" >"$dir/conf"
    command=(lsyncd "$dir/conf")
}
ready_lsyncd() { grep -q "Startup of" "$dir.log"; }
ask_lsyncd() { local f=f$RANDOM; echo x >"$dir/from/$f" && until_true test -e "$dir/to/$f"; }
run_inotifywait() { need inotifywait; mkdir -p "$dir/watched/deep"; command=(bash -c "exec inotifywait -q -m -r --format %w%f -e create watched >out"); }
ready_inotifywait() { sleep 0.5; }
ask_inotifywait() { local f=f$RANDOM; : >"$dir/watched/deep/$f" && until_soon grep -q "deep/$f" "$dir/out"; }
run_entr() {
    need entr
    echo 0 >"$dir/watched"
    command=(bash -c 'echo watched | exec entr -n -r sh -c "cat watched >out; exec sleep 1000"')
}
ask_entr() { local n=$RANDOM; echo $n >"$dir/watched"; entr_ran() { [ "$(cat "$dir/out" 2>/dev/null)" = $n ]; }; until_soon entr_ran || { echo "it did not run"; return 1; }; }

# ---- web ------------------------------------------------------------------------------------------------------

run_webfs() { need webfsd; file_page; command=(webfsd -F -p "$port" -i 127.0.0.1 -r "$dir"); }
ask_webfs() { ask_page; }
run_yaws() {
    need yaws
    file_page
    printf '%s\n' "logdir = $dir" "ebin_dir = $dir" "<server kept.test>" "port = $port" "listen = 127.0.0.1" "docroot = $dir" "</server>" >"$dir/conf"
    command=(yaws --daemon --conf "$dir/conf" --id "x$port")
    command=(yaws -i --conf "$dir/conf" --id "x$port")
    # It has a console.
    command=(bash -c 'mkfifo in; exec script -q -f -c "$0 $*" out <>in' "${command[@]}")
}
ask_yaws() { ask_page; }
run_tomcat() {
    [ -d /usr/share/tomcat10 ] && need java || exit 77
    mkdir -p "$dir/conf" "$dir/webapps/ROOT" "$dir/temp" "$dir/work" "$dir/logs"
    cp /etc/tomcat10/web.xml "$dir/conf/"
    # shellcheck disable=SC2016
    echo '<%! static int n; %><%= ++n %>' >"$dir/webapps/ROOT/n.jsp"
    echo "<Server port='-1'><Service name='Catalina'><Connector port='$port' address='127.0.0.1'/><Engine name='Catalina' defaultHost='localhost'><Host name='localhost' appBase='webapps'/></Engine></Service></Server>" >"$dir/conf/server.xml"
    command=(java -Xmx128m -Dcatalina.home=/usr/share/tomcat10 -Dcatalina.base="$dir" -Djava.io.tmpdir="$dir/temp" -cp "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar" org.apache.catalina.startup.Bootstrap start)
}
ask_tomcat() { local was; was=$(cat "$dir/was" 2>/dev/null || echo 0); get n.jsp >"$dir/now" || return 1; [ "$(tr -dc 0-9 <"$dir/now")" -gt "$was" ] && tr -dc 0-9 <"$dir/now" >"$dir/was"; }
run_jetty() {
    [ -e /usr/share/jetty9/start.jar ] && need java || exit 77
    mkdir -p "$dir/webapps/root"
    echo "a page" >"$dir/webapps/root/page"
    command=(java -Xmx128m -Djetty.home=/usr/share/jetty9 -jar /usr/share/jetty9/start.jar jetty.base="$dir" "--module=http,deploy" jetty.http.host=127.0.0.1 jetty.http.port="$port")
}
ask_jetty() { ask_page; }
run_mojolicious() {
    need perl
    perl -MMojolicious -e1 2>/dev/null || exit 77
    # shellcheck disable=SC2016
    printf '%s\n' 'use Mojolicious::Lite; my $n = 0;' 'get "/" => sub { my $c = shift; $c->render(text => ++$n) };' 'app->log->level("fatal"); app->start;' >"$dir/x.pl"
    command=(perl "$dir/x.pl" daemon -m production -l "http://127.0.0.1:$port")
}
ask_mojolicious() { ask_count; }
run_hypnotoad() {
    run_mojolicious
    need hypnotoad
    # shellcheck disable=SC2016
    printf '%s\n' 'use Mojolicious::Lite; app->config(hypnotoad => { listen => ["http://127.0.0.1:'"$port"'"], workers => 3, pid_file => "'"$dir"'/pidfile" });' 'get "/" => { text => "answered" };' 'app->log->level("fatal"); app->start;' >"$dir/x.pl"
    command=(hypnotoad -f "$dir/x.pl")
}
ask_hypnotoad() { is "$(get)" answered; }
run_eventmachine() {
    need ruby
    ruby -reventmachine -e1 2>/dev/null || exit 77
    cat >"$dir/x.rb" <<'END'
require 'eventmachine'
$n = 0
module S; def receive_data(d); EM.defer(proc { $n += 1 }, proc { |n| send_data "HTTP/1.0 200 OK\r\n\r\n#{n}"; close_connection_after_writing }); end; end
EM.run { EM.add_periodic_timer(0.1) {}; EM.start_server "127.0.0.1", ARGV[0].to_i, S }
END
    command=(ruby "$dir/x.rb" "$port")
}
ask_eventmachine() { ask_count; }
run_apache_wsgi() {
    need apache2
    [ -e /usr/lib/apache2/modules/mod_wsgi.so ] || exit 77
    apache_conf event
    printf 'n = 0\ndef application(e, start):\n    global n\n    n += 1\n    start("200 OK", [])\n    return [b"%%d" %% n]\n' >"$dir/x.wsgi"
    printf '%s\n' "LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so" "WSGISocketPrefix $dir/wsgi" "WSGIDaemonProcess x processes=1 threads=3" "WSGIProcessGroup x" "WSGIScriptAlias / $dir/x.wsgi" >>"$dir/conf"
}
ask_apache_wsgi() { ask_count; }
run_shellinabox() { need shellinaboxd; command=(shellinaboxd -t -p "$port" --localhost-only -u nobody -g nogroup -s /:nobody:nogroup:/:id); }
ask_shellinabox() { has "$(get)" hellInABox; }
run_webhook() {
    need webhook
    echo '[{"id":"x","execute-command":"/bin/echo","include-command-output-in-response":true,"pass-arguments-to-command":[{"source":"string","name":"ran"}]}]' >"$dir/hooks"
    command=(webhook -hooks "$dir/hooks" -ip 127.0.0.1 -port "$port" -hotreload)
}
ask_webhook() { is "$(get hooks/x)" ran; }
run_registry() {
    need docker-registry
    printf '%s\n' 'version: 0.1' 'storage:' '  filesystem:' "    rootdirectory: $dir/data" 'http:' "  addr: 127.0.0.1:$port" >"$dir/conf"
    command=(docker-registry serve "$dir/conf")
}
ask_registry() { is "$(get v2/_catalog)" '{"repositories":[]}'; }
run_alertmanager() { need prometheus-alertmanager; printf 'route:\n  receiver: x\nreceivers:\n- name: x\n' >"$dir/conf"; command=(prometheus-alertmanager --config.file="$dir/conf" --storage.path="$dir/data" --cluster.listen-address= --web.listen-address="127.0.0.1:$port"); }
ask_alertmanager() { is "$(get -/ready)" OK; }
run_pushgateway() { need prometheus-pushgateway; command=(prometheus-pushgateway --web.listen-address="127.0.0.1:$port"); }
ask_pushgateway() { get metrics | grep -q pushgateway_build_info; }
fill_pushgateway() { echo "kept 4711" | curl -s --data-binary @- "http://127.0.0.1:$port/metrics/job/x"; }
kept_pushgateway() { has "$(get metrics | grep ^kept)" 4711; }
run_blackbox() { need prometheus-blackbox-exporter; command=(prometheus-blackbox-exporter --config.file=/etc/prometheus/blackbox.yml --web.listen-address="127.0.0.1:$port"); }
ask_blackbox() { has "$(get "probe?target=127.0.0.1:$port&module=tcp_connect")" "probe_success 1"; }

# ---- names, networks, watching ----------------------------------------------------------------------------------

run_pdns_recursor() {
    need pdns_recursor dig
    command=(pdns_recursor --config-dir="$dir" --local-address=127.0.0.1 --local-port="$port" --socket-dir="$dir" --daemon=no --disable-syslog --threads=2 --setuid= --setgid= --export-etc-hosts=yes --security-poll-suffix= --hint-file=no)
}
ask_dns_localhost() { is "$(timeout 5 dig +short +time=1 +tries=3 @127.0.0.1 -p "$port" localhost A)" 127.0.0.1; }
ask_pdns_recursor() { ask_dns_localhost; }
run_dnsdist() {
    need dnsdist dig
    printf '%s\n' "setLocal('127.0.0.1:$port')" "addAction(AllRule(), SpoofAction('127.0.0.1'))" "setSecurityPollSuffix('')" >"$dir/conf"
    command=(dnsdist -C "$dir/conf" --supervised --disable-syslog)
}
ask_dnsdist() { ask_dns_localhost; }
run_kresd() { need kresd dig; printf '%s\n' "net.listen('127.0.0.1', $port)" "modules = { 'hints > iterate' }" "hints['localhost'] = '127.0.0.1'" "trust_anchors.remove('.')" >"$dir/conf"; mkdir "$dir/kr"; command=(kresd -n -c "$dir/conf" "$dir/kr"); }
ask_kresd() { ask_dns_localhost; }
run_lldpd() { need lldpd lldpcli; command=(lldpd -d -u "$dir/sock" -I lo -L /bin/true); }
ask_lldpd() { has "$(timeout 5 lldpcli -u "$dir/sock" show configuration 2>&1)" "onfiguration"; }
run_freeradius() { need freeradius; command=(freeradius -f -l stdout -i 127.0.0.1 -p "$port"); }
ask_freeradius() { [ -n "$(ss -uln "sport = :$port" | tail -n +2)" ]; }
run_inspircd() {
    need inspircd
    printf '%s\n' "<config format=\"xml\"><server name=\"kept.test\" description=\"x\" network=\"x\"><admin name=\"x\" nick=\"x\" email=\"x\"><bind address=\"127.0.0.1\" port=\"$port\" type=\"clients\"><pid file=\"$dir/pidfile\"><connect allow=\"*\" timeout=\"60\">" >"$dir/conf"
    command=(inspircd --nofork --runasroot --config "$dir/conf")
}
ask_inspircd() { has "$(say 'NICK a%sUSER a a a a\r\n' 3 2>/dev/null; say 'NICK kept\r\nUSER a a a a\r\n' 3)" "kept.test"; }
run_mumble() { need murmurd; printf '%s\n' "database=$dir/db" "port=$port" "host=127.0.0.1" "logfile=$dir/log" "pidfile=$dir/pidfile" "ice=" "dbus=" >"$dir/conf"; command=(murmurd -fg -ini "$dir/conf"); }
ask_mumble() { has "$(timeout 5 openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null)" "Murmur"; }
run_kamailio() {
    need kamailio
    printf '%s\n' '#!KAMAILIO' "listen=udp:127.0.0.1:$port" 'children=2' 'loadmodule "sl.so"' 'loadmodule "pv.so"' 'request_route { sl_send_reply("200", "kept"); }' >"$dir/conf"
    command=(kamailio -DD -E -M 4 -f "$dir/conf" -Y "$dir")
}
ask_kamailio() {
    has "$(timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.bind(("127.0.0.1", 0)); p = s.getsockname()[1]
s.sendto(("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" % p).encode(), ("127.0.0.1", int(sys.argv[1])))
print(s.recv(999).decode())' "$port" 2>&1)" "200 kept"
}
run_iperf3() { need iperf3; command=(iperf3 -s -B 127.0.0.1 -p "$port"); }
ask_iperf3() { has "$(timeout 8 iperf3 -c 127.0.0.1 -p "$port" -n 1M 2>&1)" receiver; }
run_deluged() { need deluged; dump_options=--tcp-close; command=(deluged -d -c "$dir/d" -i 127.0.0.1 -p "$port" -o lo -L warning); }
ask_deluged() { ask_open; }
run_tcpdump() { need tcpdump; ways=running refused="a ring of a packet socket"; command=(tcpdump -U -n -i lo -w "$dir/out" port "$port"); }
ask_tcpdump() { local was; was=$(stat -c %s "$dir/out" || echo 0); ask_open; until_soon grown out $((was + 20)); }
run_darkstat() { need darkstat; ways=running refused="a ring of a packet socket"; command=(darkstat --no-daemon -i lo -b 127.0.0.1 -p "$port" --no-dns --user root --chroot "$dir"); }
ask_darkstat() { has "$(get)" darkstat; }
run_bird() { need bird birdc; printf 'router id 1.2.3.4;\nprotocol device {}\nprotocol static { ipv4; route 10.99.0.0/16 blackhole; }\n' >"$dir/conf"; command=(bird -f -c "$dir/conf" -s "$dir/sock" -P "$dir/pidfile"); }
ask_bird() { has "$(timeout 5 birdc -s "$dir/sock" show route)" 10.99.0.0/16; }
run_sslh() { need sslh; port2=$(free_port); command=(sslh -f -u nobody -p "127.0.0.1:$port" --http "127.0.0.1:$port2"); }
ask_sslh() { ask_open; }
run_sslh_select() { need sslh-select; run_sslh; command[0]=sslh-select; }
ask_sslh_select() { ask_open; }
run_spiped() { need spiped; port2=$(free_port); head -c 32 /dev/urandom >"$dir/key"; command=(spiped -F -e -s "[127.0.0.1]:$port" -t "[127.0.0.1]:$port2" -k "$dir/key"); }
ask_spiped() { ask_open; }
run_mosh() { need mosh-server; ways="running again"; command=(bash -c "mosh-server new -i 127.0.0.1 -p $port -- bash --norc >key 2>&1; sleep 100000"); }
ask_mosh() { pgrep -f "mosh-server new -i 127.0.0.1 -p $port" >/dev/null; }
run_xrdp() { need xrdp; cp -r /etc/xrdp "$dir/x"; sed -i "s/^port=3389/port=tcp:\/\/127.0.0.1:$port/" "$dir/x/xrdp.ini"; command=(xrdp --nodaemon --config "$dir/x/xrdp.ini"); ways="launch running again"; }
ask_xrdp() { ask_open; }
# A client is in it: a shell at the one end of ssh, a program at the other.
run_ssh_inside() {
    need sshd ssh ssh-keygen
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/me"
    cp "$dir/me.pub" "$dir/authorized"
    mkfifo "$dir/in"
    printf '%s\n' "ListenAddress 127.0.0.1:$port" "HostKey $dir/host" "AuthorizedKeysFile $dir/authorized" "StrictModes no" "UsePAM no" "PidFile none" "PermitRootLogin yes" >"$dir/conf"
    command=(bash -c "/usr/sbin/sshd -D -e -f conf & until ss -ltn | grep -q 127.0.0.1:$port; do sleep 0.1; done; exec ssh -tt -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i me -p $port 127.0.0.1 'exec bash --norc' <>in >out 2>&1")
    ways="running again" dump_options=--tcp-established restore_options=--tcp-established
}
ask_ssh_inside() { local n=$RANDOM; echo "echo \$(($n * 2))x" >"$dir/in"; until_soon grep -q "$((n * 2))x" "$dir/out" || { echo "no answer: $(tail -n 2 "$dir/out")"; return 1; }; }
run_zabbix() { need zabbix_agentd; port=$((port % 20000 + 10000)); printf '%s\n' "Server=127.0.0.1" "ListenIP=127.0.0.1" "ListenPort=$port" "LogType=console" "StartAgents=3" "AllowRoot=1" "PidFile=$dir/pidfile" "Hostname=x" >"$dir/conf"; command=(zabbix_agentd -f -c "$dir/conf"); }
ask_zabbix() { has "$(say 'ZBXD\1\12\0\0\0\0\0\0\0agent.ping')" ZBXD; }
run_munin() { need munin-node; printf '%s\n' "host 127.0.0.1" "port $port" "background 0" "setsid 0" "log_file $dir/log" "pid_file $dir/pidfile" "user root" "group root" "cidr_allow 127.0.0.1/32" "host_name x" >"$dir/conf"; command=(munin-node --config "$dir/conf"); }
ask_munin() { has "$(say 'list\n' 2)" munin; }
run_nrpe() { need nrpe; printf '%s\n' "server_address=127.0.0.1" "server_port=$port" "nrpe_user=nobody" "nrpe_group=nogroup" "allowed_hosts=127.0.0.1" "pid_file=$dir/pidfile" "command[x]=/bin/echo ok" >"$dir/conf"; command=(nrpe -f -n -c "$dir/conf"); }
ask_nrpe() { ask_open; }
run_fail2ban() { need fail2ban-server fail2ban-client; cp -r /etc/fail2ban "$dir/f"; rm -rf "$dir"/f/jail.d/*; command=(fail2ban-server -xf -c "$dir/f" -s "$dir/sock" -p "$dir/pidfile" --logtarget "$dir/log" start); }
ask_fail2ban() { has "$(timeout 8 fail2ban-client -s "$dir/sock" ping 2>&1)" pong; }
run_opendkim() { need opendkim; command=(opendkim -f -p "inet:$port@127.0.0.1" -l -b v -d kept.test); }
ask_opendkim() { ask_open; }
run_postgrey() { need postgrey; mkdir "$dir/db"; command=(postgrey --inet="127.0.0.1:$port" --dbdir="$dir/db" --user=root --group=root); }
ask_postgrey() { has "$(say 'request=smtpd_access_policy\nclient_address=1.2.3.4\nclient_name=x\nsender=a@b\nrecipient=c@d\n\n')" action=; }
run_haveged() { need haveged; ways="launch running again"; command=(haveged -F -w 1024); }
ask_haveged() { kill -0 "$pid"; }
run_nscd() { need nscd; ways="launch running again"; command=(nscd -F -d); }
ask_nscd() { getent hosts localhost >/dev/null; }
run_incrond() { need incrond; ways="launch running again"; command=(incrond -n); }
ask_incrond() { kill -0 "$pid"; }
run_distcc() { need distccd; command=(distccd --no-detach --daemon --allow-private -p "$port" -a 127.0.0.1 --listen 127.0.0.1 -j 3 --user nobody --log-stderr); }
ask_distcc() { mkdir -p "$dir.dd" && echo 'int x;' >"$dir.x.c" && (cd /tmp && PATH=$PATH DISTCC_DIR="$dir.dd" DISTCC_FALLBACK=0 DISTCC_HOSTS="127.0.0.1:$port" timeout 8 distcc gcc -c "$dir.x.c" -o "$dir.x.o"); }
run_gdbserver() { need gdbserver; ways=running refused="already traced by .*gdbserver"; command=(gdbserver "127.0.0.1:$port" /bin/sleep 1000); }
ask_gdbserver() { pgrep -x sleep -P "$pid" >/dev/null; }

# ---- data, sound, machines -----------------------------------------------------------------------------------------

run_tarantool() {
    need tarantool
    printf '%s\n' "box.cfg{listen = '127.0.0.1:$port', work_dir = '$dir', memtx_memory = 33554432}" "kept = 0" "require('console').listen('$dir/sock')" >"$dir/x.lua"
    command=(tarantool "$dir/x.lua")
}
tarantool_says() { timeout 5 python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(999); s.send((sys.argv[2]+"\n").encode()); print(s.recv(999).decode())' "$dir/sock" "$1"; }
ask_tarantool() { has "$(tarantool_says 'return 6 * 7')" 42; }
fill_tarantool() { tarantool_says 'kept = 4711'; }
kept_tarantool() { has "$(tarantool_says 'return kept')" 4711; }
run_groonga() { need groonga; command=(groonga -s -n --protocol http --bind-address 127.0.0.1 -p "$port" "$dir/db"); }
ask_groonga() { has "$(get d/status)" uptime; }
fill_groonga() { get 'd/table_create?name=kept&flags=TABLE_HASH_KEY&key_type=ShortText'; }
kept_groonga() { has "$(get d/table_list)" kept; }
run_pgpool() { need pgpool; printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $port" "pcp_port = $(free_port)" "socket_dir = '$dir'" "pcp_socket_dir = '$dir'" "pid_file_name = '$dir/pidfile'" "num_init_children = 4" "logdir = '$dir'" "backend_hostname0 = '127.0.0.1'" "backend_port0 = $(free_port)" "log_destination = 'stderr'" >"$dir/conf"; : >"$dir/hba"; command=(pgpool -n -f "$dir/conf" -a "$dir/hba" -F "$dir/pcp"); }
ask_pgpool() { ask_open; }
run_serf() { need serf; command=(serf agent -node=kept -bind="127.0.0.1:$(free_port)" -rpc-addr="127.0.0.1:$port"); }
ask_serf() { has "$(timeout 5 serf members -rpc-addr="127.0.0.1:$port" 2>&1)" kept; }
run_mpd() {
    need mpd
    mkdir "$dir/music"
    printf '%s\n' "music_directory \"$dir/music\"" "db_file \"$dir/db\"" "bind_to_address \"127.0.0.1\"" "port \"$port\"" "audio_output {" 'type "null"' 'name "x"' "}" >"$dir/conf"
    command=(mpd --no-daemon "$dir/conf")
}
ask_mpd() { has "$(say 'status\n' 3)" volume || has "$(say 'status\n' 3)" repeat; }
run_pipewire() { need pipewire pw-cli; mkdir -m 700 "$dir/run"; command=(env XDG_RUNTIME_DIR="$dir/run" pipewire); ways="launch running again"; }
ask_pipewire() { has "$(XDG_RUNTIME_DIR=$dir/run timeout 5 pw-cli info 0 2>&1)" core; }
run_qemu_system() {
    need qemu-system-x86_64
    # No disk: the BIOS says so, the monitor answers.
    command=(qemu-system-x86_64 -accel tcg -m 32 -display none -nodefaults -serial none -monitor "tcp:127.0.0.1:$port,server=on,wait=off" -vga std)
}
ask_qemu_system() { has "$(say 'info status\n' 3)" running; }
