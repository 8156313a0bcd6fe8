/* The builder of plans; see plan.h. Between snap and blob in the flow. */
#include "restore/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "restorer-blob/plan.h"

extern const char blob_bytes[], blob_bytes_end[];

enum { PAGE = 4096 };

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

size_t plan_code_size(void)
{
	return round_up((size_t)(blob_bytes_end - blob_bytes), PAGE);
}

/* Order inside the plan: header, threads, data, steps, stacks; the stacks need not be written. */
static size_t plan_data_offset(const struct plan *p)
{
	return round_up(sizeof(struct blob_plan) + p->nr_threads * sizeof(struct blob_thread), 16);
}

static uint64_t plan_steps_offset(const struct plan *p, size_t thread)
{
	uint64_t at = round_up(plan_data_offset(p) + p->data.len, 16);

	for (size_t i = 0; i < thread; i++)
		at += p->steps[i].len;
	return at;
}

static uint64_t plan_stacks_offset(const struct plan *p)
{
	return round_up(plan_steps_offset(p, p->nr_threads), 16);
}

void plan_init(struct plan *p, uint64_t base, size_t nr_threads)
{
	*p = (struct plan){ .base = base, .nr_threads = nr_threads };
	p->steps = calloc(nr_threads, sizeof *p->steps);
	p->threads = calloc(nr_threads, sizeof *p->threads);
	if (!p->steps || !p->threads)
		memory_none();
}

void plan_finish(struct plan *p)
{
	for (size_t i = 0; p->steps && i < p->nr_threads; i++)
		buf_finish(&p->steps[i]);
	buf_finish(&p->data);
	free(p->steps);
	free(p->threads);
	*p = (struct plan){ 0 };
}

uint64_t plan_data(struct plan *p, const void *data, size_t len)
{
	static const char zeroes[16];
	size_t at = p->data.len;

	buf_append(&p->data, data, len);
	buf_append(&p->data, zeroes, round_up(len, 16) - len);
	return p->base + plan_code_size() + plan_data_offset(p) + at;
}

struct blob_step *plan_step(struct plan *p, size_t thread, enum blob_op op)
{
	struct buf *b = &p->steps[thread];
	struct blob_step *step = buf_reserve(b, sizeof *step);

	memset(step, 0, sizeof *step);
	step->op = op;
	b->len += sizeof *step;
	return step;
}

size_t plan_nr_steps(const struct plan *p, size_t thread)
{
	return p->steps[thread].len / sizeof(struct blob_step);
}

struct blob_step *plan_step_at(struct plan *p, size_t thread, size_t index)
{
	return (struct blob_step *)(void *)p->steps[thread].data + index;
}

struct blob_step *plan_syscall(struct plan *p, size_t thread, long nr, struct plan_args args)
{
	struct blob_step *step = plan_step(p, thread, BLOB_SYSCALL);

	step->nr = (uint32_t)nr;
	memcpy(step->args, args.a, sizeof step->args);
	return step;
}

uint64_t plan_step_addr(const struct plan *p, size_t thread, size_t index)
{
	return p->base + plan_code_size() + plan_steps_offset(p, thread) +
	       index * sizeof(struct blob_step);
}

uint64_t plan_threads_addr(const struct plan *p)
{
	return p->base + plan_code_size() + sizeof(struct blob_plan);
}

size_t plan_size(const struct plan *p)
{
	return round_up(
		plan_code_size() + plan_stacks_offset(p) + p->nr_threads * BLOB_STACK, PAGE);
}

void plan_layout(struct plan *p, struct buf *out)
{
	struct blob_plan head = { .nr_threads = p->nr_threads, .threads = sizeof head };
	size_t code = (size_t)(blob_bytes_end - blob_bytes), start = plan_code_size();

	for (size_t i = 0; i < p->nr_threads; i++)
		plan_step(p, i, BLOB_END);
	for (size_t i = 0; i < p->nr_threads; i++) {
		p->threads[i].steps = plan_steps_offset(p, i);
		p->threads[i].stack_top = plan_stacks_offset(p) + (i + 1) * BLOB_STACK;
	}
	out->len = 0;
	buf_reserve(out, start + plan_steps_offset(p, p->nr_threads));
	memset(out->data, 0, start + plan_data_offset(p));
	memcpy(out->data, blob_bytes, code);
	memcpy(out->data + start, &head, sizeof head);
	memcpy(out->data + start + head.threads, p->threads, p->nr_threads * sizeof *p->threads);
	if (p->data.len)
		memcpy(out->data + start + plan_data_offset(p), p->data.data, p->data.len);
	out->len = start + plan_steps_offset(p, 0);
	for (size_t i = 0; i < p->nr_threads; i++)
		buf_append(out, p->steps[i].data, p->steps[i].len);
}
