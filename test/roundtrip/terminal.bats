#!/usr/bin/env bats
# snapctl as the foreground job of a shell: what the shell sees of it, and how it leaves the terminal.
# not beside others: ptys (their numbers are looked at)
load ../helpers/snap

# in_front [PATTERN KEYS]... -- COMMAND...; what was shown is in "$scratch/shown"
in_front() {
    local status=0
    start shown /usr/bin/python3 "$BATS_TEST_DIRNAME/../helpers/in_front.py" "$@"
    wait "$pid" || status=$?
    return "$status"
}

# What is said of the terminal each time that the shell has it: all is as it was before.
untouched() {
    grep -q 'the terminal is as before' "$scratch/shown" || fail "$(cat "$scratch/shown")"
    ! grep -q 'the terminal is changed' "$scratch/shown" || fail "$(cat "$scratch/shown")"
}

stopped_by() {
    [ "$(grep -o 'stopped by SIG[A-Z]*' "$scratch/shown")" = "stopped by $1" ] || fail "$(cat "$scratch/shown")"
}

# A program that fills the screen: no echo, no lines, no signals.
full='stty raw -echo -isig; echo up; exec sleep 1000'

@test "terminal: a program that a dump ends leaves it as it was" {
    in_front -- "$SNAPCTL" dump -o "$(image)" sh -c "$full" || fail "$(cat "$scratch/shown")"
    untouched
}

@test "terminal: a program that a failed dump ends leaves it as it was" {
    ! in_front -- "$SNAPCTL" dump --timeout 1s --until signal=HUP -o "$(image)" sh -c "$full" || fail "it was dumped"
    untouched
}

@test "terminal: groups that a dump ends leave the foreground" {
    in_front -- "$SNAPCTL" dump -o "$(image)" bash -mc "sh -c '$full'; :" || fail "$(cat "$scratch/shown")"
    untouched
}

@test "terminal: a program that ends by itself is asked for no modes" {
    ! in_front -- "$SNAPCTL" dump -o "$(image)" stty -echo || fail "it was dumped"
    grep -q 'the terminal is changed' "$scratch/shown" || fail "stty has not set it"
}

@test "terminal: Ctrl-Z stops a dump, fg goes on" {
    in_front up '\x1a' 'stopped by' 'go\n' -- "$SNAPCTL" dump --until output=end -o "$(image)" \
        sh -c 'echo up; read -r line; echo end; exec sleep 1000' || fail "$(cat "$scratch/shown")"
    stopped_by SIGTSTP
    untouched
}

# stopped_and_continued SIGNAL KEYS PROGRAM [RESTORE OPTION...]: restored, stopped by what is typed, continued, told to end with 5
stopped_and_continued() {
    local status=0
    in_front -- "$SNAPCTL" dump -o "$(image)" sh -c "$3" || fail "$(cat "$scratch/shown")"
    : >"$scratch/shown"
    in_front 'runs as process' "$2" 'stopped by' 'go\n' -- "$SNAPCTL" restore -v "${@:4}" "$(image)" || status=$?
    [ "$status" = 5 ] || fail "status $status: $(cat "$scratch/shown")"
    stopped_by "$1"
    grep -q 'got go' "$scratch/shown"
}

@test "terminal: Ctrl-Z stops a restore, fg goes on" {
    stopped_and_continued SIGTSTP '\x1a' 'echo up; while :; do read -r line; echo "got $line"; exit 5; done'
}

@test "terminal: in the background it is left to the shell" {
    in_front -- "$SNAPCTL" dump -o "$(image)" sh -c 'echo up; while :; do read -r line; echo "got $line"; exit 5; done'
    for mode in new ns; do
        local status=0
        : >"$scratch/shown"
        in_front --bg 'runs as process' '\x1a' 'in the background' 'go\n' -- \
            "$SNAPCTL" restore -v --pids=$mode "$(image)" || status=$?
        [ "$status" = 5 ] || fail "status $status: $(cat "$scratch/shown")"
        [ "$(grep -c 'in the background stopped' "$scratch/shown")" = 1 ] || fail "$(cat "$scratch/shown")"
        untouched
    done
}

@test "terminal: a program that stops itself, in a namespace" {
    stopped_and_continued SIGTTOU x 'stty -icanon; head -c 1 >/dev/null
        kill -TTOU $$; echo "got go"; exit 5' --pids=ns
}

@test "terminal: SIGSTOP is seen as SIGSTOP" {
    stopped_and_continued SIGSTOP x 'stty -icanon; head -c 1 >/dev/null
        kill -STOP $$; echo "got go"; exit 5'
}
