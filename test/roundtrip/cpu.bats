#!/usr/bin/env bats
# CPU state of threads that compute. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "cpu_regs: general registers in a loop" { roundtrip cpu_regs; }
@test "cpu_flags: eflags in a loop" { roundtrip cpu_flags; }
@test "cpu_xmm: SSE registers in a loop" { roundtrip cpu_xmm; }
@test "cpu_ymm: AVX registers in a loop" { roundtrip cpu_ymm; }
@test "cpu_zmm: AVX-512 registers in a loop" { roundtrip cpu_zmm; }
@test "cpu_x87: x87 stack and control word in a loop" { roundtrip cpu_x87; }
@test "cpu_rounding: MXCSR" { roundtrip cpu_rounding; }
@test "cpu_blocked: SSE registers over a waiting system call" { roundtrip cpu_blocked; }
@test "cpu_segments: fs and gs bases" { roundtrip cpu_segments; }
@test "cpu_vdso: inside the vdso" { roundtrip cpu_vdso; }
@test "cpu_rseq: inside restartable sequences; registration" { roundtrip cpu_rseq; }
@test "cpu_crunch: results of calculations in progress" { roundtrip cpu_crunch; }
