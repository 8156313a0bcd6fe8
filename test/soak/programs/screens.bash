# shellcheck shell=bash disable=SC2034,SC2154
# Programs with a full screen, in a terminal of tmux that is dumped with them: what they show must be there again, and
# they must answer to what is typed. And desktops. See web.bash.

# on_screen COMMAND SHOWN: a COMMAND on a screen of 80 x 24, with TERM=screen, that shows SHOWN when it is ready
on_screen() {
    need tmux
    shown=$2 kind=on_screen
    printf '%s\n' 'set -g exit-empty off' 'set -g default-shell /bin/sh' 'set -g escape-time 0' "new-session -d -s x -c $dir -x 80 -y 24 '$1'" >"$dir/tmux.conf"
    command=(tmux -S "$dir/tmux" -f "$dir/tmux.conf" -D)
}
screen_shows() { timeout 5 tmux -S "$dir/tmux" capture-pane -p -t x 2>/dev/null | grep -q -- "$1"; }
until_shows() { until_soon screen_shows "$1" || { echo "the screen does not show $1: $(timeout 5 tmux -S "$dir/tmux" capture-pane -p -t x 2>&1 | grep . | tail -n 3)"; return 1; }; }
types() { timeout 5 tmux -S "$dir/tmux" send-keys -t x "$@"; }
ask_on_screen() { until_shows "$shown"; }
# An editor is typed a word of each way, and writes the file.
ask_editor() { until_shows "$shown" && edit "word$way" && until_soon file_has "word$way"; }
file_has() { grep -q "$1" "$dir/text.txt" 2>/dev/null; }
editor() { # COMMAND SHOWN
    echo "first line" >"$dir/text.txt"
    chmod 666 "$dir/text.txt"
    on_screen "$@"
    kind=editor
}
edit() { "edit_$name" "$1"; }

run_vim_screen() { need vim; editor "vim -u NONE text.txt" "first line"; }
edit_vim_screen() { types Escape o "$1" Escape :w Enter; }
kept_vim_screen() { ask_editor && types :%p Enter Enter; }
run_nvim() { need nvim; editor "nvim -u NONE -n text.txt" "first line"; }
edit_nvim() { types Escape o "$1" Escape :w Enter; }
run_nano() { need nano; editor "nano -I text.txt" "first line"; }
edit_nano() { types "$1 " C-o Enter; }
run_joe() { need joe; editor "joe text.txt" "first line"; }
edit_joe() { types "$1 " C-k d Enter; }
run_ne() { need ne; editor "ne text.txt" "first line"; }
edit_ne() { types "$1 " C-s; }
run_micro() { need micro; editor "micro text.txt" "first line"; }
edit_micro() { types "$1 " C-s; }
run_kak() { need kak; editor "kak -n text.txt" "first line"; }
edit_kak() { types Escape && sleep 0.2 && types O "$1" Escape && sleep 0.2 && types :w Enter; }
run_mcedit() { need mcedit; editor "mcedit -x text.txt" "first line"; }
edit_mcedit() { types "$1 " F2 Enter; }

run_mc() { need mc; mkdir "$dir/folder"; on_screen "mc -x $dir $dir" folder; }
ask_mc() { until_shows folder && types "echo of $way >out" Enter && until_soon grep -q "of $way" "$dir/out"; }
run_less_screen() { need less; seq 1 5000 >"$dir/lines"; on_screen "less lines" 1; }
ask_less_screen() { types 4711g && until_shows '^4711$' && types 1g && until_shows '^2$'; }
run_less_follow() { need less; seq 1 50 >"$dir/lines"; on_screen "less +F lines" 'Waiting for data'; }
ask_less_follow() { echo "line $way" >>"$dir/lines" && until_shows "^line $way"; }
run_tail_follow() { : >"$dir/lines"; on_screen "tail -F lines" ''; }
ask_tail_follow() { rm "$dir/lines"; echo "line $way" >"$dir/lines"; until_shows "^line $way"; }
run_htop() { need htop; on_screen "htop -d 5" 'F10'; }
ask_htop() { types F1 && until_shows 'strace' && types q && until_shows F10; }
run_top() { need top; on_screen "top -d 1" 'load average'; }
ask_top() { types 1 && until_shows '%Cpu0' && types 1 && until_shows '%Cpu(s)'; }
run_watch() { need watch; echo first >"$dir/lines"; on_screen "watch -n 0.5 cat lines" first; }
ask_watch() { echo "line $way" >"$dir/lines" && until_shows "line $way"; }
run_dvtm() { need dvtm; on_screen "dvtm bash\ --norc" 'bash'; }
ask_dvtm() { types "echo \$((6 * 7))$way" Enter && until_shows "42$way"; }
run_dtach() { need dtach; on_screen "dtach -A sock bash --norc" '[$#]'; }
ask_dtach() { types "echo \$((6 * 7))$way" Enter && until_shows "42$way"; }
run_screen_inside() { need screen; mkdir -m 700 "$dir/s"; on_screen "SCREENDIR=$dir/s screen bash --norc" '[$#]'; ways="running again"; }
ask_screen_inside() { types "echo \$((6 * 7))$way" Enter && until_shows "42$way"; }
run_irssi() { need irssi; on_screen "irssi --home=$dir/irssi" Irssi; }
ask_irssi() { types "/echo kept$way" Enter && until_shows "kept$way"; }
run_weechat() { need weechat; on_screen "weechat -d $dir/weechat" WeeChat; }
run_rtorrent() { need rtorrent; on_screen "rtorrent -n -o session.path.set=" Throttle; }
ask_rtorrent() { types l && until_shows 'events' ; types Escape; until_shows Throttle; }
run_worm() { [ -x /usr/games/worm ] || exit 77; on_screen "/usr/games/worm" 'Worm'; }
run_emacs_screen() { need emacs; editor "emacs -Q -nw text.txt" "first line"; }
edit_emacs_screen() { types "$1 " C-x C-s; }
run_vim_terminal() { need vim; on_screen "vim -u NONE +terminal" '[$#]'; }
ask_vim_terminal() { types "echo \$((6 * 7))$way" Enter && until_shows "42$way"; }
run_glances() { need glances; on_screen "glances -t 1" 'CPU'; }

# ---- desktops --------------------------------------------------------------------------------------------------

run_vnc() {
    need Xtigervnc xdpyinfo
    command=(Xtigervnc :79 -geometry 640x480 -SecurityTypes None -rfbport "$port" -localhost -nolisten tcp)
}
ask_vnc() { has "$(say '' 1)" "RFB 003" && has "$(timeout 5 xdpyinfo -display :79 2>&1)" 640x480; }
run_desktop() {
    need Xvfb openbox xterm xdotool
    command=(bash -c 'Xvfb :76 -screen 0 640x480x24 -nolisten tcp & while [ ! -e /tmp/.X11-unix/X76 ]; do sleep 0.1; done; export DISPLAY=:76; openbox & exec xterm -T kept -e bash --norc')
    ways="running again"
}
ask_desktop() { DISPLAY=:76 timeout 5 xdotool search --name kept; }
