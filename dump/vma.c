/* What a mapping is; see vma.h. */
#include "dump/vma.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/shared.h"

/* Documentation/filesystems/proc.rst, "VmFlags". rd, wr, ex are in the protection, sd is
 * soft-dirty. */
static const struct {
	char letters[3];
	uint32_t flag;
} letters[] = {
	{ "mr", VMF_MAYREAD },
	{ "mw", VMF_MAYWRITE },
	{ "me", VMF_MAYEXEC },
	{ "ms", VMF_MAYSHARE },
	{ "sh", VMF_SHARED },
	{ "gd", VMF_GROWSDOWN },
	{ "lo", VMF_LOCKED },
	{ "sr", VMF_SEQ_READ },
	{ "rr", VMF_RAND_READ },
	{ "dc", VMF_DONTCOPY },
	{ "ac", VMF_ACCOUNT },
	{ "nr", VMF_NORESERVE },
	{ "ht", VMF_HUGETLB },
	{ "wf", VMF_WIPEONFORK },
	{ "dd", VMF_DONTDUMP },
	{ "hg", VMF_HUGEPAGE },
	{ "nh", VMF_NOHUGEPAGE },
	{ "mg", VMF_MERGEABLE },
	{ "lf", VMF_LOCKONFAULT },
	{ "io", VMF_IO },
	{ "pf", VMF_IO },
	{ "um", VMF_UFFD },
	{ "uw", VMF_UFFD },
	{ "ui", VMF_UFFD },
	{ "sl", VMF_SEALED },
	{ "ss", VMF_SHADOW_STACK },
	{ "dp", VMF_DROPPABLE },
};

static uint64_t flag_of(const char *word)
{
	for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
		if (!memcmp(word, letters[i].letters, 2))
			return letters[i].flag;
	return 0;
}

uint64_t vma_flags(const char *vmflags)
{
	struct text t = { vmflags };
	uint64_t flags = 0;

	for (text_blanks(&t); t.at[0] && t.at[1]; text_blanks(&t)) {
		flags |= flag_of(t.at);
		t.at += 2;
	}
	return flags;
}

struct refusal {
	const char *prefix; /* of the path; NULL: by flag */
	uint64_t flag;
	const char *why, *remedy;
};

static const struct refusal refusals[] = {
	{ "anon_inode:[perf_event]", 0, "a buffer of perf events", "end the profiling first" },
	{ "anon_inode:", 0, "memory of a kernel object", "close it before the dump" },
	{ "socket:", 0, "a ring of a packet socket", "close the packet socket before the dump" },
	{ "/secretmem", 0, "secret memory, which nobody else may read",
		"start the program without memfd_secret" },
	{ "[uprobes]", 0, "code of a tracing tool", "remove the uprobes first" },
	{ "/dev/infiniband", 0, "device memory", "close the device before the dump" },
	{ NULL, VMF_UFFD, "watched by a userfaultfd",
		"dump the program when it no longer uses userfaultfd" },
	{ NULL, VMF_SHADOW_STACK, "a shadow stack (CET), which is not supported yet",
		"start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off" },
	{ NULL, VMF_IO, "device memory", "close the device before the dump" },
};

static bool refusal_fits(const struct refusal *r, const struct proc_vma *vma, uint64_t flags)
{
	return r->prefix ? text_starts(vma->path, r->prefix) : (flags & r->flag) != 0;
}

bool vma_is_ring(const struct proc_vma *vma)
{
	return !strcmp(vma->path, "anon_inode:[io_uring]");
}

bool vma_is_aio(const struct proc_vma *vma)
{
	return !strcmp(vma->path, "/[aio] (deleted)");
}

static bool is_kernels_own(const struct proc_vma *vma)
{
	return text_starts(vma->path, "[vvar") || !strcmp(vma->path, "[vdso]") ||
	       !strcmp(vma->path, "[vsyscall]");
}

/* Huge pages are held where nobody else can have a name for them. */
static bool is_foreign_huge(const struct proc_vma *vma, uint64_t flags)
{
	return flags & VMF_HUGETLB && !text_starts(vma->path, "/anon_hugepage") &&
	       !text_starts(vma->path, "/memfd:");
}

static int refuse(const struct proc_vma *vma, const char *why, const char *remedy, struct err *err)
{
	err_set(err, ENOTSUP, "mapping %llx-%llx%s%s: %s", (unsigned long long)vma->start,
		(unsigned long long)vma->end, vma->path[0] ? " " : "", vma->path, why);
	return err_hint(err, "%s", remedy);
}

/* Objects of the kernel's own tmpfs that we have no words for, such as buffers of a GPU. */
static bool is_unknown_object(const struct dumping *d, const struct proc_vma *vma)
{
	return shared_is_object(d, vma) && !text_starts(vma->path, "/memfd:") &&
	       !text_starts(vma->path, "/SYSV") && !text_starts(vma->path, "/dev/zero") &&
	       !text_starts(vma->path, "[anon_shmem:") && !text_starts(vma->path, "/anon_hugepage");
}

int vma_check(const struct dumping *d, const struct proc_vma *vma, struct err *err)
{
	uint64_t flags = vma_flags(vma->vmflags);

	if (is_kernels_own(vma) || vma_is_ring(vma) || vma_is_aio(vma))
		return 0;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		if (refusal_fits(&refusals[i], vma, flags))
			return refuse(vma, refusals[i].why, refusals[i].remedy, err);
	if (is_foreign_huge(vma, flags))
		return refuse(vma,
			text_starts(vma->path, "/SYSV")
				? "a System V segment of huge pages (hugetlb), which is not "
				  "supported yet"
				: "a file of hugetlbfs, which is not supported yet",
			"start the program without; anonymous huge pages (MAP_HUGETLB, memfd) are "
			"fine",
			err);
	if (is_unknown_object(d, vma))
		return refuse(vma, "memory of a kernel object that snapctl does not know",
			"close it before the dump", err);
	if (vma->ino && vma->path[0] != '/' && vma->path[0] != '[')
		return refuse(vma, "a mapping of something that is not a file",
			"unmap it before the dump", err);
	return 0;
}
