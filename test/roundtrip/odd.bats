#!/usr/bin/env bats
# Settings few programs touch. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "odd_queue_over_limit: more signals than RLIMIT_SIGPENDING" { roundtrip odd_queue_over_limit; }
@test "odd_kernel_signals: signals of the kernel" { roundtrip odd_kernel_signals; }
@test "odd_resethand: SA_RESETHAND, SA_NOCLDWAIT" { roundtrip odd_resethand; }
@test "odd_nested_handlers: three handlers deep" { roundtrip odd_nested_handlers; }
@test "odd_timer_overruns: overruns of a pending timer" { roundtrip odd_timer_overruns; }
@test "odd_timer_once: a timer that has fired" { roundtrip odd_timer_once; }
@test "odd_timers_many: 2000 timers" { roundtrip odd_timers_many; }
@test "odd_itimer_pending: an interval timer that has fired" { roundtrip odd_itimer_pending; }
@test "odd_rest: waits go on for the rest of their time" { roundtrip odd_rest; }
@test "odd_sleep_whole: a sleep is not shorter" { roundtrip odd_sleep_whole; }
@test "odd_policies: scheduling policies of threads" { roundtrip odd_policies; }
@test "odd_slice: a slice of its own" { roundtrip odd_slice; }
@test "odd_deadline: SCHED_DEADLINE" { roundtrip odd_deadline; }
@test "odd_affinity: one CPU" { roundtrip odd_affinity; }
@test "odd_membarrier: membarrier registrations" { roundtrip odd_membarrier; }
@test "odd_thread_modes: PR_SET_TSC, PR_MCE_KILL of a thread" { roundtrip odd_thread_modes; }
@test "odd_mempolicy: set_mempolicy" { roundtrip odd_mempolicy; }
@test "odd_mbind: mbind" { roundtrip odd_mbind; }
@test "odd_thp: PR_SET_THP_DISABLE" { roundtrip odd_thp; }
@test "odd_thp_advised: PR_THP_DISABLE_EXCEPT_ADVISED" { roundtrip odd_thp_advised; }
@test "odd_personality: READ_IMPLIES_EXEC and others" { roundtrip odd_personality; }
@test "odd_mdwe_both: PR_MDWE_NO_INHERIT" { roundtrip odd_mdwe_both; }
@test "odd_autogroup: nice of the autogroup" { roundtrip odd_autogroup; }
@test "odd_limits_tiny: limits below what is used" { roundtrip odd_limits_tiny; }
@test "odd_oom_never: oom_score_adj -1000" { roundtrip odd_oom_never; }
@test "odd_gs_base: gs base" { roundtrip odd_gs_base; }
@test "odd_quiet: waiting in preadv2, tee, vmsplice, connect" { roundtrip odd_quiet; }
@test "odd_quiet: they are quiet" { launched odd_quiet; }
@test "odd_ldt: an LDT" { refusal_late odd_ldt "local descriptor table"; }

@test "as an ordinary user: signals, timers, scheduling, settings" {
    as_user
    for name in odd_queue_over_limit odd_timer_overruns odd_policies odd_membarrier odd_autogroup; do
        rm -rf "$scratch/ctl" "$scratch/work/image"
        roundtrip "$name" pid,ns
    done
}
