#!/bin/bash
# C files are laid out as `make format` does it. Other versions of clang-format have other tastes.
set -u
cd "$(dirname "$0")/../.." || exit 1

version=$(clang-format --version 2>/dev/null | grep -oE 'version [0-9]+' | grep -oE '[0-9]+')
[ "${version:-0}" = 14 ] || {
    echo "clang-format 14 is not here"
    exit 77
}
mapfile -t files < <(find . -path ./build -prune -o -path ./.git -prune -o -name '*.[ch]' -print)
bad=$(clang-format --dry-run -Werror "${files[@]}" 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c)
[ -n "$bad" ] || exit 0
printf '%s\n' "$bad" 'make format lays them out'
exit 1
