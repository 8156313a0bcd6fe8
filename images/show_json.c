/*
 * `snapctl show --json`: one object with stable names. Addresses, masks and ids of 64 bits are
 * texts in hexadecimal, since many readers of JSON keep numbers as doubles; sizes and counts are
 * numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/sysmacros.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kind.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "images/show.h"

/* ---- small words: every add_... puts one member into an object ------------------------------- */

static void add_text(struct json_object *o, const char *key, const char *text, struct arena *a)
{
	json_object_object_add(o, key, text ? json_object_new_string(show_utf8(a, text)) : NULL);
}

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_signed(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

static void add_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

static void add_hex(struct json_object *o, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "0x%" PRIx64, value);
	json_object_object_add(o, key, json_object_new_string(text));
}

static void add_id(struct json_object *o, const char *key, uint32_t id)
{
	json_object_object_add(o, key, id == ID_NONE ? NULL : json_object_new_uint64(id));
}

static struct json_object *add_array(struct json_object *o, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(o, key, array);
	return array;
}

static struct json_object *append_object(struct json_object *array)
{
	struct json_object *o = json_object_new_object();

	json_object_array_add(array, o);
	return o;
}

static void add_texts(
	struct json_object *o, const char *key, char *const *texts, size_t nr, struct arena *a)
{
	struct json_object *array = add_array(o, key);

	for (size_t i = 0; i < nr; i++)
		json_object_array_add(array, json_object_new_string(show_utf8(a, texts[i])));
}

/* ---- the parts ------------------------------------------------------------------------------- */

static void json_info(struct json_object *o, const struct image *img, struct arena *a)
{
	const struct snap_info *info = &img->snap->info;

	add_text(o, "image", img->path, a);
	add_text(o, "id", show_id(a, info), a);
	add_text(o, "snapctl_version", info->snapctl_version, a);
	add_text(o, "created", show_time(a, info->created), a);
	add_number(o, "created_ns", info->created);
	add_text(o, "hostname", info->hostname, a);
	add_text(o, "kernel_release", info->kernel_release, a);
	add_number(o, "uid", info->uid);
	add_bool(o, "launched", info->launched);
	add_texts(o, "argv", info->argv, info->nr_argv, a);
	add_text(o, "reason", info->reason, a);
	add_text(o, "listens", info->listens, a);
}

static void json_cpu(struct json_object *o, const struct snap_cpu *cpu, struct arena *a)
{
	struct json_object *out = json_object_new_object();

	json_object_object_add(o, "cpu", out);
	add_text(out, "vendor", cpu->vendor, a);
	add_text(out, "model", cpu->model, a);
	add_hex(out, "xcr0", cpu->xcr0);
	add_number(out, "xstate_size", cpu->xstate_size);
	add_texts(out, "features", cpu->features, cpu->nr_features, a);
}

static void json_threads(struct json_object *o, const struct snap_proc *proc, struct arena *a)
{
	struct json_object *array = add_array(o, "threads");

	for (size_t i = 0; i < proc->nr_tasks; i++) {
		const struct snap_task *task = &proc->tasks[i];
		struct json_object *out = append_object(array);

		add_signed(out, "tid", task->tid);
		add_text(out, "name", task->comm, a);
		add_signed(out, "waiting_nr", task->waiting_nr);
		add_text(out, "waiting_in", task->waiting_in, a);
		add_hex(out, "rip", task->regs.rip);
		add_hex(out, "rsp", task->regs.rsp);
		add_hex(out, "sigmask", task->sigmask);
		add_number(out, "pending_signals", task->nr_pending);
		add_number(out, "uid", task->creds.euid);
		add_number(out, "gid", task->creds.egid);
	}
}

static void json_mappings(
	struct json_object *o, const struct snap *snap, const struct snap_mm *mm, struct arena *a)
{
	struct json_object *array = add_array(o, "mappings");

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];
		const struct snap_file *file = vma->kind == VMA_FILE ? &snap->files[vma->file]
								     : NULL;
		struct json_object *out = append_object(array);
		char perms[5];

		show_perms(vma, perms);
		add_hex(out, "start", vma->start);
		add_hex(out, "end", vma->end);
		add_text(out, "perms", perms, a);
		add_number(out, "offset", vma->offset);
		add_text(out, "dev",
			arena_printf(a, "%02x:%02x", file ? major(file->dev) : 0,
				file ? minor(file->dev) : 0),
			a);
		add_number(out, "inode", file ? file->ino : 0);
		add_text(out, "name", show_vma_name(a, snap, mm, i), a);
		add_text(out, "kind", show_vma_kind(vma->kind), a);
		add_id(out, "memory", vma->mem);
	}
}

static void json_fds(struct json_object *o, const struct snap_proc *proc)
{
	struct json_object *array = add_array(o, "descriptors");

	for (size_t i = 0; i < proc->nr_fds; i++) {
		struct json_object *out = append_object(array);

		add_number(out, "fd", proc->fds[i].num);
		add_number(out, "open_file", proc->fds[i].ofd);
		add_bool(out, "cloexec", proc->fds[i].cloexec);
	}
}

static void json_processes(struct json_object *o, const struct snap *snap, struct arena *a)
{
	struct json_object *array = add_array(o, "processes");

	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];
		const struct snap_mm *mm = &snap->mms[proc->mm];
		struct json_object *out = append_object(array);

		add_signed(out, "pid", proc->pid);
		add_signed(out, "ppid", proc->ppid);
		add_signed(out, "pgid", proc->pgid);
		add_signed(out, "sid", proc->sid);
		add_bool(out, "stopped", proc->stop == PROC_STOPPED);
		add_text(out, "executable", snap->files[mm->exe].path, a);
		add_text(out, "cwd", snap->files[proc->cwd].path, a);
		add_id(out, "memory", mm->mem);
		json_threads(out, proc, a);
		json_mappings(out, snap, mm, a);
		json_fds(out, proc);
	}
}

static void json_open_files(struct json_object *o, const struct snap *snap, struct arena *a)
{
	struct json_object *array = add_array(o, "open_files");

	for (size_t i = 0; i < snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &snap->ofds[i];
		struct json_object *out = append_object(array);

		add_number(out, "id", ofd->id);
		add_text(out, "kind", ofd->kind ? ofd->kind->name : NULL, a);
		add_text(out, "flags", show_flags(a, ofd->flags), a);
		add_number(out, "offset", ofd->offset);
		add_text(out, "label", ofd->label, a);
		add_text(out, "detail", show_detail(a, snap, ofd), a);
		add_id(out, "inherited", ofd->inherited < 0 ? ID_NONE : (uint32_t)ofd->inherited);
		add_number(out, "locks", ofd->nr_locks);
	}
}

static void json_files(struct json_object *o, const struct snap *snap, struct arena *a)
{
	struct json_object *array = add_array(o, "files");

	for (size_t i = 0; i < snap->nr_files; i++) {
		const struct snap_file *file = &snap->files[i];
		struct json_object *out = append_object(array);

		add_text(out, "path", file->path, a);
		add_text(out, "dev",
			arena_printf(a, "%02x:%02x", major(file->dev), minor(file->dev)), a);
		add_number(out, "inode", file->ino);
		add_number(out, "mode", file->mode);
		add_number(out, "size", file->size);
		add_signed(out, "mtime", file->mtime.tv_sec);
		add_bool(out, "deleted", file->deleted);
		add_id(out, "memory", file->mem);
	}
}

static void json_memory(struct json_object *o, const struct image *img, struct arena *a)
{
	struct json_object *memory = json_object_new_object();
	struct json_object *array = add_array(memory, "objects");
	uint64_t all = 0;

	for (size_t i = 0; i < img->snap->nr_mems; i++) {
		const struct snap_mem *mem = &img->snap->mems[i];
		uint64_t pages = show_mem_pages(&img->index, (uint32_t)i);
		struct json_object *out = append_object(array);

		add_text(out, "kind", show_mem_kind(mem->kind), a);
		add_text(out, "name", mem->name, a);
		add_number(out, "size", mem->size);
		add_number(out, "pages", pages);
		all += pages;
	}
	add_number(memory, "pages", all);
	add_number(memory, "bytes", all * PAGES_PAGE);
	add_number(memory, "stored_bytes", img->index.file_size);
	add_number(memory, "frames", img->index.nr_frames);
	json_object_object_add(o, "memory", memory);
}

int show_json_print(struct json_object *o, FILE *out, struct err *err)
{
	const char *text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(o);
	return text ? 0 : err_nomem(err);
}

int show_json(const struct image *img, struct arena *arena, FILE *out, struct err *err)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return err_nomem(err);
	json_info(o, img, arena);
	json_cpu(o, &img->snap->cpu, arena);
	json_processes(o, img->snap, arena);
	json_open_files(o, img->snap, arena);
	json_files(o, img->snap, arena);
	json_memory(o, img, arena);
	return show_json_print(o, out, err);
}
