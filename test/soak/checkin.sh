#!/bin/bash
# SOAK_CHECKINS (10000) programs that check in, one after the other: each is dumped there, and restored to its end.
# Then a process that is asked for its dump (--ask) a tenth as often, and goes on each time. Nothing may hang, and
# nothing may be left: processes, sockets, files; nor may the process that is asked have more than it began with.
# shellcheck source-path=SCRIPTDIR source=soak.bash
. "$(dirname "$0")/soak.bash"
rounds=${SOAK_CHECKINS:-10000}
limit=30
mkdir "$scratch/work" "$scratch/run"
chmod 700 "$scratch/run"
cp "${BUILD:?}/test/checkin" "$scratch/checkin"
cd "$scratch/work" || exit 1

sockets() { grep -c '@snapctl\|snaptest\|snapctl-soak' /proc/net/unix; }
files() { find "$scratch" | wc -l; }

# ---- checking in ------------------------------------------------------------------------------------------

check_in() {
    snapctl dump -q --force -o "$scratch/image" --until=checkin "$scratch/checkin" hooks >"$scratch/said" 2>&1 &&
        snapctl restore "$scratch/image" >"$scratch/said" 2>&1
}

sockets_before=$(sockets)
began=$SECONDS nr=0
while [ $nr -lt "$rounds" ] && check_in; do
    nr=$((nr + 1))
    [ $nr != 1 ] || files_before=$(files)
done
if [ $nr = "$rounds" ]; then
    pass "$nr check-ins in $((SECONDS - began)) s"
else
    fail "check-in $((nr + 1))"
fi
if [ "$(grep -cx 'before one' log)" = "$rounds" ] && [ "$(grep -cx 'ready 1' log)" = "$rounds" ] &&
    [ "$(wc -l <log)" = $((6 * rounds)) ]; then
    pass "each hook ran once at each of them"
else
    fail "the log: $(sort log | uniq -c | tr '\n' ';')"
fi
if until_true gone && [ "$(sockets)" = "$sockets_before" ] && [ "$(files)" = "$files_before" ]; then
    pass "nothing is left"
else
    fail "left: $(ours) $(find "$scratch" | tr '\n' ' ')"
fi

# ---- being asked ------------------------------------------------------------------------------------------

# Descriptors, threads, mappings of the process.
has() { echo "$(find "/proc/$1/fd" | wc -l) $(find "/proc/$1/task" -maxdepth 1 | wc -l) $(wc -l <"/proc/$1/maps")"; }

ask() { snapctl dump -q --force --leave-running --ask "$pid" -o "$scratch/image" >"$scratch/said" 2>&1; }
told() { [ "$(grep -cx 'after one 0' log)" = "$1" ]; }

: >log
XDG_RUNTIME_DIR=$scratch/run "$scratch/checkin" listen </dev/null >/dev/null 2>&1 &
pid=$!
until_true grep -qs '^listen' log
began=$SECONDS nr=0
while [ $nr -lt $((rounds / 10)) ] && ask && until_true told $((nr + 1)); do
    nr=$((nr + 1))
    [ $nr != 10 ] || before=$(has "$pid")
done
if [ $nr = $((rounds / 10)) ]; then
    pass "asked $nr times in $((SECONDS - began)) s"
else
    fail "asked for the $((nr + 1))th time"
fi
if [ "$(has "$pid")" = "$before" ] && [ "$(ls "$scratch/run/snapctl")" = "$pid.listens" ]; then
    pass "it has what it had"
else
    fail "it has $(has "$pid") after $before: $(ls "$scratch/run/snapctl")"
fi
kill -KILL "$pid"
wait "$pid" 2>/dev/null
finish
