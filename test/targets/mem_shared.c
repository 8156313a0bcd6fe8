/* Memory objects without a place in a file system: shared anonymous, memfd, System V. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

static void memshared_anon(void)
{
	char *p = map_anon(32 * PAGE, RW, MAP_SHARED), *other = map_anon(4 * PAGE, RW, MAP_SHARED);

	pattern_fill(p, 16 * PAGE, 1);
	pattern_fill(other, 4 * PAGE, 2);
	target_wait();
	expect(pattern_is(p, 16 * PAGE, 1) && is_zero(p + 16 * PAGE, 16 * PAGE), "contents");
	expect(pattern_is(other, 4 * PAGE, 2), "contents of the second one");
	must(madvise(p, 8 * PAGE, MADV_DONTNEED));
	expect(pattern_is(p, 16 * PAGE, 1), "MADV_DONTNEED lost what is shared");
	must(madvise(p, 8 * PAGE, MADV_REMOVE));
	expect(is_zero(p, 8 * PAGE), "MADV_REMOVE");
}

/* mremap with an old size of 0 makes a second mapping of the same object. */
static void memshared_twice(void)
{
	char *p = map_anon(8 * PAGE, RW, MAP_SHARED);
	char *q = (char *)must((long)mremap(p, 0, 8 * PAGE, MREMAP_MAYMOVE));

	pattern_fill(p, 8 * PAGE, 3);
	target_wait();
	expect(pattern_is(q, 8 * PAGE, 3), "contents");
	p[0] = (char)(p[0] + 1);
	expect(p[0] == q[0], "two mappings of one object are two now");
}

/* Only a part is mapped, and not from the start. */
static void memshared_part(void)
{
	char *p = map_anon(64 * PAGE, RW, MAP_SHARED);

	pattern_fill(p, 64 * PAGE, 4);
	must(munmap(p, 32 * PAGE));
	must(munmap(p + 48 * PAGE, 16 * PAGE));
	must(mprotect(p + 40 * PAGE, 8 * PAGE, PROT_READ));
	target_wait();
	{
		char all[64 * PAGE];

		pattern_fill(all, sizeof all, 4);
		expect(memcmp(all + 32 * PAGE, p + 32 * PAGE, 16 * PAGE) == 0, "contents");
	}
}

static void memfd_mapped(void)
{
	int fd = (int)must(memfd_create("a memfd", MFD_CLOEXEC));
	char *p, *q, *priv;

	must(ftruncate(fd, 16 * PAGE + 10));
	p = (char *)must((long)mmap(NULL, 17 * PAGE, RW, MAP_SHARED, fd, 0));
	q = (char *)must((long)mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 4 * PAGE));
	priv = (char *)must((long)mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE, fd, 0));
	pattern_fill(p, 10 * PAGE, 5);
	priv[PAGE] = 'x';
	target_wait();
	expect(pattern_is(p, 10 * PAGE, 5) && is_zero(p + 10 * PAGE, 6 * PAGE), "contents");
	q[0] = 'q';
	expect(p[4 * PAGE] == 'q' && priv[4 * PAGE] == 'q', "mappings do not share any more");
	expect(priv[PAGE] == 'x' && p[PAGE] != 'x', "private copy");
	must(pwrite(fd, "z", 1, 0));
	expect(p[0] == 'z', "descriptor and mapping are two objects now");
	expect(lseek(fd, 0, SEEK_END) == 16 * PAGE + 10, "size");
}

static void memfd_closed(void)
{
	int fd = (int)must(memfd_create("closed", 0));
	char *p, *q;

	must(ftruncate(fd, 8 * PAGE));
	p = (char *)must((long)mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0));
	q = (char *)must((long)mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	close(fd);
	pattern_fill(p, 8 * PAGE, 6);
	target_wait();
	expect(pattern_is(q, 8 * PAGE, 6), "contents");
	p[0] = (char)(p[0] + 1);
	expect(p[0] == q[0], "two mappings of one object are two now");
}

static void memfd_seals(void)
{
	int fd = (int)must(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	int open_fd = (int)must(memfd_create("unsealed", MFD_ALLOW_SEALING));
	int shut = (int)must(memfd_create("no sealing", 0));

	must(write(fd, "contents", 8));
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	target_wait();
	expect(fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), "seals");
	expect(write(fd, "x", 1) == -1 && errno == EPERM, "can be written");
	expect(lseek(fd, 0, SEEK_CUR) == 8, "offset");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	must(fcntl(open_fd, F_ADD_SEALS, F_SEAL_WRITE));
	expect(fcntl(shut, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM, "can be sealed");
}

/* F_SEAL_FUTURE_WRITE, with a writable mapping that was there before. */
static void memfd_future_write(void)
{
	int fd = (int)must(memfd_create("future", MFD_ALLOW_SEALING));
	char *p, *q;

	must(ftruncate(fd, 4 * PAGE));
	p = (char *)must((long)mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0));
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	q = (char *)must((long)mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	pattern_fill(p, 4 * PAGE, 7);
	target_wait();
	expect(pattern_is(q, 4 * PAGE, 7), "contents");
	p[0] = 'x';
	expect(q[0] == 'x', "mappings do not share any more");
	expect(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM,
		"the seal is gone");
	expect(mprotect(q, PAGE, RW) == -1, "the read-only mapping can be made writable");
}

/* The helper library removes the segment with this id when the test is over. */
static void note_segment(int id)
{
	FILE *note = fopen("segments", "ae");

	expect(note, "note of the segment");
	fprintf(note, "%d\n", id);
	fclose(note);
}

static void memsysv_removed(void)
{
	/* A key of its own: maps goes on showing it. */
	int id = (int)must(shmget(0x53000000 + getpid(), 16 * PAGE, IPC_CREAT | IPC_EXCL | 0640));
	char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
	struct shmid_ds ds, was;

	note_segment(id);
	expect(p != (char *)-1 && q != (char *)-1, "shmat: %s", strerror(errno));
	shmctl(id, SHM_LOCK, NULL);
	must(shmctl(id, IPC_RMID, NULL));
	must(shmctl(id, IPC_STAT, &was));
	pattern_fill(p, 16 * PAGE, 8);
	target_wait();
	must(shmctl(id, IPC_STAT, &ds));
	expect(ds.shm_perm.mode == was.shm_perm.mode, "mode %o, was %o", ds.shm_perm.mode,
		was.shm_perm.mode);
	expect(pattern_is(q, 16 * PAGE, 8), "contents");
	p[0] = (char)(p[0] + 1);
	expect(p[0] == q[0], "two attachments of one segment are two now");
	expect(mprotect(q, PAGE, RW) == -1, "the read-only attachment can be made writable");
	must(shmdt(p));
	expect(read_faults(q) == 0 && read_faults(p) != 0, "shmdt");
	must(shmdt(q));
	expect(shmctl(id, IPC_STAT, &ds) == -1,
		"the segment outlives the last that has attached it");
}

/* Of a size that is no number of pages, and used up to the end of the last one. */
static void memsysv_kept(void)
{
	const size_t size = 16 * PAGE - 100;
	int id = (int)must(shmget(IPC_PRIVATE, size, IPC_CREAT | 0600));
	char *p = shmat(id, NULL, 0);
	struct shmid_ds ds;

	note_segment(id);
	pattern_fill(p, 16 * PAGE, 9);
	target_wait();
	expect(pattern_is(p, 16 * PAGE, 9), "contents");
	must(shmctl(id, IPC_STAT, &ds));
	expect(ds.shm_nattch == 1, "%lu attachments", (unsigned long)ds.shm_nattch);
	expect(ds.shm_segsz == size, "size %zu", ds.shm_segsz);
	must(shmctl(id, IPC_RMID, NULL));
	must(shmdt(p));
}

const struct target targets_mem_shared[] = {
	{ "memshared_anon", memshared_anon, "shared anonymous memory", 0 },
	{ "memshared_twice", memshared_twice, "one object mapped twice", 0 },
	{ "memshared_part", memshared_part, "a part from the middle of an object", 0 },
	{ "memfd_mapped", memfd_mapped, "memfd, two shared and a private mapping", 0 },
	{ "memfd_closed", memfd_closed, "memfd without a descriptor", 0 },
	{ "memfd_seals", memfd_seals, "seals", 0 },
	{ "memfd_future_write", memfd_future_write, "F_SEAL_FUTURE_WRITE and an older mapping", 0 },
	{ "memsysv_removed", memsysv_removed, "System V segment, already removed", 0 },
	{ "memsysv_kept", memsysv_kept, "System V segment that outlives the process", 0 },
	{ NULL, NULL, NULL, 0 },
};
