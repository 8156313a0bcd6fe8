#ifndef TRACEE_KERNEL_ABI_H
#define TRACEE_KERNEL_ABI_H

#include <linux/types.h>
#include <sys/ioctl.h>

/* Kernel interfaces that are newer than Debian 12's headers, with the file and release they are
 * from. */

/* include/uapi/linux/fs.h, Linux 6.7 (PAGE_IS_GUARD: 6.15). */
struct abi_page_region {
	__u64 start, end, categories;
};

struct abi_pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define ABI_PAGEMAP_SCAN _IOWR('f', 16, struct abi_pm_scan_arg)

enum abi_page_category {
	ABI_PAGE_WPALLOWED = 1 << 0,
	ABI_PAGE_WRITTEN = 1 << 1,
	ABI_PAGE_FILE = 1 << 2,
	ABI_PAGE_PRESENT = 1 << 3,
	ABI_PAGE_SWAPPED = 1 << 4,
	ABI_PAGE_PFNZERO = 1 << 5,
	ABI_PAGE_HUGE = 1 << 6,
	ABI_PAGE_SOFT_DIRTY = 1 << 7,
	ABI_PAGE_GUARD = 1 << 8,
};

/* Documentation/admin-guide/mm/pagemap.rst: one 64-bit word a page (guard bit: 6.15). */
#define ABI_PM_PRESENT  (1ULL << 63)
#define ABI_PM_SWAPPED  (1ULL << 62)
#define ABI_PM_FILE     (1ULL << 61)
#define ABI_PM_GUARD    (1ULL << 58)
#define ABI_PM_PFN_MASK ((1ULL << 55) - 1)

/* include/uapi/asm-generic/mman-common.h, Linux 6.13. */
#define ABI_MADV_GUARD_INSTALL 102

/* include/uapi/linux/pidfd.h, Linux 6.9: a pidfd of a thread instead of a process. */
#define ABI_PIDFD_THREAD O_EXCL

/* include/uapi/linux/ptrace.h, Linux 4.3; glibc 2.36 leaves it out of <sys/ptrace.h>. */
#define ABI_PTRACE_O_SUSPEND_SECCOMP (1 << 21)

/* arch/x86/include/uapi/asm/ptrace-abi.h. */
#define ABI_PTRACE_GET_THREAD_AREA 25
#define ABI_PTRACE_SET_THREAD_AREA 26

/* include/uapi/linux/ptrace.h, Linux 5.13. */
#define ABI_PTRACE_GET_RSEQ_CONFIGURATION 0x420f

struct abi_ptrace_rseq_configuration {
	__u64 rseq_abi_pointer;
	__u32 rseq_abi_size, signature, flags, pad;
};

/* include/uapi/linux/ptrace.h: Linux 4.4, 4.16, and 6.4 for the last two. */
#define ABI_PTRACE_SECCOMP_GET_FILTER   0x420c
#define ABI_PTRACE_SECCOMP_GET_METADATA 0x420d
#define ABI_PTRACE_SET_SUD_CONFIG       0x4210
#define ABI_PTRACE_GET_SUD_CONFIG       0x4211

struct abi_seccomp_metadata {
	__u64 filter_off; /* in: which */
	__u64 flags;      /* out: SECCOMP_FILTER_FLAG_... */
};

struct abi_sud_config {
	__u64 mode, selector, offset, len;
};

/* arch/x86/entry/syscalls/syscall_64.tbl: Linux 6.8. Fills in LSM_ID_... of linux/lsm.h. */
#define ABI_NR_lsm_list_modules 461

/* include/linux/errno.h: what an interrupted system call left in rax; never seen by user space. */
enum abi_restart {
	ABI_ERESTARTSYS = 512,
	ABI_ERESTARTNOINTR = 513,
	ABI_ERESTARTNOHAND = 514,
	ABI_ERESTART_RESTARTBLOCK = 516,
};

/* `syscall`, and `int $0x80` alike: what a call that is made again goes back by. */
enum { SYSCALL_INSN_LEN = 2 };

/* include/linux/sched.h: flags field of /proc/PID/stat. */
#define ABI_PF_KTHREAD 0x00200000

#endif
