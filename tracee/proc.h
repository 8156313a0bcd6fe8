#ifndef TRACEE_PROC_H
#define TRACEE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Parsers of /proc/PID/..., given its directory descriptor (openat; "task/TID" paths work as well).
 * Nothing here needs the process to be stopped. Texts and arrays live in the arena given.
 */

struct arena;
struct err;

/* Descriptor of /proc/PID (O_DIRECTORY|O_CLOEXEC). ESRCH: no such process. */
int proc_open(pid_t pid, int *procfd, struct err *err);
/* To a failure that was met here: if /proc is missing, or another PID namespace's, that explains
 * all. */
int proc_explain(struct err *err);
/* Contents of a file below it, NUL-terminated; len may be NULL. */
int proc_text(
	int procfd, const char *name, struct arena *a, char **text, size_t *len, struct err *err);
/* readlink below it. */
int proc_link(int procfd, const char *name, struct arena *a, char **link, struct err *err);

struct proc_vma {
	uint64_t start, end, offset;
	uint32_t prot;     /* PROT_... */
	bool shared;       /* 's' in the fourth column */
	uint64_t dev, ino; /* dev as makedev(3) makes it */
	char *path; /* as printed, unescaped: "/lib/x.so", "[heap]", "" ; " (deleted)" kept */
	char vmflags[160];  /* the VmFlags line: "rd wr mr mw me ac sd" */
	uint64_t rss;       /* bytes; of smaps */
	uint32_t pkey;      /* ProtectionKey of smaps, 0 where there is none */
	uint32_t page_size; /* KernelPageSize in bytes */
};

/* smaps: sorted by address. */
int proc_smaps(int procfd, struct arena *a, struct proc_vma **vmas, size_t *nr, struct err *err);
/* maps: the same without vmflags, rss, pkey; much cheaper. */
int proc_maps(int procfd, struct arena *a, struct proc_vma **vmas, size_t *nr, struct err *err);

/* A mapping with a memory policy, mbind(2): mode is MPOL_... with its flags. */
enum { PROC_NODES_LEN = 128 };
struct proc_policy {
	uint64_t start;
	uint32_t mode;
	uint8_t nodes[PROC_NODES_LEN];
};
/* numa_maps, without those that have the default policy; none where the kernel has no NUMA. Where
 * a mapping has none of its own, that of the thread shows. */
int proc_policies(
	int procfd, struct arena *a, struct proc_policy **all, size_t *nr, struct err *err);
bool proc_policy_parse(const char *line, struct proc_policy *out); /* one line */

/* Fields of stat that nobody else has. `name` is "stat" or "task/TID/stat". */
struct proc_stat {
	char comm[64];
	char state; /* R S D T t Z X */
	int32_t pid, ppid, pgrp, session, tty_nr, tpgid;
	uint64_t utime, stime; /* clock ticks */
	int64_t nice, num_threads;
	uint64_t start_time; /* clock ticks since boot */
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int32_t exit_signal, exit_code;
	int32_t cpu;    /* it ran on last */
	uint32_t flags; /* PF_... */
};
int proc_stat(int procfd, const char *name, struct proc_stat *out, struct err *err);
/* That thread has ended, or is about to and gives up its tables one by one (PF_EXITING of
 * linux/sched.h). Of a process it is the leader alone. */
bool proc_is_ending(const struct proc_stat *stat);

/* Fields of status; `name` is "status" or "task/TID/status". */
struct proc_status {
	uint32_t uid[4], gid[4]; /* real, effective, saved, fs */
	uint32_t *groups;
	size_t nr_groups;
	uint32_t umask;
	int32_t tgid, pid, ppid, tracer;
	int32_t nstgid, nspid, nspgid,
		nssid;  /* innermost value of NStgid: ...; the target's own view */
	uint32_t nr_ns; /* how many pid namespaces deep, 1: ours */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	bool no_new_privs;
	uint32_t seccomp, seccomp_filters;
	uint64_t sig_pending, shd_pending, sig_blocked, sig_ignored, sig_caught;
	uint32_t threads;
	bool thp_enabled;
	bool shadow_stack; /* x86_Thread_features: shstk */
	bool tagged;       /* untag_mask: linear address masking is on */
	bool kthread;      /* a kernel thread (Linux 6.8 and newer say so) */
	char state;
};
int proc_status(
	int procfd, const char *name, struct arena *a, struct proc_status *out, struct err *err);

/* Thread ids, ascending, with the leader first. */
int proc_tasks(int procfd, struct arena *a, pid_t **tids, size_t *nr, struct err *err);
/* Direct children of all threads. */
int proc_children(int procfd, struct arena *a, pid_t **pids, size_t *nr, struct err *err);
/* Descriptor numbers in use, ascending. */
int proc_fds(int procfd, struct arena *a, int **nums, size_t *nr, struct err *err);

/* What a thread waits in, from task/TID/syscall. nr -1: in the kernel, but not in a system call;
 * -2: running. */
struct proc_syscall {
	int64_t nr;
	uint64_t args[6], sp, pc;
};
int proc_syscall(int procfd, pid_t tid, struct proc_syscall *out, struct err *err);

/* Limits of /proc/PID/limits by RLIMIT_... number; UINT64_MAX is unlimited. */
struct proc_limit {
	uint64_t cur, max;
};
int proc_limits(int procfd, struct arena *a, struct proc_limit limits[16], struct err *err);

/* Numbers of /proc/PID/timers. */
struct proc_timer {
	int32_t id, signo, notify, notify_tid, clock;
	uint64_t sigval;
};
int proc_timers(
	int procfd, struct arena *a, struct proc_timer **timers, size_t *nr, struct err *err);

/* ---- pages (pagemap.c) -------------------------------------------------- */

/*
 * Runs of pages of [start, end) that hold something of their own: present or swapped, not the zero
 * page; `private_only` leaves out clean pages of files. Through PAGEMAP_SCAN, or /proc/PID/pagemap
 * where the kernel does not know it (before 6.7). Cost follows the pages present. guards:
 * MADV_GUARD ranges (kernel 6.13+).
 */
struct proc_run {
	uint64_t start, end;
};
int proc_pagemap(int procfd, struct err *err); /* a descriptor for the others */
int proc_pages(int pagemap, uint64_t start, uint64_t end, bool private_only, struct arena *a,
	struct proc_run **runs, size_t *nr, size_t *cap, struct err *err);
int proc_guards(int pagemap, uint64_t start, uint64_t end, struct arena *a, struct proc_run **runs,
	size_t *nr, size_t *cap, struct err *err);

/* Name of a system call, "epoll_wait"; "syscall_451" where we know none. Static storage. */
const char *syscall_name(int64_t nr);

#endif
