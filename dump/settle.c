/* Out of the vdso, out of restartable sequences; see settle.h. */
#include "dump/settle.h"

#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "tracee/tracee.h"

/* A call of the vdso takes a few hundred instructions, getrandom of a large buffer some thousands.
 */
enum { SETTLE_STEPS = 200000 };

static const uint64_t VSYSCALL_START = 0xffffffffff600000, VSYSCALL_END = 0xffffffffff601000;

/* include/uapi/linux/rseq.h: what matters of struct rseq and struct rseq_cs. */
enum { RSEQ_CS_POINTER = 8 };

struct rseq_section {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

static bool in_range(uint64_t at, uint64_t start, uint64_t end)
{
	return at >= start && at < end;
}

static int settle_vdso(
	struct tracee *t, struct tracee_thread *th, uint64_t start, uint64_t end, struct err *err)
{
	struct user_regs_struct regs;

	for (int i = 0; i < SETTLE_STEPS; i++) {
		int ret = thread_get_regs(th->tid, &regs, err);

		if (ret < 0)
			return ret;
		if (!in_range(regs.rip, start, end) &&
			!in_range(regs.rip, VSYSCALL_START, VSYSCALL_END))
			return 0;
		ret = tracee_step(t, th, err);
		if (ret < 0)
			return err_wrap(err, "thread %d: step out of the vdso", th->tid);
	}
	return err_set(err, EAGAIN, "thread %d does not leave the vdso", th->tid);
}

static int settle_rseq(struct tracee *t, struct tracee_thread *th, struct err *err)
{
	const uint64_t none = 0;
	struct user_regs_struct regs;
	struct rseq_section section;
	struct thread_rseq rseq;
	uint64_t pointer;
	int ret = thread_get_rseq(th->tid, &rseq, err);

	if (ret < 0 || !rseq.addr)
		return ret;
	ret = tracee_read(t, rseq.addr + RSEQ_CS_POINTER, &pointer, sizeof pointer, err);
	if (ret < 0 || !pointer)
		return ret;
	ret = tracee_read(t, pointer, &section, sizeof section, err);
	if (ret < 0)
		return ret;
	ret = thread_get_regs(th->tid, &regs, err);
	if (ret < 0 || regs.rip - section.start_ip >= section.post_commit_offset)
		return ret;
	log_debug("thread %d: restartable sequence at %#llx aborted", th->tid, regs.rip);
	ret = tracee_write(t, rseq.addr + RSEQ_CS_POINTER, &none, sizeof none, err);
	if (ret < 0)
		return ret;
	regs.rip = section.abort_ip;
	return thread_set_regs(th->tid, &regs, err);
}

int settle_threads(struct tracee *t, uint64_t vdso_start, uint64_t vdso_end, struct err *err)
{
	for (size_t i = 0; i < t->nr_threads; i++) {
		struct tracee_thread *th = &t->threads[i];
		int ret;

		if (th->state == TRACEE_EXITED)
			continue;
		ret = settle_vdso(t, th, vdso_start, vdso_end, err);
		if (!ret)
			ret = settle_rseq(t, th, err);
		if (ret < 0)
			return err_wrap(err, "thread %d", th->tid);
	}
	return 0;
}
