/* The processor: restore refuses one that lacks a feature the program may be using (DESIGN D14). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/xstate.h"
#include "dump/dumping.h"

/* The first CPU's paragraph of /proc/cpuinfo is about 1.5 KiB; all CPUs of a machine have the same
 * flags. */
enum { CPUINFO_ROOM = 16 * 1024 };

static void xstate_collect(struct arena *a, struct snap_cpu *cpu)
{
	struct xstate_layout layout;

	xstate_layout_read(&layout);
	cpu->xcr0 = layout.xcr0;
	cpu->xstate_size = layout.size;
	cpu->nr_xstate_parts = layout.nr_parts;
	cpu->xstate_parts = arena_copy(
		a, layout.parts, layout.nr_parts * sizeof *cpu->xstate_parts);
}

/* The value of "key\t: value" in its line; NULL if there is none. */
static char *cpuinfo_value(struct arena *a, const char *text, const char *key)
{
	struct text t = { text };
	const char *line;
	size_t len;

	while (text_line(&t, &line, &len)) {
		const char *colon = memchr(line, ':', len);

		if (!colon || !text_starts(line, key) || !strchr("\t:", line[strlen(key)]))
			continue;
		colon += colon + 1 < line + len ? 2 : 1;
		return arena_strndup(a, colon, (size_t)(line + len - colon));
	}
	return NULL;
}

static void features_split(struct arena *a, struct snap_cpu *cpu, char *flags)
{
	size_t cap = 0;

	for (char *save, *word = strtok_r(flags, " ", &save); word;
		word = strtok_r(NULL, " ", &save)) {
		cpu->features = arena_grow(
			a, cpu->features, cpu->nr_features, &cap, sizeof *cpu->features);
		cpu->features[cpu->nr_features++] = word;
	}
}

static int cpuinfo_read(char text[CPUINFO_ROOM], struct err *err)
{
	OWNED_FD fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(err, "open /proc/cpuinfo");
	while (n > 0 && len < CPUINFO_ROOM - 1) {
		n = read(fd, text + len, CPUINFO_ROOM - 1 - len);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "read /proc/cpuinfo");
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	return 0;
}

int cpu_collect(struct snap *snap, struct err *err)
{
	struct snap_cpu *cpu = &snap->cpu;
	char text[CPUINFO_ROOM], *flags;
	int ret = cpuinfo_read(text, err);

	if (ret < 0)
		return ret;
	cpu->vendor = cpuinfo_value(snap->arena, text, "vendor_id");
	cpu->model = cpuinfo_value(snap->arena, text, "model name");
	flags = cpuinfo_value(snap->arena, text, "flags");
	if (!flags)
		return err_set(err, EPROTO, "/proc/cpuinfo: no flags");
	features_split(snap->arena, cpu, flags);
	xstate_collect(snap->arena, cpu);
	return 0;
}
