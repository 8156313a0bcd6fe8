/* Where a thread is, in words; see where.h. */
#include "dump/until/where.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "dump/until/symbol.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

enum { MAX_FRAMES = 8, CALL_LEN_MAX = 7 };

struct stack {
	struct tracee *t;
	struct proc_vma *vmas;
	size_t nr_vmas;
	uint64_t frames[MAX_FRAMES];
	size_t nr;
};

static const struct proc_vma *code_at(const struct stack *s, uint64_t addr)
{
	for (size_t i = 0; i < s->nr_vmas; i++)
		if (addr >= s->vmas[i].start && addr < s->vmas[i].end)
			return s->vmas[i].prot & PROT_EXEC ? &s->vmas[i] : NULL;
	return NULL;
}

/* A return address has a call in front of it: e8 rel32, or ff /2 with 2 to 7 bytes. */
static bool follows_call(const struct stack *s, uint64_t addr)
{
	unsigned char code[CALL_LEN_MAX];

	if (!code_at(s, addr) || tracee_read(s->t, addr - sizeof code, code, sizeof code, NULL) < 0)
		return false;
	if (code[CALL_LEN_MAX - 5] == 0xe8)
		return true;
	for (int len = 2; len <= CALL_LEN_MAX; len++)
		if (code[CALL_LEN_MAX - len] == 0xff &&
			(code[CALL_LEN_MAX - len + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

static void stack_add(struct stack *s, uint64_t addr)
{
	if (s->nr < MAX_FRAMES && follows_call(s, addr))
		s->frames[s->nr++] = addr;
}

/* The function that makes the call has seldom a frame of its own: its return address is on top. */
static void stack_walk(struct stack *s, uint64_t pc, uint64_t sp, uint64_t bp)
{
	uint64_t words[2], top;

	s->frames[s->nr++] = pc;
	if (tracee_read(s->t, sp, &top, sizeof top, NULL) == 0)
		stack_add(s, top);
	for (int i = 0; i < MAX_FRAMES && bp >= sp && bp % 8 == 0; i++) {
		if (tracee_read(s->t, bp, words, sizeof words, NULL) < 0)
			return;
		if (words[1] != s->frames[s->nr - 1])
			stack_add(s, words[1]);
		if (words[0] <= bp)
			return;
		bp = words[0];
	}
}

static void frame_words(const struct stack *s, uint64_t addr, struct buf *out)
{
	const struct proc_vma *vma = code_at(s, addr);
	const char *base = vma ? strrchr(vma->path, '/') : NULL;
	struct symbol symbol;
	OWNED_FD fd = -1;
	char path[4096];

	if (!vma || !base) {
		buf_printf(out, "%#llx", (unsigned long long)addr);
		return;
	}
	snprintf(path, sizeof path, "root%s", vma->path);
	/* Not a device or a FIFO, which opening would disturb: it is mapped as code. */
	fd = openat(s->t->procfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && symbol_find(fd, addr - vma->start + vma->offset, &symbol))
		buf_printf(out, "%s+%#llx (%s)", symbol.name, (unsigned long long)symbol.into,
			base + 1);
	else
		buf_printf(out, "%s+%#llx", base + 1,
			(unsigned long long)(addr - vma->start + vma->offset));
}

char *where_words(const struct tracee_note *note, struct arena *a)
{
	struct user_regs_struct regs = { 0 };
	struct stack s = { .t = note->t };
	struct buf out = BUF_EMPTY;
	char *words;

	if (proc_maps(note->t->procfd, a, &s.vmas, &s.nr_vmas, NULL) < 0 ||
		thread_get_regs(note->th->tid, &regs, NULL) < 0)
		return arena_printf(a, "%#llx", (unsigned long long)note->pc);
	stack_walk(&s, note->pc, note->sp, regs.rbp);
	for (size_t i = 0; i < s.nr; i++) {
		buf_printf(&out, i == 1 ? ", called from " : i ? " < " : "");
		frame_words(&s, s.frames[i], &out);
	}
	words = arena_strdup(a, out.data);
	buf_finish(&out);
	return words;
}
