/* Words of `snapctl show`; see show.h. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/arena.h"
#include "images/fd/kind.h"
#include "images/pages.h"
#include "images/show.h"

/* Bytes of the UTF-8 sequence at s, 0 if there is none (RFC 3629: no surrogates, nothing overlong).
 */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0)
		return 2;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0)
		return 3;
	if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) || (s[3] & 0xc0) != 0x80)
		return 0;
	return 4;
}

/* The C0 and C1 sets, which terminals obey. */
static bool is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

char *show_clean(struct arena *a, const char *text)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	char *out = arena_alloc(a, 4 * strlen((const char *)s) + 1), *to = out;

	while (*s) {
		size_t len = utf8_len(s);

		if (len && !is_control(s)) {
			memcpy(to, s, len);
			to += len;
			s += len;
			continue;
		}
		to += sprintf(to, "\\%03o", *s++);
		/* The second half of a C1 character means nothing by itself. */
		if (len == 2)
			to += sprintf(to, "\\%03o", *s++);
	}
	return out;
}

char *show_utf8(struct arena *a, const char *text)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	char *out = arena_alloc(a, 3 * strlen((const char *)s) + 1), *to = out;

	while (*s) {
		size_t len = utf8_len(s);

		memcpy(to, len ? (const char *)s : "\xef\xbf\xbd", len ? len : 3);
		to += len ? len : 3;
		s += len ? len : 1;
	}
	return out;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void show_perms(const struct snap_vma *vma, char perms[5])
{
	perms[0] = vma->prot & PROT_READ ? 'r' : '-';
	perms[1] = vma->prot & PROT_WRITE ? 'w' : '-';
	perms[2] = vma->prot & PROT_EXEC ? 'x' : '-';
	perms[3] = (vma->flags & MAP_TYPE) == MAP_SHARED ||
				   (vma->flags & MAP_TYPE) == MAP_SHARED_VALIDATE
			   ? 's'
			   : 'p';
	perms[4] = '\0';
}

static char *anon_name(struct arena *a, const struct snap_mm *mm, const struct snap_vma *vma)
{
	if (vma->name)
		return arena_printf(a, "[anon:%s]", vma->name);
	if (vma->start < mm->brk && vma->end > mm->start_brk)
		return "[heap]";
	if (vma->start <= mm->start_stack && vma->end >= mm->start_stack)
		return "[stack]";
	return "";
}

static char *mem_name(struct arena *a, const struct snap_mem *mem)
{
	switch (mem->kind) {
	case MEM_MEMFD:
		return arena_printf(a, "/memfd:%s (deleted)", mem->name ? mem->name : "");
	case MEM_SYSV:
		return arena_printf(a, "/SYSV%08x (deleted)", (uint32_t)mem->sysv_key);
	case MEM_SHARED_HUGE:
		return "/anon_hugepage (deleted)";
	default:
		return "/dev/zero (deleted)";
	}
}

char *show_vma_name(
	struct arena *a, const struct snap *snap, const struct snap_mm *mm, size_t index)
{
	const struct snap_vma *vma = &mm->vmas[index];

	switch (vma->kind) {
	case VMA_ANON:
		return anon_name(a, mm, vma);
	case VMA_FILE:
		return arena_printf(a, "%s%s", snap->files[vma->file].path,
			snap->files[vma->file].deleted ? " (deleted)" : "");
	case VMA_SHARED:
		return mem_name(a, &snap->mems[vma->mem]);
	case VMA_VDSO:
		return "[vdso]";
	case VMA_VVAR:
		return index && vma[-1].kind == VMA_VVAR ? "[vvar_vclock]" : "[vvar]";
	case VMA_VSYSCALL:
		return "[vsyscall]";
	case VMA_FD:
		return snap->ofds[vma->ofd].label ? snap->ofds[vma->ofd].label : "";
	case VMA_AIO:
		return "/[aio] (deleted)";
	}
	return "";
}

const char *show_vma_kind(enum snap_vma_kind kind)
{
	static const char *const words[] = {
		"anonymous",
		"file",
		"shared",
		"vdso",
		"vvar",
		"vsyscall",
		"descriptor",
		"aio",
	};

	return words[kind];
}

const char *show_mem_kind(enum snap_mem_kind kind)
{
	static const char *const words[] = {
		"private",
		"shared anonymous",
		"memfd",
		"System V",
		"file contents",
	};

	return words[kind];
}

uint64_t show_mem_pages(const struct page_index *index, uint32_t mem)
{
	size_t nr;
	const struct page_run *runs = pages_runs_of(index, mem, &nr);
	uint64_t pages = 0;

	for (size_t i = 0; i < nr; i++)
		pages += runs[i].nr_pages;
	return pages;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

char *show_flags(struct arena *a, uint32_t flags)
{
	static const char *const modes[] = { "rdonly", "wronly", "rdwr", "ioctl" };
	static const struct {
		uint32_t flag;
		const char *word;
	} words[] = {
		{ O_APPEND, "append" },
		{ O_NONBLOCK, "nonblock" },
		{ O_ASYNC, "async" },
		{ O_DIRECT, "direct" },
		{ O_DIRECTORY, "directory" },
		{ O_NOFOLLOW, "nofollow" },
		{ O_NOATIME, "noatime" },
		{ O_DSYNC, "dsync" },
	};
	char *out = (char *)(flags & O_PATH ? "path" : modes[flags & O_ACCMODE]);

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (flags & words[i].flag)
			out = arena_printf(a, "%s %s", out, words[i].word);
	return out;
}

char *show_detail(struct arena *a, const struct snap *snap, const struct snap_ofd *ofd)
{
	/* Of what is inherited the kind has no record. */
	bool asks = ofd->inherited < 0 && ofd->kind->describe;
	char *detail = asks ? ofd->kind->describe(snap, ofd, a) : NULL;

	return detail ? detail : "";
}

/* ---- numbers --------------------------------------------------------------------------------- */

char *show_time(struct arena *a, uint64_t realtime)
{
	time_t seconds = (time_t)(realtime / 1000000000);
	char text[40];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return "?";
	return arena_strdup(a, text);
}

char *show_size(struct arena *a, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double size = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024)
		return arena_printf(a, "%u B", (unsigned)bytes);
	for (; size >= 1024 && unit < 5; unit++)
		size /= 1024;
	return arena_printf(a, "%.1f %s", size, units[unit]);
}

char *show_id(struct arena *a, const struct snap_info *info)
{
	char *out = arena_alloc(a, 2 * sizeof info->id + 1);

	for (size_t i = 0; i < sizeof info->id; i++)
		sprintf(out + 2 * i, "%02x", info->id[i]);
	return out;
}
