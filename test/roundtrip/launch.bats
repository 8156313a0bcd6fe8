#!/usr/bin/env bats
# `snapctl dump PROGRAM`: launched, watched until it is quiet, dumped; and what it says when that does not work.
load ../helpers/snap

@test "launched: memory" { launched mem_private; }
@test "launched: mapped files" { launched memfile_private; }
@test "launched: children that end, told by pidfds" { launched pidfd_once; }
@test "launched: 100 threads" { launched thread_many; }
@test "launched: the first thread has ended" { launched thread_leader_gone; }
@test "launched: pending signals" { launched signal_pending; }
@test "launched: timers" { launched timer_ids; }
@test "launched: descriptors" { launched file_dup; }
@test "launched: pipes" { launched pipe_contents; }
@test "launched: epoll" { launched epoll_level; }
@test "launched: unix sockets" { launched unix_listen; }
@test "launched: TCP listeners" { launched tcp_listen; }
@test "launched: all kinds of waiting" { launched wait_long; }
@test "launched: locks" { launched lock_flock; }

@test "launched: says what it found" {
    local port
    port=$(free_port)
    snapctl dump -o "$(image)" "$SERVER" "$port" 3
    grep -qE "3 threads: 3 accept; listens on 127.0.0.1:$port" "$scratch/said"
}

@test "launched: gone afterwards, image is private" {
    local port
    port=$(free_port)
    snapctl dump -o "$(image)" "$SERVER" "$port"
    if listens "$port"; then fail "somebody listens on port $port"; fi
    [ "$(stat -c %a "$(image)")" = 700 ]
    [ -z "$(find "$(image)" -type f ! -perm 600)" ]
}

@test "launched: never quiet" {
    prepare_target
    # shellcheck disable=SC2046 # three words
    run snapctl dump --timeout 2s -o "$(image)" env $(target_env) "$TARGET" cpu_crunch
    [ "$status" = 125 ]
    [ ! -e "$(image)" ]
    [[ $output == *hint:* ]]
}

@test "launched: a parent that waits in vfork is named when its child is quiet" {
    prepare_target
    # shellcheck disable=SC2046 # three words
    run snapctl dump -o "$(image)" env $(target_env) "$TARGET" treerefuse_vfork
    [ "$status" = 125 ]
    [[ $output == *"waits in vfork(2) for a child"*hint:* ]]
}

# refused_at_once PATTERN OPTION...: before the program has been started
refused_at_once() {
    local pattern=$1
    shift
    run snapctl dump "$@" touch "$scratch/work/started"
    [ "$status" = 125 ] || fail "exit status $status"
    grep -qE "$pattern" "$scratch/said" || fail "does not say $pattern"
    grep -q 'hint:' "$scratch/said" || fail "no remedy is named"
    [ ! -e "$scratch/work/started" ] || fail "it was started"
}

@test "launched: a place that cannot be used is told before the start" {
    snapctl dump -o "$(image)" "$SERVER" "$(free_port)"
    refused_at_once 'there is an image already' -o "$(image)"
    mkdir "$scratch/work/precious"
    refused_at_once 'precious exists and is not \(only\) an image of snapctl' -f -o "$scratch/work/precious"
    refused_at_once 'nowhere/image: open the directory it shall be in' -o "$scratch/work/nowhere/image"
    refused_at_once 'make a directory for the image' -o /proc/1/image
    refused_at_once '"/" cannot be the name of an image' -o /
    as_user
    refused_at_once 'make a directory for the image: Permission denied' -o /usr/image
}

@test "launched: no time to be quiet is told before the start" {
    refused_at_once 'timeout 0.1 s leaves no time to be quiet for 0.25 s' -o "$(image)" --timeout 100ms
    refused_at_once 'timeout 60 s leaves no time to be quiet for 90 s' -o "$(image)" --settle 90s
}

@test "launched: where it fails, no process sees another one end" {
    run snapctl dump --timeout 1s -o "$(image)" bash -c 'for i in {1..40}; do sleep 1000 & done
        while :; do :; done & wait -n; echo >saw'
    [ "$status" = 125 ]
    [ ! -e "$scratch/work/saw" ]
    if grep Killed "$scratch/said"; then fail "a shell has seen its child end"; fi
}

@test "launched: says who was still busy" {
    run snapctl dump --timeout 1s -o "$(image)" sh -c 'while :; do :; done'
    [ "$status" = 125 ]
    [[ $output == *"(sh) used "*"% of a CPU"* ]]
}

@test "launched: sleeps between start-up steps are not the end of it" {
    local port
    port=$(free_port)
    # Steps of work with pauses shorter than the settle time; only then the server.
    snapctl dump -o "$(image)" bash -c "for i in 1 2 3 4 5; do for ((j = 0; j < 40000; j++)); do :; done
        read -t 0.1 <> <(:); done; exec $SERVER $port" || true
    restore
    listens "$port"
}

@test "launched: a program that ends" {
    run snapctl dump -o "$(image)" sh -c 'exit 7'
    [ "$status" = 125 ]
    [[ $output == *"the program ended with status 7 before it was quiet"*hint:* ]]
    run snapctl dump -o "$(image)" sh -c 'kill -KILL $$'
    [ "$status" = 125 ]
    [[ $output == *"the program was killed by signal 9 (Killed) before it was quiet"*hint:* ]]
    [ ! -e "$(image)" ]
}

@test "launched: no such program" {
    run snapctl dump -o "$(image)" /no/such/program
    [ "$status" = 127 ]
    run snapctl dump -o "$(image)" /etc/passwd
    [ "$status" = 126 ]
}
