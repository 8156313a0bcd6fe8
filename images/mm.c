/* Address spaces and their mappings. Part of the file "state". */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "images/aio.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

_Static_assert((int)VMA_AIO == (int)PB__VMA__KIND__AIO, "numbers of proto/mm.proto");

enum {
	AUXV_MAX = 256,     /* words; the kernel's own limit is about 50 */
	ANON_NAME_MAX = 79, /* ANON_VMA_NAME_MAX_LEN of the kernel, without the NUL */
	PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC,
	MCL_ALL = 7,
	PKEY_MAX = 15,
	DROPPABLE = 8,   /* MAP_DROPPABLE, Linux 6.11 */
	NODES_MAX = 128, /* MAX_NUMNODES bits */
};

/* What a recorded mapping may ask of mmap(2); the upper bits are the size of huge pages. */
#define MAP_KNOWN                                                                                  \
	(MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_HUGETLB |     \
		MAP_STACK | (UINT32_C(0x3f) << 26))

#define VSYSCALL_START UINT64_C(0xffffffffff600000)

/* ---- packing --------------------------------------------------------------------------------- */

static Pb__Vma *vma_pack(struct arena *arena, const struct snap_vma *vma)
{
	Pb__Vma *m = arena_alloc(arena, sizeof *m);

	pb__vma__init(m);
	PUT(m, start, vma->start);
	PUT(m, pages, (vma->end - vma->start) / PAGES_PAGE);
	PUT(m, kind, (Pb__Vma__Kind)vma->kind);
	PUT(m, prot, vma->prot);
	PUT(m, flags, vma->flags);
	PUT(m, vmflags, vma->vmflags);
	PUT(m, offset, vma->offset);
	PUT_ID(m, file, vma->file);
	PUT_ID(m, mem, vma->mem);
	PUT_ID(m, ofd, vma->ofd);
	PUT(m, file_writable, vma->file_writable);
	PUT_BYTES(m, ring, vma->ring, vma->nr_ring);
	PUT_TEXT(m, name, vma->name);
	PUT(m, pkey, vma->pkey);
	if (vma->mempolicy) {
		PUT(m, mempolicy, vma->mempolicy);
		PUT_BYTES(m, mempolicy_nodes, vma->mempolicy_nodes, vma->nr_mempolicy_nodes);
	}
	return m;
}

static void mm_pack_numbers(const struct snap_mm *mm, Pb__Mm *m)
{
	PUT(m, start_code, mm->start_code);
	PUT(m, end_code, mm->end_code);
	PUT(m, start_data, mm->start_data);
	PUT(m, end_data, mm->end_data);
	PUT(m, start_brk, mm->start_brk);
	PUT(m, brk, mm->brk);
	PUT(m, start_stack, mm->start_stack);
	PUT(m, arg_start, mm->arg_start);
	PUT(m, arg_end, mm->arg_end);
	PUT(m, env_start, mm->env_start);
	PUT(m, env_end, mm->env_end);
	PUT_ID(m, exe, mm->exe);
	PUT_ID(m, mem, mm->mem);
	PUT(m, thp_disabled, mm->thp_disabled != 0);
	PUT(m, thp_except_advised, (mm->thp_disabled & THP_EXCEPT_ADVISED) != 0);
	PUT(m, coredump_filter, mm->coredump_filter);
	PUT(m, mlockall, mm->mlockall);
	PUT(m, pages_aside, mm->pages_aside);
}

static Pb__Mm *mm_pack(struct arena *arena, const struct snap_mm *mm)
{
	Pb__Mm *m = arena_alloc(arena, sizeof *m);

	pb__mm__init(m);
	mm_pack_numbers(mm, m);
	m->n_auxv = mm->nr_auxv;
	m->auxv = mm->auxv;
	m->n_vmas = mm->nr_vmas;
	m->vmas = arena_array(arena, mm->nr_vmas, sizeof *m->vmas);
	for (size_t i = 0; i < mm->nr_vmas; i++)
		m->vmas[i] = vma_pack(arena, &mm->vmas[i]);
	m->n_guards = 2 * mm->nr_guards;
	m->guards = arena_array(arena, m->n_guards, sizeof *m->guards);
	for (size_t i = 0; i < mm->nr_guards; i++) {
		m->guards[2 * i] = mm->guards[i].start;
		m->guards[2 * i + 1] = mm->guards[i].end;
	}
	return m;
}

void mms_pack(const struct snap *snap, Pb__State *m)
{
	m->n_mms = snap->nr_mms;
	m->mms = arena_array(snap->arena, snap->nr_mms, sizeof *m->mms);
	for (size_t i = 0; i < snap->nr_mms; i++)
		m->mms[i] = mm_pack(snap->arena, &snap->mms[i]);
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static int vma_unpack(struct snap *snap, const Pb__Vma *m, struct snap_vma *vma, struct err *err)
{
	if (m->pages > (UINT64_MAX - m->start) / PAGES_PAGE)
		return BAD(err, "it ends behind the end of all addresses");
	vma->start = m->start;
	vma->end = m->start + m->pages * PAGES_PAGE;
	vma->kind = (enum snap_vma_kind)m->kind;
	vma->prot = m->prot;
	vma->flags = m->flags;
	vma->vmflags = m->vmflags;
	vma->offset = m->offset;
	vma->file = GET_ID(m, file);
	vma->mem = GET_ID(m, mem);
	vma->ofd = GET_ID(m, ofd);
	vma->file_writable = m->file_writable;
	vma->pkey = m->pkey;
	vma->mempolicy = m->mempolicy;
	vma->nr_mempolicy_nodes = m->mempolicy_nodes.len;
	vma->mempolicy_nodes = arena_copy(
		snap->arena, m->mempolicy_nodes.data, m->mempolicy_nodes.len);
	vma->nr_ring = m->ring.len;
	if (m->ring.len)
		vma->ring = arena_copy(snap->arena, m->ring.data, m->ring.len);
	return text_unpack(snap, m->has_name, &m->name, ANON_NAME_MAX, "name", &vma->name, err);
}

static void mm_unpack_numbers(const Pb__Mm *m, struct snap_mm *mm)
{
	mm->start_code = m->start_code;
	mm->end_code = m->end_code;
	mm->start_data = m->start_data;
	mm->end_data = m->end_data;
	mm->start_brk = m->start_brk;
	mm->brk = m->brk;
	mm->start_stack = m->start_stack;
	mm->arg_start = m->arg_start;
	mm->arg_end = m->arg_end;
	mm->env_start = m->env_start;
	mm->env_end = m->env_end;
	mm->exe = GET_ID(m, exe);
	mm->mem = GET_ID(m, mem);
	mm->thp_disabled = m->thp_disabled | (m->thp_except_advised ? THP_EXCEPT_ADVISED | 1 : 0);
	mm->coredump_filter = m->coredump_filter;
	mm->mlockall = m->mlockall;
	mm->pages_aside = m->pages_aside;
}

static int mm_unpack(struct snap *snap, const Pb__Mm *m, struct snap_mm *mm, struct err *err)
{
	mm_unpack_numbers(m, mm);
	mm->nr_auxv = m->n_auxv;
	mm->auxv = arena_copy(snap->arena, m->auxv, m->n_auxv * sizeof *m->auxv);
	mm->nr_vmas = m->n_vmas;
	mm->vmas = arena_array(snap->arena, m->n_vmas, sizeof *mm->vmas);
	for (size_t i = 0; i < m->n_vmas; i++)
		if (vma_unpack(snap, m->vmas[i], &mm->vmas[i], err) < 0)
			return err_wrap(err, "mapping %zu", i);
	if (m->n_guards % 2)
		return BAD(err, "a guard without an end");
	mm->nr_guards = m->n_guards / 2;
	mm->guards = arena_array(snap->arena, mm->nr_guards, sizeof *mm->guards);
	for (size_t i = 0; i < mm->nr_guards; i++) {
		mm->guards[i].start = m->guards[2 * i];
		mm->guards[i].end = m->guards[2 * i + 1];
	}
	return 0;
}

int mms_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	snap->nr_mms = snap->cap_mms = m->n_mms;
	snap->mms = arena_array(snap->arena, m->n_mms, sizeof *snap->mms);
	for (size_t i = 0; i < m->n_mms; i++)
		if (mm_unpack(snap, m->mms[i], &snap->mms[i], err) < 0)
			return err_wrap(err, "address space %zu", i);
	return 0;
}

/* ---- checking -------------------------------------------------------------------------------- */

bool mm_covers(const struct snap_mm *mm, uint64_t start, uint64_t end, size_t *at)
{
	size_t i = *at;

	while (i < mm->nr_vmas && mm->vmas[i].end <= start)
		i++;
	*at = i;
	while (i < mm->nr_vmas && mm->vmas[i].start <= start && mm->vmas[i].kind != VMA_VSYSCALL) {
		if (end <= mm->vmas[i].end)
			return true;
		start = mm->vmas[i++].end;
	}
	return false;
}

static int vma_check_place(const struct snap_vma *vma, uint64_t floor, struct err *err)
{
	if (vma->start % PAGES_PAGE || vma->end % PAGES_PAGE || vma->start >= vma->end)
		return BAD(err, "it is empty or not made of whole pages");
	if (vma->start < floor)
		return BAD(err, "it begins before the end of the one before it");
	if (vma->kind == VMA_VSYSCALL) {
		if (vma->start != VSYSCALL_START || vma->end != VSYSCALL_START + PAGES_PAGE)
			return BAD(err, "a vsyscall page at another place than the kernel's");
	} else if (vma->end > USER_END) {
		return BAD(err, "it ends behind the last user address");
	}
	if (vma->offset % PAGES_PAGE || vma->offset > INT64_MAX - (vma->end - vma->start))
		return BAD(err, "impossible offset %#llx", (unsigned long long)vma->offset);
	return 0;
}

/* Every kind names exactly the thing it is a piece of. */
static int vma_check_ids(const struct snap *snap, const struct snap_vma *vma, struct err *err)
{
	if ((vma->kind == VMA_FILE) != (vma->file != ID_NONE) ||
		(vma->kind == VMA_SHARED) != (vma->mem != ID_NONE) ||
		(vma->kind == VMA_FD) != (vma->ofd != ID_NONE))
		return BAD(err, "it refers to something that its kind has not, or lacks it");
	if (vma->kind == VMA_FILE && vma->file >= snap->nr_files)
		return BAD(err, "file %u does not exist", vma->file);
	if (vma->kind == VMA_SHARED && vma->mem >= snap->nr_mems)
		return BAD(err, "memory object %u does not exist", vma->mem);
	if (vma->kind == VMA_SHARED && snap->mems[vma->mem].kind == MEM_PRIVATE)
		return BAD(err, "memory object %u cannot be shared", vma->mem);
	if (vma->kind == VMA_FD && vma->ofd >= snap->nr_ofds)
		return BAD(err, "open file %u does not exist", vma->ofd);
	return 0;
}

static int vma_check_ring(const struct snap_vma *vma, struct err *err)
{
	const struct aio_head *head = (const struct aio_head *)(const void *)vma->ring;

	if (!vma->nr_ring)
		return 0;
	if (vma->kind != VMA_AIO || vma->nr_ring != vma->end - vma->start ||
		!aio_head_is_sound(head, vma->nr_ring))
		return BAD(err, "impossible ring of asynchronous I/O");
	return 0;
}

static int vma_check_flags(const struct snap_vma *vma, struct err *err)
{
	bool kernels = vma->kind == VMA_VDSO || vma->kind == VMA_VVAR || vma->kind == VMA_VSYSCALL;
	uint32_t type = vma->flags & MAP_TYPE;

	if (vma->prot & ~(uint32_t)PROT_ALL || vma->pkey > PKEY_MAX)
		return BAD(err, "impossible protection %#x, key %u", vma->prot, vma->pkey);
	if (vma->flags & ~(uint32_t)MAP_KNOWN)
		return BAD(err, "unknown flags %#x", vma->flags);
	if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE &&
		type != DROPPABLE && !(kernels && type == 0))
		return BAD(err, "flags %#x: neither private nor shared", vma->flags);
	if (vma->kind == VMA_ANON && type != MAP_PRIVATE && type != DROPPABLE)
		return BAD(err, "anonymous and shared without a memory object");
	if (vma->vmflags >= 2 * (uint64_t)VMF_SHARED)
		return BAD(err, "unknown VmFlags %#llx", (unsigned long long)vma->vmflags);
	if (vma->nr_mempolicy_nodes > NODES_MAX || vma->nr_mempolicy_nodes % 8)
		return BAD(err, "memory policy for %zu bytes of nodes", vma->nr_mempolicy_nodes);
	if (vma->name && strlen(vma->name) > ANON_NAME_MAX)
		return BAD(err, "name of %zu bytes", strlen(vma->name));
	return 0;
}

static int vma_check(
	const struct snap *snap, const struct snap_vma *vma, uint64_t floor, struct err *err)
{
	int ret;

	if ((unsigned)vma->kind > VMA_AIO)
		return BAD(err, "unknown kind %u", (unsigned)vma->kind);
	ret = vma_check_place(vma, floor, err);
	if (ret == 0)
		ret = vma_check_ids(snap, vma, err);
	if (ret == 0)
		ret = vma_check_ring(vma, err);
	if (ret == 0)
		ret = vma_check_flags(vma, err);
	return ret;
}

static int vmas_check(const struct snap *snap, const struct snap_mm *mm, struct err *err)
{
	uint64_t floor = 0;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];

		if (vma_check(snap, vma, floor, err) < 0)
			return err_wrap(err, "mapping %zu (%llx-%llx)", i,
				(unsigned long long)vma->start, (unsigned long long)vma->end);
		floor = vma->end;
	}
	return 0;
}

static int guards_check(const struct snap_mm *mm, struct err *err)
{
	uint64_t floor = 0;
	size_t at = 0;

	for (size_t i = 0; i < mm->nr_guards; i++) {
		const struct snap_range *guard = &mm->guards[i];

		if (guard->start % PAGES_PAGE || guard->end % PAGES_PAGE ||
			guard->start >= guard->end || guard->start < floor)
			return BAD(err, "guard %zu: empty, not made of whole pages or out of order",
				i);
		if (!mm_covers(mm, guard->start, guard->end, &at))
			return BAD(err, "guard %zu: outside of all mappings", i);
		floor = guard->end;
	}
	return 0;
}

/* The order that PR_SET_MM_MAP asks for (prctl_set_mm, validate_prctl_map_addr of the kernel). */
static int mm_check_numbers(const struct snap_mm *mm, struct err *err)
{
	const uint64_t pairs[][2] = {
		{ mm->start_code, mm->end_code },
		{ mm->start_data, mm->end_data },
		{ mm->start_brk, mm->brk },
		{ mm->arg_start, mm->arg_end },
		{ mm->env_start, mm->env_end },
		{ 0, mm->start_stack },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (pairs[i][0] > pairs[i][1] || pairs[i][1] >= USER_END)
			return BAD(err,
				"impossible bounds of code, data, brk, stack, args or environment");
	if (mm->nr_auxv < 2 || mm->nr_auxv > AUXV_MAX || mm->nr_auxv % 2 ||
		mm->auxv[mm->nr_auxv - 2] != 0)
		return BAD(err, "auxv of %zu words without AT_NULL at its end", mm->nr_auxv);
	if (mm->mlockall > MCL_ALL)
		return BAD(err, "impossible mlockall %#x", mm->mlockall);
	return 0;
}

static int mm_check(const struct snap *snap, const struct snap_mm *mm, struct err *err)
{
	int ret = mm_check_numbers(mm, err);

	if (ret < 0)
		return ret;
	if (mm->exe >= snap->nr_files || !S_ISREG(snap->files[mm->exe].mode))
		return BAD(err, "its executable is not a file of this image");
	if (mm->mem >= snap->nr_mems || snap->mems[mm->mem].kind != MEM_PRIVATE)
		return BAD(err, "its private pages are not a memory object of this image");
	ret = vmas_check(snap, mm, err);
	return ret < 0 ? ret : guards_check(mm, err);
}

/* Two address spaces cannot have the same private pages. */
static int mms_check_mems(const struct snap *snap, struct err *err)
{
	bool *taken = arena_array(snap->arena, snap->nr_mems, sizeof *taken);

	for (size_t i = 0; i < snap->nr_mms; i++) {
		uint32_t mem = snap->mms[i].mem;

		if (taken[mem])
			return BAD(err, "address space %zu: private pages of another one", i);
		taken[mem] = true;
	}
	return 0;
}

int mms_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_mms; i++)
		if (mm_check(snap, &snap->mms[i], err) < 0)
			return err_wrap(err, "address space %zu", i);
	return mms_check_mems(snap, err);
}
