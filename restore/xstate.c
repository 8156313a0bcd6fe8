/* Registers from a CPU with another layout; see xstate.h. That this one has them all: cpu.c. */
#include "restore/xstate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/xstate.h"
#include "images/snap.h"

static const struct xstate_part *part_of(
	const struct xstate_part *parts, size_t nr_parts, uint32_t nr)
{
	for (size_t i = 0; i < nr_parts; i++)
		if (parts[i].nr == nr)
			return &parts[i];
	return NULL;
}

static bool layout_is_same(const struct snap_cpu *cpu, const struct xstate_layout *here)
{
	return cpu->xstate_size == here->size && cpu->nr_xstate_parts == here->nr_parts &&
	       !memcmp(cpu->xstate_parts, here->parts, here->nr_parts * sizeof here->parts[0]);
}

static int layout_differs(const struct snap_cpu *cpu, struct err *err)
{
	return err_hint(err, "restore on a machine with a CPU like \"%s\"", cpu->model);
}

/* An image from before layouts were recorded: the size has to do. */
static int sizes_check(const struct snap *snap, const struct xstate_layout *here, struct err *err)
{
	if (snap->cpu.xstate_size == here->size)
		return 0;
	err_set(err, ENOTSUP,
		"the CPU of the dump saved registers in %" PRIu32 " bytes, this one in %" PRIu32
		", and the image does not say where which is",
		snap->cpu.xstate_size, here->size);
	return layout_differs(&snap->cpu, err);
}

static int parts_check(
	const struct snap_cpu *cpu, const struct xstate_layout *here, struct err *err)
{
	for (size_t i = 0; i < cpu->nr_xstate_parts; i++) {
		const struct xstate_part *was = &cpu->xstate_parts[i];
		const struct xstate_part *is = part_of(here->parts, here->nr_parts, was->nr);

		if (is && is->size == was->size)
			continue;
		err_set(err, ENOTSUP,
			"register set %" PRIu32 " (a bit of xcr0) has %" PRIu32
			" bytes in the image, %" PRIu32 " here",
			was->nr, was->size, is ? is->size : 0);
		return layout_differs(cpu, err);
	}
	return 0;
}

/* What is not in xstate_bv is in its initial state, wherever that would be. */
static void task_fit(struct snap *snap, struct snap_task *task, const struct xstate_layout *here)
{
	const struct snap_cpu *cpu = &snap->cpu;
	uint8_t *fit = arena_alloc(snap->arena, here->size);
	uint64_t in_use;

	memcpy(fit, task->xstate, XSTATE_FIRST_PART);
	memcpy(&in_use, task->xstate + XSTATE_HEADER, sizeof in_use);
	for (size_t i = 0; i < cpu->nr_xstate_parts; i++) {
		const struct xstate_part *was = &cpu->xstate_parts[i];

		if (in_use >> was->nr & 1)
			memcpy(fit + part_of(here->parts, here->nr_parts, was->nr)->offset,
				task->xstate + was->offset, was->size);
	}
	task->xstate = fit;
	task->nr_xstate = here->size;
}

int xstate_fit(struct snap *snap, const struct xstate_layout *here, struct err *err)
{
	int ret;

	if (!snap->cpu.nr_xstate_parts)
		return sizes_check(snap, here, err);
	if (layout_is_same(&snap->cpu, here))
		return 0;
	ret = parts_check(&snap->cpu, here, err);
	if (ret < 0)
		return ret;
	log_info("this CPU lays out its registers in another way: those of the image are moved");
	for (size_t p = 0; p < snap->nr_procs; p++)
		for (size_t i = 0; i < snap->procs[p].nr_tasks; i++)
			task_fit(snap, &snap->procs[p].tasks[i], here);
	return 0;
}
