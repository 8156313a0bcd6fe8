#!/usr/bin/env bats
# eventfd, timerfd, signalfd, pidfd, inotify. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "event_counts: eventfd: zero, some, largest" { roundtrip event_counts; }
@test "event_semaphore: eventfd: semaphore" { roundtrip event_semaphore; }
@test "timerfd_armed: timerfd: clocks, idle, absolute" { roundtrip timerfd_armed; }
# As after a reboot: the program goes on in a time namespace.
# shellcheck disable=SC2034 # user: a prefix of what the helpers run
@test "timerfd_armed: where the clock is behind" {
    local program
    unshare --time true 2>/dev/null || skip "time namespaces"
    user=(unshare --time --monotonic 500000 --boottime 500000)
    start_target timerfd_armed
    program=$pid
    user=(nsenter --time="/proc/$program/ns/time")
    dump_pid "$program"
    user=()
    restore
    check_target "$pid"
}
@test "timerfd_expired: timerfd: fired and not read" { roundtrip timerfd_expired; }
@test "timerfd_fires: timerfd: expires later" { roundtrip timerfd_fires; }
@test "signalfd_mask: signalfd" { roundtrip signalfd_mask; }
@test "pidfd_self: pidfd of the process itself" { roundtrip pidfd_self; }
@test "pidfd_children: pidfds of children, alive, ended and gone" { roundtrip pidfd_children; }
@test "owner_child: F_SETOWN of a child and its group" { roundtrip owner_child; }
@test "inotify_watches: inotify watches and their numbers" { roundtrip inotify_watches; }
@test "inotify_moved: watches of what was moved or deleted; all events" { roundtrip inotify_moved watch; }
@test "fanotify_marks: fanotify marks of a directory and a file system" { roundtrip fanotify_marks; }
@test "inotify_queued: an inotify event nobody has read" { roundtrip inotify_queued; }
@test "inotify_queued_kinds: all kinds of inotify events, unread" { roundtrip inotify_queued_kinds; }
@test "inotify_queued_deleted: unread events of a deleted file" { roundtrip inotify_queued_deleted watch; }
@test "inotify_queued_unmounted: unread events of an unmount" { roundtrip inotify_queued_unmounted; }
@test "inotify_queued_overflow: more events than fit" { roundtrip inotify_queued_overflow; }
@test "unread inotify events of a program that is dumped and goes on" {
    start_target inotify_queued_kinds
    snapctl dump --pid "$pid" -o "$(image)" --leave-running
    grep -q 'inotify.*events wait to be read' <(snapctl show "$(image)") || fail "show does not tell"
    check_target "$pid"
}
@test "unread inotify events, as an ordinary user" {
    as_user
    roundtrip inotify_queued_kinds pid,ns -- --pids=ns
}
