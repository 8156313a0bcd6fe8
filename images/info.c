/* What an image says about its origin: info, cpu, vdso. Part of the file "state". */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/xstate.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

enum { TEXT_MAX = 4096, ARG_MAX_LEN = 128 * 1024, VDSO_MAX = 1024 * 1024 };

static ProtobufCBinaryData *texts_pack(const struct snap *snap, char *const *texts, size_t nr)
{
	ProtobufCBinaryData *out = arena_array(snap->arena, nr, sizeof *out);

	for (size_t i = 0; i < nr; i++)
		out[i] = pb_text(texts[i]);
	return out;
}

static Pb__Info *info_message(const struct snap *snap)
{
	const struct snap_info *info = &snap->info;
	Pb__Info *m = arena_alloc(snap->arena, sizeof *m);

	pb__info__init(m);
	m->snapctl_version = info->snapctl_version;
	PUT_TEXT(m, kernel_release, info->kernel_release);
	PUT_TEXT(m, hostname, info->hostname);
	PUT(m, created, info->created);
	PUT(m, monotonic, info->monotonic);
	PUT(m, boottime, info->boottime);
	m->n_argv = info->nr_argv;
	m->argv = texts_pack(snap, info->argv, info->nr_argv);
	PUT(m, launched, info->launched);
	PUT_TEXT(m, reason, info->reason);
	PUT_TEXT(m, listens, info->listens);
	PUT(m, uid, info->uid);
	PUT_BYTES(m, id, info->id, sizeof info->id);
	return m;
}

static void xstate_parts_pack(const struct snap *snap, Pb__Cpu *m)
{
	const struct snap_cpu *cpu = &snap->cpu;

	m->n_xstate_parts = cpu->nr_xstate_parts;
	m->xstate_parts = arena_array(snap->arena, cpu->nr_xstate_parts, sizeof *m->xstate_parts);
	for (size_t i = 0; i < cpu->nr_xstate_parts; i++) {
		Pb__XstatePart *part = arena_alloc(snap->arena, sizeof *part);

		pb__xstate_part__init(part);
		PUT(part, nr, cpu->xstate_parts[i].nr);
		PUT(part, offset, cpu->xstate_parts[i].offset);
		PUT(part, size, cpu->xstate_parts[i].size);
		m->xstate_parts[i] = part;
	}
}

void info_pack(const struct snap *snap, Pb__State *m)
{
	m->info = info_message(snap);

	m->cpu = arena_alloc(snap->arena, sizeof *m->cpu);
	pb__cpu__init(m->cpu);
	PUT_TEXT(m->cpu, vendor, snap->cpu.vendor);
	PUT_TEXT(m->cpu, model, snap->cpu.model);
	m->cpu->n_features = snap->cpu.nr_features;
	m->cpu->features = texts_pack(snap, snap->cpu.features, snap->cpu.nr_features);
	PUT(m->cpu, xcr0, snap->cpu.xcr0);
	PUT(m->cpu, xstate_size, snap->cpu.xstate_size);
	xstate_parts_pack(snap, m->cpu);

	m->vdso = arena_alloc(snap->arena, sizeof *m->vdso);
	pb__vdso__init(m->vdso);
	PUT(m->vdso, start, snap->vdso.start);
	PUT_BYTES(m->vdso, code, snap->vdso.code, snap->vdso.nr_code);
}

/* A text of info or cpu, where only the length can be wrong. */
#define TEXT(snap, m, field, out, err)                                                             \
	text_unpack(snap, (m)->has_##field, &(m)->field, TEXT_MAX, #field, out, err)

static int origin_unpack(struct snap *snap, const Pb__Info *m, struct err *err)
{
	struct snap_info *info = &snap->info;
	int ret;

	if ((ret = TEXT(snap, m, kernel_release, &info->kernel_release, err)) < 0 ||
		(ret = TEXT(snap, m, hostname, &info->hostname, err)) < 0 ||
		(ret = TEXT(snap, m, reason, &info->reason, err)) < 0 ||
		(ret = TEXT(snap, m, listens, &info->listens, err)) < 0 ||
		(ret = texts_unpack(
			 snap, m->argv, m->n_argv, ARG_MAX_LEN, "argv", &info->argv, err)) < 0)
		return ret;
	if (m->snapctl_version)
		info->snapctl_version = arena_strdup(snap->arena, m->snapctl_version);
	info->nr_argv = m->n_argv;
	info->created = m->created;
	info->monotonic = m->monotonic;
	info->boottime = m->boottime;
	info->launched = m->launched;
	info->uid = m->uid;
	if (m->id.len != sizeof info->id)
		return BAD(err, "info: id of %zu bytes, not 16", m->id.len);
	memcpy(info->id, m->id.data, sizeof info->id);
	return 0;
}

static void xstate_parts_unpack(struct snap *snap, const Pb__Cpu *m)
{
	struct snap_cpu *cpu = &snap->cpu;

	cpu->nr_xstate_parts = m->n_xstate_parts;
	cpu->xstate_parts = arena_array(snap->arena, m->n_xstate_parts, sizeof *cpu->xstate_parts);
	for (size_t i = 0; i < m->n_xstate_parts; i++)
		cpu->xstate_parts[i] = (struct xstate_part){ m->xstate_parts[i]->nr,
			m->xstate_parts[i]->offset, m->xstate_parts[i]->size };
}

static int cpu_unpack(struct snap *snap, const Pb__Cpu *m, struct err *err)
{
	struct snap_cpu *cpu = &snap->cpu;
	int ret;

	if ((ret = TEXT(snap, m, vendor, &cpu->vendor, err)) < 0 ||
		(ret = TEXT(snap, m, model, &cpu->model, err)) < 0 ||
		(ret = texts_unpack(snap, m->features, m->n_features, TEXT_MAX, "feature",
			 &cpu->features, err)) < 0)
		return ret;
	cpu->nr_features = m->n_features;
	cpu->xcr0 = m->xcr0;
	cpu->xstate_size = m->xstate_size;
	xstate_parts_unpack(snap, m);
	return 0;
}

static void vdso_unpack(struct snap *snap, const Pb__Vdso *m)
{
	snap->vdso.start = m->start;
	snap->vdso.code = arena_copy(snap->arena, m->code.data, m->code.len);
	snap->vdso.nr_code = m->code.len;
}

int info_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	int ret;

	if (!m->info || !m->cpu || !m->vdso)
		return BAD(err, "no %s", !m->info ? "info" : !m->cpu ? "cpu" : "vdso");
	ret = origin_unpack(snap, m->info, err);
	if (ret == 0)
		ret = cpu_unpack(snap, m->cpu, err);
	if (ret == 0)
		vdso_unpack(snap, m->vdso);
	return ret;
}

/* All of xcr0 but x87 and SSE, each once and inside. */
static int xstate_parts_check(const struct snap_cpu *cpu, struct err *err)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < cpu->nr_xstate_parts; i++) {
		const struct xstate_part *part = &cpu->xstate_parts[i];

		if (part->nr < 2 || part->nr >= XSTATE_PARTS_MAX || seen >> part->nr ||
			part->offset < XSTATE_FIRST_PART || part->offset > cpu->xstate_size ||
			part->size > cpu->xstate_size - part->offset)
			return BAD(err, "cpu: impossible xstate part %u at %u", part->nr,
				part->offset);
		seen |= (uint64_t)1 << part->nr;
	}
	if (cpu->nr_xstate_parts && seen != (cpu->xcr0 & ~(uint64_t)3))
		return BAD(err, "cpu: xstate parts %#llx, xcr0 is %#llx", (unsigned long long)seen,
			(unsigned long long)cpu->xcr0);
	return 0;
}

int info_check(const struct snap *snap, struct err *err)
{
	const struct snap_vdso *vdso = &snap->vdso;

	/* x87 and SSE cannot be switched off. */
	if ((snap->cpu.xcr0 & 3) != 3)
		return BAD(err, "cpu: impossible xcr0 %#llx", (unsigned long long)snap->cpu.xcr0);
	if (xstate_parts_check(&snap->cpu, err) < 0)
		return -EBADMSG;
	if (vdso->nr_code > VDSO_MAX || vdso->nr_code % PAGES_PAGE)
		return BAD(err, "vdso: code of %zu bytes", vdso->nr_code);
	if (vdso->start % PAGES_PAGE || vdso->start > USER_END - vdso->nr_code ||
		(vdso->start == 0) != (vdso->nr_code == 0))
		return BAD(err, "vdso: impossible address %#llx", (unsigned long long)vdso->start);
	return 0;
}
