#!/bin/bash
# Whatever --help lists is in the manual pages, is completed, and nothing else is: commands, options, values, topics.
# The pages are well-formed, and the completions scripts that their shells can read.
set -u
cd "$(dirname "$0")/../.." || exit 1
snapctl=${SNAPCTL:-build/snapctl}
bad=0

complain() {
    echo "$@"
    bad=1
}

if command -v mandoc >/dev/null; then
    mandoc -Tlint -Wwarning doc/*.[135] || bad=1
fi

# ---- what snapctl says of itself -----------------------------------------------------------------------

# Names in the first column of a list: "  name   what it is".
names() { awk '/^  [a-z][a-z-]* +[a-z]/ && $1 != "snapctl" { print $1 }'; }
commands() { "$snapctl" --help | sed '/^snapctl help TOPIC/,$d' | names; }
topics() { "$snapctl" help | sed '1,/^snapctl help TOPIC/d' | names; }
options() { # COMMAND: "--name", one a line
    "$snapctl" "$1" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+'
}
completed() { "$snapctl" __complete "$@" | cut -f1 | grep -v '^:'; } # WORD...: what may stand for the last one

# The page of a command; help and version are in the one of snapctl.
page() { # COMMAND
    case $1 in
    help | version) echo doc/snapctl.1 ;;
    *) echo "doc/snapctl-$1.1" ;;
    esac
}

# Items ".It Cm NAME" or ".It Fl -NAME" of a page.
has_item() { # PAGE PATTERN
    grep -qE -- "^\.It (.* )?$2( |\$)" "$1"
}

# ---- commands and their options ----------------------------------------------------------------------------

[ -n "$(commands)" ] || complain 'no commands in --help'
for command in $(commands); do
    file=$(page "$command")
    [ -f "$file" ] || {
        complain "there is no $file"
        continue
    }
    has_item doc/snapctl.1 "Cm $command" || complain "doc/snapctl.1: nothing on the command $command"
    completed '' | grep -qx -- "$command" || complain "completion: no command $command"
    completed help '' | grep -qx -- "$command" || complain "completion: no help $command"
    for option in $(options "$command"); do
        has_item "$file" "Fl -${option#--}" || has_item doc/snapctl.1 "Fl -${option#--}" ||
            complain "$file: nothing on $option"
        completed "$command" "$option" | grep -qx -- "$option" || complain "completion: $command: no $option"
    done
    # And nothing that is not there any more.
    [ "$file" != doc/snapctl.1 ] || continue
    for option in $(grep -oE '^\.It .*Fl -[a-z-]+' "$file" | grep -oE 'Fl -[a-z-]+$' | sed 's/Fl -/--/'); do
        options "$command" | grep -qx -- "$option" || complain "$file: there is no option $option"
    done
    for option in $(completed "$command" --); do
        options "$command" | grep -qx -- "$option" || complain "completion: $command: there is no option $option"
    done
done
for file in doc/snapctl-*.1; do
    command=${file#doc/snapctl-}
    commands | grep -qx -- "${command%.1}" || complain "$file: there is no such command"
done
for word in $(completed ''); do
    commands | grep -qx -- "$word" || complain "completion: there is no command $word"
done

# ---- values and topics -----------------------------------------------------------------------------------------

for command in $(commands); do
    for option in $(options "$command"); do
        # Of processes and directories there is no list.
        "$snapctl" "$command" --help | grep -qE -- "$option (PID|DIR|FILE)\b" && continue
        for value in $(completed "$command" "$option="); do
            value=${value#*=}
            value=${value%=}
            grep -qE "^\.It .*Cm $value\b" "$(page "$command")" || complain "$(page "$command"): $option: nothing on $value"
        done
    done
done
for condition in $(completed dump --until=); do
    condition=${condition#*=}
    "$snapctl" help until | grep -qE "^  ${condition%=}\b" || complain "help until: nothing on $condition"
    "$snapctl" dump --help | grep -qE "\b${condition%=}\b" || complain "dump --help: nothing on $condition"
done
for kind in $(completed dump --until=effect=-); do
    grep -qE "^\.Cm (.* )?${kind#*=-}\b" doc/snapctl-dump.1 || complain "doc/snapctl-dump.1: nothing on effect=-${kind#*=-}"
done

all=$(for command in $(commands); do options "$command"; done)
[ -n "$(topics)" ] || complain 'no topics in help'
for topic in $(topics); do
    has_item doc/snapctl.1 "Cm $topic" || complain "doc/snapctl.1: nothing on the topic $topic"
    completed help "$topic" | grep -qx -- "$topic" || complain "completion: no help $topic"
    text=$("$snapctl" help "$topic") || complain "help $topic fails"
    [ "$(wc -l <<<"$text")" -ge 4 ] || complain "help $topic says nothing"
    if awk 'length > 90 { exit 1 }' <<<"$text"; then :; else complain "help $topic has lines that are too long"; fi
    # What it names has to exist.
    for option in $(grep -oE -- '--[a-z][a-z-]+' <<<"$text" | sort -u); do
        case $option in --port | --verbose | --net) continue ;; esac # of others, in examples
        grep -qx -- "$option" <<<"$all" || complain "help $topic: there is no option $option"
    done
done

# ---- the scripts of shells -----------------------------------------------------------------------------------------

for pair in bash:snapctl.bash zsh:_snapctl fish:snapctl.fish; do
    shell=${pair%:*}
    script=completion/${pair#*:}
    grep -q __complete "$script" || complain "$script does not ask snapctl"
    ! command -v "$shell" >/dev/null || "$shell" -n "$script" || complain "$script: $shell cannot read it"
done
exit $bad
