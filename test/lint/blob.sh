#!/bin/bash
# The blob runs where nobody relocates it, resolves its symbols or gives it TLS (STYLE section 10):
#   test/lint/blob.sh [blob.elf]
set -u
elf=${1:-${BUILD:-build}/blob.elf}
bad=0

complain() { # what is wrong; the lines that prove it come on stdin, none: nothing is wrong
    local lines
    lines=$(cat)
    [ -n "$lines" ] || return 0
    printf '%s: %s\n%s\n' "$elf" "$1" "$lines" >&2
    bad=1
}

[ -s "$elf" ] || { echo "$elf: no such file" >&2; exit 1; }

readelf -rW "$elf" | grep -E '^[0-9a-f]+ ' | complain 'relocations'
nm -u "$elf" | complain 'undefined symbols'
nm "$elf" | grep -E ' [DdBbCSsGg] ' | grep -vE ' (_DYNAMIC|_GLOBAL_OFFSET_TABLE_)$' |
    complain 'writable data'
readelf -SW "$elf" | grep -E ' \.(data|bss|got|got\.plt|tdata|tbss|init_array)[[:space:]]' |
    awk '{ sub(/^.*\]/, ""); if ($5 !~ /^0+$/) print }' | complain 'sections that are not code'
readelf -lW "$elf" | grep -E '^ *(INTERP|TLS) ' | complain 'segments'
objdump -d "$elf" | grep -E '%fs:|%gs:' | complain 'thread-local storage'
objdump -d "$elf" | grep -E '%[xyz]mm[0-9]|%st\(|%k[0-7]' | complain 'vector or floating point registers'
objdump -d "$elf" | grep -E 'call.*<(mem|str)[a-z]*@plt>' | complain 'calls through a table'
readelf -hW "$elf" | grep 'Entry point' | grep -v ' 0x0$' | complain 'the entry point is not at offset 0'
exit $bad
