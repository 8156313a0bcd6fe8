/* Another kernel, another vdso: its old functions are made to jump to the new ones; see vdso.h. */
#include "restore/vdso.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/arena.h"
#include "restore/job.h"

enum { JUMP_LEN = 12, PAGE = 4096 };

static const uint8_t *vdso_running(void)
{
	return (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
}

bool vdso_is_same(const struct job *job)
{
	const struct snap_vdso *v = &job->snap->vdso;
	const uint8_t *running = vdso_running();

	if (job->opts->debug_vdso_differs)
		return false;
	return running && v->nr_code && !memcmp(running, v->code, v->nr_code);
}

/* Symbols of a vdso: at most len bytes of it may be looked at (the recorded one is untrusted). */
struct vdso_syms {
	const uint8_t *base;
	uint64_t len;
	const Elf64_Sym *syms;
	uint32_t nr;
	const char *strings;
	uint64_t strings_len;
};

static const void *vdso_at(const struct vdso_syms *v, uint64_t offset, uint64_t len)
{
	return offset <= v->len && len <= v->len - offset ? v->base + offset : NULL;
}

/* The section headers tell the number of symbols; the kernel keeps them in the image. */
static bool vdso_symbols(struct vdso_syms *v)
{
	const Elf64_Ehdr *head = vdso_at(v, 0, sizeof *head);
	const Elf64_Shdr *sections, *strings;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG))
		return false;
	sections = vdso_at(v, head->e_shoff, head->e_shnum * sizeof *sections);
	for (int i = 0; sections && i < head->e_shnum; i++) {
		if (sections[i].sh_type != SHT_DYNSYM || sections[i].sh_link >= head->e_shnum)
			continue;
		strings = &sections[sections[i].sh_link];
		v->nr = (uint32_t)(sections[i].sh_size / sizeof(Elf64_Sym));
		v->syms = vdso_at(v, sections[i].sh_offset, sections[i].sh_size);
		v->strings = vdso_at(v, strings->sh_offset, strings->sh_size);
		v->strings_len = strings->sh_size;
		return v->syms && v->strings && v->strings_len && !v->strings[v->strings_len - 1];
	}
	return false;
}

static const char *sym_name(const struct vdso_syms *v, const Elf64_Sym *sym)
{
	return sym->st_name < v->strings_len ? v->strings + sym->st_name : "";
}

static uint64_t sym_find(const struct vdso_syms *v, const char *name)
{
	for (uint32_t i = 0; i < v->nr; i++)
		if (v->syms[i].st_value && !strcmp(sym_name(v, &v->syms[i]), name))
			return v->syms[i].st_value;
	return 0;
}

/* movabs $target, %rax; jmp *%rax: rax is free at a function's entry. */
static void jump_write(uint8_t *at, uint64_t target)
{
	static const uint8_t jump[JUMP_LEN] = { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0 };

	memcpy(at, jump, sizeof jump);
	memcpy(at + 2, &target, sizeof target);
}

int vdso_redirect(
	struct job *job, uint64_t current, const uint8_t **code, uint64_t *len, struct err *err)
{
	const struct snap_vdso *rec = &job->snap->vdso;
	uint64_t size = (rec->nr_code + PAGE - 1) / PAGE * PAGE;
	uint8_t *patched = arena_alloc(job->snap->arena, size);
	struct vdso_syms old = { .base = rec->code, .len = rec->nr_code };
	struct vdso_syms now = { .base = vdso_running(), .len = UINT32_MAX };

	memcpy(patched, rec->code, rec->nr_code);
	if (!now.base || !vdso_symbols(&old) || !vdso_symbols(&now)) {
		err_set(err, ENOTSUP,
			"the vdso of this kernel differs from the recorded one, and one of "
			"them cannot be read");
		return err_hint(err, "restore under the kernel of the dump (%s)",
			job->snap->info.kernel_release);
	}
	for (uint32_t i = 0; i < old.nr; i++) {
		const Elf64_Sym *sym = &old.syms[i];
		uint64_t target;

		if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || !sym->st_value)
			continue;
		target = sym_find(&now, sym_name(&old, sym));
		if (!target || sym->st_value > rec->nr_code - JUMP_LEN) {
			err_set(err, ENOTSUP, "the vdso of this kernel has no %s",
				sym_name(&old, sym));
			return err_hint(err, "restore under the kernel of the dump (%s)",
				job->snap->info.kernel_release);
		}
		jump_write(patched + sym->st_value, current + target);
	}
	*code = patched;
	*len = size;
	return 0;
}
