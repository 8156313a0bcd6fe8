#!/bin/bash
# Includes point the way DESIGN section 2 says. Left: a folder (or file); right: what it may include.
set -u
cd "$(dirname "$0")/../.." || exit 1

allowed() {
    case $1 in
    base) echo 'base/' ;;
    lib) echo 'lib/' ;;
    images | images/fd | images/diff | images/pack | images/core) echo 'base/|images/|proto/|lib/protocol\.h$' ;;
    tracee) echo 'base/|tracee/' ;;
    dump | dump/until) echo 'base/|images/|tracee/|dump/|lib/protocol\.h$' ;;
    restore) echo 'base/|images/|tracee/|restore/|restorer-blob/plan\.h$|lib/protocol\.h$' ;;
    restorer-blob) echo 'restorer-blob/' ;;
    .) echo 'base/|(opts|commands?|complete|topics)\.h$|(dump/dump|restore/restore|images/image)\.h$' ;;
    esac
}

# "file:line: included" of every #include with the given quotes in the C files of a folder.
includes() {
    grep -HnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$2" "$1"/*.[chS] 2>/dev/null |
        sed -E 's/^([^:]*:[0-9]+):[^"<]*["<]([^">]*).*/\1: \2/'
}

bad=0
complain() { # reads "file:line: included"
    while read -r line; do
        echo "$line: $1"
        bad=1
    done
}

for folder in . base images images/fd images/diff images/pack images/core tracee dump dump/until restore restorer-blob lib; do
    complain "not for $folder" < <(includes $folder '"' | grep -vE ": ($(allowed $folder))")
    case $folder in
    images | images/fd | images/diff | images/pack | images/core) ;;
    *) complain 'generated types are for images/ only' < <(includes $folder '"' | grep 'pb-c\.h$') ;;
    esac
    complain 'our own headers stand in double quotes' < <(includes $folder '<' |
        grep -E ': (base|images|proto|tracee|dump|restore|restorer-blob)/')
done
complain 'no libc in the blob' < <(includes restorer-blob '<' |
    grep -vE ': (stdint\.h|stddef\.h|stdbool\.h|(linux|asm|asm-generic)/.*)$')
exit $bad
