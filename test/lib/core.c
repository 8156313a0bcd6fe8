/*
 * What gdb is shown in core files: threads that hold known values in vector registers, variables,
 * mappings of several kinds, a child whose memory differs. `core FILE` maps FILE privately and
 * changes its second page; "ready" on standard output when all stands. `core FILE crash`: the last
 * of its threads then writes where nothing is.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS = 3 };

int answer = 1;
const char *greeting;                  /* in the heap */
char *shared, *file, *secret, *sparse; /* mappings */
char *huge;                            /* 128 GiB, of which one page is in use */

/* Waits for ever, as pause(2), with vector registers that no library has a hand in. */
__attribute__((noinline)) static void wait_with(uint64_t number)
{
	uint64_t pattern[4] = { number, number + 1, number + 2, number + 3 };
	long call;

	do {
		call = SYS_pause;
		if (__builtin_cpu_supports("avx"))
			__asm__ volatile("vmovdqu %1, %%ymm9\n\tsyscall"
					 : "+a"(call)
					 : "m"(pattern)
					 : "rcx", "r11", "xmm9", "memory");
		else
			__asm__ volatile("movdqu %1, %%xmm9\n\tsyscall"
					 : "+a"(call)
					 : "m"(pattern)
					 : "rcx", "r11", "xmm9", "memory");
	} while (call);
}

static void *thread_crash(void *arg)
{
	*(volatile int *)0x1234 = 1;
	return arg;
}

static void *thread_main(void *arg)
{
	wait_with((uint64_t)(uintptr_t)arg);
	return NULL;
}

static char *map(size_t len, int prot, int flags, int fd)
{
	char *at = mmap(NULL, len, prot, flags, fd, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static void mappings_make(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	shared = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	strcpy(shared + PAGE, "in shared memory");
	file = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	close(fd);
	strcpy(file + PAGE, "a changed page");
	secret = map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	snprintf(secret, PAGE, "hidden%d", answer);
	madvise(secret, PAGE, MADV_DONTDUMP);
	sparse = map(64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	strcpy(sparse + (32 << 20), "in the middle");
	huge = map((size_t)128 << 30, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	strcpy(huge + ((size_t)100 << 30), "far away");
}

static void child_make(void)
{
	pid_t pid = fork();

	if (pid < 0)
		exit(1);
	if (pid == 0) {
		answer = 4712;
		wait_with(0x4000);
	}
}

int main(int argc, char **argv)
{
	pthread_t last;

	if (argc < 2)
		return 2;
	answer = 4711;
	greeting = strdup("hello from the heap");
	mappings_make(argv[1]);
	child_make();
	for (uintptr_t i = 1; i <= THREADS; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, thread_main, (void *)(i * 0x1000));
	}
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	if (argc > 2)
		pthread_create(&last, NULL, thread_crash, NULL);
	wait_with(0x9000);
}
