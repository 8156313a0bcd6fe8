/*
 * Every system call of x86-64 and what it does outside of the process; see effect_call.h. The
 * numbers are those of arch/x86/entry/syscalls/syscall_64.tbl of Linux 6.18, in its order. A new
 * call is EFFECT_UNKNOWN, which is an effect, until it has got a line here; the unit test says when
 * tracee/syscall_name.c knows one that has none. Calls that have never been more than a number
 * (afs_syscall, ...) or are no more (uselib, ...) fail in any case: no effect.
 */
#include "dump/until/effect_call.h"

static const struct effect_call calls[] = {
	[0] = { .judge = judge_read },             /* read */
	[1] = { .judge = judge_write },            /* write */
	[2] = { .judge = judge_open },             /* open */
	[3] = { .is = EFFECT_NONE },               /* close */
	[4] = { .is = EFFECT_NONE },               /* stat */
	[5] = { .is = EFFECT_NONE },               /* fstat */
	[6] = { .is = EFFECT_NONE },               /* lstat */
	[7] = { .is = EFFECT_NONE },               /* poll */
	[8] = { .is = EFFECT_NONE },               /* lseek */
	[9] = { .judge = judge_mmap },             /* mmap */
	[10] = { .is = EFFECT_NONE },              /* mprotect */
	[11] = { .is = EFFECT_NONE },              /* munmap */
	[12] = { .is = EFFECT_NONE },              /* brk */
	[13] = { .is = EFFECT_NONE },              /* rt_sigaction */
	[14] = { .is = EFFECT_NONE },              /* rt_sigprocmask */
	[15] = { .is = EFFECT_NONE },              /* rt_sigreturn */
	[16] = { .judge = judge_ioctl },           /* ioctl */
	[17] = { .judge = judge_read },            /* pread64 */
	[18] = { .judge = judge_write },           /* pwrite64 */
	[19] = { .judge = judge_read },            /* readv */
	[20] = { .judge = judge_write },           /* writev */
	[21] = { .is = EFFECT_NONE },              /* access */
	[22] = { .is = EFFECT_NONE },              /* pipe */
	[23] = { .is = EFFECT_NONE },              /* select */
	[24] = { .is = EFFECT_NONE },              /* sched_yield */
	[25] = { .is = EFFECT_NONE },              /* mremap */
	[26] = { .is = EFFECT_FILES },             /* msync */
	[27] = { .is = EFFECT_NONE },              /* mincore */
	[28] = { .is = EFFECT_NONE },              /* madvise */
	[29] = { .is = EFFECT_SYSTEM },            /* shmget */
	[30] = { .is = EFFECT_NONE },              /* shmat */
	[31] = { .is = EFFECT_SYSTEM },            /* shmctl */
	[32] = { .is = EFFECT_NONE },              /* dup */
	[33] = { .is = EFFECT_NONE },              /* dup2 */
	[34] = { .is = EFFECT_NONE },              /* pause */
	[35] = { .is = EFFECT_NONE },              /* nanosleep */
	[36] = { .is = EFFECT_CLOCK },             /* getitimer */
	[37] = { .is = EFFECT_NONE },              /* alarm */
	[38] = { .is = EFFECT_NONE },              /* setitimer */
	[39] = { .is = EFFECT_IDENTITY },          /* getpid */
	[40] = { .judge = judge_transfer },        /* sendfile */
	[41] = { .is = EFFECT_NONE },              /* socket */
	[42] = { .judge = judge_connect },         /* connect */
	[43] = { .is = EFFECT_NET },               /* accept */
	[44] = { .judge = judge_send_to },         /* sendto */
	[45] = { .judge = judge_read },            /* recvfrom */
	[46] = { .judge = judge_send_message },    /* sendmsg */
	[47] = { .judge = judge_read },            /* recvmsg */
	[48] = { .judge = judge_write },           /* shutdown */
	[49] = { .is = EFFECT_NET },               /* bind */
	[50] = { .is = EFFECT_NET },               /* listen */
	[51] = { .is = EFFECT_NONE },              /* getsockname */
	[52] = { .is = EFFECT_NONE },              /* getpeername */
	[53] = { .is = EFFECT_NONE },              /* socketpair */
	[54] = { .judge = judge_setsockopt },      /* setsockopt */
	[55] = { .is = EFFECT_NONE },              /* getsockopt */
	[56] = { .judge = judge_clone },           /* clone */
	[57] = { .is = EFFECT_PROCESS },           /* fork */
	[58] = { .is = EFFECT_PROCESS },           /* vfork */
	[59] = { .is = EFFECT_NONE },              /* execve */
	[60] = { .judge = judge_exit },            /* exit */
	[61] = { .is = EFFECT_NONE },              /* wait4 */
	[62] = { .judge = judge_kill },            /* kill */
	[63] = { .is = EFFECT_IDENTITY },          /* uname */
	[64] = { .is = EFFECT_SYSTEM },            /* semget */
	[65] = { .is = EFFECT_SYSTEM },            /* semop */
	[66] = { .is = EFFECT_SYSTEM },            /* semctl */
	[67] = { .is = EFFECT_NONE },              /* shmdt */
	[68] = { .is = EFFECT_SYSTEM },            /* msgget */
	[69] = { .is = EFFECT_SYSTEM },            /* msgsnd */
	[70] = { .is = EFFECT_SYSTEM },            /* msgrcv */
	[71] = { .is = EFFECT_SYSTEM },            /* msgctl */
	[72] = { .judge = judge_fcntl },           /* fcntl */
	[73] = { .judge = judge_write },           /* flock */
	[74] = { .judge = judge_write },           /* fsync */
	[75] = { .judge = judge_write },           /* fdatasync */
	[76] = { .is = EFFECT_FILES },             /* truncate */
	[77] = { .judge = judge_write },           /* ftruncate */
	[78] = { .is = EFFECT_NONE },              /* getdents */
	[79] = { .is = EFFECT_NONE },              /* getcwd */
	[80] = { .is = EFFECT_NONE },              /* chdir */
	[81] = { .is = EFFECT_NONE },              /* fchdir */
	[82] = { .is = EFFECT_FILES },             /* rename */
	[83] = { .is = EFFECT_FILES },             /* mkdir */
	[84] = { .is = EFFECT_FILES },             /* rmdir */
	[85] = { .is = EFFECT_FILES },             /* creat */
	[86] = { .is = EFFECT_FILES },             /* link */
	[87] = { .is = EFFECT_FILES },             /* unlink */
	[88] = { .is = EFFECT_FILES },             /* symlink */
	[89] = { .is = EFFECT_NONE },              /* readlink */
	[90] = { .is = EFFECT_FILES },             /* chmod */
	[91] = { .judge = judge_write },           /* fchmod */
	[92] = { .is = EFFECT_FILES },             /* chown */
	[93] = { .judge = judge_write },           /* fchown */
	[94] = { .is = EFFECT_FILES },             /* lchown */
	[95] = { .is = EFFECT_NONE },              /* umask */
	[96] = { .is = EFFECT_CLOCK },             /* gettimeofday */
	[97] = { .is = EFFECT_NONE },              /* getrlimit */
	[98] = { .is = EFFECT_CLOCK },             /* getrusage */
	[99] = { .is = EFFECT_CLOCK },             /* sysinfo */
	[100] = { .is = EFFECT_CLOCK },            /* times */
	[101] = { .is = EFFECT_PROCESS },          /* ptrace */
	[102] = { .is = EFFECT_NONE },             /* getuid */
	[103] = { .is = EFFECT_SYSTEM },           /* syslog */
	[104] = { .is = EFFECT_NONE },             /* getgid */
	[105] = { .is = EFFECT_NONE },             /* setuid */
	[106] = { .is = EFFECT_NONE },             /* setgid */
	[107] = { .is = EFFECT_NONE },             /* geteuid */
	[108] = { .is = EFFECT_NONE },             /* getegid */
	[109] = { .judge = judge_pid },            /* setpgid */
	[110] = { .is = EFFECT_IDENTITY },         /* getppid */
	[111] = { .is = EFFECT_IDENTITY },         /* getpgrp */
	[112] = { .is = EFFECT_PROCESS },          /* setsid */
	[113] = { .is = EFFECT_NONE },             /* setreuid */
	[114] = { .is = EFFECT_NONE },             /* setregid */
	[115] = { .is = EFFECT_NONE },             /* getgroups */
	[116] = { .is = EFFECT_NONE },             /* setgroups */
	[117] = { .is = EFFECT_NONE },             /* setresuid */
	[118] = { .is = EFFECT_NONE },             /* getresuid */
	[119] = { .is = EFFECT_NONE },             /* setresgid */
	[120] = { .is = EFFECT_NONE },             /* getresgid */
	[121] = { .is = EFFECT_IDENTITY },         /* getpgid */
	[122] = { .is = EFFECT_NONE },             /* setfsuid */
	[123] = { .is = EFFECT_NONE },             /* setfsgid */
	[124] = { .is = EFFECT_IDENTITY },         /* getsid */
	[125] = { .is = EFFECT_NONE },             /* capget */
	[126] = { .is = EFFECT_NONE },             /* capset */
	[127] = { .is = EFFECT_NONE },             /* rt_sigpending */
	[128] = { .is = EFFECT_NONE },             /* rt_sigtimedwait */
	[129] = { .judge = judge_kill },           /* rt_sigqueueinfo */
	[130] = { .is = EFFECT_NONE },             /* rt_sigsuspend */
	[131] = { .is = EFFECT_NONE },             /* sigaltstack */
	[132] = { .is = EFFECT_FILES },            /* utime */
	[133] = { .is = EFFECT_FILES },            /* mknod */
	[134] = { .is = EFFECT_NONE },             /* uselib */
	[135] = { .is = EFFECT_NONE },             /* personality */
	[136] = { .is = EFFECT_NONE },             /* ustat */
	[137] = { .is = EFFECT_NONE },             /* statfs */
	[138] = { .is = EFFECT_NONE },             /* fstatfs */
	[139] = { .is = EFFECT_NONE },             /* sysfs */
	[140] = { .is = EFFECT_NONE },             /* getpriority */
	[141] = { .judge = judge_priority },       /* setpriority */
	[142] = { .judge = judge_pid },            /* sched_setparam */
	[143] = { .is = EFFECT_NONE },             /* sched_getparam */
	[144] = { .judge = judge_pid },            /* sched_setscheduler */
	[145] = { .is = EFFECT_NONE },             /* sched_getscheduler */
	[146] = { .is = EFFECT_NONE },             /* sched_get_priority_max */
	[147] = { .is = EFFECT_NONE },             /* sched_get_priority_min */
	[148] = { .is = EFFECT_NONE },             /* sched_rr_get_interval */
	[149] = { .is = EFFECT_NONE },             /* mlock */
	[150] = { .is = EFFECT_NONE },             /* munlock */
	[151] = { .is = EFFECT_NONE },             /* mlockall */
	[152] = { .is = EFFECT_NONE },             /* munlockall */
	[153] = { .is = EFFECT_SYSTEM },           /* vhangup */
	[154] = { .is = EFFECT_NONE },             /* modify_ldt */
	[155] = { .is = EFFECT_SYSTEM },           /* pivot_root */
	[156] = { .is = EFFECT_NONE },             /* _sysctl */
	[157] = { .is = EFFECT_NONE },             /* prctl */
	[158] = { .is = EFFECT_NONE },             /* arch_prctl */
	[159] = { .is = EFFECT_SYSTEM },           /* adjtimex */
	[160] = { .is = EFFECT_NONE },             /* setrlimit */
	[161] = { .is = EFFECT_NONE },             /* chroot */
	[162] = { .is = EFFECT_FILES },            /* sync */
	[163] = { .is = EFFECT_SYSTEM },           /* acct */
	[164] = { .is = EFFECT_SYSTEM },           /* settimeofday */
	[165] = { .is = EFFECT_SYSTEM },           /* mount */
	[166] = { .is = EFFECT_SYSTEM },           /* umount2 */
	[167] = { .is = EFFECT_SYSTEM },           /* swapon */
	[168] = { .is = EFFECT_SYSTEM },           /* swapoff */
	[169] = { .is = EFFECT_SYSTEM },           /* reboot */
	[170] = { .is = EFFECT_SYSTEM },           /* sethostname */
	[171] = { .is = EFFECT_SYSTEM },           /* setdomainname */
	[172] = { .is = EFFECT_SYSTEM },           /* iopl */
	[173] = { .is = EFFECT_SYSTEM },           /* ioperm */
	[174] = { .is = EFFECT_NONE },             /* create_module */
	[175] = { .is = EFFECT_SYSTEM },           /* init_module */
	[176] = { .is = EFFECT_SYSTEM },           /* delete_module */
	[177] = { .is = EFFECT_NONE },             /* get_kernel_syms */
	[178] = { .is = EFFECT_NONE },             /* query_module */
	[179] = { .is = EFFECT_SYSTEM },           /* quotactl */
	[180] = { .is = EFFECT_NONE },             /* nfsservctl */
	[181] = { .is = EFFECT_NONE },             /* getpmsg */
	[182] = { .is = EFFECT_NONE },             /* putpmsg */
	[183] = { .is = EFFECT_NONE },             /* afs_syscall */
	[184] = { .is = EFFECT_NONE },             /* tuxcall */
	[185] = { .is = EFFECT_NONE },             /* security */
	[186] = { .is = EFFECT_IDENTITY },         /* gettid */
	[187] = { .is = EFFECT_NONE },             /* readahead */
	[188] = { .is = EFFECT_FILES },            /* setxattr */
	[189] = { .is = EFFECT_FILES },            /* lsetxattr */
	[190] = { .judge = judge_write },          /* fsetxattr */
	[191] = { .is = EFFECT_NONE },             /* getxattr */
	[192] = { .is = EFFECT_NONE },             /* lgetxattr */
	[193] = { .is = EFFECT_NONE },             /* fgetxattr */
	[194] = { .is = EFFECT_NONE },             /* listxattr */
	[195] = { .is = EFFECT_NONE },             /* llistxattr */
	[196] = { .is = EFFECT_NONE },             /* flistxattr */
	[197] = { .is = EFFECT_FILES },            /* removexattr */
	[198] = { .is = EFFECT_FILES },            /* lremovexattr */
	[199] = { .judge = judge_write },          /* fremovexattr */
	[200] = { .judge = judge_kill },           /* tkill */
	[201] = { .is = EFFECT_CLOCK },            /* time */
	[202] = { .is = EFFECT_NONE },             /* futex */
	[203] = { .judge = judge_pid },            /* sched_setaffinity */
	[204] = { .is = EFFECT_NONE },             /* sched_getaffinity */
	[205] = { .is = EFFECT_NONE },             /* set_thread_area */
	[206] = { .is = EFFECT_SYSTEM },           /* io_setup */
	[207] = { .is = EFFECT_NONE },             /* io_destroy */
	[208] = { .is = EFFECT_NONE },             /* io_getevents */
	[209] = { .is = EFFECT_FILES },            /* io_submit */
	[210] = { .is = EFFECT_NONE },             /* io_cancel */
	[211] = { .is = EFFECT_NONE },             /* get_thread_area */
	[212] = { .is = EFFECT_NONE },             /* lookup_dcookie */
	[213] = { .is = EFFECT_NONE },             /* epoll_create */
	[214] = { .is = EFFECT_NONE },             /* epoll_ctl_old */
	[215] = { .is = EFFECT_NONE },             /* epoll_wait_old */
	[216] = { .is = EFFECT_NONE },             /* remap_file_pages */
	[217] = { .is = EFFECT_NONE },             /* getdents64 */
	[218] = { .is = EFFECT_NONE },             /* set_tid_address */
	[219] = { .is = EFFECT_NONE },             /* restart_syscall */
	[220] = { .is = EFFECT_SYSTEM },           /* semtimedop */
	[221] = { .is = EFFECT_NONE },             /* fadvise64 */
	[222] = { .is = EFFECT_NONE },             /* timer_create */
	[223] = { .is = EFFECT_NONE },             /* timer_settime */
	[224] = { .is = EFFECT_CLOCK },            /* timer_gettime */
	[225] = { .is = EFFECT_NONE },             /* timer_getoverrun */
	[226] = { .is = EFFECT_NONE },             /* timer_delete */
	[227] = { .is = EFFECT_SYSTEM },           /* clock_settime */
	[228] = { .is = EFFECT_CLOCK },            /* clock_gettime */
	[229] = { .is = EFFECT_NONE },             /* clock_getres */
	[230] = { .is = EFFECT_NONE },             /* clock_nanosleep */
	[231] = { .is = EFFECT_PROCESS },          /* exit_group */
	[232] = { .is = EFFECT_NONE },             /* epoll_wait */
	[233] = { .is = EFFECT_NONE },             /* epoll_ctl */
	[234] = { .judge = judge_kill },           /* tgkill */
	[235] = { .is = EFFECT_FILES },            /* utimes */
	[236] = { .is = EFFECT_NONE },             /* vserver */
	[237] = { .is = EFFECT_NONE },             /* mbind */
	[238] = { .is = EFFECT_NONE },             /* set_mempolicy */
	[239] = { .is = EFFECT_NONE },             /* get_mempolicy */
	[240] = { .judge = judge_mq_open },        /* mq_open */
	[241] = { .is = EFFECT_SYSTEM },           /* mq_unlink */
	[242] = { .is = EFFECT_SYSTEM },           /* mq_timedsend */
	[243] = { .is = EFFECT_SYSTEM },           /* mq_timedreceive */
	[244] = { .is = EFFECT_SYSTEM },           /* mq_notify */
	[245] = { .is = EFFECT_SYSTEM },           /* mq_getsetattr */
	[246] = { .is = EFFECT_SYSTEM },           /* kexec_load */
	[247] = { .is = EFFECT_NONE },             /* waitid */
	[248] = { .is = EFFECT_SYSTEM },           /* add_key */
	[249] = { .is = EFFECT_SYSTEM },           /* request_key */
	[250] = { .is = EFFECT_SYSTEM },           /* keyctl */
	[251] = { .judge = judge_priority },       /* ioprio_set */
	[252] = { .is = EFFECT_NONE },             /* ioprio_get */
	[253] = { .is = EFFECT_NONE },             /* inotify_init */
	[254] = { .is = EFFECT_NONE },             /* inotify_add_watch */
	[255] = { .is = EFFECT_NONE },             /* inotify_rm_watch */
	[256] = { .judge = judge_pid },            /* migrate_pages */
	[257] = { .judge = judge_openat },         /* openat */
	[258] = { .is = EFFECT_FILES },            /* mkdirat */
	[259] = { .is = EFFECT_FILES },            /* mknodat */
	[260] = { .is = EFFECT_FILES },            /* fchownat */
	[261] = { .is = EFFECT_FILES },            /* futimesat */
	[262] = { .is = EFFECT_NONE },             /* newfstatat */
	[263] = { .is = EFFECT_FILES },            /* unlinkat */
	[264] = { .is = EFFECT_FILES },            /* renameat */
	[265] = { .is = EFFECT_FILES },            /* linkat */
	[266] = { .is = EFFECT_FILES },            /* symlinkat */
	[267] = { .is = EFFECT_NONE },             /* readlinkat */
	[268] = { .is = EFFECT_FILES },            /* fchmodat */
	[269] = { .is = EFFECT_NONE },             /* faccessat */
	[270] = { .is = EFFECT_NONE },             /* pselect6 */
	[271] = { .is = EFFECT_NONE },             /* ppoll */
	[272] = { .is = EFFECT_SYSTEM },           /* unshare */
	[273] = { .is = EFFECT_NONE },             /* set_robust_list */
	[274] = { .is = EFFECT_NONE },             /* get_robust_list */
	[275] = { .judge = judge_splice },         /* splice */
	[276] = { .judge = judge_write_second },   /* tee */
	[277] = { .judge = judge_write },          /* sync_file_range */
	[278] = { .judge = judge_write },          /* vmsplice */
	[279] = { .judge = judge_pid },            /* move_pages */
	[280] = { .is = EFFECT_FILES },            /* utimensat */
	[281] = { .is = EFFECT_NONE },             /* epoll_pwait */
	[282] = { .is = EFFECT_NONE },             /* signalfd */
	[283] = { .is = EFFECT_NONE },             /* timerfd_create */
	[284] = { .is = EFFECT_NONE },             /* eventfd */
	[285] = { .judge = judge_write },          /* fallocate */
	[286] = { .is = EFFECT_NONE },             /* timerfd_settime */
	[287] = { .is = EFFECT_CLOCK },            /* timerfd_gettime */
	[288] = { .is = EFFECT_NET },              /* accept4 */
	[289] = { .is = EFFECT_NONE },             /* signalfd4 */
	[290] = { .is = EFFECT_NONE },             /* eventfd2 */
	[291] = { .is = EFFECT_NONE },             /* epoll_create1 */
	[292] = { .is = EFFECT_NONE },             /* dup3 */
	[293] = { .is = EFFECT_NONE },             /* pipe2 */
	[294] = { .is = EFFECT_NONE },             /* inotify_init1 */
	[295] = { .judge = judge_read },           /* preadv */
	[296] = { .judge = judge_write },          /* pwritev */
	[297] = { .judge = judge_kill },           /* rt_tgsigqueueinfo */
	[298] = { .is = EFFECT_SYSTEM },           /* perf_event_open */
	[299] = { .judge = judge_read },           /* recvmmsg */
	[300] = { .is = EFFECT_SYSTEM },           /* fanotify_init */
	[301] = { .is = EFFECT_SYSTEM },           /* fanotify_mark */
	[302] = { .judge = judge_pid },            /* prlimit64 */
	[303] = { .is = EFFECT_NONE },             /* name_to_handle_at */
	[304] = { .judge = judge_open_by_handle }, /* open_by_handle_at */
	[305] = { .is = EFFECT_SYSTEM },           /* clock_adjtime */
	[306] = { .is = EFFECT_FILES },            /* syncfs */
	[307] = { .judge = judge_send_message },   /* sendmmsg */
	[308] = { .is = EFFECT_SYSTEM },           /* setns */
	[309] = { .is = EFFECT_NONE },             /* getcpu */
	[310] = { .is = EFFECT_PROCESS },          /* process_vm_readv */
	[311] = { .is = EFFECT_PROCESS },          /* process_vm_writev */
	[312] = { .is = EFFECT_NONE },             /* kcmp */
	[313] = { .is = EFFECT_SYSTEM },           /* finit_module */
	[314] = { .judge = judge_pid },            /* sched_setattr */
	[315] = { .is = EFFECT_NONE },             /* sched_getattr */
	[316] = { .is = EFFECT_FILES },            /* renameat2 */
	[317] = { .is = EFFECT_NONE },             /* seccomp */
	[318] = { .judge = judge_getrandom },      /* getrandom */
	[319] = { .is = EFFECT_NONE },             /* memfd_create */
	[320] = { .is = EFFECT_SYSTEM },           /* kexec_file_load */
	[321] = { .is = EFFECT_SYSTEM },           /* bpf */
	[322] = { .is = EFFECT_NONE },             /* execveat */
	[323] = { .is = EFFECT_NONE },             /* userfaultfd */
	[324] = { .is = EFFECT_NONE },             /* membarrier */
	[325] = { .is = EFFECT_NONE },             /* mlock2 */
	[326] = { .judge = judge_splice },         /* copy_file_range */
	[327] = { .judge = judge_read },           /* preadv2 */
	[328] = { .judge = judge_write },          /* pwritev2 */
	[329] = { .is = EFFECT_NONE },             /* pkey_mprotect */
	[330] = { .is = EFFECT_NONE },             /* pkey_alloc */
	[331] = { .is = EFFECT_NONE },             /* pkey_free */
	[332] = { .is = EFFECT_NONE },             /* statx */
	[333] = { .is = EFFECT_NONE },             /* io_pgetevents */
	[334] = { .is = EFFECT_NONE },             /* rseq */
	[335] = { .is = EFFECT_NONE },             /* uretprobe */
	[424] = { .is = EFFECT_PROCESS },          /* pidfd_send_signal */
	[425] = { .is = EFFECT_SYSTEM },           /* io_uring_setup */
	[426] = { .is = EFFECT_SYSTEM },           /* io_uring_enter */
	[427] = { .is = EFFECT_SYSTEM },           /* io_uring_register */
	[428] = { .is = EFFECT_SYSTEM },           /* open_tree */
	[429] = { .is = EFFECT_SYSTEM },           /* move_mount */
	[430] = { .is = EFFECT_SYSTEM },           /* fsopen */
	[431] = { .is = EFFECT_SYSTEM },           /* fsconfig */
	[432] = { .is = EFFECT_SYSTEM },           /* fsmount */
	[433] = { .is = EFFECT_SYSTEM },           /* fspick */
	[434] = { .is = EFFECT_NONE },             /* pidfd_open */
	[435] = { .judge = judge_clone3 },         /* clone3 */
	[436] = { .is = EFFECT_NONE },             /* close_range */
	[437] = { .judge = judge_openat2 },        /* openat2 */
	[438] = { .is = EFFECT_PROCESS },          /* pidfd_getfd */
	[439] = { .is = EFFECT_NONE },             /* faccessat2 */
	[440] = { .is = EFFECT_PROCESS },          /* process_madvise */
	[441] = { .is = EFFECT_NONE },             /* epoll_pwait2 */
	[442] = { .is = EFFECT_SYSTEM },           /* mount_setattr */
	[443] = { .is = EFFECT_SYSTEM },           /* quotactl_fd */
	[444] = { .is = EFFECT_NONE },             /* landlock_create_ruleset */
	[445] = { .is = EFFECT_NONE },             /* landlock_add_rule */
	[446] = { .is = EFFECT_NONE },             /* landlock_restrict_self */
	[447] = { .is = EFFECT_NONE },             /* memfd_secret */
	[448] = { .is = EFFECT_PROCESS },          /* process_mrelease */
	[449] = { .is = EFFECT_NONE },             /* futex_waitv */
	[450] = { .is = EFFECT_NONE },             /* set_mempolicy_home_node */
	[451] = { .is = EFFECT_NONE },             /* cachestat */
	[452] = { .is = EFFECT_FILES },            /* fchmodat2 */
	[453] = { .is = EFFECT_NONE },             /* map_shadow_stack */
	[454] = { .is = EFFECT_NONE },             /* futex_wake */
	[455] = { .is = EFFECT_NONE },             /* futex_wait */
	[456] = { .is = EFFECT_NONE },             /* futex_requeue */
	[457] = { .is = EFFECT_NONE },             /* statmount */
	[458] = { .is = EFFECT_NONE },             /* listmount */
	[459] = { .is = EFFECT_NONE },             /* lsm_get_self_attr */
	[460] = { .is = EFFECT_NONE },             /* lsm_set_self_attr */
	[461] = { .is = EFFECT_NONE },             /* lsm_list_modules */
	[462] = { .is = EFFECT_NONE },             /* mseal */
	[463] = { .is = EFFECT_FILES },            /* setxattrat */
	[464] = { .is = EFFECT_NONE },             /* getxattrat */
	[465] = { .is = EFFECT_NONE },             /* listxattrat */
	[466] = { .is = EFFECT_FILES },            /* removexattrat */
	[467] = { .is = EFFECT_SYSTEM },           /* open_tree_attr */
	[468] = { .is = EFFECT_NONE },             /* file_getattr */
	[469] = { .is = EFFECT_FILES },            /* file_setattr */
};

static const struct effect_call unknown = { .is = EFFECT_UNKNOWN };

const struct effect_call *effect_call(int64_t nr)
{
	return nr >= 0 && (size_t)nr < effect_nr_calls() ? &calls[nr] : &unknown;
}

size_t effect_nr_calls(void)
{
	return sizeof calls / sizeof *calls;
}

const char *effect_name(enum effect e)
{
	static const char *const names[NR_EFFECTS] = {
		[EFFECT_UNKNOWN] = "unknown",
		[EFFECT_NONE] = "none",
		[EFFECT_FILES] = "files",
		[EFFECT_OUTPUT] = "output",
		[EFFECT_INPUT] = "input",
		[EFFECT_NET] = "net",
		[EFFECT_PROCESS] = "process",
		[EFFECT_SYSTEM] = "system",
		[EFFECT_IDENTITY] = "identity",
		[EFFECT_CLOCK] = "clock",
		[EFFECT_RANDOM] = "random",
	};

	return names[e];
}
