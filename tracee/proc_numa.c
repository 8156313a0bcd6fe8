/* /proc/PID/numa_maps: mappings with a memory policy. */
#include "tracee/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

enum {
	NUMA_LIMIT = 1 << 30,
	/* Newer than Debian 12's headers; linux/mempolicy.h, Linux 6.9. */
	WEIGHTED_INTERLEAVE = 6,
};

/* As mpol_to_str() of mm/mempolicy.c writes them; none is the beginning of one behind it. */
static const struct {
	const char *word;
	uint32_t mode;
} modes[] = {
	{ "prefer (many)", MPOL_PREFERRED_MANY },
	{ "prefer", MPOL_PREFERRED },
	{ "bind", MPOL_BIND },
	{ "interleave", MPOL_INTERLEAVE },
	{ "local", MPOL_LOCAL },
	{ "weighted interleave", WEIGHTED_INTERLEAVE },
};

static bool mode_parse(struct text *t, uint32_t *mode)
{
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (text_word(t, modes[i].word)) {
			*mode = modes[i].mode;
			break;
		}
	if (!*mode)
		return false;
	if (!text_char(t, '='))
		return true;
	if (text_word(t, "static"))
		*mode |= MPOL_F_STATIC_NODES;
	else if (text_word(t, "relative"))
		*mode |= MPOL_F_RELATIVE_NODES;
	text_char(t, '|');
	if (text_word(t, "balancing"))
		*mode |= MPOL_F_NUMA_BALANCING;
	return true;
}

/* ":0-1,3"; none for MPOL_LOCAL. */
static bool nodes_parse(struct text *t, uint8_t nodes[PROC_NODES_LEN])
{
	uint64_t from, to;

	if (!text_char(t, ':'))
		return true;
	do {
		if (!text_dec(t, &from))
			return false;
		to = from;
		if (text_char(t, '-') && !text_dec(t, &to))
			return false;
		if (to < from || to >= PROC_NODES_LEN * 8)
			return false;
		for (; from <= to; from++)
			nodes[from / 8] |= (uint8_t)(1 << from % 8);
	} while (text_char(t, ','));
	return true;
}

bool proc_policy_parse(const char *line, struct proc_policy *out)
{
	struct text t = { line };

	*out = (struct proc_policy){ 0 };
	if (!text_hex(&t, &out->start) || !text_char(&t, ' '))
		return false;
	if (text_word(&t, "default"))
		return true;
	return mode_parse(&t, &out->mode) && nodes_parse(&t, out->nodes) &&
	       (text_char(&t, ' ') || *t.at == '\n' || !*t.at);
}

int proc_policies(
	int procfd, struct arena *a, struct proc_policy **all, size_t *nr, struct err *err)
{
	OWNED_FD fd = openat(procfd, "numa_maps", O_RDONLY | O_CLOEXEC);
	size_t len, cap = 0;
	const char *line;
	struct text t;
	char *text;
	int ret;

	*all = NULL;
	*nr = 0;
	if (fd < 0 && errno == ENOENT)
		return 0; /* a kernel without NUMA */
	ret = fd < 0 ? err_sys(err, "open numa_maps")
		     : fd_read_text(fd, NUMA_LIMIT, &text, &len, err);
	if (ret < 0)
		return ret;
	t.at = text;
	while (!ret && text_line(&t, &line, &len)) {
		struct proc_policy policy;

		if (!proc_policy_parse(line, &policy))
			ret = err_set(
				err, EPROTO, "numa_maps: unexpected line: %.*s", (int)len, line);
		if (ret < 0 || !policy.mode)
			continue;
		*all = arena_grow(a, *all, *nr, &cap, sizeof **all);
		(*all)[(*nr)++] = policy;
	}
	free(text);
	return ret;
}
