/* /proc/PID/maps and smaps: one pass over one text. */
#include "tracee/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

enum { MAPS_LIMIT = 1 << 30 };

struct maps {
	struct arena *arena;
	struct proc_vma *vmas;
	size_t nr, cap;
};

static bool perms_parse(struct text *t, struct proc_vma *vma)
{
	static const char letters[] = "rwx";
	static const uint32_t bits[] = { PROT_READ, PROT_WRITE, PROT_EXEC };

	for (int i = 0; i < 3; i++) {
		if (text_char(t, letters[i]))
			vma->prot |= bits[i];
		else if (!text_char(t, '-'))
			return false;
	}
	vma->shared = text_char(t, 's');
	return vma->shared || text_char(t, 'p');
}

/* "7f00-7f10 r-xp 00002000 fe:00 247134       /usr/bin/cat" */
static bool header_parse(struct text *t, struct proc_vma *vma, struct arena *a)
{
	uint64_t major, minor;

	if (!text_hex(t, &vma->start) || !text_char(t, '-') || !text_hex(t, &vma->end) ||
		!text_char(t, ' ') || !perms_parse(t, vma) || !text_char(t, ' ') ||
		!text_hex(t, &vma->offset) || !text_char(t, ' ') || !text_hex(t, &major) ||
		!text_char(t, ':') || !text_hex(t, &minor) || !text_char(t, ' ') ||
		!text_dec(t, &vma->ino))
		return false;
	vma->dev = makedev((unsigned)major, (unsigned)minor);
	text_blanks(t);
	vma->path = arena_strndup(a, t->at, (size_t)(strchrnul(t->at, '\n') - t->at));
	text_unescape(vma->path);
	return true;
}

static bool kib_parse(const char *line, const char *key, uint64_t *bytes)
{
	struct text t = { line };
	uint64_t kib;

	if (!text_word(&t, key))
		return false;
	text_blanks(&t);
	if (!text_dec(&t, &kib))
		return false;
	*bytes = kib * 1024;
	return true;
}

static void vmflags_parse(const char *line, size_t len, struct proc_vma *vma)
{
	struct text t = { line };

	if (!text_word(&t, "VmFlags:"))
		return;
	text_blanks(&t);
	len -= (size_t)(t.at - line);
	while (len && t.at[len - 1] == ' ')
		len--;
	if (len >= sizeof vma->vmflags)
		len = sizeof vma->vmflags - 1;
	memcpy(vma->vmflags, t.at, len);
	vma->vmflags[len] = '\0';
}

/* Most of the twenty lines of a mapping are of no interest: their first letter says so. */
static void detail_parse(const char *line, size_t len, struct proc_vma *vma)
{
	struct text t = { line };
	uint64_t value;

	switch (line[0]) {
	case 'R':
		kib_parse(line, "Rss:", &vma->rss);
		break;
	case 'K':
		if (kib_parse(line, "KernelPageSize:", &value))
			vma->page_size = (uint32_t)value;
		break;
	case 'P':
		if (!text_word(&t, "ProtectionKey:"))
			break;
		text_blanks(&t);
		if (text_dec(&t, &value))
			vma->pkey = (uint32_t)value;
		break;
	case 'V':
		vmflags_parse(line, len, vma);
		break;
	}
}

static bool maps_line(struct maps *m, const char *line, size_t len)
{
	struct text t = { line };

	if (line[0] >= 'A' && line[0] <= 'Z') {
		if (!m->nr)
			return false;
		detail_parse(line, len, &m->vmas[m->nr - 1]);
		return true;
	}
	m->vmas = arena_grow(m->arena, m->vmas, m->nr, &m->cap, sizeof *m->vmas);
	m->vmas[m->nr].page_size = 4096;
	return header_parse(&t, &m->vmas[m->nr++], m->arena);
}

static int maps_parse(const char *name, const char *text, struct maps *m, struct err *err)
{
	struct text t = { text };
	const char *line;
	size_t len;

	while (text_line(&t, &line, &len))
		if (!maps_line(m, line, len))
			return err_set(
				err, EPROTO, "%s: unexpected line: %.*s", name, (int)len, line);
	return 0;
}

static int maps_read(int procfd, const char *name, struct arena *a, struct proc_vma **vmas,
	size_t *nr, struct err *err)
{
	OWNED_FD fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	struct maps m = { .arena = a };
	char *text;
	size_t len;
	int ret;

	if (fd < 0)
		return err_sys(err, "open %s", name);
	ret = fd_read_text(fd, MAPS_LIMIT, &text, &len, err);
	if (ret < 0)
		return err_wrap(err, "%s", name), ret;
	ret = maps_parse(name, text, &m, err);
	free(text);
	if (ret < 0)
		return ret;
	*vmas = m.vmas;
	*nr = m.nr;
	return 0;
}

int proc_smaps(int procfd, struct arena *a, struct proc_vma **vmas, size_t *nr, struct err *err)
{
	return maps_read(procfd, "smaps", a, vmas, nr, err);
}

int proc_maps(int procfd, struct arena *a, struct proc_vma **vmas, size_t *nr, struct err *err)
{
	return maps_read(procfd, "maps", a, vmas, nr, err);
}
