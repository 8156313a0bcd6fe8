#!/usr/bin/env bats
# Shell completion: what shells make of keys that are typed.
load ../helpers/snap

# In a directory with an image, or what looks like one, and other things.
place() {
    cd "$scratch/work" || return 1
    mkdir "an image" sub sub/inner
    : >"an image/inventory"
    : >afile
    : >server.snap
    chmod +x server.snap
    ln -s "$SNAPCTL" snapctl
    export PATH=$PWD:$PATH HOME=$scratch/work
}

# typed SHELL...: standard input is what test/helpers/typed.py says.
typed() {
    timeout "$limit" python3 "$BATS_TEST_DIRNAME/../helpers/typed.py" "$@" >"$scratch/made" 3>&- || fail "$(cat "$scratch/made")"
    cat "$scratch/made"
}

# Some shells take the slash behind a directory back when a blank follows.
made() { # LINE...
    local want
    for want in "$@"; do
        sed 's|/>|>|g' "$scratch/made" | grep -qxF -- "$want" || fail "no $want"
    done
}

completions() { cd "$BATS_TEST_DIRNAME/../../completion" && pwd; }

keys='snapctl resto\t
snapctl help exit\t
snapctl help vers\t
snapctl dump --leave\t
snapctl dump --until=li\t
snapctl dump --until li\t
snapctl dump --until=effect=-clock,-ra\t
snapctl dump --until=signal=US\t1
snapctl dump --until=syscall=epoll_pw\t2
snapctl restore --pids=k\t
snapctl restore --pids k\t
snapctl restore --files=r\t --det\t sub/in\t
snapctl show an\t
snapctl restore --pidfile af\t
snapctl dump --level 3 mktem\t
snapctl diff sub/in\t sub/in\t
snapctl verify se\t'

words_made() {
    made '<snapctl><restore>' '<snapctl><help><exit-status>' '<snapctl><help><version>' \
        '<snapctl><dump><--leave-running>' '<snapctl><dump><--until=listen>' '<snapctl><dump><--until><listen>' \
        '<snapctl><dump><--until=effect=-clock,-random>' '<snapctl><dump><--until=signal=USR1>' \
        '<snapctl><dump><--until=syscall=epoll_pwait2>' '<snapctl><restore><--pids=keep>' \
        '<snapctl><restore><--pids><keep>' '<snapctl><restore><--files=restore><--detach><sub/inner>' \
        '<snapctl><show><an image>' '<snapctl><restore><--pidfile><afile>' \
        '<snapctl><dump><--level><3><mktemp>' '<snapctl><diff><sub/inner><sub/inner>' \
        '<snapctl><verify><server.snap>'
}

@test "bash completes" {
    place
    typed bash --norc --noprofile -i <<<"bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
. $(completions)/snapctl.bash

$keys"
    words_made
}

@test "bash completes: where bash-completion loads it, and knows the program that is dumped" {
    place
    mkdir -p share/bash-completion/completions
    cp "$(completions)/snapctl.bash" share/bash-completion/completions/snapctl
    typed bash --norc --noprofile -i <<<"bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
export XDG_DATA_DIRS=$PWD/share:/usr/share; . /usr/share/bash-completion/bash_completion

$keys
snapctl dump -f tar --no-overwr\t"
    words_made
    made '<snapctl><dump><-f><tar><--no-overwrite-dir>'
}

@test "zsh completes" {
    place
    typed zsh -f -i <<<"unsetopt beep; bindkey -e; fpath=($(completions) \$fpath)
autoload -U compinit; compinit -u -D

$keys"
    words_made
}

@test "fish completes" {
    local words
    place
    asks() { # LINE WORD
        words=$(XDG_CONFIG_HOME=$PWD XDG_DATA_HOME=$PWD fish -c "source $(completions)/snapctl.fish; complete -C'$1'" | cut -f1)
        grep -qxF -- "$2" <<<"$words" || fail "no $2 for $1: $words"
    }
    asks 'snapctl resto' restore
    asks 'snapctl help exit' exit-status
    asks 'snapctl dump --leave' --leave-running
    asks 'snapctl dump --until=li' --until=listen
    asks 'snapctl dump --until li' listen
    asks 'snapctl dump --until=effect=-clock,-ra' --until=effect=-clock,-random
    asks 'snapctl restore --pids k' keep
    asks 'snapctl show sub/' sub/inner/
    asks 'snapctl show an' 'an image/'
    asks 'snapctl verify se' server.snap
    asks 'snapctl restore --pidfile af' afile
    asks 'snapctl dump --level 3 mktem' mktemp
    asks 'snapctl dump tar --ver' --version
}

@test "completion: processes that may be dumped, with their names" {
    start server.log "$SERVER" "$(free_port)"
    snapctl __complete check --pid ''
    grep -q "^$pid"$'\t'"$SERVER" "$scratch/said"
    ! grep -q "^2"$'\t' "$scratch/said" || fail "a thread of the kernel"
    as_user
    snapctl __complete dump --pid=
    ! grep -q "^--pid=$pid" "$scratch/said" || fail "a process of root"
}

@test "completion: words that are no commands, and strange names" {
    place
    mkdir $'two\nlines' -- '-dash' .hidden
    snapctl __complete frobnicate ''
    [ "$(cat "$scratch/said")" = :words ]
    snapctl __complete show ''
    ! grep -q -e two -e lines -e hidden "$scratch/said" || fail "a name that is two lines, or hidden"
    snapctl __complete show .h
    grep -q '^.hidden' "$scratch/said"
    snapctl __complete
    grep -q '^dump' "$scratch/said"
    snapctl __complete restore -- x ''
    [ "$(cat "$scratch/said")" = :words ]
    snapctl __complete dump --nonsense= --pid=x --until=nonsense=x
    [ "$(cat "$scratch/said")" = :words ]
}
