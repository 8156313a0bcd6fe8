# shellcheck shell=bash
# Completion for bash: snapctl itself says what may stand there (complete.h); this is only the way there.

_snapctl() {
    local word glue='' cur last candidate kind='' program i
    local -a words=()
    program=${COMP_WORDS[0]/#\~\//$HOME/}
    # bash has split the line at = and : as well. The last word is what is being typed.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]//\\/}
        if [[ ${#words[@]} -gt 0 && (-n $glue || $word == [=:]*) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        glue=
        if [[ $word == [=:]* && $word != *[!=:]* ]]; then glue=1; fi
    done
    cur=${words[-1]-}
    # What readline replaces is the part behind the last = or :.
    last=${COMP_WORDS[COMP_CWORD]//\\/}
    if [[ $last == [=:]* && $last != *[!=:]* ]]; then last=; fi
    COMPREPLY=()
    while IFS= read -r candidate; do
        candidate=${candidate%%$'\t'*}
        case $candidate in
        :*) kind=$candidate ;;
        *) COMPREPLY+=("${candidate:${#cur}-${#last}}") ;;
        esac
    done < <("$program" __complete "${words[@]}" 2>/dev/null)
    case $kind in
    :directories) compopt -o filenames ;;
    :files)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$last")
        ;;
    :program*) _snapctl_program $((${kind#:program } + 1)) ;;
    esac
    if [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}

# What is dumped completes itself, where bash-completion knows how.
_snapctl_program() { # INDEX of the program in COMP_WORDS
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif [ "$COMP_CWORD" = "$1" ]; then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}

complete -F _snapctl snapctl
