/* What several targets need: patterns in memory, probing for faults, threads that are where they
 * should be. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/uio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

char *map_anon(size_t len, int prot, int flags)
{
	if (!(flags & (MAP_PRIVATE | MAP_SHARED)))
		flags |= MAP_PRIVATE;
	return (char *)must((long)mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0));
}

/* xorshift: bytes that do not repeat by page and do not compress to nothing. */
static uint32_t next(uint32_t x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

void pattern_fill(void *at, size_t len, uint32_t seed)
{
	unsigned char *p = at;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)((x = next(x)) >> 8);
}

bool pattern_is(const void *at, size_t len, uint32_t seed)
{
	const unsigned char *p = at;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++)
		if (p[i] != (unsigned char)((x = next(x)) >> 8))
			return false;
	return true;
}

bool is_zero(const void *at, size_t len)
{
	const unsigned char *p = at;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- faults
 * ------------------------------------------------------------------------------------------ */

static sigjmp_buf fault_jump;

static void on_fault(int sig)
{
	siglongjmp(fault_jump, sig);
}

static int probe(volatile char *addr, bool write)
{
	struct sigaction catch = { .sa_handler = on_fault, .sa_flags = SA_NODEFER }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &catch, &segv);
	sigaction(SIGBUS, &catch, &bus);
	sig = sigsetjmp(fault_jump, 1);
	if (sig == 0) {
		char value = *addr;

		if (write)
			*addr = value;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

int read_faults(const volatile void *addr)
{
	return probe((volatile char *)addr, false);
}

int write_faults(volatile void *addr)
{
	return probe(addr, true);
}

/* ---- files and texts
 * -------------------------------------------------------------------------------------- */

int file_make(const char *name, size_t len, uint32_t seed, int flags)
{
	char *data = malloc(len ? len : 1);
	int fd = (int)must(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	expect(data, "no memory for %zu bytes", len);
	pattern_fill(data, len, seed);
	expect(write(fd, data, len) == (ssize_t)len, "write %s: %s", name, strerror(errno));
	close(fd);
	free(data);
	return (int)must(open(name, flags));
}

uint64_t proc_number(const char *file, const char *key, int base)
{
	char path[64], line[512];
	FILE *in;
	uint64_t value = 0;
	bool found = false;

	snprintf(path, sizeof path, "/proc/self/%s", file);
	in = fopen(path, "re");
	while (in && !found && fgets(line, sizeof line, in))
		if (strncmp(line, key, strlen(key)) == 0) {
			value = strtoull(line + strlen(key), NULL, base);
			found = true;
		}
	if (in)
		fclose(in);
	expect(found, "no %s in %s", key, path);
	return value;
}

int sock_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	must(getsockopt(fd, level, name, &value, &len));
	return value;
}

void sock_set(int fd, int level, int name, int value)
{
	must(setsockopt(fd, level, name, &value, sizeof value));
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- threads
 * --------------------------------------------------------------------------------------------------
 */

static pthread_mutex_t arrival_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrival = PTHREAD_COND_INITIALIZER;
static unsigned nr_arrived;

void thread_arrived(void)
{
	pthread_mutex_lock(&arrival_lock);
	nr_arrived++;
	pthread_cond_broadcast(&arrival);
	pthread_mutex_unlock(&arrival_lock);
}

pthread_t thread_start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	unsigned before;
	int error;

	pthread_mutex_lock(&arrival_lock);
	before = nr_arrived;
	error = pthread_create(&thread, NULL, run, arg);
	expect(error == 0, "pthread_create: %s", strerror(error));
	while (nr_arrived == before)
		pthread_cond_wait(&arrival, &arrival_lock);
	pthread_mutex_unlock(&arrival_lock);
	return thread;
}

void thread_join(pthread_t thread)
{
	int error = pthread_join(thread, NULL);

	expect(error == 0, "pthread_join: %s", strerror(error));
}

/* Number of the system call thread tid is in; -1 while it runs. */
static long syscall_of(int tid)
{
	char path[64], text[32], *end;
	ssize_t len;
	long nr;
	int fd;

	snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
	fd = (int)must(open(path, O_RDONLY | O_CLOEXEC));
	len = read(fd, text, sizeof text - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	nr = strtol(text, &end, 10);
	return end == text ? -1 : nr; /* "running" */
}

void thread_waits_in(int tid, long nr)
{
	int64_t end = now_ms() + 5000;

	while (syscall_of(tid) != nr) {
		expect(now_ms() < end, "thread %d never came into system call %ld", tid, nr);
		sched_yield();
	}
}

void send_fd(int to, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { (char *)"x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
	must(sendmsg(to, &msg, 0));
}
