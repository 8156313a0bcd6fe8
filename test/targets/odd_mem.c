/* Mappings in states that few programs leave them in. */
#include "target.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { GUARD_INSTALL = 102 };

struct range {
	uintptr_t start, end;
};

/* The line of maps that ends in `name`. */
static bool mapped(const char *name, struct range *out)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (maps && !found && fgets(line, sizeof line, maps)) {
		line[strcspn(line, "\n")] = '\0';
		found = strlen(line) > strlen(name) &&
			!strcmp(line + strlen(line) - strlen(name), name) &&
			sscanf(line, "%lx-%lx", &out->start, &out->end) == 2;
	}
	if (maps)
		fclose(maps);
	return found;
}

static void odd_mem_vdso_gone(void)
{
	static const char *const names[] = { "[vdso]", "[vvar]", "[vvar_vclock]" };
	struct range r;

	for (int i = 0; i < 3; i++)
		if (mapped(names[i], &r))
			must(munmap((void *)r.start, r.end - r.start));
	target_wait();
	for (int i = 0; i < 3; i++)
		expect(!mapped(names[i], &r), "%s is back", names[i]);
}

static void odd_mem_vdso_moved(void)
{
	void *place = (void *)0x20000000000;
	struct range vvar, vdso, now;

	if (!mapped("[vdso]", &vdso) || !mapped("[vvar]", &vvar))
		target_skip("vdso");
	if (mremap((void *)vdso.start, vdso.end - vdso.start, vdso.end - vdso.start,
		    MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
		target_skip("mremap of the vdso");
	target_wait();
	expect(mapped("[vdso]", &now) && (void *)now.start == place, "vdso");
	expect(mapped("[vvar]", &now) && now.start == vvar.start, "vvar");
}

static int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int nr = 0, c;

	while (maps && (c = fgetc(maps)) != EOF)
		nr += c == '\n';
	if (maps)
		fclose(maps);
	return nr;
}

/* Neighbours with all the same that are two mappings, as they met after they were touched. */
static void odd_mem_apart(void)
{
	char *p = map_anon(6 * PAGE, PROT_READ | PROT_WRITE, 0);
	char *at = map_anon(6 * PAGE, PROT_NONE, 0);
	int nr;

	for (int i = 0; i < 6; i++) {
		p[i * PAGE] = (char)(i + 1);
		must(mremap(p + i * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     at + (5 - i) * PAGE) == MAP_FAILED
				? -1
				: 0);
	}
	nr = count_maps();
	target_wait();
	expect(count_maps() == nr, "%d mappings, not %d", count_maps(), nr);
	for (int i = 0; i < 6; i++)
		expect(at[(5 - i) * PAGE] == i + 1, "page %d", i);
}

static void odd_mem_guard_file(void)
{
	int fd = file_make("guarded", 4 * PAGE, 1, O_RDWR);
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (madvise(p + PAGE, PAGE, GUARD_INSTALL) < 0)
		target_skip("MADV_GUARD_INSTALL of a file");
	must(madvise(q + 2 * PAGE, PAGE, GUARD_INSTALL));
	target_wait();
	expect(read_faults(p + PAGE) && read_faults(q + 2 * PAGE), "a guard is gone");
	expect(!read_faults(p) && !read_faults(p + 2 * PAGE) && !read_faults(q + PAGE),
		"a guard too many");
}

/* A segment in pieces: a hole, a part moved, a part made read-only. */
static void odd_mem_sysv_pieces(void)
{
	int id = (int)must(shmget(IPC_PRIVATE, 8 * PAGE, 0600));
	char *p = shmat(id, NULL, 0), *q = map_anon(PAGE, PROT_NONE, 0);

	must(shmctl(id, IPC_RMID, NULL));
	pattern_fill(p, 8 * PAGE, 3);
	must(munmap(p + PAGE, PAGE));
	must(mremap(p + 5 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == MAP_FAILED ? -1
											      : 0);
	must(mprotect(p + 3 * PAGE, PAGE, PROT_READ));
	target_wait();
	expect(read_faults(p + PAGE) && read_faults(p + 5 * PAGE), "a piece too many");
	expect(pattern_is(p, PAGE, 3) && !write_faults(p + 7 * PAGE), "contents");
	expect(write_faults(p + 3 * PAGE) && !mprotect(p + 3 * PAGE, PAGE, 3), "protection");
	expect(!write_faults(q), "the moved piece");
}

static void odd_mem_lock_future(void)
{
	char *p;
	uint64_t before;

	if (mlockall(MCL_FUTURE | MCL_ONFAULT) < 0)
		target_skip("mlockall");
	target_wait();
	before = proc_number("status", "VmLck:", 10);
	p = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, 0);
	p[0] = 1;
	expect(proc_number("status", "VmLck:", 10) >= before + 64 * PAGE / 1024, "not locked");
}

const struct target targets_odd_mem[] = {
	{ "odd_mem_vdso_gone", odd_mem_vdso_gone, "the vdso was unmapped", 0 },
	{ "odd_mem_vdso_moved", odd_mem_vdso_moved, "the vdso was moved away from vvar", 0 },
	{ "odd_mem_apart", odd_mem_apart, "neighbours that are no one mapping", 0 },
	{ "odd_mem_guard_file", odd_mem_guard_file, "guards in mappings of a file", 0 },
	{ "odd_mem_sysv_pieces", odd_mem_sysv_pieces, "a System V segment in pieces", 0 },
	{ "odd_mem_lock_future", odd_mem_lock_future, "MCL_FUTURE, and nothing locked yet", 0 },
	{ NULL, NULL, NULL, 0 },
};
