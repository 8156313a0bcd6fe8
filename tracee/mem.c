/* Memory and descriptors of a tracee, seen from outside. */
#include "tracee/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "tracee/kernel_abi.h"

/* /proc/PID/mem copies through a bounce page; below this size that is cheaper than pinning pages.
 */
enum { VM_READV_MIN = 16 * 1024 };

static int tracee_mem(struct tracee *t, struct err *err)
{
	if (t->memfd >= 0)
		return 0;
	return tracee_open_live(t, "mem", O_RDWR, &t->memfd, err);
}

/* As many bytes as can be read the fast way: up to the first page that the target may not read
 * itself. */
static size_t tracee_readv(struct tracee *t, uint64_t addr, void *data, size_t len)
{
	struct iovec to = { data, len }, from = { (void *)addr, len };
	ssize_t n = process_vm_readv(t->pid, &to, 1, &from, 1, 0);

	return n > 0 ? (size_t)n : 0;
}

int tracee_read(struct tracee *t, uint64_t addr, void *data, size_t len, struct err *err)
{
	size_t done = len >= VM_READV_MIN ? tracee_readv(t, addr, data, len) : 0;
	int ret = tracee_mem(t, err);

	if (ret < 0)
		return ret;
	while (done < len) {
		ssize_t n = pread(t->memfd, (char *)data + done, len - done, (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : ESRCH; /* 0: the address space is gone */
			return err_sys(
				err, "read memory of process %d at 0x%lx", t->pid, addr + done);
		}
		done += (size_t)n;
	}
	return 0;
}

int tracee_write(struct tracee *t, uint64_t addr, const void *data, size_t len, struct err *err)
{
	size_t done = 0;
	int ret = tracee_mem(t, err);

	if (ret < 0)
		return ret;
	while (done < len) {
		ssize_t n = pwrite(
			t->memfd, (const char *)data + done, len - done, (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : ESRCH;
			return err_sys(
				err, "write memory of process %d at 0x%lx", t->pid, addr + done);
		}
		done += (size_t)n;
	}
	return 0;
}

/* A leader that has exited has no descriptors any more, its threads have. */
static int tracee_pidfd(struct tracee *t, struct err *err)
{
	struct tracee_thread *th = tracee_live_thread(t);

	if (t->pidfd >= 0)
		return 0;
	if (!th)
		return err_set(err, ESRCH, "process %d has ended", t->pid);
	t->pidfd = (int)syscall(SYS_pidfd_open, th->tid, th->tid == t->pid ? 0 : ABI_PIDFD_THREAD);
	if (t->pidfd < 0)
		return err_sys(err, "pidfd of thread %d of process %d", th->tid, t->pid);
	return 0;
}

/* Linux 6.9, pidfd_open(2): of the one thread; its own descriptor table is looked at then. */
enum { PIDFD_OF_THREAD = O_EXCL };

int thread_getfd(pid_t tid, int num, int *fd, struct err *err)
{
	OWNED_FD pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD);
	int got;

	if (pidfd < 0) {
		int ret = err_sys(err, "pidfd_open of thread %d", tid);

		if (ret == -EINVAL)
			err_hint(err, "this needs Linux 6.9");
		return ret;
	}
	got = (int)syscall(SYS_pidfd_getfd, pidfd, num, 0);
	if (got < 0)
		return err_sys(err, "duplicate descriptor %d of thread %d", num, tid);
	*fd = got;
	return 0;
}

int tracee_getfd(struct tracee *t, int num, int *fd, struct err *err)
{
	int got, ret = tracee_pidfd(t, err);

	if (ret < 0)
		return ret;
	got = (int)syscall(SYS_pidfd_getfd, t->pidfd, num, 0);
	if (got < 0)
		return err_sys(err, "duplicate descriptor %d of process %d", num, t->pid);
	*fd = got;
	return 0;
}
