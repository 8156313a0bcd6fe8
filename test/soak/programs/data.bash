# shellcheck shell=bash disable=SC2034,SC2154
# Databases and queues; see web.bash.

run_mariadb() {
    need mariadbd
    mkdir "$dir/data"
    mariadb-install-db --no-defaults --auth-root-authentication-method=normal --user=nobody --datadir="$dir/data" >/dev/null 2>&1
    command=(mariadbd --no-defaults --user=nobody --datadir="$dir/data" --port="$port" --bind-address=127.0.0.1 --socket="$dir/sock" --pid-file="$dir/pidfile" --innodb-buffer-pool-size=16M)
}
my() { timeout 10 mariadb --no-defaults -h 127.0.0.1 -P "$port" -u root -N -e "$1" 2>&1; }
ask_mariadb() { is "$(my 'select 6 * 7')" 42; }
fill_mariadb() { my 'create database d; create table d.t (x int) engine=innodb; insert into d.t values (4711)'; }
kept_mariadb() { is "$(my 'select sum(x) from d.t')" 4711 && is "$(my 'insert into d.t values (0); select count(*) > 1 from d.t')" 1; }

run_rabbitmq() {
    need rabbitmq-server
    # To epmd, which went into the background on its own.
    dump_options=--tcp-established restore_options=--tcp-established
    command=(env RABBITMQ_NODENAME="r$port@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$(free_port)" RABBITMQ_MNESIA_BASE="$dir/m" RABBITMQ_LOG_BASE="$dir/l"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" ERL_EPMD_PORT="$(free_port)" /usr/lib/rabbitmq/bin/rabbitmq-server)
}
ask_rabbitmq() { has "$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; printf "AMQP\0\0\11\1" >&3; head -c 60 <&3 | tr -cd "[:alnum:]"' - "$port" 2>/dev/null)" capabilities; }

run_beanstalkd() { need beanstalkd; command=(beanstalkd -l 127.0.0.1 -p "$port"); }
ask_beanstalkd() { has "$(say 'stats\r\n')" OK; }
fill_beanstalkd() { has "$(say 'put 0 0 60 5\r\nhello\r\n')" INSERTED; }
kept_beanstalkd() { is "$(say 'peek-ready\r\n' 2 | tail -n 1)" hello; }

run_gearmand() { need gearmand; command=(gearmand --listen=127.0.0.1 --port="$port" --log-file=stderr); }
ask_gearmand() { has "$(say 'version\n')" OK; }

run_nats() { need nats-server; command=(nats-server -a 127.0.0.1 -p "$port"); }
ask_nats() { has "$(say '' 1)" INFO; }

run_etcd() {
    need etcd
    port2=$(free_port)
    command=(etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" --listen-peer-urls "http://127.0.0.1:$port2"
        --initial-advertise-peer-urls "http://127.0.0.1:$port2" --initial-cluster "default=http://127.0.0.1:$port2")
}
ask_etcd() { has "$(get version)" etcdserver; }
fill_etcd() { ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$port" put key 4711; }
kept_etcd() { has "$(ETCDCTL_API=3 timeout 5 etcdctl --endpoints "127.0.0.1:$port" get key)" 4711; }

run_prometheus() {
    need prometheus
    printf 'scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n  - targets: ["127.0.0.1:%s"]\n' "$port" >"$dir/conf"
    command=(prometheus --config.file="$dir/conf" --storage.tsdb.path="$dir/data" --web.listen-address="127.0.0.1:$port")
    # It asks itself.
    dump_options=--tcp-established restore_options=--tcp-established
}
ask_prometheus() { has "$(get 'api/v1/query?query=up')" success; }

run_influxdb() {
    need influxd
    printf '%s\n' 'reporting-disabled = true' "bind-address = \"127.0.0.1:$(free_port)\"" '[meta]' "dir = \"$dir/meta\"" '[data]' "dir = \"$dir/data\"" "wal-dir = \"$dir/wal\"" '[http]' "bind-address = \"127.0.0.1:$port\"" >"$dir/conf"
    command=(influxd -config "$dir/conf")
}
ask_influxdb() { get ping && has "$(get 'query?q=SHOW%20DATABASES')" results; }
fill_influxdb() { curl -s -XPOST "http://127.0.0.1:$port/query" --data-urlencode 'q=CREATE DATABASE d' && curl -s -XPOST "http://127.0.0.1:$port/write?db=d" --data-binary 't v=4711'; }
kept_influxdb() { has "$(get 'query?db=d&q=SELECT%20*%20FROM%20t')" 4711; }

run_slapd() {
    need slapd ldapsearch
    mkdir "$dir/db"
    printf '%s\n' "include /etc/ldap/schema/core.schema" "modulepath /usr/lib/ldap" "moduleload back_mdb" "database mdb" 'suffix "dc=x"' 'rootdn "cn=a,dc=x"' "rootpw secret" "directory $dir/db" "maxsize 10485760" >"$dir/conf"
    command=(slapd -d 0 -h "ldap://127.0.0.1:$port" -f "$dir/conf")
}
ask_slapd() { timeout 5 ldapsearch -x -H "ldap://127.0.0.1:$port" -b '' -s base >/dev/null; }
fill_slapd() { printf 'dn: dc=x\nobjectClass: dcObject\nobjectClass: organization\no: kept\ndc: x\n' | timeout 5 ldapadd -x -H "ldap://127.0.0.1:$port" -D cn=a,dc=x -w secret; }
kept_slapd() { has "$(timeout 5 ldapsearch -x -LLL -H "ldap://127.0.0.1:$port" -b dc=x)" "o: kept"; }

run_zookeeper() {
    need java
    # A client that came before it was ready is closed late.
    dump_options=--tcp-close restore_options=--tcp-close
    [ -d /usr/share/zookeeper ] || [ -e /usr/share/java/zookeeper.jar ] || exit 77
    printf '%s\n' "tickTime=2000" "dataDir=$dir/data" "clientPort=$port" "clientPortAddress=127.0.0.1" "admin.enableServer=false" "4lw.commands.whitelist=*" >"$dir/conf"
    command=(java -Xmx128m -cp "/etc/zookeeper/conf:/usr/share/java/*" org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/conf")
}
ask_zookeeper() { is "$(say ruok)" imok; }

run_redis_sentinel() {
    need redis-sentinel redis-server
    port2=$(free_port)
    printf '%s\n' "port $port" "dir $dir" "bind 127.0.0.1" "sentinel monitor m 127.0.0.1 $port2 1" >"$dir/conf"
    chmod 666 "$dir/conf"
    command=(redis-sentinel "$dir/conf")
}
ask_redis_sentinel() { has "$(timeout 5 redis-cli -p "$port" sentinel masters)" "$port2"; }

run_redis_saving() {
    need redis-server
    command=(redis-server --port "$port" --bind 127.0.0.1 --appendonly yes --dir "$dir" --io-threads 4)
}
ask_redis_saving() { is "$(timeout 5 redis-cli -p "$port" ping)" PONG; }
fill_redis_saving() { timeout 5 redis-cli -p "$port" set kept 4711; timeout 5 redis-cli -p "$port" bgsave; }
kept_redis_saving() { is "$(timeout 5 redis-cli -p "$port" get kept)" 4711; }

run_pgbouncer() {
    need pgbouncer
    printf '%s\n' '[databases]' '[pgbouncer]' "listen_port = $port" 'listen_addr = 127.0.0.1' 'auth_type = any' 'admin_users = me' "unix_socket_dir = $dir" >"$dir/conf"
    chown nobody "$dir/conf"
    command=(setpriv --reuid nobody --regid nogroup --clear-groups pgbouncer "$dir/conf")
}
ask_pgbouncer() { has "$(timeout 5 psql -h 127.0.0.1 -p "$port" -U me pgbouncer -Atc 'show version' 2>&1)" PgBouncer; }
