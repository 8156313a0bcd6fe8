/* The CPU of the dump against this one; see cpu.h. */
#include "restore/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/xstate.h"
#include "images/snap.h"
#include "restore/xstate.h"

/* Flags of /proc/cpuinfo that stand for instructions a program may have chosen at its start. */
static const char *const instruction_flags[] = {
	"sse3",
	"pni",
	"ssse3",
	"sse4_1",
	"sse4_2",
	"sse4a",
	"popcnt",
	"movbe",
	"aes",
	"pclmulqdq",
	"vpclmulqdq",
	"vaes",
	"gfni",
	"sha_ni",
	"avx",
	"avx2",
	"fma",
	"fma4",
	"f16c",
	"xop",
	"tbm",
	"bmi1",
	"bmi2",
	"abm",
	"lzcnt",
	"adx",
	"rdrand",
	"rdseed",
	"clflushopt",
	"clwb",
	"fsgsbase",
	"rdtscp",
	"rdpid",
	"xsave",
	"xsaveopt",
	"xsavec",
	"xgetbv1",
	"erms",
	"fsrm",
	"rtm",
	"hle",
	"cx16",
	"lahf_lm",
	"3dnowprefetch",
	"prefetchw",
	"avx_vnni",
	"avx_ifma",
	"avx512f",
	"avx512dq",
	"avx512ifma",
	"avx512cd",
	"avx512bw",
	"avx512vl",
	"avx512vbmi",
	"avx512_vbmi2",
	"avx512_vnni",
	"avx512_bitalg",
	"avx512_vpopcntdq",
	"avx512_bf16",
	"avx512_fp16",
	"avx512_vp2intersect",
	"avx512_4vnniw",
	"avx512_4fmaps",
	"amx_tile",
	"amx_int8",
	"amx_bf16",
	"amx_fp16",
	"amx_complex",
	"cmpccxadd",
	"mwaitx",
	"lwp",
	"pku",
	"waitpkg",
	"serialize",
	"movdiri",
	"movdir64b",
	"clzero",
	"cldemote",
	"enqcmd",
};

static bool is_instruction_flag(const char *flag)
{
	for (size_t i = 0; i < sizeof instruction_flags / sizeof *instruction_flags; i++)
		if (!strcmp(flag, instruction_flags[i]))
			return true;
	return false;
}

/* At the word that comes next in line: the kernel lists flags in the same order everywhere. */
static bool line_goes_on(const char **line, const char *flag)
{
	size_t len = strlen(flag);

	if (strncmp(*line, flag, len) != 0 || ((*line)[len] != ' ' && (*line)[len]))
		return false;
	*line += len + !!(*line)[len];
	return true;
}

static bool line_has(const char *line, const char *flag)
{
	size_t len = strlen(flag);

	for (const char *at = line; (at = strstr(at, flag)); at += len)
		if (at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n' || !at[len]))
			return true;
	return false;
}

/* One read(2) gives the first processor: all of one machine are taken to be alike. */
static int flags_read(char *text, size_t len, const char **line, struct err *err)
{
	OWNED_FD fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, len - 1);
	char *end;

	if (n < 0)
		return err_sys(err, "read /proc/cpuinfo");
	text[n] = '\0';
	*line = strstr(text, "\nflags");
	if (!*line || !(end = strchr(*line + 1, '\n')))
		return err_set(err, ENOTSUP, "/proc/cpuinfo shows no flags");
	*end = '\0';
	return 0;
}

int cpu_check(struct snap *snap, struct err *err)
{
	struct xstate_layout here;
	uint64_t lacking;
	const char *line = NULL, *next;
	char text[8192];

	xstate_layout_read(&here);
	lacking = snap->cpu.xcr0 & ~here.xcr0;
	if (lacking) {
		err_set(err, ENOTSUP,
			"this CPU lacks register sets of the dump's (xcr0 bits %" PRIx64 ")",
			lacking);
		return err_hint(
			err, "restore on a machine with a CPU like \"%s\"", snap->cpu.model);
	}
	if (flags_read(text, sizeof text, &line, err) < 0)
		return -err->code;
	next = strstr(line, ": ") ? strstr(line, ": ") + 2 : "";
	for (size_t i = 0; i < snap->cpu.nr_features; i++) {
		const char *flag = snap->cpu.features[i];

		if (line_goes_on(&next, flag) || !is_instruction_flag(flag) || line_has(line, flag))
			continue;
		err_set(err, ENOTSUP, "this CPU lacks %s, which the CPU of the dump had", flag);
		return err_hint(
			err, "restore on a machine with a CPU like \"%s\"", snap->cpu.model);
	}
	return xstate_fit(snap, &here, err);
}
