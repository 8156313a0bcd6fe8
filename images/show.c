/* `snapctl show`: what is in an image, in tables for people. The same as JSON is in show_json.c. */
#include "images/show.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/kind.h"
#include "images/image.h"
#include "images/table.h"

struct show {
	const struct image *img;
	const struct snap *snap;
	struct arena *arena; /* texts, only for this command */
	FILE *out;
};

static void show_header(const struct show *s)
{
	const struct snap_info *info = &s->snap->info;
	struct arena *a = s->arena;

	fprintf(s->out, "%s:", show_clean(a, s->img->path));
	for (size_t i = 0; i < info->nr_argv; i++)
		fprintf(s->out, " %s", show_clean(a, info->argv[i]));
	fprintf(s->out, "\n  dumped   %s by user %u with snapctl %s, %s\n",
		show_time(a, info->created), info->uid, show_clean(a, info->snapctl_version),
		info->launched ? "which launched it" : "while it was running");
	fprintf(s->out, "  host     %s, Linux %s, %s\n", show_clean(a, info->hostname),
		show_clean(a, info->kernel_release), show_clean(a, s->snap->cpu.model));
	if (info->reason)
		fprintf(s->out, "  reason   %s\n", show_clean(a, info->reason));
	if (info->listens)
		fprintf(s->out, "  listens  %s\n", show_clean(a, info->listens));
	fprintf(s->out, "  id       %s\n", show_id(a, info));
}

static void show_processes(const struct show *s)
{
	static const char *const titles[] = { ">PID", ">PPID", ">PGID", ">SID", ">THREADS", ">FDS",
		"STATE", "EXECUTABLE", NULL };
	struct table t;

	table_init(&t, s->arena, titles);
	for (size_t i = 0; i < s->snap->nr_procs; i++) {
		const struct snap_proc *proc = &s->snap->procs[i];
		const struct snap_mm *mm = &s->snap->mms[proc->mm];
		const char **row = table_row(&t);

		row[0] = arena_printf(s->arena, "%d", proc->pid);
		row[1] = arena_printf(s->arena, "%d", proc->ppid);
		row[2] = arena_printf(s->arena, "%d", proc->pgid);
		row[3] = arena_printf(s->arena, "%d", proc->sid);
		row[4] = arena_printf(s->arena, "%zu", proc->nr_tasks);
		row[5] = arena_printf(s->arena, "%zu", proc->nr_fds);
		row[6] = proc->stop == PROC_STOPPED ? "stopped" : "running";
		row[7] = show_clean(s->arena, s->snap->files[mm->exe].path);
	}
	fputs("\nprocesses\n", s->out);
	table_print(&t, s->out);
}

static void show_threads(const struct show *s)
{
	static const char *const titles[] = { ">PID", ">TID", "NAME", "WAITS IN", NULL };
	struct table t;

	table_init(&t, s->arena, titles);
	for (size_t i = 0; i < s->snap->nr_procs; i++) {
		const struct snap_proc *proc = &s->snap->procs[i];

		for (size_t j = 0; j < proc->nr_tasks; j++) {
			const struct snap_task *task = &proc->tasks[j];
			const char **row = table_row(&t);

			row[0] = arena_printf(s->arena, "%d", proc->pid);
			row[1] = arena_printf(s->arena, "%d", task->tid);
			row[2] = show_clean(s->arena, task->comm);
			row[3] = task->waiting_in ? show_clean(s->arena, task->waiting_in) : "-";
		}
	}
	fputs("\nthreads\n", s->out);
	table_print(&t, s->out);
}

/* A line of /proc/PID/maps: the kernel puts names at the 73rd column (show_map_vma, seq_pad). */
static void show_mapping(const struct show *s, const struct snap_mm *mm, size_t index)
{
	const struct snap_vma *vma = &mm->vmas[index];
	const struct snap_file *file = vma->kind == VMA_FILE ? &s->snap->files[vma->file] : NULL;
	const char *name = show_clean(s->arena, show_vma_name(s->arena, s->snap, mm, index));
	char perms[5];
	int len;

	show_perms(vma, perms);
	len = fprintf(s->out, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " %02x:%02x %" PRIu64 " ",
		vma->start, vma->end, perms, vma->offset, file ? major(file->dev) : 0,
		file ? minor(file->dev) : 0, file ? file->ino : 0);
	if (*name)
		fprintf(s->out, "%*s%s", len < 73 ? 73 - len : 0, "", name);
	fputc('\n', s->out);
}

static void show_mappings(const struct show *s)
{
	for (size_t i = 0; i < s->snap->nr_procs; i++) {
		const struct snap_mm *mm = &s->snap->mms[s->snap->procs[i].mm];

		fprintf(s->out, "\nmappings of process %d\n", s->snap->procs[i].pid);
		for (size_t j = 0; j < mm->nr_vmas; j++)
			show_mapping(s, mm, j);
	}
}

static const char *fd_words(const struct show *s, const struct snap_ofd *ofd)
{
	const char *label = show_clean(s->arena, ofd->label);
	const char *detail = show_clean(s->arena, show_detail(s->arena, s->snap, ofd));
	const char *sep = *label && *detail ? ", " : "";

	/* Many kinds begin with what the label says. */
	if (text_starts(detail, label))
		label = sep = "";

	if (ofd->inherited < 0)
		return arena_printf(s->arena, "%s%s%s", label, sep, detail);
	return arena_printf(s->arena, "%s%s%s (descriptor %d of whoever restores)", label, sep,
		detail, ofd->inherited);
}

static void show_fds(const struct show *s, const struct snap_proc *proc)
{
	static const char *const titles[] = { ">FD", ">OPEN FILE", "KIND", "FLAGS", "WHAT", NULL };
	struct table t;

	table_init(&t, s->arena, titles);
	for (size_t i = 0; i < proc->nr_fds; i++) {
		const struct snap_fd *fd = &proc->fds[i];
		const struct snap_ofd *ofd = &s->snap->ofds[fd->ofd];
		const char **row = table_row(&t);

		row[0] = arena_printf(s->arena, "%u", fd->num);
		row[1] = arena_printf(s->arena, "%u", fd->ofd);
		row[2] = ofd->kind ? ofd->kind->name : "-";
		row[3] = arena_printf(s->arena, "%s%s", show_flags(s->arena, ofd->flags),
			fd->cloexec ? " cloexec" : "");
		row[4] = fd_words(s, ofd);
	}
	fprintf(s->out, "\ndescriptors of process %d\n", proc->pid);
	table_print(&t, s->out);
}

static void show_memory(const struct show *s)
{
	static const char *const titles[] = { ">OBJECT", "KIND", "NAME", ">SIZE", ">STORED", NULL };
	const struct page_index *index = &s->img->index;
	uint64_t all = 0;
	struct table t;

	table_init(&t, s->arena, titles);
	for (size_t i = 0; i < s->snap->nr_mems; i++) {
		const struct snap_mem *mem = &s->snap->mems[i];
		uint64_t pages = show_mem_pages(index, (uint32_t)i);
		const char **row = table_row(&t);

		row[0] = arena_printf(s->arena, "%zu", i);
		row[1] = show_mem_kind(mem->kind);
		row[2] = show_clean(s->arena, mem->name);
		row[3] = mem->kind == MEM_PRIVATE ? "" : show_size(s->arena, mem->size);
		row[4] = show_size(s->arena, pages * PAGES_PAGE);
		all += pages;
	}
	fputs("\nmemory\n", s->out);
	table_print(&t, s->out);
	fprintf(s->out, "%" PRIu64 " pages, %s, stored as %s in %zu frames\n", all,
		show_size(s->arena, all * PAGES_PAGE), show_size(s->arena, index->file_size),
		index->nr_frames);
}

static void show_tables(const struct show *s)
{
	show_header(s);
	show_processes(s);
	show_threads(s);
	show_mappings(s);
	for (size_t i = 0; i < s->snap->nr_procs; i++)
		show_fds(s, &s->snap->procs[i]);
	show_memory(s);
}

int image_show(const struct image *img, bool json, FILE *out, struct err *err)
{
	struct arena *arena = arena_create();
	struct show s = { .img = img, .snap = img->snap, .arena = arena, .out = out };
	int ret = 0;

	if (json)
		ret = show_json(img, arena, out, err);
	else
		show_tables(&s);
	arena_destroy(arena);
	if (ret == 0 && (fflush(out) != 0 || ferror(out)))
		ret = err_sys(err, "write the description");
	return ret;
}
