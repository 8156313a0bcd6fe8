/* Memory that processes share: mapped before and after forks, whole and in part; what waits in it.
 */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

enum { LEN = 32 * PAGE };

/* ---- one object, many mappings -----------------------------------------------------------------
 */

/* The last page of each area is a board: what one writes, all see. */
static void kid_sees(void *arg)
{
	char *at = arg;

	kid_wait();
	expect(pattern_is(at, LEN - PAGE, 1), "contents");
	expect(at[LEN - PAGE] == 'b', "the others' writes are not seen");
	at[LEN - PAGE + 1]++;
}

static void two_see(char *at)
{
	pattern_fill(at, LEN - PAGE, 1);
	memset(at + LEN - PAGE, 0, PAGE);
	kid(kid_sees, at);
	kid(kid_sees, at);
	target_wait();
	at[LEN - PAGE] = 'b';
	kids_check();
	expect(at[LEN - PAGE + 1] == 2, "the kids' writes are not seen");
}

static void treeshm_anon(void)
{
	two_see(map_anon(LEN, RW, MAP_SHARED));
}

static void treeshm_memfd(void)
{
	int fd = (int)must(memfd_create("ours", 0));

	must(ftruncate(fd, LEN));
	two_see((char *)must((long)mmap(NULL, LEN, RW, MAP_SHARED, fd, 0)));
}

static void treeshm_memfd_closed(void)
{
	int fd = (int)must(memfd_create("closed", MFD_CLOEXEC));
	char *at;

	must(ftruncate(fd, LEN));
	at = (char *)must((long)mmap(NULL, LEN, RW, MAP_SHARED, fd, 0));
	close(fd);
	two_see(at);
}

static void treeshm_file(void)
{
	int fd = file_make("shared", LEN, 0, O_RDWR);

	two_see((char *)must((long)mmap(NULL, LEN, RW, MAP_SHARED, fd, 0)));
}

static void treeshm_posix(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "/snapctl-test-%d", getpid());
	fd = (int)must(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	must(shm_unlink(name));
	must(ftruncate(fd, LEN));
	two_see((char *)must((long)mmap(NULL, LEN, RW, MAP_SHARED, fd, 0)));
}

static void treeshm_sysv(void)
{
	int id = (int)must(shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600));
	char *at = shmat(id, NULL, 0);

	must((long)at);
	must(shmctl(id, IPC_RMID, NULL));
	two_see(at);
}

/* Two kids attach by themselves, at other addresses; the root has not. */
static void kid_attaches(void *arg)
{
	int id = *(int *)arg;
	char *fill = map_anon((size_t)(getpid() % 7 + 1) * PAGE, RW, MAP_PRIVATE),
	     *at = shmat(id, NULL, 0);
	struct shmid_ds ds;

	must((long)at);
	fill[0] = 1;
	kid_wait();
	must(shmctl(id, IPC_STAT, &ds));
	expect(ds.shm_nattch <= 2, "%lu attachments", (unsigned long)ds.shm_nattch);
	at[0]++;
}

static void treeshm_sysv_kids(void)
{
	int id = (int)must(shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600));
	FILE *note = fopen("segments", "we"); /* for the teardown */
	char *at;

	fprintf(note, "%d\n", id);
	fclose(note);
	kid(kid_attaches, &id);
	kid(kid_attaches, &id);
	target_wait();
	kids_check();
	at = shmat(id, NULL, 0);
	must((long)at);
	expect(at[0] == 2, "the kids' writes are not seen: %d", at[0]);
	must(shmctl(id, IPC_RMID, NULL));
}

/* Only the kids have it: the root has unmapped it. */
static void treeshm_kids_only(void)
{
	char *at = map_anon(LEN, RW, MAP_SHARED), *seen;

	pattern_fill(at, LEN - PAGE, 1);
	at[LEN - PAGE] = 'b';
	kid(kid_sees, at);
	kid(kid_sees, at);
	must(munmap(at, LEN));
	seen = map_anon(LEN, PROT_NONE, MAP_PRIVATE);
	target_wait();
	expect(read_faults(seen) != 0, "something else is there");
	kids_check();
}

struct parts {
	char *at;
	int nr;
};

/* Each has another part, protection or place. */
static void kid_has_part(void *arg)
{
	struct parts *parts = arg;
	char *at = parts->at, *board = at + LEN - PAGE;

	if (parts->nr == 0)
		must(munmap(at, LEN - PAGE));
	else if (parts->nr == 1)
		must(munmap(at + 8 * PAGE, 8 * PAGE));
	else if (parts->nr == 2)
		must(mprotect(at, LEN - PAGE, PROT_READ));
	else
		board = (char *)must((long)mremap(
			board, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * LEN));
	kid_wait();
	expect(board[0] == 'b', "part %d: the root's write is not seen", parts->nr);
	board[1]++;
	if (parts->nr == 1)
		expect(read_faults(at + 8 * PAGE) != 0, "the hole");
	if (parts->nr == 2)
		expect(write_faults(at) != 0 && pattern_is(at, LEN - PAGE, 2), "read-only");
	if (parts->nr == 3)
		expect(read_faults(at + LEN - PAGE) != 0, "the old place");
}

static void treeshm_parts(void)
{
	struct parts parts = { .at = map_anon(3 * LEN, RW, MAP_SHARED) };

	must(munmap(parts.at + LEN, 2 * LEN));
	pattern_fill(parts.at, LEN - PAGE, 2);
	for (parts.nr = 0; parts.nr < 4; parts.nr++)
		kid(kid_has_part, &parts);
	target_wait();
	parts.at[LEN - PAGE] = 'b';
	kids_check();
	expect(parts.at[LEN - PAGE + 1] == 4, "the kids' writes are not seen");
}

/* A large one, hardly touched, between master and workers. */
static void kid_touches(void *arg)
{
	char *at = arg;

	kid_wait();
	expect(at[100 << 20] == 'f', "far away");
	at[120 << 20]++;
}

static void treeshm_large(void)
{
	char *at = map_anon(150 << 20, RW, MAP_SHARED | MAP_NORESERVE);

	at[100 << 20] = 'f';
	kid(kid_touches, at);
	kid(kid_touches, at);
	target_wait();
	kids_check();
	expect(at[120 << 20] == 2, "the kids' writes are not seen");
	expect(proc_number("status", "RssShmem:", 10) < 1024, "%lu KiB are there",
		(unsigned long)proc_number("status", "RssShmem:", 10));
}

/* Private memory, but of an object that another process writes to. */
static void kid_private(void *arg)
{
	int fd = *(int *)arg;
	char *own = (char *)must((long)mmap(NULL, LEN, RW, MAP_PRIVATE, fd, 0));

	own[0] = 'k';
	kid_wait();
	expect(own[0] == 'k' && own[PAGE] == 'r', "a private page, and one that follows");
}

static void treeshm_memfd_private(void)
{
	int fd = (int)must(memfd_create("private", 0));
	char *at;

	must(ftruncate(fd, LEN));
	at = (char *)must((long)mmap(NULL, LEN, RW, MAP_SHARED, fd, 0));
	at[0] = at[PAGE] = 'o';
	kid(kid_private, &fd);
	target_wait();
	at[PAGE] = 'r';
	kids_check();
	expect(at[0] == 'o', "the kid's private page is not");
}

/* ---- waiting in it -----------------------------------------------------------------------------
 */

struct board {
	_Atomic int futex, count;
	pthread_mutex_t mutex, robust, abandoned;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	pthread_rwlock_t rwlock;
	sem_t sem;
	bool go;
};

static struct board *board_make(void)
{
	struct board *b = (struct board *)map_anon(sizeof *b, RW, MAP_SHARED);
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	pthread_barrierattr_t barrier;
	pthread_rwlockattr_t rwlock;

	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&b->mutex, &mutex);
	pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&b->robust, &mutex);
	pthread_mutex_init(&b->abandoned, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&b->cond, &cond);
	pthread_barrierattr_init(&barrier);
	pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&b->barrier, &barrier, 3);
	pthread_rwlockattr_init(&rwlock);
	pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
	pthread_rwlock_init(&b->rwlock, &rwlock);
	sem_init(&b->sem, 1, 0);
	return b;
}

static void waits_futex(void *arg)
{
	struct board *b = arg;

	kid_ready();
	while (b->futex == 0)
		syscall(SYS_futex, &b->futex, FUTEX_WAIT, 0, NULL);
	b->count++;
}

static void waits_mutex(void *arg)
{
	struct board *b = arg;

	kid_ready();
	pthread_mutex_lock(&b->mutex);
	b->count++;
	pthread_mutex_unlock(&b->mutex);
}

static void waits_cond(void *arg)
{
	struct board *b = arg;

	pthread_mutex_lock(&b->robust);
	kid_ready();
	while (!b->go)
		pthread_cond_wait(&b->cond, &b->robust);
	b->count++;
	pthread_mutex_unlock(&b->robust);
}

static void waits_sem(void *arg)
{
	struct board *b = arg;

	kid_ready();
	while (sem_wait(&b->sem) < 0)
		expect(errno == EINTR, "sem_wait");
	b->count++;
}

static void waits_barrier(void *arg)
{
	struct board *b = arg;

	kid_ready();
	pthread_barrier_wait(&b->barrier);
	b->count++;
}

static void waits_rwlock(void *arg)
{
	struct board *b = arg;

	kid_ready();
	pthread_rwlock_rdlock(&b->rwlock);
	b->count++;
	pthread_rwlock_unlock(&b->rwlock);
}

/* Two kids for each way to wait; the root lets them go. */
static void treeshm_waits(void)
{
	static void (*const ways[])(void *) = { waits_futex, waits_mutex, waits_cond, waits_sem,
		waits_barrier, waits_rwlock };
	struct board *b = board_make();
	pid_t pids[12];

	pthread_mutex_lock(&b->mutex);
	pthread_rwlock_wrlock(&b->rwlock);
	for (int i = 0; i < 12; i++) {
		pids[i] = kid(ways[i / 2], b);
		process_waits_in(pids[i], SYS_futex);
	}
	target_wait();
	expect(b->count == 0, "%d went on", b->count);
	b->futex = 1;
	syscall(SYS_futex, &b->futex, FUTEX_WAKE, 2, NULL);
	pthread_mutex_unlock(&b->mutex);
	pthread_mutex_lock(&b->robust);
	b->go = true;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->robust);
	sem_post(&b->sem);
	sem_post(&b->sem);
	pthread_barrier_wait(&b->barrier);
	pthread_rwlock_unlock(&b->rwlock);
	for (int i = 0; i < 12; i++)
		kid_reap(pids[i], 0);
	expect(b->count == 12, "%d of 12", b->count);
}

/* ---- owners that die ---------------------------------------------------------------------------
 */

static void abandons(void *arg)
{
	struct board *b = arg;

	pthread_mutex_lock(&b->abandoned);
}

static void holds(void *arg)
{
	struct board *b = arg;

	pthread_mutex_lock(&b->robust);
	kid_wait();
}

/* One owner died before, one dies after the restore. */
static void treeshm_robust(void)
{
	struct board *b = board_make();
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		abandons(b);
		_exit(0);
	}
	kid_reap(pid, 0);
	kid(holds, b);
	target_wait();
	expect(pthread_mutex_lock(&b->abandoned) == EOWNERDEAD, "the owner died before");
	expect(pthread_mutex_trylock(&b->robust) == EBUSY, "the owner lives");
	kids_check();
	expect(pthread_mutex_lock(&b->robust) == EOWNERDEAD, "the owner died after the restore");
}

/* ---- held by nothing but mappings ---------------------------------------------------------------
 */

/* One sees the first pages, the other the last ones and what is behind the end. */
static void kid_has_the_end(void *arg)
{
	char *at = arg;

	kid_wait();
	expect(at[0] == 's', "what the parent wrote");
	expect(pattern_is(at + PAGE, PAGE, 4) && at[2 * PAGE] == 'e', "contents");
	expect(read_faults(at + 3 * PAGE) == SIGBUS, "no SIGBUS beyond");
	at[1] = 'k';
}

static void treeshm_mapped_only(void)
{
	char name[64], *first, *last;
	int fd;

	snprintf(name, sizeof name, "/snapctl-mapped-%d", getpid());
	fd = (int)must(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	must(shm_unlink(name));
	must(ftruncate(fd, 4 * PAGE + 100));
	first = (char *)must((long)mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0));
	last = (char *)must((long)mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 2 * PAGE));
	close(fd);
	pattern_fill(first, 2 * PAGE, 3);
	pattern_fill(last + PAGE, PAGE, 4);
	last[2 * PAGE] = 'e';
	kid(kid_has_the_end, last);
	must(munmap(last, 4 * PAGE));
	target_wait();
	expect(pattern_is(first, 2 * PAGE, 3), "contents");
	first[2 * PAGE] = 's';
	kids_check();
	expect(first[2 * PAGE + 1] == 'k', "what the child wrote");
}

const struct target targets_tree_shared[] = {
	{ "treeshm_anon", treeshm_anon, "shared anonymous memory", 0 },
	{ "treeshm_memfd", treeshm_memfd, "a memfd", 0 },
	{ "treeshm_memfd_closed", treeshm_memfd_closed, "a memfd without a descriptor", 0 },
	{ "treeshm_file", treeshm_file, "a file", 0 },
	{ "treeshm_posix", treeshm_posix, "POSIX shared memory, unlinked", 0 },
	{ "treeshm_sysv", treeshm_sysv, "a System V segment, removed", 0 },
	{ "treeshm_sysv_kids", treeshm_sysv_kids, "attached by children", 0 },
	{ "treeshm_kids_only", treeshm_kids_only, "shared by the children only", 0 },
	{ "treeshm_parts", treeshm_parts, "other parts, protections and places", 0 },
	{ "treeshm_large", treeshm_large, "150 MB, hardly touched", 0 },
	{ "treeshm_memfd_private", treeshm_memfd_private, "private and shared mappings", 0 },
	{ "treeshm_mapped_only", treeshm_mapped_only, "removed, and without a descriptor", 0 },
	{ "treeshm_waits", treeshm_waits, "futexes, mutexes, semaphores, barriers", 0 },
	{ "treeshm_robust", treeshm_robust, "owners of robust mutexes that die", 0 },
	{ NULL, NULL, NULL, 0 },
};
