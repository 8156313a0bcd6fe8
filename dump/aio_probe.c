/*
 * What a context of asynchronous I/O is at; see aio.h. The kernel tells nobody, but it takes only
 * as many requests as there is room for their events: what is missing when it takes no more of ours
 * are those of the program. Ours are polls of an eventfd, which one write ends all at once.
 *
 * That leaves as many events in the ring, and moves its end on, of which the kernel has a copy of
 * its own. So the ring is driven once around to where it was. When somebody's request is done
 * meanwhile, its event is kept and stands behind the others, as if it had come after all this.
 */
#include "dump/aio.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/remote.h"
#include "images/aio.h"

enum { WAKE_LIMIT_MS = 2000 };

struct probe {
	struct dumping_proc *p;
	uint64_t ring;                  /* the context */
	struct aio_head was, head;      /* as it was, and when it was looked at last */
	const struct aio_event *events; /* as they were */
	uint64_t cookie;                /* in the events of ours */
	uint64_t iocbs;                 /* scratch memory: pointers to one iocb, which follows */
	uint32_t cap;
	uint32_t seen;  /* position up to which events were looked at */
	uint32_t taken; /* requests of ours, and those whose events were seen */
	uint32_t done;
	struct aio_event *foreign; /* in the arena: events of the program that came meanwhile */
	size_t nr_foreign, cap_foreign;
};

/* ---- the ring -------------------------------------------------------------------------------- */

static uint64_t event_addr(const struct probe *b, uint32_t at)
{
	return b->ring + sizeof(struct aio_head) + at * sizeof(struct aio_event);
}

static void sort(struct probe *b, const struct aio_event *events, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		if (events[i].data == b->cookie) {
			b->done++;
			continue;
		}
		b->foreign = arena_grow(b->p->d->snap->arena, b->foreign, b->nr_foreign,
			&b->cap_foreign, sizeof *events);
		b->foreign[b->nr_foreign++] = events[i];
	}
}

/* What has come since the last look. */
static int look(struct probe *b, struct err *err)
{
	struct aio_event events[64];
	int ret = tracee_read(b->p->t, b->ring, &b->head, sizeof b->head, err);

	if (!ret && !aio_head_is_sound(&b->head, (b->was.nr + 1) * sizeof(struct aio_event)))
		return err_set(err, EPROTO, "its ring has changed its shape");
	while (!ret && b->seen != b->head.tail) {
		uint32_t end = b->seen < b->head.tail ? b->head.tail : b->was.nr;
		uint32_t nr = end - b->seen < 64 ? end - b->seen : 64;

		ret = tracee_read(
			b->p->t, event_addr(b, b->seen), events, nr * sizeof *events, err);
		if (!ret)
			sort(b, events, nr);
		b->seen = (b->seen + nr) % b->was.nr;
	}
	return ret;
}

static int head_set(struct probe *b, uint32_t head, struct err *err)
{
	return tracee_write(
		b->p->t, b->ring + offsetof(struct aio_head, head), &head, sizeof head, err);
}

static int submit_here(struct probe *b, uint32_t nr, uint32_t *took, struct err *err)
{
	uint64_t args[6] = { b->ring, nr < b->cap ? nr : b->cap, b->iocbs };
	int64_t answer;
	int ret = tracee_syscall(b->p->t, b->p->th, SYS_io_submit, args, &answer, err);

	if (ret < 0)
		return ret;
	if (answer < 0 && answer != -EAGAIN)
		return err_ret(err, answer, "io_submit");
	*took = answer < 0 ? 0 : (uint32_t)answer;
	b->taken += *took;
	return 0;
}

/* Up to nr more of ours. What this processor has no room for, others may have: each keeps some back
 * (struct kioctx_cpu). *took is 0 where the kernel takes no more. */
static int submit(struct probe *b, uint32_t nr, uint32_t *took, struct err *err)
{
	int ret = submit_here(b, nr, took, err);
	pid_t tid = b->p->th->tid;
	cpu_set_t all, one;

	if (ret < 0 || *took)
		return ret;
	if (sched_getaffinity(tid, sizeof all, &all) < 0)
		return err_sys(err, "affinity of thread %d", tid);
	for (int cpu = 0; !ret && !*took && cpu < get_nprocs_conf() && cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(tid, sizeof one, &one) == 0)
			ret = submit_here(b, nr, took, err);
	}
	if (sched_setaffinity(tid, sizeof all, &all) < 0 && !ret)
		return err_sys(err, "give its affinity back to thread %d", tid);
	return ret;
}

static int submit_some(struct probe *b, uint32_t nr, struct err *err)
{
	uint32_t took = 0;
	int ret = submit(b, nr, &took, err);

	return ret || took ? ret : err_set(err, EBUSY, "it takes no more requests");
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Room is dealt out in lots; what is left over nobody gets. */
static uint32_t room_of(const struct probe *b)
{
	uint32_t all = b->was.nr - 1, lot = all / ((uint32_t)get_nprocs_conf() * 4);
	uint32_t unread = aio_between(&b->was, b->was.head, b->was.tail);

	return (lot ? all - all % lot : all) - unread;
}

static int fill(struct probe *b, uint32_t room, struct err *err)
{
	uint32_t took = 1;
	int ret = 0;

	while (!ret && took && b->taken < room)
		ret = submit(b, room - b->taken, &took, err);
	return ret;
}

/* All of ours end; some of them may have to wait for a thread of the kernel. */
static int wake(struct probe *b, int event, struct err *err)
{
	const uint64_t one = 1;

	if (write(event, &one, sizeof one) != sizeof one)
		return err_sys(err, "write to an eventfd");
	for (int ms = 0; ms < WAKE_LIMIT_MS; ms++) {
		int ret = look(b, err);

		if (ret < 0 || b->done == b->taken)
			return ret;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return err_set(err, ETIMEDOUT, "%u polls of an eventfd do not end", b->taken - b->done);
}

/* ---- back to where it was -------------------------------------------------------------------- */

/* Until the next event comes to where the first unread one was; all others are dropped. */
static int around(struct probe *b, struct err *err)
{
	int ret = look(b, err);
	uint32_t left;

	while (!ret && (left = aio_between(&b->head, b->head.tail, b->was.head)) > 0) {
		ret = head_set(b, b->head.tail, err);
		if (!ret)
			ret = submit_some(b, left, err);
		if (!ret)
			ret = look(b, err);
	}
	return ret ? ret : head_set(b, b->was.head, err);
}

/* Events in the places of those that were not read, and behind them of those that came since: the
 * kernel counts them as such. */
static int unread(struct probe *b, struct err *err)
{
	uint32_t before = aio_between(&b->was, b->was.head, b->was.tail);
	int ret = look(b, err);

	while (!ret) {
		uint32_t there = aio_between(&b->head, b->was.head, b->head.tail);

		if (there >= before + b->nr_foreign)
			return 0;
		ret = submit_some(b, before + (uint32_t)b->nr_foreign - there, err);
		if (!ret)
			ret = look(b, err);
	}
	return ret;
}

/* Nothing comes any more where nothing is under way: then what was read once is put back, too. */
static int contents(struct probe *b, bool idle, struct err *err)
{
	uint32_t nr = b->was.nr, before = aio_between(&b->was, b->was.head, b->was.tail);
	int ret = 0;

	if (idle && !b->nr_foreign)
		return tracee_write(
			b->p->t, event_addr(b, 0), b->events, nr * sizeof *b->events, err);
	for (uint32_t i = 0; !ret && i < before + b->nr_foreign; i++) {
		uint32_t at = (b->was.head + i) % nr;

		ret = tracee_write(b->p->t, event_addr(b, at),
			i < before ? &b->events[at] : &b->foreign[i - before], sizeof *b->events,
			err);
	}
	return ret;
}

static int back(struct probe *b, bool idle, struct err *err)
{
	int ret = around(b, err);

	if (!ret)
		ret = unread(b, err);
	return ret ? ret : contents(b, idle, err);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The iocb behind as many pointers to it as there is room for. */
static int iocbs_write(struct probe *b, int64_t eventfd, struct err *err)
{
	struct iocb iocb = { .aio_data = b->cookie,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = (uint32_t)eventfd,
		.aio_buf = POLLIN };
	uint64_t *pointers, at;
	size_t room;
	int ret = tracee_scratch(b->p->t, &b->iocbs, &room, err);

	if (ret < 0)
		return ret;
	b->cap = (uint32_t)((room - sizeof iocb) / sizeof *pointers);
	pointers = arena_array(b->p->d->snap->arena, b->cap, sizeof *pointers);
	at = b->iocbs + b->cap * sizeof *pointers;
	for (uint32_t i = 0; i < b->cap; i++)
		pointers[i] = at;
	ret = tracee_write(b->p->t, at, &iocb, sizeof iocb, err);
	return ret ? ret
		   : tracee_write(b->p->t, b->iocbs, pointers, b->cap * sizeof *pointers, err);
}

/* From the first request on all has to be undone, whatever fails. */
static int probe_run(struct probe *b, int event, uint32_t *busy, struct err *err)
{
	uint32_t room = room_of(b), taken;
	int undone = 0, ret = fill(b, room, err);
	struct err second = { 0 };

	taken = b->taken;
	*busy = room - taken;
	if (!taken)
		return ret;
	undone = wake(b, event, ret ? &second : err);
	if (!undone)
		undone = back(b, taken == room, ret ? &second : err);
	return ret ? ret : undone;
}

int aio_under_way(
	struct dumping_proc *p, uint64_t addr, const uint8_t *ring, uint32_t *nr, struct err *err)
{
	struct probe b = { .p = p, .ring = addr };
	const uint64_t none[6] = { 0 };
	OWNED_FD event = -1;
	uint64_t num;
	int ret, closed;

	memcpy(&b.was, ring, sizeof b.was);
	b.events = (const struct aio_event *)(const void *)(ring + sizeof b.was);
	b.seen = b.was.tail;
	if (getrandom(&b.cookie, sizeof b.cookie, 0) != sizeof b.cookie)
		return err_sys(err, "getrandom");
	ret = remote_call(p->t, p->th, SYS_eventfd2, none, "eventfd", &num, err);
	if (ret < 0)
		return err_hint(err, "let the program have a free descriptor (RLIMIT_NOFILE)");
	ret = thread_getfd(p->th->tid, (int)num, &event, err);
	if (!ret)
		ret = iocbs_write(&b, (int64_t)num, err);
	if (!ret)
		ret = probe_run(&b, event, nr, err);
	closed = remote_call(
		p->t, p->th, SYS_close, (uint64_t[6]){ num }, "close", NULL, ret ? NULL : err);
	return ret ? ret : closed;
}
