#!/bin/bash
# Damaged images of a server of three processes: every cut of every file and SOAK_CHANGES (10000) changes of single bytes in one
# process, fuzz_image built with ASan; a few hundred of them through the command line (damage.py).
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
: "${SNAPCTL_ASAN:?run me through make soak}" "${FUZZ_IMAGE:?}"

cp "${SERVER:?}" "$scratch/server"
SERVER=$scratch/server
program static "$(free_port)" "$scratch"
command+=(2 3) # threads, processes
if ! snapctl dump -q -o "$scratch/image" "${command[@]}" >"$scratch/said" 2>&1; then
    fail "dump of the server"
    finish
    exit
fi
if "$FUZZ_IMAGE" -n "${SOAK_CHANGES:-10000}" -s "${SOAK_SEED:-$RANDOM}" "$scratch/image"; then
    pass "all cuts and many changes are refused"
else
    fail "cuts and changes"
fi
if "$(dirname "$0")/damage.py" "$scratch/image" "$scratch/snapctl" "$SNAPCTL_ASAN"; then
    pass "damaged images are refused by all commands"
else
    fail "damaged images and the commands"
fi
if until_true gone; then pass "no process is left"; else fail "processes are left: $(ours)"; fi
finish
