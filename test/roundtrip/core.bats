#!/usr/bin/env bats
# snapctl core: core files that gdb opens.
load ../helpers/snap

program=${BUILD:?}/test/core

core() { echo "$scratch/work/core"; }

# ask EXPRESSION...: gdb, on the core file; what it says is in $scratch/gdb
ask() {
    local words=() word
    for word; do words+=(-ex "$word"); done
    timeout "$limit" gdb -nx -batch -iex 'set debuginfod enabled off' "${words[@]}" "$program" "$(core)" \
        >"$scratch/gdb" 2>&1 </dev/null || fail "gdb: $(cat "$scratch/gdb")"
}

answered() { grep -qE -- "$1" "$scratch/gdb" || fail "gdb does not say $1: $(cat "$scratch/gdb")"; }

# A file of three pages, and an image of the program that has mapped it.
program_image() {
    for line in first second third; do printf '%-4096s' "$line page"; done >"$scratch/work/data"
    chmod 644 "$scratch/work/data"
    snapctl dump -o "$(image)" "$program" "$scratch/work/data"
}

pids() { snapctl show --json "$(image)" | jq '.processes[].pid'; }

@test "core: threads, registers, variables" {
    program_image
    snapctl core "$(image)" -o "$(core)"
    grep -q "4 threads.*gdb $program" "$scratch/said"
    [ "$(stat -c %a "$(core)")" = 600 ]
    ask 'thread apply all bt' 'p answer' 'p greeting' 'p (char *)shared + 4096' 'p sparse + (32 << 20)' \
        'p huge + (100l << 30)' 'p sparse[5]' 'thread 3' 'p/x $ymm9.v4_int64[3]' 'p/x $xmm9.v2_int64[1]' 'info auxv'
    [ "$(grep -c '^#0 .*wait_with' "$scratch/gdb")" -ge 4 ]
    [ "$(grep -c '^#1 .*thread_main' "$scratch/gdb")" = 3 ]
    [ "$(grep -c '^#1 .* main (argc=' "$scratch/gdb")" = 1 ]
    answered '= 4711$'
    answered 'hello from the heap'
    answered '"in shared memory"'
    answered '"in the middle"'
    answered '"far away"'
    answered "= 0 '"
    ! grep -q ' avx ' /proc/cpuinfo || answered '= 0x2003$'
    answered '= 0x2001$'
    answered "AT_EXECFN .*\"$program\""
    if grep -i 'warning' "$scratch/gdb"; then fail "gdb warns"; fi
}

@test "core: mappings and notes" {
    program_image
    snapctl core "$(image)" -o "$(core)"
    ask 'info proc mappings' 'info files' 'info sharedlibrary' 'info proc'
    answered "0x[0-9a-f]+ .* $program\$"
    answered "0x[0-9a-f]+ .* $scratch/work/data\$"
    answered '0x[0-9a-f]+ - 0x[0-9a-f]+ is load'
    answered '0x[0-9a-f]+ .*Yes .*libc.so'
    answered "exe = '$program $scratch/work"
    readelf -nW "$(core)" >"$scratch/notes" 2>&1
    for note in 'PRSTATUS 4' 'FPREGSET 4' 'X86_XSTATE 4' 'PRPSINFO 1' 'AUXV 1' 'FILE 1'; do
        [ "$(grep -c "NT_${note% *} " "$scratch/notes")" = "${note#* }" ] || fail "$note: $(cat "$scratch/notes")"
    done
    if grep -i warning "$scratch/notes"; then fail "readelf warns"; fi
    # A hole costs nothing.
    [ "$(stat -c %b "$(core)")" -lt $((20 << 11)) ] && [ "$(stat -c %s "$(core)")" -gt $((64 << 20)) ]
}

@test "core: another process of the image" {
    local child
    program_image
    child=$(pids | tail -n 1)
    [ "$(pids | wc -l)" = 2 ]
    snapctl core --pid "$child" "$(image)" -o "$(core)"
    grep -q "process $child, 1 thread," "$scratch/said"
    ask 'bt' 'p answer' 'p greeting' 'p/x $xmm9.v2_int64[0]'
    answered '= 4712$'
    answered 'hello from the heap'
    answered '#1 .* child_make'
    answered '= 0x4000$'
    run snapctl core --pid 4194303 "$(image)" -o "$scratch/work/other"
    [ "$status" = 125 ] && [[ $output == *"no process 4194303"*hint:*"$(pids | head -n 1)"* ]] || fail "$output"
    [ ! -e "$scratch/work/other" ]
}

@test "core: a file that is as it was, and one that has changed" {
    program_image
    snapctl core "$(image)" -o "$(core)"
    ask 'p file' 'p file + 4096' 'p file + 8192'
    answered '"first page"'
    answered '"a changed page"'
    answered '"third page"'
    sed -i s/third/other/ "$scratch/work/data"
    snapctl core --force "$(image)" -o "$(core)"
    grep -q "$scratch/work/data is not what it was" "$scratch/said"
    if grep -qa 'first page' "$(core)"; then fail "it has another file's contents"; fi
    ask 'p file + 4096' 'bt' # the rest gdb looks up in the file
    answered '"a changed page"'
    answered '#1 .* main '
    rm "$scratch/work/data"
    snapctl core --force "$(image)" -o "$(core)"
    grep -q "$scratch/work/data is not what it was" "$scratch/said"
    ask 'p file + 4096' 'p *file@4'
    answered '"a changed page"'
    if grep -q '"first' "$scratch/gdb"; then fail "where from?"; fi
}

@test "core: what the program does not want in core files is not there" {
    program_image
    snapctl core "$(image)" -o "$(core)"
    if grep -qa hidden4711 "$(core)"; then fail "it is there"; fi
    ask 'p *secret@6' # gdb takes what is not there for zero
    answered '= "[\\]000'
}

# In what holds still, every byte is compared with the live process.
compared() { # TARGET
    start_target "$1"
    taskset -apc 0 "$pid" >/dev/null # the kernel writes the CPU's number into memory: rseq(2)
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    snapctl core "$(image)" -o "$(core)"
    if grep warning "$scratch/said"; then fail "it warns of $1"; fi
    [ "$(python3 "$BATS_TEST_DIRNAME/../helpers/core_compare.py" "$(core)" "$pid")" -gt 1000000 ]
    kill -KILL "$pid"
    "$TARGET" --wait-exit "$pid" 10
    rm -rf "$(core)" "$(image)" "$scratch/ctl"
}

@test "core: memory is what the process had" {
    compared mem_private
    compared memfd_mapped
    compared thread_many
}

@test "core: mapped files are what the process had" {
    compared memfile_private
    compared memfile_shared
    compared memfile_deleted
    compared memfile_beyond_eof
    compared memfile_dev_zero
}

@test "core: a fault" {
    printf '%-12288s' data >"$scratch/work/data"
    snapctl dump --until=signal=SEGV -o "$(image)" "$program" "$scratch/work/data" crash
    snapctl core "$(image)" -o "$(core)"
    ask bt 'p/x $_siginfo._sifields._sigfault.si_addr' 'info threads'
    answered 'terminated with signal SIGSEGV'
    answered '^#0 .*thread_crash'
    answered '= 0x1234$'
    [ "$(grep -c "^[* ] .*Thread 0x" "$scratch/gdb")" = 5 ]
}

@test "core: a first thread that has ended, a process that has" {
    local threads
    start_target thread_leader_gone
    dump_pid "$pid"
    threads=$(snapctl show --json "$(image)" | jq '.processes[0].threads | length')
    snapctl core "$(image)" -o "$(core)"
    [ "$(readelf -nW "$(core)" | grep -c NT_PRSTATUS)" = $((threads - 1)) ]
    program=$TARGET
    ask bt 'info threads'
    answered '^#[0-9]'
    restore
    check_target "$pid"
    rm -rf "$scratch/ctl" "$(image)"
    start_target proc_zombie
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    run snapctl core --force --pid "$(descendants "$pid" | head -n 1)" "$(image)" -o "$(core)"
    [ "$status" = 125 ] && [[ $output == *"had ended"* ]] || fail "$output"
    check_target "$pid"
}

@test "core: an image with its files inside, of a packed image" {
    cp "$program" "$scratch/work/program"
    program=$scratch/work/program
    for line in first second third; do printf '%-4096s' "$line page"; done >"$scratch/work/data"
    snapctl dump --embed -o "$(image)" "$program" "$scratch/work/data"
    snapctl pack "$(image)" -o "$scratch/work/server.snap"
    mv "$program" "$scratch/moved"
    rm "$scratch/work/data"
    snapctl core -q "$scratch/work/server.snap" -o "$(core)"
    [ ! -s "$scratch/said" ] || fail "$(cat "$scratch/said")"
    program=$scratch/moved
    ask bt 'p file' 'p answer'
    answered '#1 .* main '
    answered '"first page"'
    answered '= 4711$'
}

@test "core: Python" {
    [ -x /usr/bin/python3 ] || skip "no python3 of the system"
    snapctl dump -o "$(image)" /usr/bin/python3 -c 'import threading, signal
for i in range(3): threading.Thread(target=lambda: threading.Event().wait()).start()
signal.pause()'
    snapctl core "$(image)" -o "$(core)"
    program=/usr/bin/python3
    ask 'info threads' bt 'info proc mappings' 'p (char *)Py_Version' 'x/s *(char **)&Py_GetVersion'
    [ "$(grep -c 'Thread 0x' "$scratch/gdb")" -ge 4 ]
    answered '#[0-9]+ .*(Py_RunMain|Py_BytesMain|pymain)'
    answered '/usr/bin/python3'
}

@test "core: what stands there is replaced only with --force, and only a core file" {
    program_image
    snapctl core "$(image)" -o "$(core)"
    run snapctl core "$(image)" -o "$(core)"
    [ "$status" = 125 ] && [[ $output == *--force* ]]
    snapctl core --force "$(image)" -o "$(core)"
    echo precious >"$scratch/work/file"
    cp "$program" "$scratch/work/program"
    for name in file program image; do
        run snapctl core --force "$(image)" -o "$scratch/work/$name"
        [ "$status" = 125 ] && [[ $output == *"is not a core file"* ]] || fail "$name: $output"
    done
    run snapctl core "$scratch/work/file" -o "$scratch/work/new"
    [ "$status" = 125 ] && [ ! -e "$scratch/work/new" ]
    run snapctl core
    [ "$status" = 125 ] && [[ $output == *"which image"* ]]
    [ -z "$(find "$scratch/work" -name '.*.tmp')" ]
}

@test "core: a full disk leaves nothing" {
    [ "$(id -u)" = 0 ] || skip "mounting is for root"
    program_image
    mkdir "$scratch/small"
    run unshare --mount sh -c "mount -t tmpfs -o size=1m none '$scratch/small' && cd '$scratch/small' &&
        { '$SNAPCTL' core '$(image)' -o small; status=\$?; ls -A; exit \$status; }"
    [ "$status" = 125 ] && [[ $output == *"No space left"*hint:*"free some space"* ]] || fail "$output"
    [[ $output != *tmp ]] && [[ $output != *$'\n'small ]]
}

@test "core: an ordinary user" {
    [ "$(id -u)" = 0 ] || skip "we are one"
    as_user
    cp "$program" "$scratch/program" && program=$scratch/program
    program_image
    snapctl core "$(image)" -o "$(core)"
    ask 'p answer'
    answered '= 4711$'
}
