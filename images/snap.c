/* The model of a stopped process tree: its tables and the arena they live in; see snap.h. */
#include "images/snap.h"

#include "base/arena.h"

struct snap *snap_create(void)
{
	struct arena *arena = arena_create();
	struct snap *s = arena_alloc(arena, sizeof *s);

	s->arena = arena;
	return s;
}

void snap_destroy(struct snap *s)
{
	if (s)
		arena_destroy(s->arena);
}

struct snap_file *snap_add_file(struct snap *s)
{
	struct snap_file *file;

	s->files = arena_grow(s->arena, s->files, s->nr_files, &s->cap_files, sizeof *s->files);
	file = &s->files[s->nr_files++];
	file->mem = ID_NONE;
	return file;
}

struct snap_mem *snap_add_mem(struct snap *s, enum snap_mem_kind kind)
{
	struct snap_mem *mem;

	s->mems = arena_grow(s->arena, s->mems, s->nr_mems, &s->cap_mems, sizeof *s->mems);
	mem = &s->mems[s->nr_mems++];
	mem->kind = kind;
	mem->uid = mem->gid = ID_NONE;
	return mem;
}

struct snap_mm *snap_add_mm(struct snap *s)
{
	struct snap_mm *mm;

	s->mms = arena_grow(s->arena, s->mms, s->nr_mms, &s->cap_mms, sizeof *s->mms);
	mm = &s->mms[s->nr_mms++];
	mm->exe = ID_NONE;
	mm->mem = ID_NONE;
	return mm;
}

struct snap_proc *snap_add_proc(struct snap *s)
{
	struct snap_proc *proc;

	s->procs = arena_grow(s->arena, s->procs, s->nr_procs, &s->cap_procs, sizeof *s->procs);
	proc = &s->procs[s->nr_procs++];
	proc->parent = ID_NONE;
	proc->shares_with = ID_NONE;
	proc->mm = ID_NONE;
	proc->cwd = ID_NONE;
	proc->root = ID_NONE;
	return proc;
}

struct snap_zombie *snap_add_zombie(struct snap *s)
{
	s->zombies = arena_grow(
		s->arena, s->zombies, s->nr_zombies, &s->cap_zombies, sizeof *s->zombies);
	s->zombies[s->nr_zombies].parent = ID_NONE;
	return &s->zombies[s->nr_zombies++];
}

struct snap_ofd *snap_add_ofd(struct snap *s)
{
	struct snap_ofd *ofd;

	s->ofds = arena_grow(s->arena, s->ofds, s->nr_ofds, &s->cap_ofds, sizeof *s->ofds);
	ofd = &s->ofds[s->nr_ofds];
	ofd->id = (uint32_t)s->nr_ofds++;
	ofd->inherited = -1;
	return ofd;
}
