#!/usr/bin/env bats
# eventfd, timerfd, signalfd, pidfd, inotify. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "event_counts: eventfd: zero, some, largest" { roundtrip event_counts; }
@test "event_semaphore: eventfd: semaphore" { roundtrip event_semaphore; }
@test "timerfd_armed: timerfd: clocks, idle, absolute" { roundtrip timerfd_armed; }
@test "timerfd_expired: timerfd: fired and not read" { roundtrip timerfd_expired; }
@test "timerfd_fires: timerfd: expires later" { roundtrip timerfd_fires; }
@test "signalfd_mask: signalfd" { roundtrip signalfd_mask; }
@test "pidfd_self: pidfd of the process itself" { roundtrip pidfd_self; }
@test "pidfd_children: pidfds of children, alive, ended and gone" { roundtrip pidfd_children; }
@test "owner_child: F_SETOWN of a child and its group" { roundtrip owner_child; }
@test "inotify_watches: inotify watches and their numbers" { roundtrip inotify_watches; }
@test "inotify_moved: watches of what was moved or deleted; all events" { roundtrip inotify_moved watch; }
@test "fanotify_marks: fanotify marks of a directory and a file system" { roundtrip fanotify_marks; }
@test "inotify_queued: an inotify event nobody has read" { roundtrip_or_refusal inotify_queued; }
