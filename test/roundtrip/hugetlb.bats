#!/usr/bin/env bats
# Huge pages of hugetlb. One test for each target of test/targets; see there for what is checked. The machine lends
# some for the time of this file; where it does not, the targets skip.
load ../helpers/snap

pool=/proc/sys/vm/nr_hugepages

setup_file() {
    cat "$pool" >"$BATS_FILE_TMPDIR/pool"
    echo $(($(cat "$pool") + 16)) 2>/dev/null >"$pool" || true
}

teardown_file() { cat "$BATS_FILE_TMPDIR/pool" 2>/dev/null >"$pool" || true; }

@test "huge_private: private huge pages, in pieces" { roundtrip huge_private; }
@test "huge_fork: huge pages of a parent and its child" { roundtrip huge_fork hugetlb; }
@test "huge_memfd: a memfd of huge pages" { roundtrip huge_memfd hugetlb; }
@test "huge pages that the machine has no more" {
    for name in huge_private huge_fork; do
        start_target "$name"
        dump_pid "$pid"
        total=$(cat "$pool")
        echo 0 >"$pool"
        run snapctl restore --detach "$(image)"
        echo "$total" >"$pool"
        [ "$status" = 125 ] || fail "status $status"
        [[ $output == *"Cannot allocate memory"*hint:*vm.nr_hugepages* ]] || fail "$output"
        rm -rf "$(image)" "$scratch/ctl" "$scratch/out"
    done
}
@test "huge pages, as an ordinary user" {
    as_user
    roundtrip huge_private pid,ns -- --pids=ns
}
