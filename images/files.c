/* Files and memory objects. Part of the file "state". */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/text.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

_Static_assert(
	(int)MEM_SHARED_HUGE == (int)PB__MEM__KIND__SHARED_HUGE, "numbers of proto/files.proto");

enum {
	NAME_LEN_MAX = 255,
	SEALS_MAX = 0x3f,
	HANDLE_MAX = 128 /* MAX_HANDLE_SZ */,
	VALUE_MAX = 65536 /* XATTR_SIZE_MAX */
};

static void attributes_pack(struct arena *arena, const struct snap_file *file, Pb__File *f)
{
	f->n_attributes = file->nr_attributes;
	f->attributes = arena_array(arena, file->nr_attributes, sizeof *f->attributes);
	for (size_t i = 0; i < file->nr_attributes; i++) {
		const struct snap_attribute *a = &file->attributes[i];
		Pb__FileAttribute *m = f->attributes[i] = arena_alloc(arena, sizeof *m);

		pb__file_attribute__init(m);
		PUT_TEXT(m, name, a->name);
		PUT_BYTES(m, value, a->value, a->len);
	}
}

void files_pack(const struct snap *snap, Pb__State *m)
{
	m->n_files = snap->nr_files;
	m->files = arena_array(snap->arena, snap->nr_files, sizeof *m->files);
	for (size_t i = 0; i < snap->nr_files; i++) {
		const struct snap_file *file = &snap->files[i];
		Pb__File *f = m->files[i] = arena_alloc(snap->arena, sizeof *f);

		pb__file__init(f);
		PUT_TEXT(f, path, file->path);
		PUT(f, dev, file->dev);
		PUT(f, ino, file->ino);
		PUT(f, mode, file->mode);
		PUT(f, size, file->size);
		PUT(f, mtime_sec, file->mtime.tv_sec);
		PUT(f, mtime_nsec, (uint32_t)file->mtime.tv_nsec);
		PUT_BYTES(f, build_id, file->build_id, file->nr_build_id);
		PUT(f, deleted, file->deleted);
		PUT_ID(f, mem, file->mem);
		PUT(f, uid, file->uid);
		PUT(f, gid, file->gid);
		PUT_BYTES(f, handle, file->handle, file->nr_handle);
		PUT(f, handle_type, file->handle_type);
		PUT(f, mapped_flock, file->mapped_flock);
		attributes_pack(snap->arena, file, f);
	}
}

bool snap_attribute_travels(const char *name)
{
	return text_starts(name, "user.") || !strcmp(name, "system.posix_acl_access");
}

static int attributes_unpack(
	struct snap *snap, const Pb__File *m, struct snap_file *file, struct err *err)
{
	file->nr_attributes = m->n_attributes;
	file->attributes = arena_array(snap->arena, m->n_attributes, sizeof *file->attributes);
	for (size_t i = 0; i < m->n_attributes; i++) {
		const Pb__FileAttribute *a = m->attributes[i];
		struct snap_attribute *out = &file->attributes[i];

		if (text_unpack(
			    snap, a->has_name, &a->name, NAME_LEN_MAX, "name", &out->name, err) < 0)
			return -err->code;
		if (!out->name || !snap_attribute_travels(out->name) || a->value.len > VALUE_MAX)
			return BAD(err, "impossible attribute");
		out->value = arena_copy(snap->arena, a->value.data, a->value.len);
		out->len = a->value.len;
	}
	return 0;
}

static int file_unpack(
	struct snap *snap, const Pb__File *m, struct snap_file *file, struct err *err)
{
	int ret = text_unpack(snap, m->has_path, &m->path, PATH_MAX - 1, "path", &file->path, err);

	if (ret < 0)
		return ret;
	if (m->build_id.len > sizeof file->build_id)
		return BAD(err, "build-id of %zu bytes", m->build_id.len);
	if (m->build_id.len)
		memcpy(file->build_id, m->build_id.data, m->build_id.len);
	file->nr_build_id = (uint32_t)m->build_id.len;
	file->dev = m->dev;
	file->ino = m->ino;
	file->mode = m->mode;
	file->size = m->size;
	file->mtime.tv_sec = m->mtime_sec;
	file->mtime.tv_nsec = m->mtime_nsec;
	file->deleted = m->deleted;
	file->mem = GET_ID(m, mem);
	file->uid = m->uid;
	file->gid = m->gid;
	if (m->handle.len > HANDLE_MAX)
		return BAD(err, "file handle of %zu bytes", m->handle.len);
	file->handle = arena_copy(snap->arena, m->handle.data, m->handle.len);
	file->nr_handle = (uint32_t)m->handle.len;
	file->handle_type = m->handle_type;
	if (m->mapped_flock > LOCK_EX)
		return BAD(err, "impossible lock");
	file->mapped_flock = m->mapped_flock;
	return attributes_unpack(snap, m, file, err);
}

int files_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_files = snap->cap_files = m->n_files;
	snap->files = arena_array(snap->arena, m->n_files, sizeof *snap->files);
	for (size_t i = 0; i < m->n_files; i++)
		if (file_unpack(snap, m->files[i], &snap->files[i], err) < 0)
			return err_wrap(err, "file %zu", i);
	return 0;
}

static int file_check(const struct snap *snap, const struct snap_file *file, struct err *err)
{
	if (!file->path || file->path[0] != '/' || strlen(file->path) >= PATH_MAX)
		return BAD(err, "no absolute path");
	if (file->mode > 0177777 || !(file->mode & S_IFMT))
		return BAD(err, "%s: impossible mode %#o", file->path, file->mode);
	if (file->nr_handle && (!file->deleted || !(S_ISREG(file->mode) || S_ISFIFO(file->mode))))
		return BAD(err, "%s: a handle, but it is no deleted file", file->path);
	if (file->mtime.tv_nsec < 0 || file->mtime.tv_nsec > 999999999)
		return BAD(err, "%s: impossible time", file->path);
	if (file->nr_build_id > sizeof file->build_id)
		return BAD(err, "%s: build-id of %u bytes", file->path, file->nr_build_id);
	if (file->mem == ID_NONE)
		return 0;
	if (file->mem >= snap->nr_mems)
		return BAD(err, "%s: memory object %u does not exist", file->path, file->mem);
	if (snap->mems[file->mem].kind == MEM_PRIVATE)
		return BAD(err, "%s: its contents are those of an address space", file->path);
	return 0;
}

int files_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_files; i++)
		if (file_check(snap, &snap->files[i], err) < 0)
			return err_wrap(err, "file %zu", i);
	return 0;
}

void mems_pack(const struct snap *snap, Pb__State *m)
{
	m->n_mems = snap->nr_mems;
	m->mems = arena_array(snap->arena, snap->nr_mems, sizeof *m->mems);
	for (size_t i = 0; i < snap->nr_mems; i++) {
		const struct snap_mem *mem = &snap->mems[i];
		Pb__Mem *out = m->mems[i] = arena_alloc(snap->arena, sizeof *out);

		pb__mem__init(out);
		PUT(out, kind, (Pb__Mem__Kind)mem->kind);
		PUT(out, size, mem->size);
		PUT_TEXT(out, name, mem->name);
		PUT(out, memfd_flags, mem->memfd_flags);
		PUT(out, seals, mem->seals);
		PUT(out, mode, mem->mode);
		PUT(out, sysv_id, mem->sysv_id);
		PUT(out, sysv_key, mem->sysv_key);
		PUT_ID(out, uid, mem->uid);
		PUT_ID(out, gid, mem->gid);
	}
}

static int mem_unpack(struct snap *snap, const Pb__Mem *m, struct snap_mem *mem, struct err *err)
{
	mem->kind = (enum snap_mem_kind)m->kind;
	mem->size = m->size;
	mem->memfd_flags = m->memfd_flags;
	mem->seals = m->seals;
	mem->mode = m->mode;
	mem->sysv_id = m->sysv_id;
	mem->sysv_key = m->sysv_key;
	mem->uid = GET_ID(m, uid);
	mem->gid = GET_ID(m, gid);
	return text_unpack(snap, m->has_name, &m->name, NAME_LEN_MAX, "name", &mem->name, err);
}

int mems_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_mems = snap->cap_mems = m->n_mems;
	snap->mems = arena_array(snap->arena, m->n_mems, sizeof *snap->mems);
	for (size_t i = 0; i < m->n_mems; i++)
		if (mem_unpack(snap, m->mems[i], &snap->mems[i], err) < 0)
			return err_wrap(err, "memory object %zu", i);
	return 0;
}

static int mem_check(const struct snap_mem *mem, struct err *err)
{
	if ((unsigned)mem->kind > MEM_SHARED_HUGE)
		return BAD(err, "unknown kind %u", (unsigned)mem->kind);
	if (mem->size > INT64_MAX - PAGES_PAGE || (mem->kind == MEM_PRIVATE && mem->size))
		return BAD(err, "impossible size %llu", (unsigned long long)mem->size);
	if (mem->name && strlen(mem->name) > NAME_LEN_MAX)
		return BAD(err, "name of %zu bytes", strlen(mem->name));
	if (mem->mode > 07777 || mem->seals > SEALS_MAX)
		return BAD(err, "impossible mode %#o or seals %#x", mem->mode, mem->seals);
	return 0;
}

int mems_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_mems; i++)
		if (mem_check(&snap->mems[i], err) < 0)
			return err_wrap(err, "memory object %zu", i);
	return 0;
}
