/* The table of waiting system calls; see waits.h. */
#include "dump/waits.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "tracee/proc.h"
#include "tracee/tracee.h"

/* Not in Debian 12's headers: arch/x86/entry/syscalls/syscall_64.tbl of Linux 6.7. */
#ifndef SYS_futex_wait
#define SYS_futex_wait 455
#endif

struct waiter {
	struct tracee *t;
	pid_t tid;
};

typedef enum wait_kind wait_look(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns);

static uint64_t timespec_ns(const struct timespec *ts)
{
	if (ts->tv_sec < 0 || ts->tv_sec > INT64_MAX / 1000000000 - 1)
		return UINT64_MAX;
	return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

/* A timespec in the target; NULL there means for ever, and so does one that cannot be read. */
static uint64_t remote_timespec(struct tracee *t, uint64_t addr)
{
	struct timespec ts;

	if (!addr || tracee_read(t, addr, &ts, sizeof ts, NULL) < 0)
		return UINT64_MAX;
	return timespec_ns(&ts);
}

/* struct timeval has microseconds where timespec has nanoseconds. */
static uint64_t remote_timeval(struct tracee *t, uint64_t addr)
{
	struct timespec tv;

	if (!addr || tracee_read(t, addr, &tv, sizeof tv, NULL) < 0)
		return UINT64_MAX;
	tv.tv_nsec *= 1000;
	return timespec_ns(&tv);
}

static enum wait_kind wait_always(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	(void)w, (void)args, (void)sleep_ns;
	return WAIT_EVENT;
}

/* Files, directories and disks answer by themselves; everything else waits for somebody. */
static enum wait_kind wait_on_fd(const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	char name[48];
	struct stat st;

	(void)sleep_ns;
	/* Its own: the first thread's table is gone with it, and may have been another one. */
	snprintf(name, sizeof name, "task/%d/fd/%d", w->tid, (int)args[0]);
	if (fstatat(w->t->procfd, name, &st, 0) < 0)
		return WAIT_NONE;
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) ? WAIT_NONE
										 : WAIT_EVENT;
}

static enum wait_kind wait_futex(const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	(void)w, (void)sleep_ns;
	switch (args[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return WAIT_EVENT;
	}
	return WAIT_NONE;
}

static enum wait_kind wait_fcntl(const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	(void)w, (void)sleep_ns;
	return args[1] == F_SETLKW || args[1] == F_OFD_SETLKW ? WAIT_EVENT : WAIT_NONE;
}

static enum wait_kind wait_nanosleep(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	*sleep_ns = remote_timespec(w->t, args[0]);
	return WAIT_SLEEP;
}

static enum wait_kind wait_clock_nanosleep(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	uint64_t until = remote_timespec(w->t, args[2]), now_ns;
	struct timespec now;

	*sleep_ns = until;
	if (!(args[1] & TIMER_ABSTIME) || until == UINT64_MAX ||
		clock_gettime((clockid_t)args[0], &now) < 0)
		return WAIT_SLEEP;
	now_ns = timespec_ns(&now);
	*sleep_ns = until > now_ns ? until - now_ns : 0;
	return WAIT_SLEEP;
}

static enum wait_kind wait_poll(const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	(void)w;
	if (args[1])
		return WAIT_EVENT;
	*sleep_ns = (int)args[2] < 0 ? UINT64_MAX : (uint64_t)(int)args[2] * 1000000;
	return WAIT_SLEEP;
}

static enum wait_kind wait_ppoll(const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	if (args[1])
		return WAIT_EVENT;
	*sleep_ns = remote_timespec(w->t, args[2]);
	return WAIT_SLEEP;
}

static bool select_watches(const uint64_t args[6])
{
	return args[0] && (args[1] || args[2] || args[3]);
}

static enum wait_kind wait_select(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	if (select_watches(args))
		return WAIT_EVENT;
	*sleep_ns = remote_timeval(w->t, args[4]);
	return WAIT_SLEEP;
}

static enum wait_kind wait_pselect(
	const struct waiter *w, const uint64_t args[6], uint64_t *sleep_ns)
{
	if (select_watches(args))
		return WAIT_EVENT;
	*sleep_ns = remote_timespec(w->t, args[4]);
	return WAIT_SLEEP;
}

static const struct {
	int nr;
	wait_look *look;
} waits[] = {
	{ SYS_epoll_wait, wait_always },
	{ SYS_epoll_pwait, wait_always },
	{ SYS_epoll_pwait2, wait_always },
	{ SYS_futex, wait_futex },
	{ SYS_futex_waitv, wait_always },
	{ SYS_futex_wait, wait_always },
	{ SYS_poll, wait_poll },
	{ SYS_ppoll, wait_ppoll },
	{ SYS_select, wait_select },
	{ SYS_pselect6, wait_pselect },
	{ SYS_accept, wait_always },
	{ SYS_accept4, wait_always },
	{ SYS_read, wait_on_fd },
	{ SYS_readv, wait_on_fd },
	{ SYS_write, wait_on_fd },
	{ SYS_writev, wait_on_fd },
	{ SYS_recvfrom, wait_always },
	{ SYS_recvmsg, wait_always },
	{ SYS_recvmmsg, wait_always },
	{ SYS_sendto, wait_always },
	{ SYS_sendmsg, wait_always },
	{ SYS_sendmmsg, wait_always },
	{ SYS_connect, wait_always },
	{ SYS_preadv2, wait_on_fd },
	{ SYS_pwritev2, wait_on_fd },
	{ SYS_splice, wait_on_fd },
	{ SYS_tee, wait_on_fd },
	{ SYS_vmsplice, wait_on_fd },
	{ SYS_sendfile, wait_on_fd },
	{ SYS_wait4, wait_always },
	{ SYS_waitid, wait_always },
	{ SYS_pause, wait_always },
	{ SYS_rt_sigsuspend, wait_always },
	{ SYS_rt_sigtimedwait, wait_always },
	{ SYS_nanosleep, wait_nanosleep },
	{ SYS_clock_nanosleep, wait_clock_nanosleep },
	/* The rest of a poll, futex or sleep after a stop and a continue. */
	{ SYS_restart_syscall, wait_always },
	{ SYS_semop, wait_always },
	{ SYS_semtimedop, wait_always },
	{ SYS_msgrcv, wait_always },
	{ SYS_msgsnd, wait_always },
	{ SYS_mq_timedreceive, wait_always },
	{ SYS_mq_timedsend, wait_always },
	{ SYS_io_getevents, wait_always },
	{ SYS_io_pgetevents, wait_always },
	{ SYS_io_uring_enter, wait_always },
	/* A lock that somebody else holds. */
	{ SYS_flock, wait_always },
	{ SYS_fcntl, wait_fcntl },
	/* Asleep but not waiting for a disk (state S): the other end of a FIFO. */
	{ SYS_open, wait_always },
	{ SYS_openat, wait_always },
	{ SYS_openat2, wait_always },
};

enum wait_kind wait_kind_of(
	struct tracee *t, pid_t tid, const struct proc_syscall *call, uint64_t *sleep_ns)
{
	const struct waiter waiter = { t, tid };

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		if (waits[i].nr == call->nr)
			return waits[i].look(&waiter, call->args, sleep_ns);
	return WAIT_NONE;
}

bool wait_is_vfork(char state, int64_t nr)
{
	return state == 'D' && (nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3);
}
