# shellcheck shell=bash disable=SC2034,SC2154
# Names, mail, files, time, chat, logs; see web.bash.

dns() { /usr/bin/python3 "$here/../real/dns.py" "$port" "$1" 2>&1; }
zone_file() {
    # shellcheck disable=SC2016
    printf '$TTL 60\n@ IN SOA ns. me. 1 60 60 60 60\n@ IN NS ns.kept.test.\nns IN A 10.1.2.3\n@ IN A 10.1.2.3\n' >"$dir/zone"
    chmod 644 "$dir/zone"
}
ask_dns() { is "$(dns kept.test)" 10.1.2.3; }
run_bind() {
    need named
    zone_file
    printf '%s\n' "options { directory \"$dir\"; listen-on port $port { 127.0.0.1; }; listen-on-v6 { none; }; pid-file \"$dir/pidfile\"; session-keyfile none; recursion no; managed-keys-directory \"$dir\"; };" \
        'controls { };' 'zone "kept.test" { type master; file "zone"; };' >"$dir/conf"
    command=(named -g -u bind -c "$dir/conf")
}
ask_bind() { ask_dns; }
run_unbound() {
    need unbound
    printf '%s\n' server: "interface: 127.0.0.1" "port: $port" 'chroot: ""' 'username: "unbound"' 'pidfile: ""' 'use-syslog: no' "directory: \"$dir\"" "num-threads: 3" 'local-data: "kept.test. A 10.1.2.3"' 'do-not-query-localhost: no' \
        remote-control: "control-enable: no" >"$dir/conf"
    command=(unbound -d -c "$dir/conf")
}
ask_unbound() { ask_dns; }
run_nsd() {
    need nsd
    zone_file
    printf '%s\n' server: "ip-address: 127.0.0.1@$port" "server-count: 2" 'username: "nobody"' 'pidfile: ""' "zonesdir: \"$dir\"" 'database: ""' "xfrdfile: \"$dir/xfrd\"" "xfrdir: \"$dir\"" "zonelistfile: \"$dir/zl\"" "cookie-secret-file: \"\"" \
        remote-control: "control-enable: no" zone: 'name: "kept.test"' 'zonefile: "zone"' >"$dir/conf"
    command=(nsd -d -c "$dir/conf")
}
ask_nsd() { ask_dns; }
run_knot() {
    need knotd
    zone_file
    mv "$dir/zone" "$dir/kept.test.zone"
    printf '%s\n' server: "    rundir: $dir" "    listen: 127.0.0.1@$port" database: "    storage: $dir/db" control: "    listen: $dir/control" template: "  - id: default" "    storage: $dir" zone: "  - domain: kept.test" >"$dir/conf"
    command=(knotd -c "$dir/conf")
}
ask_knot() { ask_dns; }

run_sshd() {
    need sshd ssh ssh-keygen
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    cp "$dir/key.pub" "$dir/authorized"
    mkdir -p /run/sshd
    printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "HostKey $dir/host" "PidFile none" "AuthorizedKeysFile $dir/authorized" "StrictModes no" "UsePAM no" "PermitRootLogin yes" >"$dir/conf"
    command=(/usr/sbin/sshd -D -e -f "$dir/conf")
}
ssh_to() { timeout 10 ssh -F none -p "$port" -i "$dir/key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 "$@" 2>&1; }
ask_sshd() { is "$(ssh_to echo inside)" inside; }

run_dropbear() {
    need dropbear ssh dropbearkey ssh-keygen
    dropbearkey -t ed25519 -f "$dir/host" >/dev/null 2>&1
    command=(dropbear -F -E -r "$dir/host" -p "127.0.0.1:$port")
}
ask_dropbear() { has "$(say '' 1)" dropbear; }

run_postfix() {
    need postfix
    mkdir -p "$dir/conf" "$dir/spool" "$dir/lib"
    chown postfix "$dir/lib"
    cp -r /etc/postfix/. "$dir/conf"
    printf '127.0.0.1:%s inet n - n - - smtpd\n' "$port" >"$dir/conf/master.cf"
    awk '/^[a-z]/ && $8 !~ /^(pipe|smtpd|postlogd)$/ { $5 = "n"; print }' /usr/share/postfix/master.cf.dist >>"$dir/conf/master.cf"
    echo 'postlog unix-dgram n - n - 1 postlogd' >>"$dir/conf/master.cf"
    printf '%s\n' "compatibility_level = 3.6" "queue_directory = $dir/spool" "data_directory = $dir/lib" "command_directory = /usr/sbin" "daemon_directory = /usr/lib/postfix/sbin" "maillog_file = $dir/maillog" "maillog_file_prefixes = $dir" \
        "mydestination = kept.test" "inet_interfaces = 127.0.0.1" "local_recipient_maps =" "mynetworks = 127.0.0.0/8" "alias_maps =" "local_transport = local" "mailbox_size_limit = 0" "myhostname = kept.test" >"$dir/conf/main.cf"
    command=(postfix -c "$dir/conf" start-fg)
}
ask_postfix() { has "$(say '' 1)" ESMTP; }

run_dovecot() {
    need dovecot
    mkdir -p "$dir/run"
    printf '%s\n' "base_dir = $dir/run" "state_dir = $dir/run" "log_path = $dir/dlog" "protocols = imap" "ssl = no" "listen = 127.0.0.1" "disable_plaintext_auth = no" "service imap-login {" "inet_listener imap {" "port = $port" "}" "inet_listener imaps {" "port = 0" "}" "}" \
        "passdb {" "driver = static" "args = password=secret" "}" "userdb {" "driver = static" "args = uid=nobody gid=nogroup home=$dir/home" "}" "mail_location = maildir:$dir/mail" "default_internal_user = dovecot" "first_valid_uid = 1" >"$dir/conf"
    mkdir -m 777 "$dir/home" "$dir/mail"
    command=(dovecot -F -c "$dir/conf")
}
ask_dovecot() { has "$(say 'a login me secret\r\nb logout\r\n' 2)" "Logged in"; }

run_proftpd() {
    need proftpd
    mkdir -m 755 "$dir/run"
    printf '%s\n' "ServerType standalone" "ServerName x" "Port $port" "DefaultAddress 127.0.0.1" "User nobody" "Group nogroup" "PidFile $dir/pidfile" "ScoreboardFile $dir/run/score" "DelayEngine off" "WtmpLog off" "UseIPv6 off" >"$dir/conf"
    command=(proftpd -n -c "$dir/conf")
}
ask_proftpd() { has "$(say '' 1)" 220; }
run_rsyncd() {
    need rsync
    echo "a page" >"$dir/page"
    printf '%s\n' "[m]" "path = $dir" "use chroot = no" >"$dir/conf"
    command=(rsync --daemon --no-detach --address=127.0.0.1 --port="$port" --config="$dir/conf")
}
ask_rsyncd() { rm -f "$dir.page"; timeout 5 rsync "rsync://127.0.0.1:$port/m/page" "$dir.page" && is "$(cat "$dir.page")" "a page"; }
run_smbd() {
    need smbd
    printf '%s\n' '[global]' "lock directory = $dir" "private dir = $dir" "state directory = $dir" "cache directory = $dir" "pid directory = $dir" "ncalrpc dir = $dir/nc" "smb ports = $port" "interfaces = 127.0.0.1" "bind interfaces only = yes" "log file = $dir/slog" "disable spoolss = yes" >"$dir/conf"
    command=(smbd -F --no-process-group -s "$dir/conf")
}
ask_smbd() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
run_xinetd() {
    need xinetd
    printf '%s\n' "defaults {" "log_type = FILE $dir/xlog" "}" "service echo {" "id = e" "type = INTERNAL UNLISTED" "socket_type = stream" "protocol = tcp" "wait = no" "user = root" "port = $port" "bind = 127.0.0.1" "}" >"$dir/conf"
    command=(xinetd -filelog "$dir/xlog" -dontfork -f "$dir/conf")
}
ask_xinetd() { is "$(say 'hello\n')" hello; }

run_ngircd() {
    need ngircd
    # It is slow to notice that a client has gone.
    dump_options=--tcp-close restore_options=--tcp-close
    printf '%s\n' '[Global]' 'Name = irc.kept.test' "Listen = 127.0.0.1" "Ports = $port" "[Options]" "Ident = no" "PAM = no" "DNS = no" >"$dir/conf"
    command=(ngircd -n -f "$dir/conf")
}
ask_ngircd() { has "$(say 'NICK me\r\nUSER a b c d\r\nPING 1\r\n' 4)" "irc.kept.test"; }
run_prosody() {
    need prosody
    printf '%s\n' 'daemonize = false; run_as_root = true' "data_path = \"$dir\"; pidfile = \"$dir/pidfile\"; c2s_ports = { $port }; s2s_ports = {}; interfaces = { \"127.0.0.1\" }; modules_disabled = { \"s2s\" }" 'VirtualHost "kept.test"' >"$dir/prosody.cfg.lua"
    command=(lua5.4 /usr/bin/prosody --config "$dir/prosody.cfg.lua" -F)
}
ask_prosody() { has "$(timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; printf "<?xml version=\"1.0\"?><stream:stream to=\"kept.test\" xmlns=\"jabber:client\" xmlns:stream=\"http://etherx.jabber.org/streams\" version=\"1.0\">" >&3; head -c 100 <&3' - "$port" 2>/dev/null)" stream; }
run_znc() {
    need znc
    mkdir -p "$dir/znc/configs"
    printf '%s\n' 'Version = 1.8.2' '<Listener l>' "Port = $port" 'IPv4 = true' 'IPv6 = false' 'SSL = false' 'Host = 127.0.0.1' '</Listener>' '<User admin>' 'Pass = sha256#0#x#' 'Admin = true' '</User>' >"$dir/znc/configs/znc.conf"
    chown -R nobody "$dir/znc"
    command=(setpriv --reuid nobody --regid nogroup --clear-groups znc -f -d "$dir/znc")
}
ask_znc() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
run_coturn() {
    need turnserver
    command=(turnserver -n --listening-ip=127.0.0.1 --listening-port="$port" --no-tls --no-dtls --no-cli --log-file=stdout --pidfile="$dir/pidfile" --userdb="$dir/db" --simple-log --no-auth)
}
ask_coturn() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
run_tor() {
    need tor
    : >"$dir/torrc"
    command=(tor -f "$dir/torrc" --SocksPort "127.0.0.1:$port" --DataDirectory "$dir/tor" --DisableNetwork 0 --Log "notice stdout" --DirAuthority "a orport=1 v3ident=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 127.0.0.1:1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" --TestingTorNetwork 1)
}
ask_tor() { has "$(get)" "SOCKS"; }
run_transmission() {
    need transmission-daemon
    command=(transmission-daemon -f -g "$dir/tr" -p "$port" -r 127.0.0.1 --no-portmap --no-dht --no-lpd -P "$(free_port)" -T)
}
ask_transmission() { has "$(get transmission/rpc)" "X-Transmission-Session-Id"; }
run_aria2() {
    need aria2c
    command=(aria2c --no-conf --enable-rpc --rpc-listen-port="$port" --disable-ipv6 --dir="$dir" --enable-dht=false --quiet)
}
ask_aria2() { has "$(timeout 5 curl -s "http://127.0.0.1:$port/jsonrpc?method=aria2.getVersion&id=x")" enabledFeatures; }

run_snmpd() {
    need snmpd
    echo "rocommunity public" >"$dir/conf"
    command=(snmpd -f -Lo -C -c "$dir/conf" -p "$dir/pidfile" "tcp:127.0.0.1:$port")
}
ask_snmpd() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
run_chronyd() {
    need chronyd
    printf '%s\n' "local stratum 8" "port 0" "cmdport $port" "bindcmdaddress 127.0.0.1" "driftfile $dir/drift" "bindcmdaddress $dir/sock" "pidfile $dir/pidfile" >"$dir/conf"
    command=(chronyd -d -x -u root -f "$dir/conf")
}
ask_chronyd() { has "$(timeout 5 chronyc -h 127.0.0.1 -p "$port" tracking)" "Stratum"; }
run_rsyslogd() {
    need rsyslogd
    printf '%s\n' 'module(load="imtcp")' "input(type=\"imtcp\" port=\"$port\" address=\"127.0.0.1\")" "*.* $dir/out" >"$dir/conf"
    command=(rsyslogd -n -i "$dir/pidfile" -f "$dir/conf")
}
rsyslog_writes() { grep -q "$1" "$dir/out"; }
ask_rsyslogd() {
    local text="line$RANDOM$RANDOM"
    timeout 5 bash -c 'exec 3>/dev/tcp/127.0.0.1/$1; printf "<13>Nov 21 10:00:00 host me: %s\n" "$2" >&3' - "$port" "$text" 2>/dev/null && until_true rsyslog_writes "$text"
}
run_cron() {
    need cron
    # It keeps /run/crond.pid locked and has no port.
    ways="launch running again"
    command=(cron -f)
}
ask_cron() { [ "$pid" ] && kill -0 "$pid"; }
run_atd() { need atd; ways="launch running again"; command=(atd -f); }
ask_atd() { kill -0 "$pid"; }
run_monit() {
    need monit
    printf '%s\n' "set daemon 1" "set httpd port $port and use address 127.0.0.1 allow localhost" "set idfile $dir/id" "set statefile $dir/state" "check file page with path $dir/page" >"$dir/conf"
    echo x >"$dir/page"
    chmod 700 "$dir/conf"
    command=(monit -I -c "$dir/conf" -p "$dir/pidfile")
}
ask_monit() { has "$(get _status)" "page"; }
run_collectd() {
    need collectd
    printf '%s\n' "BaseDir \"$dir\"" "PIDFile \"$dir/pidfile\"" "Interval 1" "LoadPlugin load" "LoadPlugin memory" "LoadPlugin csv" "LoadPlugin unixsock" "<Plugin csv>" "DataDir \"$dir/csv\"" "</Plugin>" "<Plugin unixsock>" "SocketFile \"$dir/sock\"" "</Plugin>" >"$dir/conf"
    command=(collectd -f -C "$dir/conf")
}
ask_collectd() { has "$(timeout 5 python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b"LISTVAL\n"); print(s.recv(99))' "$dir/sock" 2>&1)" "Value"; }
run_minidlna() {
    need minidlnad
    mkdir "$dir/media"
    printf '%s\n' "port=$port" "media_dir=$dir/media" "db_dir=$dir/db" "log_dir=$dir" "inotify=yes" "network_interface=lo" >"$dir/conf"
    command=(minidlnad -S -f "$dir/conf" -P "$dir/pidfile")
}
ask_minidlna() { has "$(get rootDesc.xml)" MediaServer; }
run_dbus() {
    need dbus-daemon dbus-send
    command=(dbus-daemon --session --nofork --nopidfile --address="unix:path=$dir/bus")
}
ask_dbus() { has "$(DBUS_SESSION_BUS_ADDRESS="unix:path=$dir/bus" timeout 5 dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames 2>&1)" org.freedesktop.DBus; }
run_xvfb() { need Xvfb xdpyinfo; command=(Xvfb :77 -screen 0 640x480x24 -nolisten tcp); }
ask_xvfb() { has "$(timeout 5 xdpyinfo -display :77 2>&1)" "640x480"; }
