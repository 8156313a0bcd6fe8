#!/bin/bash
# make soak: the long runs, one after the other, each with its own time limit. Names of parts may be given;
# SOAK_ROUNDS, SOAK_PROGRAMS, SOAK_TREES, SOAK_KILLS, SOAK_CHANGES, SOAK_MUTANTS, SOAK_SAMPLES, SOAK_CHECKINS make them shorter or
# longer. On two cores the round trips take half an hour, the check-ins ten minutes, the others two minutes.
set -u
here=$(dirname "$0")
out=$(mktemp)
trap 'rm -f "$out"' EXIT
[ $# -gt 0 ] || set -- roundtrip tree kill disk damage hostile checkin

for part in "$@"; do
    echo "# $part"
    timeout -k 30 "${SOAK_LIMIT:-7200}" "$here/$part.sh" 2>&1 | tee -a "$out"
    [ "${PIPESTATUS[0]}" != 124 ] || echo "not ok - $part did not end in time" | tee -a "$out"
done
passed=$(grep '^ok' "$out" | grep -vc '# skip')
failed=$(grep -c '^not ok' "$out")
skipped=$(grep -c '^ok.*# skip' "$out")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
