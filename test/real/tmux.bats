#!/usr/bin/env bats
# A tmux server with bash and vim inside: screens, controlling terminals, job control, typing go on.
# not beside others: ptys
load ../helpers/real_tree

socket() { echo "$scratch/work/tmux"; }

# client COMMAND...: of a server that is there already
client() { timeout 10 tmux -S "$(socket)" "$@"; }

shows() { client capture-pane -p -t "$1" 2>/dev/null | grep -qF -- "$2"; }

# sees PANE TEXT: sooner or later
sees() { until_true shows "$1" "$2" || fail "no \"$2\" in: $(client capture-pane -p -t "$1")"; }

runs() { [ "$(client display-message -p -t "$1" '#{pane_current_command}')" = "$2" ]; }

has_twice() { [ "$(client capture-pane -p -t "$1" | grep -cx "$2")" = 2 ]; }

# $pid is the server.
tmux_start() {
    start tmux.log env TERM=screen tmux -S "$(socket)" -f /dev/null new-session -d -x 80 -y 24 'bash --norc'
    until_true client has-session 2>/dev/null || fail "no server: $(cat "$scratch/tmux.log")"
    pid=$(client display-message -p '#{pid}')
    note_tree "$pid"
}

@test "tmux: bash in one pane, vim in the other" {
    need tmux
    need vim
    tmux_start
    client send-keys -t 0 "a=six; echo \$a\$((6 * 7))" Enter
    sees 0 six42
    client split-window "vim -u NONE -n $scratch/work/file"
    client send-keys -t 1 iHello
    sees 1 Hello
    see before "$pid"
    trip_tree
    see after "$pid"
    same before after
    shows 0 six42 || fail "the screen is another one: $(client capture-pane -p -t 0)"
    shows 1 Hello || fail "the screen is another one: $(client capture-pane -p -t 1)"
    client send-keys -t 1 " again" Escape ":wq" Enter
    until_true grep -qsx "Hello again" "$scratch/work/file" || fail "vim has not written its file"
    client send-keys -t 0 "echo \$a\$(tty)" Enter
    sees 0 six/dev/pts/
    client send-keys -t 0 "clear; cat" Enter
    until_true runs 0 cat || fail "cat does not run"
    client send-keys -t 0 "typed" Enter
    until_true has_twice 0 typed || fail "cat did not answer: $(client capture-pane -p -t 0)"
    client send-keys -t 0 C-z
    until_true runs 0 bash || fail "cat was not stopped"
    client send-keys -t 0 "fg" Enter
    until_true runs 0 cat || fail "cat does not go on"
    client send-keys -t 0 C-c
    until_true runs 0 bash || fail "cat was not interrupted"
    client send-keys -t 0 "echo \$?" Enter
    sees 0 130
    client kill-server
    "$TARGET" --wait-exit "$pid" 20
}

@test "tmux: twice, and its size changes afterwards" {
    need tmux
    tmux_start
    trip_tree
    trip_tree
    client resize-window -x 100 -y 30
    client send-keys -t 0 "stty size" Enter
    sees 0 "30 100"
    client kill-server
}
