#!/bin/bash
# The man pages are well-formed, and say something of every option that --help lists.
set -u
cd "$(dirname "$0")/../.." || exit 1
snapctl=${SNAPCTL:-build/snapctl}
bad=0

if command -v mandoc >/dev/null; then
    mandoc -Tlint -Wwarning doc/*.[135] || bad=1
fi

# snapctl.1 has a section "Ss dump" per command; options stand there or among the common ones.
section() { awk -v name="$1" '/^\.S[sh]/ { on = $2 == name } on' doc/snapctl.1; }

common=$(section common)
[ -n "$common" ] || { echo 'doc/snapctl.1: no subsection "common"' >&2; exit 1; }
for command in $("$snapctl" --help | awk '/^  [a-z]+ +[a-z]/ && $1 != "snapctl" { print $1 }'); do
    text=$(section "$command")
    [ -n "$text" ] || { echo "doc/snapctl.1: nothing on the command $command"; bad=1; }
    for option in $("$snapctl" "$command" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        printf '%s\n%s\n' "$text" "$common" | grep -qE -- "^\.It .*Fl -${option#--}( |\$)" || {
            echo "doc/snapctl.1: $command: nothing on $option"
            bad=1
        }
    done
done
exit $bad
