/*
 * dump: what of a running process is found in its image, and that the process does not notice. The
 * child prepares states of many kinds, tells where they are through a shared page, and waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "dump/dump.h"
#include "images/fd/kind.h"
#include "images/image.h"
#include "images/snap.h"

enum { PAGE = 4096, SPARSE = 1 << 30, NR_SLEEPERS = 3 };

/* What the child tells; itself shared memory. */
struct facts {
	int failed; /* line at which the child found something wrong */
	char *anon, *none, *wiped, *sparse, *memfd_map;
	int memfd, deleted, first, second, third;
	timer_t timer;
	pid_t sleepers[NR_SLEEPERS];
};

struct child {
	pid_t pid;
	struct facts *facts;
	int go[2], ready[2];
	char dir[64], image[80];
};

#define CHILD_CHECK(facts, good)                                                                   \
	do {                                                                                       \
		if (!(good)) {                                                                     \
			(facts)->failed = __LINE__;                                                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- in the child
 * -------------------------------------------------------------------------------- */

static void on_signal(int signo)
{
	(void)signo;
}

static void *sleeper(void *arg)
{
	pid_t *tid = arg;

	prctl(PR_SET_NAME, "sleeper");
	__atomic_store_n(tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return NULL;
}

static void prepare_memory(struct facts *f)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;

	f->anon = mmap(NULL, 16 * PAGE, rw, anon, -1, 0);
	strcpy(f->anon + 3 * PAGE, "third page");
	f->none = mmap(NULL, PAGE, rw, anon, -1, 0);
	strcpy(f->none, "not for reading");
	CHILD_CHECK(f, !mprotect(f->none, PAGE, PROT_NONE));
	f->wiped = mmap(NULL, PAGE, rw, anon, -1, 0);
	strcpy(f->wiped, "random state");
	CHILD_CHECK(f, !madvise(f->wiped, PAGE, MADV_WIPEONFORK));
	f->sparse = mmap(NULL, SPARSE, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHILD_CHECK(f, f->sparse != MAP_FAILED);
	strcpy(f->sparse + SPARSE - PAGE, "far away");
	f->memfd = memfd_create("mine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHILD_CHECK(f, !ftruncate(f->memfd, 4 * PAGE));
	f->memfd_map = mmap(NULL, 4 * PAGE, rw, MAP_SHARED, f->memfd, 0);
	strcpy(f->memfd_map + PAGE, "in a memfd");
}

static void prepare_files(struct facts *f, const char *dir)
{
	char path[128];

	snprintf(path, sizeof path, "%s/gone", dir);
	f->deleted = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHILD_CHECK(f, f->deleted >= 0 && write(f->deleted, "no name", 7) == 7 && !unlink(path));
	f->first = open("/dev/null", O_RDONLY);
	f->second = dup(f->first);
	f->third = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHILD_CHECK(f, f->third >= 0);
}

static void prepare_signals(struct facts *f)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval far_off = { .it_value.tv_sec = 5000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec later = { .it_value.tv_sec = 3000, .it_interval.tv_sec = 7 };
	union sigval value = { .sival_int = 4711 };
	sigset_t set;

	sigaddset(&action.sa_mask, SIGHUP);
	CHILD_CHECK(f, !sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHILD_CHECK(f, !sigprocmask(SIG_BLOCK, &set, NULL));
	CHILD_CHECK(f, !sigqueue(getpid(), SIGRTMIN, value));
	CHILD_CHECK(f, !setitimer(ITIMER_REAL, &far_off, NULL));
	CHILD_CHECK(f, !timer_create(CLOCK_MONOTONIC, &event, &f->timer));
	CHILD_CHECK(f, !timer_settime(f->timer, 0, &later, NULL));
}

static void prepare_threads(struct facts *f)
{
	for (int i = 0; i < NR_SLEEPERS; i++) {
		pthread_t thread;

		CHILD_CHECK(f, !pthread_create(&thread, NULL, sleeper, &f->sleepers[i]));
		while (!__atomic_load_n(&f->sleepers[i], __ATOMIC_SEQ_CST))
			sched_yield();
	}
}

/* Lines of /proc/self/maps. */
static int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int nr = 0, c;

	while ((c = getc(maps)) != EOF)
		nr += c == '\n';
	fclose(maps);
	return nr;
}

static void judge(struct facts *f, int maps_before)
{
	struct itimerspec left;

	CHILD_CHECK(f, count_maps() == maps_before);
	CHILD_CHECK(
		f, !strcmp(f->anon + 3 * PAGE, "third page") && !strcmp(f->wiped, "random state"));
	CHILD_CHECK(f, lseek(f->deleted, 0, SEEK_CUR) == 7);
	CHILD_CHECK(f, lseek(f->memfd, 0, SEEK_CUR) == 0);
	CHILD_CHECK(f, !timer_gettime(f->timer, &left) && left.it_value.tv_sec > 2000);
}

static _Noreturn void child_main(struct child *c)
{
	struct facts *f = c->facts;
	int maps_before;
	char byte;

	close(c->go[1]); /* so that the pipe leads outside */
	umask(027);
	prctl(PR_SET_NAME, "dumped me");
	prepare_memory(f);
	prepare_files(f, c->dir);
	prepare_signals(f);
	prepare_threads(f);
	maps_before = count_maps();
	CHILD_CHECK(f, count_maps() == maps_before);
	CHILD_CHECK(f, write(c->ready[1], "r", 1) == 1);
	/* An interrupted read that comes back early would show here. */
	CHILD_CHECK(f, read(c->go[0], &byte, 1) == 1 && byte == 'g');
	judge(f, maps_before);
	_exit(0);
}

/* ---- in the parent
 * ------------------------------------------------------------------------------- */

static int child_start(void **state)
{
	struct child *c = calloc(1, sizeof *c);
	char byte;

	strcpy(c->dir, "/tmp/dump_image.XXXXXX");
	if (!mkdtemp(c->dir) || pipe(c->go) || pipe(c->ready))
		return -1;
	snprintf(c->image, sizeof c->image, "%s/image", c->dir);
	c->facts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	c->pid = fork();
	if (c->pid == 0)
		child_main(c);
	close(c->ready[1]);
	*state = c;
	return read(c->ready[0], &byte, 1) == 1 ? 0 : -1;
}

static int child_end(void **state)
{
	static const char *const files[] = { "inventory", "state", "pages" };
	struct child *c = *state;
	char path[128];
	int empty;

	if (c->pid > 0 && !kill(c->pid, SIGKILL))
		waitpid(c->pid, NULL, 0);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", c->image, files[i]);
		unlink(path);
	}
	rmdir(c->image);
	empty = rmdir(c->dir);
	close(c->go[0]);
	close(c->go[1]);
	close(c->ready[0]);
	munmap(c->facts, PAGE);
	free(c);
	return empty; /* no half image may be left beside */
}

static void child_finishes_well(struct child *c)
{
	int status;

	assert_int_equal(write(c->go[1], "g", 1), 1);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	c->pid = 0;
	if (status)
		fail_msg("the child found something changed, line %d (status %#x)",
			c->facts->failed, status);
}

static void dump_child(struct child *c, bool leave_running, struct image *img)
{
	const struct dump_opts opts = {
		.pid = c->pid,
		.image = c->image,
		.leave_running = leave_running,
		.level = 1,
	};
	struct dump_result result;
	struct err err = { 0 };

	if (dump_run(&opts, &result, &err) < 0)
		fail_msg("%s (%s)", err.msg, err.hint);
	*img = (struct image){ 0 };
	if (image_open(c->image, img, &err) < 0)
		fail_msg("%s", err.msg);
}

static const struct snap_vma *vma_at(const struct snap *snap, const void *at)
{
	const struct snap_mm *mm = &snap->mms[0];

	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].start <= (uintptr_t)at && (uintptr_t)at < mm->vmas[i].end)
			return &mm->vmas[i];
	fail_msg("no mapping at %p", at);
	return NULL;
}

static void assert_stored(const struct image *img, uint32_t mem, uint64_t addr, const char *text)
{
	char got[64] = "";
	struct err err = { 0 };

	if (pages_read(img->pages_fd, &img->index, mem, addr, got, strlen(text) + 1, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(got, text);
}

static const struct snap_ofd *ofd_of(const struct snap *snap, int num)
{
	for (size_t i = 0; i < snap->procs[0].nr_fds; i++)
		if (snap->procs[0].fds[i].num == (uint32_t)num)
			return &snap->ofds[snap->procs[0].fds[i].ofd];
	fail_msg("no descriptor %d", num);
	return NULL;
}

static void assert_memory(const struct image *img, const struct facts *f)
{
	const struct snap *snap = img->snap;
	uint32_t private = snap->mms[0].mem;
	const struct snap_vma *sparse = vma_at(snap, f->sparse),
			      *memfd = vma_at(snap, f->memfd_map);
	size_t nr;

	assert_stored(img, private, (uintptr_t)f->anon + 3 * PAGE, "third page");
	assert_stored(img, private, (uintptr_t)f->none, "not for reading");
	assert_int_equal(vma_at(snap, f->none)->prot, PROT_NONE);
	assert_stored(img, private, (uintptr_t)f->wiped, "");
	assert_true(vma_at(snap, f->wiped)->vmflags & VMF_WIPEONFORK);
	assert_int_equal(sparse->kind, VMA_SHARED);
	assert_int_equal(snap->mems[sparse->mem].kind, MEM_SHARED_ANON);
	assert_int_equal(snap->mems[sparse->mem].size, SPARSE);
	assert_stored(img, sparse->mem, SPARSE - PAGE, "far away");
	pages_runs_of(&img->index, sparse->mem, &nr);
	assert_int_equal(nr, 1);
	assert_int_equal(snap->mems[memfd->mem].kind, MEM_MEMFD);
	assert_string_equal(snap->mems[memfd->mem].name, "mine");
	assert_stored(img, memfd->mem, PAGE, "in a memfd");
}

static void assert_descriptors(const struct image *img, const struct child *c)
{
	const struct snap *snap = img->snap;
	const struct facts *f = c->facts;
	const struct snap_file *gone = NULL;

	assert_ptr_equal(ofd_of(snap, f->first), ofd_of(snap, f->second));
	assert_ptr_not_equal(ofd_of(snap, f->first), ofd_of(snap, f->third));
	assert_string_equal(ofd_of(snap, f->memfd)->kind->name, "memfd");
	assert_int_equal(ofd_of(snap, f->deleted)->offset, 7);
	for (size_t i = 0; i < snap->nr_files; i++)
		if (snap->files[i].deleted)
			gone = &snap->files[i];
	assert_non_null(gone);
	assert_non_null(strstr(gone->path, "/gone"));
	assert_stored(img, gone->mem, 0, "no name");
	/* Its other end is ours, and we have it under the same number. */
	assert_int_equal(ofd_of(snap, c->go[0])->inherited, c->go[0]);
}

static void assert_process(const struct image *img, const struct child *c)
{
	const struct snap_proc *proc = &img->snap->procs[0];
	const struct snap_sigaction *usr1 = &proc->actions[SIGUSR1 - 1];
	siginfo_t info;

	assert_int_equal(proc->pid, c->pid);
	assert_int_equal(proc->ppid, getpid());
	assert_int_equal(proc->umask, 027);
	assert_true((uintptr_t)usr1->handler == (uintptr_t)on_signal);
	assert_true(usr1->flags & SA_RESTART);
	assert_int_equal(usr1->mask, 1u << (SIGHUP - 1));
	assert_int_equal(proc->nr_pending, 1);
	memcpy(&info, proc->pending[0].raw, sizeof info);
	assert_int_equal(info.si_signo, SIGRTMIN);
	assert_int_equal(info.si_value.sival_int, 4711);
	assert_in_range(proc->itimers[ITIMER_REAL].value / 1000000000, 4000, 5000);
	assert_int_equal(proc->nr_timers, 1);
	assert_in_range(proc->timers[0].value / 1000000000, 2000, 3000);
	assert_int_equal(proc->timers[0].interval, 7000000000);
	assert_int_equal(proc->timers[0].signo, SIGUSR1);
}

static void assert_threads(const struct image *img, const struct child *c)
{
	const struct snap_proc *proc = &img->snap->procs[0];
	const struct snap_task *leader = &proc->tasks[0];

	assert_int_equal(proc->nr_tasks, 1 + NR_SLEEPERS);
	assert_string_equal(leader->comm, "dumped me");
	assert_string_equal(leader->waiting_in, "read");
	/* Rewound: the number of the call is back in rax, and nothing is left to be restarted. */
	assert_int_equal(leader->regs.rax, SYS_read);
	assert_int_equal((int64_t)leader->regs.orig_rax, -1);
	assert_int_equal(leader->regs.rdi, c->go[0]);
	assert_int_equal(leader->sigmask, (uint64_t)1 << (SIGRTMIN - 1));
	assert_int_equal(leader->timerslack, 50000);
	for (int i = 0; i < NR_SLEEPERS; i++) {
		assert_int_equal(proc->tasks[1 + i].tid, c->facts->sleepers[i]);
		assert_string_equal(proc->tasks[1 + i].comm, "sleeper");
		assert_string_equal(proc->tasks[1 + i].waiting_in, "pause");
		assert_true(proc->tasks[1 + i].clear_tid != 0);
		assert_true(proc->tasks[1 + i].robust_list != 0);
	}
}

static void image_has_all_and_process_notices_nothing(void **state)
{
	struct child *c = *state;
	struct image img;

	dump_child(c, true, &img);
	assert_memory(&img, c->facts);
	assert_descriptors(&img, c);
	assert_process(&img, c);
	assert_threads(&img, c);
	image_close(&img);
	child_finishes_well(c);
}

static void dumped_process_ends_once_the_image_is_safe(void **state)
{
	struct child *c = *state;
	struct image img;
	int status;

	dump_child(c, false, &img);
	image_close(&img);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	c->pid = 0;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void failed_dump_leaves_the_process_alone(void **state)
{
	struct child *c = *state;
	struct dump_opts opts = { .pid = c->pid, .image = "/proc/nowhere/image", .level = 1 };
	struct dump_result result;
	struct err err = { 0 };

	assert_true(dump_run(&opts, &result, &err) < 0);
	child_finishes_well(c);
}

/* Killed with SIGKILL at some moment of the dump: its worker puts the target back. */
static void killed_dump_leaves_the_process_alone(void **state)
{
	struct child *c = *state;

	for (int i = 0; i < 20; i++) {
		const struct timespec moment = { .tv_nsec = i * 1500000 };
		int worker_lives[2];
		pid_t snapctl;
		char byte;

		assert_int_equal(pipe2(worker_lives, O_CLOEXEC), 0);
		snapctl = fork();
		if (snapctl == 0) {
			const struct dump_opts opts = {
				.pid = c->pid,
				.image = c->image,
				.leave_running = true,
				.level = 1,
				.force = true,
			};
			struct dump_result result;

			dump_run(&opts, &result, NULL);
			_exit(0);
		}
		nanosleep(&moment, NULL);
		kill(snapctl, SIGKILL);
		assert_int_equal(waitpid(snapctl, NULL, 0), snapctl);
		/* The end of the file says that nobody holds the other end any more. */
		close(worker_lives[1]);
		assert_int_equal(read(worker_lives[0], &byte, 1), 0);
		close(worker_lives[0]);
	}
	child_finishes_well(c);
}

static void check_finds_nothing_or_says_what(void **state)
{
	struct child *c = *state;
	const struct dump_opts opts = { .level = 1 };
	char *text = NULL;
	struct err err = { 0 };
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int nr = dump_check(c->pid, &opts, out, &err);

	fclose(out);
	if (nr)
		fail_msg("%d: %s%s", nr, text, err.msg);
	free(text);
	out = open_memstream(&text, &len);
	assert_int_equal(dump_check(getpid(), &opts, out, &err), 1);
	fclose(out);
	assert_true(len > 0);
	free(text);
	child_finishes_well(c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_start, child_end)
	const struct CMUnitTest tests[] = {
		TEST(image_has_all_and_process_notices_nothing),
		TEST(dumped_process_ends_once_the_image_is_safe),
		TEST(failed_dump_leaves_the_process_alone),
		TEST(killed_dump_leaves_the_process_alone),
		TEST(check_finds_nothing_or_says_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
