/* What fields of proto/ are called and how they are compared, where it is not plain; see diff.h. */
#include "images/diff/diff.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "images/show.h"

/* ---- words for values ------------------------------------------------------------------------ */

static char *as_hex(struct arena *a, uint64_t value)
{
	return arena_printf(a, "0x%" PRIx64, value);
}

static char *as_octal(struct arena *a, uint64_t value)
{
	return arena_printf(a, "%04" PRIo64, value);
}

static char *as_time(struct arena *a, uint64_t ns)
{
	return ns ? arena_printf(a, "%g s", (double)ns / 1e9) : (char *)"0";
}

static char *as_wait(struct arena *a, uint64_t ns)
{
	return ns ? as_time(a, ns) : (char *)"all, or unknown";
}

static char *as_date(struct arena *a, uint64_t seconds)
{
	return show_time(a, seconds * 1000000000);
}

static char *as_limit(struct arena *a, uint64_t value)
{
	return value == UINT64_MAX ? (char *)"unlimited" : arena_printf(a, "%" PRIu64, value);
}

static char *as_signal(struct arena *a, uint64_t nr)
{
	const char *name = nr < (unsigned)SIGRTMIN ? sigabbrev_np((int)nr) : NULL;

	if (!nr)
		return "none";
	return name ? arena_printf(a, "SIG%s", name) : arena_printf(a, "signal %" PRIu64, nr);
}

static char *as_signals(struct arena *a, uint64_t mask)
{
	char *out = NULL;

	for (unsigned nr = 1; nr <= 64; nr++)
		if (mask & (UINT64_C(1) << (nr - 1)))
			out = arena_printf(
				a, "%s%s%s", out ? out : "", out ? " " : "", as_signal(a, nr));
	return out ? out : "none";
}

static char *as_prot(struct arena *a, uint64_t prot)
{
	return arena_printf(a, "%c%c%c", prot & PROT_READ ? 'r' : '-',
		prot & PROT_WRITE ? 'w' : '-', prot & PROT_EXEC ? 'x' : '-');
}

static char *as_open_flags(struct arena *a, uint64_t flags)
{
	return show_flags(a, (uint32_t)flags);
}

/* By bits of enum snap_vmflag, as smaps has them. */
static char *as_vmflags(struct arena *a, uint64_t flags)
{
	static const char names[][3] = { "mr", "mw", "me", "gd", "lo", "sr", "rr", "dc", "ac", "nr",
		"ht", "wf", "dd", "hg", "nh", "mg", "lf", "io", "um", "sl", "ss", "dp", "ms",
		"sh" };
	char *out = NULL;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (flags & (UINT64_C(1) << i))
			out = arena_printf(a, "%s%s%s", out ? out : "", out ? " " : "", names[i]);
	return out ? out : "none";
}

/* siginfo_t begins with the signal. */
static char *as_siginfo(struct arena *a, const uint8_t *data, size_t len)
{
	int32_t signo = 0;

	if (len >= sizeof signo)
		memcpy(&signo, data, sizeof signo);
	return as_signal(a, (uint32_t)signo);
}

/* ---- names of elements ----------------------------------------------------------------------- */

static const char *const reg_names[] = { "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10",
	"r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp",
	"ss", "fs_base", "gs_base", "ds", "es", "fs", "gs", NULL };
static const char *const limit_names[] = { "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC",
	"NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
	NULL };
static const char *const itimer_names[] = { "REAL", "VIRTUAL", "PROF", NULL };

/* ---- the table ------------------------------------------------------------------------------- */

#define SKIP(m, f)                                                                                 \
	{                                                                                          \
		.message = m, .field = f, .how = DIFF_SKIP                                         \
	}
#define REF(m, f, t)                                                                               \
	{                                                                                          \
		.message = m, .field = f, .how = DIFF_REF, .table = t                              \
	}
#define KEYED(m, f, k, w)                                                                          \
	{                                                                                          \
		.message = m, .field = f, .how = DIFF_KEYED, .key = k, .word = w                   \
	}
#define NUMBER(m, f, n)                                                                            \
	{                                                                                          \
		.message = m, .field = f, .number = n                                              \
	}
#define WORD(m, f, w)                                                                              \
	{                                                                                          \
		.message = m, .field = f, .word = w                                                \
	}

/* The first that fits. */
static const struct diff_rule rules[] = {
	/* When and by whom it was dumped is no difference of the program. */
	WORD("Info", "argv", "command line"),
	WORD("Info", "kernel_release", "dumped on Linux"),
	WORD("Info", "listens", "listens on"),
	SKIP("Info", NULL),
	WORD("State", "info", ""),
	SKIP("State", "files"),
	SKIP("State", "mems"),
	SKIP("State", "mms"),
	SKIP("State", "ofds"),
	SKIP("State", "pages"),
	{ .message = "State",
		.field = "procs",
		.how = DIFF_KEYED,
		.key = "pid",
		.enter = DIFF_PROC,
		.first_is_first = true,
		.word = "process" },
	KEYED("State", "zombies", "pid", "zombie"),
	WORD("State", "seccomp_filters", "seccomp filter"),
	KEYED("State", "sem_sets", "owner.id", "semaphores"),
	KEYED("State", "queues", "owner.id", "message queue"),
	WORD("State", "ipc_settings", "setting of the IPC namespace"),
	NUMBER("Vdso", "start", as_hex),

	REF("Proc", "parent", DIFF_PROCS),
	REF("Proc", "mm", DIFF_MMS),
	{ .message = "Proc",
		.field = "tasks",
		.how = DIFF_KEYED,
		.key = "tid",
		.enter = DIFF_TASK,
		.first_is_first = true,
		.word = "thread" },
	{ .message = "Proc",
		.field = "fds",
		.how = DIFF_KEYED,
		.key = "num",
		.enter = DIFF_FD,
		.word = "descriptor" },
	KEYED("Proc", "actions", "signal", "action of signal"),
	{ .message = "Proc", .field = "pending", .bytes = as_siginfo, .word = "pending signal" },
	{ .message = "Proc",
		.field = "itimer_value",
		.number = as_time,
		.elements = itimer_names,
		.word = "interval timer" },
	{ .message = "Proc",
		.field = "itimer_interval",
		.number = as_time,
		.elements = itimer_names,
		.word = "interval of timer" },
	KEYED("Proc", "timers", "id", "POSIX timer"),
	{ .message = "Proc",
		.field = "rlimit_cur",
		.number = as_limit,
		.elements = limit_names,
		.word = "limit" },
	{ .message = "Proc",
		.field = "rlimit_max",
		.number = as_limit,
		.elements = limit_names,
		.word = "hard limit" },
	NUMBER("Proc", "umask", as_octal),
	REF("Proc", "cwd", DIFF_FILES),
	REF("Proc", "root", DIFF_FILES),
	NUMBER("Proc", "personality", as_hex),
	NUMBER("Proc", "stop_signal", as_signal),
	NUMBER("Proc", "membarrier", as_hex),
	NUMBER("Proc", "tty", as_hex),
	NUMBER("Proc", "area", as_hex),
	NUMBER("Proc", "exit_signal", as_signal),
	KEYED("Proc", "thread_files", "tid", "descriptors of thread"),
	KEYED("Proc", "thread_fs", "tid", "directories of thread"),
	KEYED("ThreadFiles", "fds", "num", "descriptor"),
	REF("ThreadFs", "cwd", DIFF_FILES),
	NUMBER("ThreadFs", "umask", as_octal),
	REF("Zombie", "parent", DIFF_PROCS),
	NUMBER("Zombie", "exit_signal", as_signal),
	{ .message = "Fd",
		.field = "ofd",
		.how = DIFF_REF,
		.table = DIFF_OFDS,
		.word = "open file" },
	SKIP("SigAction", "signal"),
	NUMBER("SigAction", "mask", as_signals),
	NUMBER("SigAction", NULL, as_hex),
	NUMBER("PosixTimer", "signo", as_signal),
	NUMBER("PosixTimer", "value", as_time),
	NUMBER("PosixTimer", "interval", as_time),

	WORD("Task", "comm", "name"),
	{ .message = "Task",
		.field = "regs",
		.number = as_hex,
		.elements = reg_names,
		.word = "register" },
	/* XSTATE_BV tells which parts the CPU holds as unused; what is in them tells the rest. */
	{ .message = "Task",
		.field = "xstate",
		.word = "vector registers",
		.ignored_at = 512,
		.nr_ignored = 8 },
	NUMBER("Task", "sigmask", as_signals),
	{ .message = "Task", .field = "pending", .bytes = as_siginfo, .word = "pending signal" },
	NUMBER("Task", "altstack_sp", as_hex),
	NUMBER("Task", "rseq_addr", as_hex),
	NUMBER("Task", "rseq_sig", as_hex),
	NUMBER("Task", "robust_list", as_hex),
	NUMBER("Task", "clear_tid", as_hex),
	WORD("Task", "sched", "scheduling"),
	WORD("Task", "creds", "credentials"),
	NUMBER("Task", "timerslack", as_time),
	NUMBER("Task", "pdeath_signal", as_signal),
	NUMBER("Task", "personality", as_hex),
	SKIP("Task", "waiting_nr"),
	SKIP("Task", "restart"),
	WORD("Task", "waiting_in", "waits in"),
	{ .message = "Task", .field = "wait_left", .number = as_wait, .word = "left of its wait" },
	NUMBER("Task", "mempolicy", as_hex),
	NUMBER("TlsSlot", "base_addr", as_hex),
	NUMBER("TlsSlot", "limit", as_hex),
	NUMBER("TlsSlot", "flags", as_hex),
	NUMBER("Sched", "flags", as_hex),
	NUMBER("Sched", "ioprio", as_hex),
	NUMBER("Creds", "cap_inheritable", as_hex),
	NUMBER("Creds", "cap_permitted", as_hex),
	NUMBER("Creds", "cap_effective", as_hex),
	NUMBER("Creds", "cap_bounding", as_hex),
	NUMBER("Creds", "cap_ambient", as_hex),
	NUMBER("Creds", "securebits", as_hex),

	REF("Mm", "exe", DIFF_FILES),
	SKIP("Mm", "mem"),
	{ .message = "Mm",
		.field = "vmas",
		.how = DIFF_KEYED,
		.key = "start",
		.enter = DIFF_VMA,
		.word = "mapping" },
	WORD("Mm", "thp_disabled", NULL),
	NUMBER("Mm", NULL, as_hex),
	SKIP("Vma", "start"),
	NUMBER("Vma", "prot", as_prot),
	NUMBER("Vma", "flags", as_hex),
	NUMBER("Vma", "vmflags", as_vmflags),
	NUMBER("Vma", "offset", as_hex),
	REF("Vma", "file", DIFF_FILES),
	REF("Vma", "mem", DIFF_MEMS),
	REF("Vma", "ofd", DIFF_OFDS),

	SKIP("File", "path"),
	NUMBER("File", "dev", as_hex),
	NUMBER("File", "mode", as_octal),
	{ .message = "File", .field = "mtime_sec", .number = as_date, .word = "changed" },
	WORD("File", "mtime_nsec", "changed, nanoseconds"),
	REF("File", "mem", DIFF_MEMS),
	NUMBER("Mem", "seals", as_hex),
	NUMBER("Mem", "memfd_flags", as_hex),
	NUMBER("Mem", "mode", as_octal),

	SKIP("Ofd", "id"),
	SKIP("Ofd", "label"), /* said where there is no record, see diff_label() */
	NUMBER("Ofd", "flags", as_open_flags),
	NUMBER("Ofd", "signal", as_signal),
	REF("Lock", "proc", DIFF_PROCS),
	REF("RegFd", "file", DIFF_FILES),
	REF("CharFd", "like", DIFF_OFDS),
	NUMBER("CharFd", "rdev", as_hex),
	SKIP("PipeFd", "ino"), /* another one after each restore; which ends belong together is */
	SKIP("PipeFd", "dev"), /* seen in diff.c */
	REF("PipeFd", "file", DIFF_FILES),
	REF("PipeFd", "like", DIFF_OFDS),
	NUMBER("PipeFd", "mode", as_octal),
	NUMBER("SignalFd", "mask", as_signals),
	NUMBER("TimerFd", "value", as_time),
	NUMBER("TimerFd", "interval", as_time),
	KEYED("EpollFd", "items", "num", "descriptor"),
	REF("EpollItem", "ofd", DIFF_OFDS),
	NUMBER("EpollItem", NULL, as_hex),
	REF("MemFd", "mem", DIFF_MEMS),
	KEYED("InotifyFd", "watches", "wd", "watch"),
	REF("InotifyWatch", "ofd", DIFF_OFDS),
	NUMBER("InotifyWatch", "mask", as_hex),
	SKIP("InotifyEvent", "cookie"), /* another one after each restore */
	NUMBER("InotifyEvent", "mask", as_hex),
	REF("PtyFd", "master", DIFF_OFDS),
	NUMBER("PtyPair", "mode", as_octal),
	NUMBER("Termios", "iflag", as_octal),
	NUMBER("Termios", "oflag", as_octal),
	NUMBER("Termios", "cflag", as_octal),
	NUMBER("Termios", "lflag", as_octal),
	REF("MqueueFd", "first", DIFF_OFDS),
	NUMBER("MqueueFd", "mode", as_octal),
	REF("UnixSock", "peer", DIFF_OFDS),
	REF("UnixSock", "pending", DIFF_OFDS),
	REF("UnixWaiting", "client", DIFF_OFDS),
	REF("TcpWaiting", "client", DIFF_OFDS),
	REF("UnixMessage", "fds", DIFF_OFDS),
	NUMBER("UnixFile", "mode", as_octal),
	NUMBER("FanotifyMark", NULL, as_hex),
	NUMBER("IpcOwner", "mode", as_octal),
};

static const struct diff_rule plain = { .how = DIFF_PLAIN };

const struct diff_rule *diff_rule(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (!strcmp(rules[i].message, m->descriptor->short_name) &&
			(!rules[i].field || !strcmp(rules[i].field, field->name)))
			return &rules[i];
	return &plain;
}
