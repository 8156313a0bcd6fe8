#!/usr/bin/env bats
# Families of odd births. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeodd_clone_parent: a sibling made by a sibling" { roundtrip treeodd_clone_parent; }
@test "treeodd_files_siblings: CLONE_FILES of siblings" { roundtrip treeodd_files_siblings; }
@test "treeodd_fs_siblings: CLONE_FS of siblings" { roundtrip treeodd_fs_siblings; }
@test "treeodd_vm_siblings: CLONE_VM of siblings" { roundtrip treeodd_vm_siblings; }
@test "treeodd_all_siblings: siblings that share all" { roundtrip treeodd_all_siblings; }
@test "treeodd_files_grandchild: CLONE_FILES past a generation" { roundtrip_or_refusal treeodd_files_grandchild; }
@test "treeodd_threads_files: threads with a table of two" { roundtrip treeodd_threads_files; }
@test "treeodd_threads_fs: threads with a directory of two" { roundtrip treeodd_threads_fs; }
@test "treeodd_fork_thread_gone: the forking thread is gone" { roundtrip treeodd_fork_thread_gone; }
@test "treeodd_leaderless_parent: a parent without leader" { roundtrip treeodd_leaderless_parent; }
@test "treeodd_continued_told: WCONTINUED waited for" { roundtrip treeodd_continued_told; }
@test "treeodd_stopped_session: a stopped session leader" { roundtrip treeodd_stopped_session; }
@test "treeodd_subreaper_chain: subreapers below each other" { roundtrip treeodd_subreaper_chain; }
@test "treeodd_pidfd_sibling: a pidfd of a sibling" { roundtrip treeodd_pidfd_sibling; }
@test "treeodd_vm_handlers: CLONE_VM with own handlers" { roundtrip treeodd_vm_handlers; }
@test "treeodd_vm_generations: CLONE_VM of three generations" { roundtrip treeodd_vm_generations; }
@test "treeodd_continued: WCONTINUED not waited for" { roundtrip treeodd_continued; }
@test "treeodd_continued_quietly: and no signal for it" { roundtrip treeodd_continued_quietly; }
@test "treeodd_shared_exec: memory of siblings, not of their parent" { roundtrip treeodd_shared_exec waiting; }
