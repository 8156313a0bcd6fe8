#!/usr/bin/env bats
# A build of two jobs at a time that is stopped in the middle, and finished after the restore.
load ../helpers/real_tree

has_objects() { [ "$(find "$scratch/work" -name '*.o' -size +0 | wc -l)" -ge "$1" ]; }
dumped() { dump_pid "$pid" --force; }

@test "make -j2: stopped in the middle, and finished" {
    need make
    need gcc
    local i
    for i in {1..12}; do
        { echo "int f$i(int x) { return x % $i; }"
          for n in {1..400}; do echo "int g${i}_$n(int x) { return f$i(x) * $n + x / ($n + 1); }"; done
        } >"$scratch/work/f$i.c"
    done
    {
        echo 'all: $(patsubst %.c,%.o,$(wildcard *.c))'
        printf '\t$(LD) -r -o $@ $^\n'
        echo '%.o: %.c'
        printf '\t$(CC) -O2 -c -o $@ $<\n\techo $@ >>order\n'
    } >"$scratch/work/Makefile"
    start make.log make -j2
    until_true has_objects 3
    note_tree "$pid"
    # A process in the middle of vfork shares its memory; so once more, a moment later.
    until_true dumped || fail "it cannot be dumped: $(cat "$scratch/said")"
    ! has_objects 12 || skip "the build was too fast"
    restore
    note_tree "$pid"
    "$TARGET" --wait-exit "$pid" 60 || fail "it never ended"
    [ -s "$scratch/work/all" ] || fail "nothing was built: $(cat "$scratch/make.log")"
    is "$(sort -V "$scratch/work/order" | uniq -d)" ""
    is "$(wc -l <"$scratch/work/order")" 12
    is "$(nm "$scratch/work/all" | grep -c ' T ')" $((12 * 401))
}
