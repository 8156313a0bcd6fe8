/*
 * Who makes whom; see makers.h.
 *
 * A thread is born with the table and the directory of its maker, or with copies; later it may
 * leave one for a copy. So among threads and what they have there is never a way round in a circle,
 * and from any thread of those that hang together all others can be made one by one, each by one
 * that has what it shares.
 */
#include "images/makers.h"

#include <stddef.h>

#include "base/arena.h"
#include "images/snap.h"

/* Of one thread: who lists what it has, by index of tasks; 0: it is that of the first. */
struct share {
	uint32_t files, fs;
};

struct makers {
	size_t nr;
	struct share *shares;
	bool *files_made, *fs_made; /* by who lists it */
	bool *made;
	uint32_t *maker, *queue;
	size_t nr_queue;
};

static uint32_t index_of(const struct snap_proc *proc, int32_t tid)
{
	for (size_t i = 1; i < proc->nr_tasks; i++)
		if (proc->tasks[i].tid == tid)
			return (uint32_t)i;
	return 0;
}

static void shares_find(const struct snap_proc *proc, struct share *shares)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++) {
		const struct snap_thread_files *files = &proc->thread_files[i];

		shares[index_of(proc, files->tid)].files = index_of(
			proc, files->with ? files->with : files->tid);
	}
	for (size_t i = 0; i < proc->nr_thread_fs; i++) {
		const struct snap_thread_fs *fs = &proc->thread_fs[i];

		shares[index_of(proc, fs->tid)].fs = index_of(proc, fs->with ? fs->with : fs->tid);
	}
}

static void make(struct makers *m, uint32_t i, uint32_t by)
{
	m->maker[i] = by;
	m->made[i] = m->files_made[m->shares[i].files] = m->fs_made[m->shares[i].fs] = true;
	/* What has all of the first thread's makes nothing that the first does not. */
	if (m->shares[i].files || m->shares[i].fs || i == 0)
		m->queue[m->nr_queue++] = i;
}

/* All that it can make: with both in common, or with one, where the other is not there yet. */
static void make_relatives(struct makers *m, uint32_t by)
{
	const struct share *own = &m->shares[by];

	for (uint32_t i = 1; i < m->nr; i++) {
		const struct share *s = &m->shares[i];
		bool files = s->files == own->files, fs = s->fs == own->fs;

		if (!m->made[i] && (files || fs) && (files || !m->files_made[s->files]) &&
			(fs || !m->fs_made[s->fs]))
			make(m, i, by);
	}
}

static struct makers makers_begin(struct arena *a, const struct snap_proc *proc)
{
	size_t nr = proc->nr_tasks;

	return (struct makers){
		.nr = nr,
		.shares = arena_array(a, nr, sizeof(struct share)),
		.files_made = arena_array(a, nr, sizeof(bool)),
		.fs_made = arena_array(a, nr, sizeof(bool)),
		.made = arena_array(a, nr, sizeof(bool)),
		.maker = arena_array(a, nr, sizeof(uint32_t)),
		.queue = arena_array(a, nr, sizeof(uint32_t)),
	};
}

uint32_t *makers_of(struct arena *a, const struct snap_proc *proc)
{
	struct makers m = makers_begin(a, proc);
	size_t next = 0;

	shares_find(proc, m.shares);
	make(&m, 0, 0);
	for (uint32_t i = 0; i < m.nr; i++) {
		while (next < m.nr_queue)
			make_relatives(&m, m.queue[next++]);
		if (m.made[i])
			continue;
		if (m.files_made[m.shares[i].files] || m.fs_made[m.shares[i].fs])
			return NULL;
		make(&m, i, 0);
	}
	return m.maker;
}

bool makers_needed(const struct snap_proc *proc)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++)
		if (proc->thread_files[i].with)
			return true;
	for (size_t i = 0; i < proc->nr_thread_fs; i++)
		if (proc->thread_fs[i].with)
			return true;
	return false;
}
