/* Contents of files by way of their mappings; see mapped_copy.h. */
#include "dump/mapped_copy.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "images/pages.h"

bool mapped_copy_can(const struct proc_vma *vma)
{
	/* Not memory of a device. */
	return vma->shared && vma->path[0] == '/' && text_ends(vma->path, " (deleted)") &&
	       !strstr(vma->vmflags, "io") && !strstr(vma->vmflags, "pf");
}

static bool same_object(const struct proc_vma *a, const struct proc_vma *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->shared && !strcmp(a->path, b->path);
}

static uint64_t vma_end(const struct proc_vma *vma)
{
	return vma->offset + (vma->end - vma->start);
}

/* Behind the last byte of the file that any process has mapped. */
static uint64_t mapped_end(const struct dumping *d, const struct proc_vma *wanted)
{
	uint64_t end = 0;

	for (size_t i = 0; i < d->nr_procs; i++)
		for (size_t v = 0; v < d->procs[i].nr_vmas; v++)
			if (same_object(&d->procs[i].vmas[v], wanted) &&
				vma_end(&d->procs[i].vmas[v]) > end)
				end = vma_end(&d->procs[i].vmas[v]);
	return end;
}

static bool page_read(struct tracee *t, uint64_t addr, void *to)
{
	struct iovec local = { to, PAGES_PAGE }, remote = { (void *)(uintptr_t)addr, PAGES_PAGE };

	return process_vm_readv(t->pid, &local, 1, &remote, 1, 0) == PAGES_PAGE ||
	       tracee_read(t, addr, to, PAGES_PAGE, NULL) == 0;
}

/* Up to the end of the file: behind it there is nothing to be read. Gives where that is. */
static uint64_t vma_copy(const struct dumping_proc *p, const struct proc_vma *vma, char *to)
{
	uint64_t at = 0, len = vma->end - vma->start;

	while (at < len && page_read(p->t, vma->start + at, to + vma->offset + at))
		at += PAGES_PAGE;
	return at ? vma->offset + at : 0;
}

static uint64_t copy_all(const struct dumping *d, const struct proc_vma *wanted, char *to)
{
	uint64_t end = 0;

	for (size_t i = 0; i < d->nr_procs; i++)
		for (size_t v = 0; v < d->procs[i].nr_vmas; v++) {
			const struct proc_vma *vma = &d->procs[i].vmas[v];
			uint64_t copied = 0;

			if (same_object(vma, wanted))
				copied = vma_copy(&d->procs[i], vma, to);
			if (copied > end)
				end = copied;
		}
	return end;
}

int mapped_copy(const struct dumping_proc *p, const struct proc_vma *vma, int *out, struct err *err)
{
	uint64_t len = mapped_end(p->d, vma);
	OWNED_FD fd = memfd_create("copy", MFD_CLOEXEC);
	char *to;

	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)len) < 0)
		return err_sys(err, "room for the contents of %s", vma->path);
	to = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to == MAP_FAILED)
		return err_sys(err, "room for the contents of %s", vma->path);
	len = copy_all(p->d, vma, to);
	munmap(to, mapped_end(p->d, vma));
	if (ftruncate(fd, (off_t)len) < 0)
		return err_sys(err, "size of a copy");
	*out = take_fd(&fd);
	return 0;
}
