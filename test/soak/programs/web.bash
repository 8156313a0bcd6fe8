# shellcheck shell=bash disable=SC2034,SC2154
# Programs of the sweep. For a program NAME:
#   run_NAME     need COMMANDs, writes what it needs into $dir, sets command; it listens on $port of 127.0.0.1.
#                May set ways (of launch running ns again), dump_options, restore_options
#   ask_NAME     succeeds if it answers rightly, says why not
#   fill_NAME    (optional) what must be there afterwards; kept_NAME asks for it
#   ready_NAME   (optional) it may be dumped; otherwise when ask_NAME succeeds
#   pid_NAME     (optional) its pid, where it goes into the background

file_page() { echo "a page" >"$dir/page"; chmod 644 "$dir/page"; }
ask_page() { is "$(get page)" "a page"; }

apache_conf() { # MPM
    file_page
    cat >"$dir/conf" <<END
ServerRoot $dir
ServerName localhost
Listen 127.0.0.1:$port
LoadModule mpm_$1_module /usr/lib/apache2/modules/mod_mpm_$1.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
PidFile $dir/pid
ScriptSock $dir/cgisock
ErrorLog $dir/error
DocumentRoot $dir
User www-data
Group www-data
ScriptAlias /cgi/ $dir/cgi/
END
    mkdir -p "$dir/cgi"
    printf '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\ncgi %%s\\n" "$QUERY_STRING"\n' >"$dir/cgi/x"
    chmod 755 "$dir/cgi" "$dir/cgi/x"
    command=(apache2 -f "$dir/conf" -DFOREGROUND)
}
ask_apache() { ask_page && is "$(get 'cgi/x?hello')" "cgi hello"; }
run_apache_event() { need apache2; apache_conf event; }
ask_apache_event() { ask_apache; }
run_apache_worker() { need apache2; apache_conf worker; }
ask_apache_worker() { ask_apache; }
run_apache_php() {
    need apache2
    [ -e /usr/lib/apache2/modules/libphp8.2.so ] || exit 77
    apache_conf prefork
    printf '%s\n' "LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so" 'AddHandler application/x-httpd-php .php' 'LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so' 'TypesConfig /etc/mime.types' >>"$dir/conf"
    echo '<?php echo 6 * 7;' >"$dir/x.php"
    chmod 644 "$dir/x.php"
}
ask_apache_php() { is "$(get x.php)" 42; }

run_lighttpd_fcgi() {
    need lighttpd php-cgi8.2
    file_page
    echo '<?php echo getmypid() > 0 ? "php" : "";' >"$dir/x.php"
    cat >"$dir/conf" <<END
server.document-root = "$dir"
server.port = $port
server.bind = "127.0.0.1"
server.modules = ("mod_fastcgi")
fastcgi.server = (".php" => ((  "bin-path" => "/usr/bin/php-cgi8.2", "socket" => "$dir/php.sock", "max-procs" => 1 )))
END
    command=(lighttpd -D -f "$dir/conf")
}
ask_lighttpd_fcgi() { ask_page && is "$(get x.php)" php; }

run_caddy() {
    need caddy
    file_page
    printf '{\nadmin off\nauto_https off\n}\nhttp://127.0.0.1:%s {\nroot * %s\nfile_server\n}\n' "$port" "$dir" >"$dir/Caddyfile"
    command=(caddy run --config "$dir/Caddyfile")
}
ask_caddy() { ask_page; }

run_mini_httpd() { need mini_httpd; file_page; command=(mini_httpd -D -p "$port" -h 127.0.0.1 -d "$dir"); }
ask_mini_httpd() { ask_page; }

run_php_s() { need php8.2; echo '<?php echo 6 * 7;' >"$dir/x.php"; command=(php8.2 -S "127.0.0.1:$port" -t "$dir"); }
ask_php_s() { is "$(get x.php)" 42; }

run_php_s_workers() { run_php_s; command=(env PHP_CLI_SERVER_WORKERS=3 "${command[@]}"); }
ask_php_s_workers() { is "$(get x.php)" 42; }

run_squid() {
    need squid
    file_page
    printf '%s\n' "http_port 127.0.0.1:$port" "cache_effective_user proxy" "pid_filename $dir/pid" "access_log stdio:$dir/access" "cache_log $dir/cache.log" \
        "coredump_dir $dir" "http_access allow all" "icp_port 0" "cache_mem 8 MB" "pinger_enable off" "shutdown_lifetime 0 seconds" >"$dir/conf"
    command=(squid -N -f "$dir/conf")
}
ask_squid() { has "$(timeout 5 curl -s "http://127.0.0.1:$port/squid-internal-mgr/info")" "Squid Object Cache"; }
run_squid_smp() { run_squid; echo "workers 2" >>"$dir/conf"; command=(squid --foreground -f "$dir/conf"); }
ask_squid_smp() { ask_squid; }

run_varnish() {
    need varnishd
    cat >"$dir/vcl" <<'END'
vcl 4.1;
backend none none;
sub vcl_recv { return (synth(200, "fine")); }
END
    chmod 644 "$dir/vcl"
    command=(varnishd -F -n "$dir/varnish" -a "127.0.0.1:$port" -f "$dir/vcl" -s "malloc,8m")
}
ask_varnish() { has "$(get)" fine; }

run_tinyproxy() {
    need tinyproxy
    printf '%s\n' "Port $port" "Listen 127.0.0.1" "Timeout 60" "PidFile \"$dir/pid\"" "LogFile \"$dir/proxylog\"" "MaxClients 10" 'StatHost "stat.test"' >"$dir/conf"
    command=(tinyproxy -d -c "$dir/conf")
}
ask_tinyproxy() { has "$(timeout 5 curl -s -x "127.0.0.1:$port" http://stat.test/)" "inyproxy"; }

run_privoxy() {
    need privoxy
    printf '%s\n' "listen-address 127.0.0.1:$port" "confdir /etc/privoxy" "logdir $dir" "toggle 0" >"$dir/conf"
    command=(privoxy --no-daemon "$dir/conf")
}
ask_privoxy() { has "$(timeout 5 curl -s -x "127.0.0.1:$port" http://p.p/)" rivoxy; }

run_haproxy_many() {
    need haproxy
    printf '%s\n' "global" "maxconn 100" "nbthread 4" "stats socket $dir/sock" defaults "mode http" "timeout client 10s" "timeout server 10s" "timeout connect 10s" \
        "frontend f" "bind 127.0.0.1:$port" "stats enable" "stats uri /stats" "http-request return status 200 content-type text/plain string answered if { path / }" >"$dir/conf"
    command=(haproxy -W -S "$dir/master" -f "$dir/conf")
}
ask_haproxy_many() { is "$(get)" answered && has "$(get stats)" "Statistics Report"; }

run_nginx_proxy() {
    need nginx
    file_page
    port2=$(free_port)
    cat >"$dir/conf" <<END
daemon off; worker_processes 2; pid $dir/pid; error_log $dir/error; user root; worker_rlimit_nofile 1024;
events { worker_connections 64; multi_accept on; }
http { access_log off; proxy_cache_path $dir/cache keys_zone=z:1m; limit_req_zone \$binary_remote_addr zone=r:1m rate=1000r/s;
 upstream u { server 127.0.0.1:$port2; keepalive 4; }
 server { listen 127.0.0.1:$port reuseport; location / { limit_req zone=r; proxy_pass http://u; proxy_cache z; proxy_cache_valid 1s; } }
 server { listen 127.0.0.1:$port2; root $dir; } }
END
    command=(nginx -c "$dir/conf" -e "$dir/error")
}
ask_nginx_proxy() { ask_page; }

run_hitch() {
    need hitch openssl
    port2=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key" -out "$dir/crt" -days 9 -subj /CN=localhost 2>/dev/null
    cat "$dir/key" "$dir/crt" >"$dir/pem"
    command=(hitch -u nobody -n 2 -f "[127.0.0.1]:$port" -b "[127.0.0.1]:$port2" "$dir/pem")
}
ask_hitch() { has "$(timeout 5 openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null)" "CN = localhost"; }

run_stunnel() {
    need stunnel openssl
    port2=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key" -out "$dir/crt" -days 9 -subj /CN=localhost 2>/dev/null
    printf '%s\n' foreground=yes "pid=" "[x]" "cert=$dir/crt" "key=$dir/key" "accept=127.0.0.1:$port" "connect=127.0.0.1:$port2" >"$dir/conf"
    command=(stunnel "$dir/conf")
}
ask_stunnel() { ask_hitch; }
