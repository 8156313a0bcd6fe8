# shellcheck shell=bash disable=SC2034,SC2154
# Browsers, office programs, players, notebooks, and what draws windows; see web.bash.

# A page of its own by the protocol for debuggers; the browser keeps it open. Its crash handlers go into the background.
run_chromium() {
    need chromium
    command=("$TARGET" --reap chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking
        --user-data-dir="$dir/profile" --remote-debugging-port="$port" 'data:text/html,<title>kept 4711</title>')
    dump_options=--tcp-close restore_options=--tcp-close
}
ask_chromium() { has "$(get json/version)" Chrome && has "$(get json/list)" "kept 4711"; }

# With its sandboxes, processes of it are in user namespaces of their own, which is refused.
run_firefox() {
    need firefox-esr
    mkdir -m 777 "$dir/profile"
    command=("$TARGET" --reap env MOZ_DISABLE_CONTENT_SANDBOX=1 MOZ_DISABLE_SOCKET_PROCESS_SANDBOX=1 MOZ_DISABLE_RDD_SANDBOX=1 MOZ_DISABLE_UTILITY_SANDBOX=1
        MOZ_DISABLE_GMP_SANDBOX=1 firefox-esr --headless --profile "$dir/profile" --remote-debugging-port="$port" 'data:text/html,<title>kept 4711</title>')
    dump_options=--tcp-close restore_options=--tcp-close
}
ask_firefox() { has "$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; printf "GET /session HTTP/1.1\r\nHost: localhost:$1\r\n\r\n" >&3; head -n 1 <&3' - "$port")" HTTP; }

# It converts what a client of the same profile asks for, and ends some time after that.
run_libreoffice() {
    need soffice
    ways="launch running ns"
    command=(soffice --headless --norestore --nologo "-env:UserInstallation=file://$dir/profile" "--accept=socket,host=127.0.0.1,port=$port;urp;")
}
ask_libreoffice() {
    rm -f "$dir/x.txt.pdf" "$dir/x.pdf"
    echo "text $way" >"$dir/x.txt"
    (cd "$dir" && timeout 60 env HOME="$dir" soffice --headless "-env:UserInstallation=file://$dir/profile" --convert-to pdf x.txt </dev/null >/dev/null 2>&1)
    until_true test -s "$dir/x.pdf" || { echo "no pdf"; return 1; }
}
ready_libreoffice() { listening; }
listening() { (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

run_jupyter() {
    need jupyter
    [ -d /usr/lib/python3/dist-packages/notebook ] || exit 77
    command=(jupyter notebook --allow-root --no-browser --ip=127.0.0.1 --port="$port" --NotebookApp.token=t --notebook-dir="$dir")
    dump_options=--tcp-established restore_options=--tcp-established
}
ask_jupyter() { has "$(get 'api/status?token=t')" started; }
fill_jupyter() { curl -s -X POST "http://127.0.0.1:$port/api/kernels?token=t"; }
kept_jupyter() { ask_jupyter && has "$(get 'api/kernels?token=t')" python3; }

run_vlc() {
    need cvlc
    head -c 2000000 /dev/zero >"$dir/x.wav"
    command=(setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$dir" cvlc -I http --http-host 127.0.0.1 --http-port "$port" --http-password x)
}
ask_vlc() { has "$(timeout 5 curl -su :x "http://127.0.0.1:$port/requests/status.xml")" "<state>"; }

# A window with a button, below a server of its own; each click counts.
gtk_or_qt() {
    need Xvfb xdotool
    cat >"$dir/x.py"
    command=(bash -c "Xvfb :$1 -screen 0 640x480x24 -nolisten tcp & while [ ! -e /tmp/.X11-unix/X$1 ]; do sleep 0.1; done; export DISPLAY=:$1 QT_QPA_PLATFORM=xcb NO_AT_BRIDGE=1 DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere; exec /usr/bin/python3 x.py")
    display=:$1 ways="running again"
}
ask_clicks() {
    local was
    was=$(cat "$dir/clicks" 2>/dev/null || echo 0)
    DISPLAY=$display timeout 5 xdotool mousemove 100 100 click 1
    clicked() { [ "$(cat "$dir/clicks" 2>/dev/null || echo 0)" -gt "$was" ]; }
    until_soon clicked || { echo "no click is counted"; return 1; }
}
run_gtk() {
    /usr/bin/python3 -c 'import gi; gi.require_version("Gtk", "3.0")' 2>/dev/null || exit 77
    kind=clicks
    gtk_or_qt 71 <<'PY'
import gi; gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
n = 0
def click(b):
    global n; n += 1
    open("clicks", "w").write(str(n))
w = Gtk.Window(); b = Gtk.Button(label="x"); b.connect("clicked", click); w.add(b); w.set_default_size(300, 300); w.show_all(); w.move(0, 0)
Gtk.main()
PY
}
run_qt() {
    /usr/bin/python3 -c 'import PyQt5.QtWidgets' 2>/dev/null || exit 77
    kind=clicks
    gtk_or_qt 72 <<'PY'
from PyQt5.QtWidgets import QApplication, QPushButton
a = QApplication([]); n = 0
def click():
    global n; n += 1
    open("clicks", "w").write(str(n))
b = QPushButton("x"); b.clicked.connect(click); b.setGeometry(0, 0, 300, 300); b.show()
a.exec_()
PY
}

run_radicale() { need radicale; command=(radicale --server-hosts "127.0.0.1:$port" --storage-filesystem-folder "$dir/store" --auth-type none); }
ask_radicale() { has "$(curl -sL "http://127.0.0.1:$port/")" adicale; }
fill_radicale() { curl -s -u u: -X MKCALENDAR "http://127.0.0.1:$port/u/kept/"; }
kept_radicale() { has "$(curl -s -u u: -H "Depth: 1" -X PROPFIND "http://127.0.0.1:$port/u/")" kept; }
run_bitlbee() { need bitlbee; mkdir "$dir/u"; command=(bitlbee -F -n -v -i 127.0.0.1 -p "$port" -d "$dir/u"); }
ask_bitlbee() { has "$(say 'USER a a a a\r\nNICK a\r\n' 3)" "001 a"; }
run_mopidy() { need mopidy; command=(mopidy -o http/hostname=127.0.0.1 -o http/port="$port" -o core/data_dir="$dir" -o core/cache_dir="$dir" -o audio/output=fakesink); dump_options=--tcp-close restore_options=--tcp-close; }
ask_mopidy() { has "$(curl -s -d '{"jsonrpc":"2.0","id":1,"method":"core.get_version"}' -H 'Content-Type: application/json' "http://127.0.0.1:$port/mopidy/rpc")" result; }

# Those who are asked questions at a prompt.
run_z3() { need z3; prompt z3 -in; }
run_gp() { need gp; prompt gp -q; }
prompt() { mkfifo "$dir/in"; command=(bash -c "exec $* <>in >>answers 2>&1"); }
prompt_says() { grep -q "$1" "$dir/answers"; }
ask_z3() { echo "(display (+ $((SECONDS + 70000)) 1))" >"$dir/in"; until_true prompt_says "$((SECONDS + 70001))\|$((SECONDS + 70000))"; }
ask_gp() { n=$((${n:-6000} + 1)); echo "print($n*1000+7)" >"$dir/in"; until_true prompt_says "${n}007"; }
