#ifndef TEST_TARGETS_TARGET_H
#define TEST_TARGETS_TARGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A target prepares one state of a process, waits while it is dumped and restored, and then judges
 * by itself whether the state is still there. `target NAME` talks to the test through two paths in
 * its environment:
 *
 *     TARGET_CTL   a FIFO; a line "check" in it says that the waiting is over
 *     TARGET_OUT   lines are appended: "READY pid", later "OK" or "FAIL what"
 *     TARGET_DIR   a scratch directory, which is also the working directory
 *
 * To add one: write a function and a line in the table of the file about its concept.
 */

struct target {
	const char *name;
	void (*run)(void);
	const char *about; /* what must be the same afterwards */
	unsigned flags;
};

enum {
	TARGET_EITHER = 1,   /* may be refused, in words; if it is dumped it has to work */
	TARGET_REFUSED = 2,  /* must be refused, and goes on unchanged */
	TARGET_BUSY = 4,     /* never quiescent: not for `dump PROGRAM` */
	TARGET_UNSTEADY = 8, /* its visible state changes all the time: not compared */
};

/* Tables by concept; each ends with an entry without a name. */
extern const struct target targets_mem_anon[], targets_mem_advice[], targets_mem_file[],
	targets_mem_shared[], targets_mem_huge[], targets_ring[], targets_aio[], targets_cpu[],
	targets_thread[], targets_thread_own[], targets_signal[], targets_timer[], targets_cred[],
	targets_proc[], targets_fd_file[], targets_fd_lock[], targets_fd_pipe[], targets_fd_event[],
	targets_fd_epoll[], targets_fd_misc[], targets_fd_pty[], targets_fd_mqueue[],
	targets_sock_unix[], targets_sock_waiting[], targets_sock_tcp_waiting[],
	targets_sock_netlink[], targets_sock_inet[], targets_sock_tcp[], targets_sock_raw[],
	targets_sock_tree[], targets_sock_bind[], targets_sock_name[], targets_wait[],
	targets_refuse[], targets_refuse_state[], targets_confine[], targets_wait_more[],
	targets_odd[], targets_odd_files[], targets_odd_mem[], targets_odd_sock[], targets_ipc[],
	targets_user[], targets_odd_held[], targets_odd_signal[], targets_odd_cpu[],
	targets_odd_wait[], targets_fd_thread[], targets_nameless[];

extern const struct target targets_tree_family[], targets_tree_end[], targets_tree_ids[],
	targets_tree_mem[], targets_tree_aside[], targets_tree_shared[], targets_tree_fd[],
	targets_tree_lock[], targets_tree_attr[], targets_tree_exec[], targets_tree_refuse[],
	targets_tree_stream[], targets_tree_odd[], targets_tree_sibling[], targets_tree_stop[],
	targets_tree_group[], targets_tree_born[], targets_pty_held[];

/* Say READY and wait in read(2) until the test says "check". All state of the target must stand by
 * now. */
void target_wait(void);

/* Judge. A failed one writes "FAIL file:line: text" and ends the process. */
void target_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));
#define fail(...)         target_fail(__FILE__, __LINE__, __VA_ARGS__)
#define expect(cond, ...) ((cond) ? (void)0 : fail(__VA_ARGS__))
/* A call of the preparation that must not fail; gives its result. */
#define must(call) target_must(__FILE__, __LINE__, #call, (long)(call))
long target_must(const char *file, int line, const char *what, long result);

/* This machine lacks what the target needs: "SKIP what", exit status 77. */
void target_skip(const char *what) __attribute__((noreturn));
/* Open TARGET_OUT now: its path will be out of reach. */
void target_keep_out(void);

/* ---- helpers (util.c)
 * ------------------------------------------------------------------------------ */

enum { PAGE = 4096 };

/* mmap of private (or as flags say) anonymous memory; dies on failure. */
char *map_anon(size_t len, int prot, int flags);
/* Fill or check a pattern that depends on seed and position. */
void pattern_fill(void *at, size_t len, uint32_t seed);
bool pattern_is(const void *at, size_t len, uint32_t seed);
bool is_zero(const void *at, size_t len);
/* Does reading (or writing the same value to) the byte at addr raise SIGSEGV or SIGBUS? 0: no, else
 * the signal. */
int read_faults(const volatile void *addr);
int write_faults(volatile void *addr);

/* A file of the scratch directory with len bytes of pattern; opened with flags. */
int file_make(const char *name, size_t len, uint32_t seed, int flags);

/* getsockopt(2) and setsockopt(2) of an int; die on failure. */
int sock_option(int fd, int level, int name);
void sock_set(int fd, int level, int name, int value);
/* One byte with a descriptor (SCM_RIGHTS), over a unix socket. */
void send_fd(int to, int fd);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);

/*
 * Threads which are certain to have arrived before the target says READY: thread_start returns when
 * the new thread called thread_arrived(), and target_wait() besides waits until each named system
 * call is reached (thread_waits_in).
 */
pthread_t thread_start(void *(*run)(void *), void *arg);
void thread_arrived(void);
void thread_join(pthread_t thread);
/* Before READY, wait until thread tid (gettid of it) sits in system call nr. */
void thread_waits_in(int tid, long nr);

/* Number in a line of /proc/self/FILE that starts with key; base as strtoull(3). */
uint64_t proc_number(const char *file, const char *key, int base);

#endif
