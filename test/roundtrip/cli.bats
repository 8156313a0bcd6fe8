#!/usr/bin/env bats
# What a person types, and gets wrong.
load ../helpers/snap

# answers STATUS WORD... -- TEXT...: this is what snapctl says to these words.
answers() {
    local want=$1 words=() text
    shift
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    shift
    status=0
    output=$(snapctl "${words[@]}") || status=$?
    [ "$status" = "$want" ] || fail "snapctl ${words[*]}: status $status: $output"
    for text in "$@"; do
        [[ $output == *"$text"* ]] || fail "snapctl ${words[*]}: no '$text' in: $output"
    done
}

@test "nothing at all, and the ways to ask for help" {
    answers 125 -- 'usage: snapctl COMMAND' 'snapctl help'
    answers 0 --help -- 'usage: snapctl COMMAND' '  restore ' 'snapctl help'
    answers 0 -h -- 'usage: snapctl COMMAND'
    answers 0 help -- '  dump ' '  until '
    answers 0 --version -- 'snapctl 0.'
    answers 0 version -- 'snapctl 0.'
    answers 0 help restore -- 'usage: snapctl restore' '--pids'
    answers 0 restore --help -- 'usage: snapctl restore' '--pids'
    answers 0 dump -h -- 'usage: snapctl dump' '--until'
    answers 0 --help check -- 'usage: snapctl check'
    answers 0 help until -- 'listen[=PORT|PATH]' 'checkin'
}

@test "help says the same on either way, on standard output alone" {
    local command
    for command in $("$SNAPCTL" __complete '' | grep -v '^:' | cut -f1); do
        "$SNAPCTL" help "$command" >"$scratch/one" 2>"$scratch/errors"
        "$SNAPCTL" "$command" --help >"$scratch/two" 2>>"$scratch/errors"
        cmp "$scratch/one" "$scratch/two"
        [ ! -s "$scratch/errors" ]
    done
}

@test "slips" {
    mkdir "$scratch/work/image"
    answers 125 dmup -- "no command 'dmup'" 'did you mean `snapctl dump`?'
    answers 125 pids -- 'did you mean `snapctl help pids`?'
    answers 125 frobnicate -- 'snapctl --help lists'
    answers 125 help dmup -- 'did you mean `snapctl help dump`?'
    answers 125 help untli -- 'did you mean `snapctl help until`?'
    answers 125 help frobnicate -- 'snapctl help lists them'
    answers 125 restore --pdis=ns x -- 'did you mean --pids?'
    answers 125 restore --pids=sn x -- 'did you mean --pids=ns?'
    answers 125 restore --pids=bogus x -- 'there are auto, keep, ns, new'
    answers 125 check --pid 1 x -- 'one process at a time'
    answers 125 restore --frobnicate x -- 'snapctl restore --help lists'
    answers 125 dump --port 7777 server -- 'there is no option --port' 'options of the program stand behind its name'
    answers 125 dump --tcp x -- '--tcp may be short for --tcp-established or --tcp-close'
    answers 125 --json show x -- 'options of a command stand behind it'
    answers 125 dump --until=redy x -- "no 'redy'" 'ready, listen'
    answers 125 dump --pid x -- "'x' is not a number"
    answers 125 restore --detach=yes x -- 'takes no argument'
    answers 125 restore --pidfile -- 'needs an argument'
}

@test "something is missing" {
    answers 125 dump -- 'Name a program, or a process with --pid' 'snapctl dump --help'
    answers 125 restore -- 'which image?' 'snapctl restore --help'
    answers 125 show -- 'which image?'
    answers 125 verify -- 'which image?'
    answers 125 diff -- 'which images?'
    answers 125 diff a -- 'which images?'
    answers 125 check -- 'which process?'
    answers 125 check 4242 -- 'did you mean `snapctl check --pid 4242`?'
    answers 127 dump 4242 -- 'did you mean `snapctl dump --pid 4242`?'
    answers 127 dump no-such-program -- 'no-such-program'
    answers 126 dump /etc/passwd -- '/etc/passwd'
    answers 125 dump --pid 1 true -- 'not both'
    answers 125 show a b -- 'one image at a time'
    answers 125 restore nothing there -- "'there' is another word" 'stands behind --'
    answers 125 restore nothing-there -- 'nothing-there'
}

@test "an image that is there is proposed" {
    mkdir "$scratch/work/image"
    : >"$scratch/work/image/inventory"
    answers 125 restore -- 'did you mean `snapctl restore image/`?'
    answers 125 show -- 'did you mean `snapctl show image/`?'
    answers 125 image/ -- 'did you mean `snapctl restore image/`?'
}
