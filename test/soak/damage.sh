#!/bin/bash
# Damaged images: see damage.py.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"

cp "${SERVER:?}" "$scratch/server"
SERVER=$scratch/server
program static "$(free_port)" "$scratch"
if ! snapctl dump -q -o "$scratch/image" "${command[@]}" >"$scratch/said" 2>&1; then
    fail "dump of the server"
elif "$(dirname "$0")/damage.py" "$scratch/image" "$scratch/snapctl" "${SNAPCTL_ASAN:-}"; then
    pass "damaged images are refused"
else
    fail "damaged images"
fi
if until_true gone; then pass "no process is left"; else fail "processes are left: $(ours)"; fi
finish
