/* A page in the target for the results of remote system calls. */
#include "tracee/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/err.h"
#include "tracee/proc.h"

enum { SCRATCH_LEN = 4096, RED_ZONE = 128 };

static int scratch_thread(struct tracee *t, struct tracee_thread **th, struct err *err)
{
	*th = tracee_live_thread(t);
	if (!*th)
		return err_set(err, ESRCH, "process %d has ended", t->pid);
	return 0;
}

/* Is the page part of a mapping that the target may write to? */
static bool is_writable(const struct tracee *t, uint64_t page)
{
	struct arena *a = arena_create();
	struct proc_vma *vmas;
	bool found = false;
	size_t nr;

	if (proc_maps(t->procfd, a, &vmas, &nr, NULL) == 0)
		for (size_t i = 0; i < nr && !found; i++)
			found = vmas[i].start <= page && page + SCRATCH_LEN <= vmas[i].end &&
				vmas[i].prot & PROT_WRITE && !vmas[i].shared;
	arena_destroy(a);
	return found;
}

/*
 * Where its limits (RLIMIT_AS, RLIMIT_DATA) or the number of mappings forbid one more: a page of
 * its stack below all that is in use. What was there is put back; x86-64 ABI 3.2.2, the red zone.
 */
static int scratch_borrow(struct tracee *t, const struct tracee_thread *th, uint64_t *page)
{
	struct user_regs_struct regs;

	if (thread_get_regs(th->tid, &regs, NULL) < 0 || regs.rsp < 4 * SCRATCH_LEN)
		return -ENOMEM;
	*page = ((regs.rsp - RED_ZONE) & ~(uint64_t)(SCRATCH_LEN - 1)) - SCRATCH_LEN;
	if (!is_writable(t, *page))
		return -ENOMEM;
	t->scratch_was = malloc(SCRATCH_LEN);
	if (t->scratch_was && tracee_read(t, *page, t->scratch_was, SCRATCH_LEN, NULL) == 0)
		return 0;
	free(t->scratch_was);
	t->scratch_was = NULL;
	return -ENOMEM;
}

static int scratch_make(struct tracee *t, struct err *err)
{
	const uint64_t args[6] = { 0, SCRATCH_LEN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0 };
	struct tracee_thread *th;
	uint64_t page;
	int64_t got;
	int ret = scratch_thread(t, &th, err);

	if (ret == 0)
		ret = tracee_syscall(t, th, SYS_mmap, args, &got, err);
	if (ret < 0)
		return ret;
	if (got == -ENOMEM && scratch_borrow(t, th, &page) == 0)
		got = (int64_t)page;
	if (got < 0)
		return err_ret(err, got, "remote mmap in process %d", t->pid);
	t->scratch = (uint64_t)got;
	return 0;
}

int tracee_scratch(struct tracee *t, uint64_t *addr, size_t *len, struct err *err)
{
	int ret = t->scratch ? 0 : scratch_make(t, err);

	if (ret < 0)
		return ret;
	*addr = t->scratch;
	*len = SCRATCH_LEN;
	return 0;
}

static int scratch_unmap(struct tracee *t, struct err *err)
{
	const uint64_t args[6] = { t->scratch, SCRATCH_LEN, 0, 0, 0, 0 };
	struct tracee_thread *th;
	int64_t got;
	int ret = scratch_thread(t, &th, err);

	if (ret == 0)
		ret = tracee_syscall(t, th, SYS_munmap, args, &got, err);
	if (ret == 0 && got < 0)
		ret = err_ret(err, got, "remote munmap in process %d", t->pid);
	return ret;
}

int tracee_scratch_end(struct tracee *t, struct err *err)
{
	int ret;

	if (!t->scratch)
		return 0;
	ret = t->scratch_was ? tracee_write(t, t->scratch, t->scratch_was, SCRATCH_LEN, err)
			     : scratch_unmap(t, err);
	if (ret < 0)
		return ret;
	t->scratch = 0;
	free(t->scratch_was);
	t->scratch_was = NULL;
	return 0;
}
