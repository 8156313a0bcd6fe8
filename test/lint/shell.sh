#!/bin/bash
# Scripts, as shellcheck sees them.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || {
    echo 'shellcheck is not here'
    exit 77
}
mapfile -t files < <(find . -path ./build -prune -o -path ./.git -prune -o -type f \( -name '*.sh' -o \
    -name '*.bash' -o -name '*.bats' -o -path ./.ci/run -o -path ./.ci/deps -o -path ./test/run \) -print)
# SC2154: variables of bats files are set by test/helpers.
shellcheck -x -e SC2154 -P SCRIPTDIR -S warning "${files[@]}"
