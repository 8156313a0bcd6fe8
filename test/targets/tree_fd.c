/* Descriptors of several processes: shared and not, with what is queued between them. */
#include "target.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static bool reads(int fd, const char *text)
{
	char got[64];
	ssize_t len = read(fd, got, strlen(text));

	return len == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)len);
}

/* ---- pipes -------------------------------------------------------------------------------------
 */

static void kid_reads_pipe(void *arg)
{
	int *fds = arg;

	close(fds[1]);
	kid_wait();
	expect(reads(fds[0], "before") && reads(fds[0], "after"), "contents");
}

static void treefd_pipe(void)
{
	int fds[2];

	must(pipe(fds));
	kid(kid_reads_pipe, fds);
	close(fds[0]);
	must(write(fds[1], "before", 6));
	target_wait();
	must(write(fds[1], "after", 5));
	kids_check();
	signal(SIGPIPE, SIG_IGN);
	expect(write(fds[1], "x", 1) == -1 && errno == EPIPE, "somebody still reads");
}

/* `seq 9 | consumer | head` when both its neighbours have ended. */
static void kid_left_alone(void *arg)
{
	int *fds = arg;
	char byte;

	must(dup2(fds[0], 0));
	must(dup2(fds[1], 1));
	close(fds[0]);
	close(fds[1]);
	kid_wait();
	expect(reads(0, "before") && read(0, &byte, 1) == 0, "standard input");
	signal(SIGPIPE, SIG_IGN);
	expect(write(1, "x", 1) == -1 && errno == EPIPE, "standard output");
}

static void treefd_pipe_ended(void)
{
	int in[2], out[2], fds[2];

	must(pipe(in));
	must(pipe(out));
	must(write(in[1], "before", 6));
	close(in[1]);
	close(out[0]);
	fds[0] = in[0];
	fds[1] = out[1];
	kid(kid_left_alone, fds);
	close(in[0]);
	close(out[1]);
	target_wait();
	kids_check();
}

static void kid_blocked_reader(void *arg)
{
	int *fds = arg;
	char byte;

	close(fds[1]);
	kid_ready();
	expect(read(fds[0], &byte, 1) == 1 && byte == 'r', "read");
	expect(read(fds[0], &byte, 1) == 0, "end of file");
}

static void kid_blocked_writer(void *arg)
{
	static char buf[80000];
	int *fds = arg;

	close(fds[0]);
	pattern_fill(buf, sizeof buf, 5);
	kid_ready();
	/* A stop in the middle of it makes it a short one (write(2)). */
	for (size_t at = 0; at < sizeof buf;)
		at += (size_t)must(write(fds[1], buf + at, sizeof buf - at));
}

/* A reader of an empty pipe, and a writer of a full one, who is in the middle of its call. */
static void treefd_pipe_blocked(void)
{
	static char buf[80000];
	int empty[2], full[2];
	pid_t reader, writer;
	ssize_t len;

	must(pipe(empty));
	reader = kid(kid_blocked_reader, empty);
	close(empty[0]);
	must(pipe(full));
	writer = kid(kid_blocked_writer, full);
	close(full[1]);
	process_waits_in(reader, SYS_read);
	process_waits_in(writer, SYS_write);
	target_wait();
	for (size_t at = 0; at < sizeof buf; at += (size_t)len)
		len = must(read(full[0], buf + at, sizeof buf - at));
	expect(pattern_is(buf, sizeof buf, 5), "the writer's bytes");
	expect(read(full[0], buf, 1) >= 0, "end");
	must(write(empty[1], "r", 1));
	close(empty[1]);
	kid_reap(reader, 0);
	kid_reap(writer, 0);
}

static void kid_writes(void *arg)
{
	int *fds = arg;

	close(fds[0]);
	must(write(fds[1], "queued", 6));
	kid_wait();
	must(write(fds[1], "more", 4));
}

static void kid_reads(void *arg)
{
	int *fds = arg;

	close(fds[1]);
	kid_wait();
	expect(reads(fds[0], "queuedmore") && read(fds[0], fds, 1) == 0, "contents and end");
}

/* The root has neither end. */
static void treefd_pipe_siblings(void)
{
	int fds[2];

	must(pipe(fds));
	kid(kid_writes, fds);
	kid(kid_reads, fds);
	close(fds[0]);
	close(fds[1]);
	target_wait();
	kids_check();
}

static void treefd_fifo(void)
{
	int fds[2];

	must(mkfifo("fifo", 0600));
	fds[0] = (int)must(open("fifo", O_RDONLY | O_NONBLOCK));
	fds[1] = (int)must(open("fifo", O_WRONLY));
	must(fcntl(fds[0], F_SETFL, 0));
	kid(kid_writes, fds);
	kid(kid_reads, fds);
	close(fds[0]);
	close(fds[1]);
	target_wait();
	kids_check();
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void kid_moves_offset(void *arg)
{
	int fd = *(int *)arg;

	kid_wait();
	expect(lseek(fd, 0, SEEK_CUR) == 100, "offset %ld", (long)lseek(fd, 0, SEEK_CUR));
	must(lseek(fd, 50, SEEK_CUR));
}

/* One offset for parent and child. */
static void treefd_offset(void)
{
	int fd = file_make("offset", 1000, 1, O_RDONLY);

	kid(kid_moves_offset, &fd);
	must(lseek(fd, 100, SEEK_SET));
	target_wait();
	kids_check();
	expect(lseek(fd, 0, SEEK_CUR) == 150, "offset is not shared");
}

static void kid_opens_own(void *arg)
{
	int number = *(int *)arg, own, at = 200;

	close(number);
	own = (int)must(open("other", O_RDWR | O_APPEND));
	expect(own == number, "number");
	must(lseek(own, at, SEEK_SET));
	must(fcntl(number + 40, F_GETFD) == -1 ? dup2(own, number + 40) : -1);
	must(fcntl(number + 40, F_SETFD, FD_CLOEXEC));
	kid_wait();
	expect(lseek(own, 0, SEEK_CUR) == at, "offset");
	expect(fcntl(own, F_GETFL) & O_APPEND, "O_APPEND");
	expect(fcntl(own, F_GETFD) == 0 && fcntl(number + 40, F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC");
	must(lseek(number + 40, 7, SEEK_SET));
	expect(lseek(own, 0, SEEK_CUR) == 7, "duplicates are two now");
}

/* The same number is another file in the child, and the child has one that nobody else has. */
static void treefd_numbers(void)
{
	int fd;

	close(file_make("other", 1000, 3, O_RDONLY));
	fd = file_make("mine", 1000, 2, O_RDONLY);
	kid(kid_opens_own, &fd);
	kid(kid_idle, NULL);
	must(fcntl(fd, F_SETFD, FD_CLOEXEC));
	must(lseek(fd, 11, SEEK_SET));
	target_wait();
	expect(fcntl(fd, F_GETFD) == FD_CLOEXEC && lseek(fd, 0, SEEK_CUR) == 11, "the root's");
	expect(fcntl(fd + 40, F_GETFD) == -1, "the root has the child's");
	kids_check();
	expect(lseek(fd, 0, SEEK_CUR) == 11, "the offset is shared");
}

static void kid_swaps(void *arg)
{
	int *fds = arg, spare = (int)must(dup(fds[0]));

	must(dup2(fds[1], fds[0]));
	must(dup2(spare, fds[1]));
	close(spare);
	kid_wait();
	expect(reads(fds[0], "b") && reads(fds[1], "a"), "contents");
}

/* The child has the same two files under exchanged numbers. */
static void treefd_swapped(void)
{
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = (int)must(open(i ? "b" : "a", O_RDWR | O_CREAT, 0600));
		must(pwrite(fds[i], i ? "bb" : "aa", 2, 0));
	}
	kid(kid_swaps, fds);
	target_wait();
	kids_check();
	expect(reads(fds[0], "a") && reads(fds[1], "b"), "contents");
}

static void kid_many(void *arg)
{
	int first = *(int *)arg;

	for (int i = 0; i < 300; i++)
		must(dup2(first, 100 + i));
	kid_wait();
	must(lseek(399, 5, SEEK_SET));
	expect(lseek(100, 0, SEEK_CUR) == 5, "duplicates are not");
}

static void treefd_many(void)
{
	int fd = file_make("many", 100, 1, O_RDONLY);

	kid(kid_many, &fd);
	target_wait();
	expect(fcntl(100, F_GETFD) == -1, "the root has the child's");
	kids_check();
	expect(lseek(fd, 0, SEEK_CUR) == 5, "offset is not shared");
}

/* The last number that the limit allows, as valgrind uses for its own. */
static int number_last(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	return limit.rlim_max > 1 << 20 ? (1 << 20) - 1 : (int)limit.rlim_max - 1;
}

static void kid_last(void *arg)
{
	int fd = *(int *)arg, last = number_last();

	must(dup2(fd, last - 1));
	must(close(fd));
	kid_wait();
	expect(lseek(last - 1, 0, SEEK_CUR) == 7, "offset of the child's last");
	expect(reads(last - 1, "at the end"), "contents");
}

/* There is no room above them for anybody else's. */
static void treefd_last(void)
{
	int fd = (int)must(open("last", O_RDWR | O_CREAT, 0600)), last = number_last();

	must(write(fd, "0123456at the end", 17));
	must(lseek(fd, 7, SEEK_SET));
	must(dup2(fd, last));
	kid(kid_last, &fd);
	target_wait();
	expect(fcntl(last - 1, F_GETFD) == -1, "the root has the child's");
	kids_check();
	expect(lseek(last, 0, SEEK_CUR) == 17, "offset is not shared");
}

static void kid_unlinked(void *arg)
{
	int *fds = arg, own = file_make("own", 3000, 8, O_RDWR);

	must(unlink("own"));
	kid_wait();
	expect(reads(fds[0], "left"), "contents of the shared one");
	expect(lseek(own, 0, SEEK_END) == 3000, "size of the child's own");
	must(pwrite(fds[0], "child", 5, 0));
}

static void treefd_unlinked(void)
{
	int fd = (int)must(open("unlinked", O_RDWR | O_CREAT, 0600)), again;
	char got[5];

	again = (int)must(open("unlinked", O_RDONLY));
	must(unlink("unlinked"));
	must(write(fd, "xxxleft", 7));
	must(lseek(fd, 3, SEEK_SET));
	kid(kid_unlinked, &fd);
	target_wait();
	kids_check();
	expect(pread(again, got, 5, 0) == 5 && !memcmp(got, "child", 5), "two files now");
}

static void kid_directory(void *arg)
{
	int fd = *(int *)arg;

	kid_wait();
	expect(openat(fd, "inside", O_RDONLY) >= 0, "openat");
	must(fchdir(fd));
	expect(access("inside", F_OK) == 0, "fchdir");
}

static void treefd_directory(void)
{
	int fd;

	must(mkdir("dir", 0700));
	close(file_make("dir/inside", 1, 1, O_RDONLY));
	fd = (int)must(open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	kid(kid_directory, &fd);
	target_wait();
	kids_check();
}

/* ---- sockets -----------------------------------------------------------------------------------
 */

static void kid_socket(void *arg)
{
	int *pair = arg;

	close(pair[0]);
	must(write(pair[1], "from kid", 8));
	kid_wait();
	expect(reads(pair[1], "from root"), "contents");
	must(write(pair[1], "good", 4));
}

static void treefd_socketpair(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	kid(kid_socket, pair);
	close(pair[1]);
	must(write(pair[0], "from root", 9));
	target_wait();
	expect(reads(pair[0], "from kid"), "contents");
	kids_check();
	expect(reads(pair[0], "good") && read(pair[0], pair, 1) == 0, "after the restore");
}

static void kid_sock_end(void *arg)
{
	struct {
		int mine, other;
		const char *say, *hear;
	} *end = arg;

	close(end->other);
	must(write(end->mine, end->say, 4));
	kid_wait();
	expect(reads(end->mine, end->hear), "contents");
}

static void treefd_socketpair_siblings(void)
{
	int pair[2];
	struct {
		int mine, other;
		const char *say, *hear;
	} a, b;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	a = (typeof(a)){ pair[0], pair[1], "ping", "pong" };
	b = (typeof(b)){ pair[1], pair[0], "pong", "ping" };
	kid(kid_sock_end, &a);
	kid(kid_sock_end, &b);
	close(pair[0]);
	close(pair[1]);
	target_wait();
	kids_check();
}

/* As node gives them to its children. */
static void kid_socket_left(void *arg)
{
	int fd = *(int *)arg;
	char byte;

	must(dup2(fd, 0));
	close(fd);
	kid_wait();
	expect(reads(0, "before") && read(0, &byte, 1) == 0, "standard input");
	expect(send(0, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "to nobody");
}

static void treefd_socketpair_ended(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(write(pair[1], "before", 6));
	close(pair[1]);
	kid(kid_socket_left, pair);
	close(pair[0]);
	target_wait();
	kids_check();
}

static void kid_accepts(void *arg)
{
	int fd = *(int *)arg, client;

	kid_ready();
	client = (int)must(accept(fd, NULL, NULL));
	must(write(client, "served", 6));
}

/* Workers that accept from one listening socket. */
static void treefd_listen(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "listening" };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	pid_t pids[3];

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(listen(fd, 8));
	for (int i = 0; i < 3; i++) {
		pids[i] = kid(kid_accepts, &fd);
		process_waits_in(pids[i], SYS_accept);
	}
	target_wait();
	for (int i = 0; i < 3; i++) {
		int client = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

		must(connect(client, (struct sockaddr *)&addr, sizeof addr));
		expect(reads(client, "served"), "no answer");
	}
	for (int i = 0; i < 3; i++)
		kid_reap(pids[i], 0);
}

static void kid_connects(void *arg)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "server" };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

	(void)arg;
	must(connect(fd, (struct sockaddr *)&addr, sizeof addr));
	must(write(fd, "ask", 3));
	kid_wait();
	expect(reads(fd, "answer"), "no answer");
}

/* A connection by name between two processes. */
static void treefd_connection(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "server" };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0)), client;

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(listen(fd, 8));
	kid(kid_connects, NULL);
	client = (int)must(accept(fd, NULL, NULL));
	close(fd);
	target_wait();
	expect(reads(client, "ask"), "contents");
	must(write(client, "answer", 6));
	kids_check();
}

/* ---- events ------------------------------------------------------------------------------------
 */

static void kid_event(void *arg)
{
	int fd = *(int *)arg;
	uint64_t value;

	kid_wait();
	expect(read(fd, &value, 8) == 8 && value == 5, "count");
	must(write(fd, &(uint64_t){ 3 }, 8));
}

static void treefd_eventfd(void)
{
	int fd = (int)must(eventfd(5, 0));
	uint64_t value;

	kid(kid_event, &fd);
	target_wait();
	kids_check();
	expect(read(fd, &value, 8) == 8 && value == 3, "the child's count");
}

static void kid_timer(void *arg)
{
	int fd = *(int *)arg;
	uint64_t value = 0;

	kid_wait();
	expect(read(fd, &value, 8) == 8 && value >= 1, "expirations");
}

static void treefd_timerfd(void)
{
	int fd = (int)must(timerfd_create(CLOCK_MONOTONIC, 0));
	struct itimerspec spec = { .it_value.tv_sec = 3 };

	must(timerfd_settime(fd, 0, &spec, NULL));
	kid(kid_timer, &fd);
	target_wait();
	kids_check();
}

struct watched {
	int epoll, ready, idle;
};

static void kid_epoll(void *arg)
{
	struct watched *w = arg;
	struct epoll_event got[4];

	kid_wait();
	expect(epoll_wait(w->epoll, got, 4, 0) == 1 && got[0].data.u32 == 1, "the ready one");
	must(write(w->idle, &(uint64_t){ 1 }, 8));
	expect(epoll_wait(w->epoll, got, 4, 0) == 2, "both");
	must(epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->ready, NULL));
}

/* A set that parent and child share; the child removes one. */
static void treefd_epoll(void)
{
	struct watched w = { epoll_create1(0), eventfd(1, 0), eventfd(0, 0) };
	struct epoll_event got[4];

	must(epoll_ctl(
		w.epoll, EPOLL_CTL_ADD, w.ready, &(struct epoll_event){ EPOLLIN, { .u32 = 1 } }));
	must(epoll_ctl(
		w.epoll, EPOLL_CTL_ADD, w.idle, &(struct epoll_event){ EPOLLIN, { .u32 = 2 } }));
	kid(kid_epoll, &w);
	target_wait();
	kids_check();
	expect(epoll_wait(w.epoll, got, 4, 0) == 1 && got[0].data.u32 == 2,
		"the set is not shared");
}

static void kid_epoll_own(void *arg)
{
	int *pair = arg, epoll = (int)must(epoll_create1(0));
	struct epoll_event got[4];

	close(pair[0]);
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1],
		&(struct epoll_event){ EPOLLIN | EPOLLET, { .u32 = 7 } }));
	kid_wait();
	expect(epoll_wait(epoll, got, 4, 5000) == 1 && got[0].data.u32 == 7, "no event");
}

/* As nginx: each worker's own set, with its end of a channel to the master. */
static void treefd_epoll_workers(void)
{
	int pairs[3][2];

	for (int i = 0; i < 3; i++) {
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]));
		kid(kid_epoll_own, pairs[i]);
		close(pairs[i][1]);
	}
	target_wait();
	for (int i = 0; i < 3; i++)
		must(write(pairs[i][0], "x", 1));
	kids_check();
}

static void kid_signalfd(void *arg)
{
	int fd = *(int *)arg;
	struct signalfd_siginfo info;

	must(raise(SIGUSR1));
	kid_wait();
	expect(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1, "signal");
}

static void treefd_signalfd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = (int)must(signalfd(-1, &set, SFD_NONBLOCK));
	kid(kid_signalfd, &fd);
	target_wait();
	expect(read(fd, &(struct signalfd_siginfo){ 0 }, sizeof(struct signalfd_siginfo)) == -1,
		"the child's signal is ours");
	kids_check();
}

static void kid_inotify(void *arg)
{
	int fd = *(int *)arg;
	char events[1024];

	kid_wait();
	close(file_make("watched/new", 1, 1, O_RDONLY));
	expect(read(fd, events, sizeof events) > 0, "no event");
}

static void treefd_inotify(void)
{
	int fd = (int)must(inotify_init1(IN_NONBLOCK));

	must(mkdir("watched", 0700));
	must(inotify_add_watch(fd, "watched", IN_CREATE));
	kid(kid_inotify, &fd);
	target_wait();
	kids_check();
}

/* ---- processes as descriptors ------------------------------------------------------------------
 */

static int pidfd(pid_t pid)
{
	return (int)must(syscall(SYS_pidfd_open, pid, 0));
}

static bool has_ended(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void kid_sibling(void *arg)
{
	int fd = pidfd(*(pid_t *)arg), parent = pidfd(getppid()), self = pidfd(getpid());

	kid_wait();
	expect(has_ended(fd) && !has_ended(parent) && !has_ended(self), "pidfds");
}

/* pidfds of a child, a zombie, a sibling, the parent and oneself. */
static void treefd_pidfd(void)
{
	pid_t child = kid(kid_idle, NULL), zombie = (pid_t)must(fork());
	int fd, ended;
	siginfo_t info;

	if (zombie == 0)
		_exit(3);
	zombie_stands(zombie);
	fd = pidfd(child);
	ended = pidfd(zombie);
	kid(kid_sibling, &child);
	target_wait();
	expect(has_ended(ended) && !has_ended(fd), "before the child's end");
	must(waitid(P_PIDFD, (id_t)ended, &info, WEXITED));
	expect(info.si_pid == zombie && info.si_status == 3, "waitid of the zombie");
	must(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	kid_tell(child);
	must(waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
	expect(info.si_pid == child && has_ended(fd), "waitid");
	kids_check();
}

static volatile sig_atomic_t nr_io;

static void count_io(int signal)
{
	(void)signal;
	nr_io++;
}

static void kid_sigio(void *arg)
{
	(void)arg;
	must(sigaction(SIGUSR2,
		&(struct sigaction){ .sa_handler = count_io, .sa_flags = SA_RESTART }, NULL));
	kid_wait();
	expect(nr_io == 1, "%d signals", nr_io);
}

/* F_SETOWN names a child. */
static void treefd_setown(void)
{
	pid_t pid = kid(kid_sigio, NULL);
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(fcntl(pair[0], F_SETOWN, pid));
	must(fcntl(pair[0], F_SETSIG, SIGUSR2));
	must(fcntl(pair[0], F_SETFL, O_ASYNC));
	target_wait();
	expect(fcntl(pair[0], F_GETOWN) == pid, "owner");
	must(write(pair[1], "x", 1));
	kids_check();
}

const struct target targets_tree_fd[] = {
	{ "treefd_pipe", treefd_pipe, "a pipe with data", 0 },
	{ "treefd_pipe_blocked", treefd_pipe_blocked, "blocked at both ends", TARGET_BUSY },
	{ "treefd_pipe_ended", treefd_pipe_ended, "a pipeline of which only the middle is left",
		0 },
	{ "treefd_pipe_siblings", treefd_pipe_siblings, "a pipe between siblings", 0 },
	{ "treefd_fifo", treefd_fifo, "a FIFO between siblings", 0 },
	{ "treefd_offset", treefd_offset, "one offset", 0 },
	{ "treefd_numbers", treefd_numbers, "one number, two files", 0 },
	{ "treefd_swapped", treefd_swapped, "exchanged numbers", 0 },
	{ "treefd_many", treefd_many, "300 descriptors of a child", 0 },
	{ "treefd_last", treefd_last, "descriptors up to the limit", 0 },
	{ "treefd_unlinked", treefd_unlinked, "unlinked files", 0 },
	{ "treefd_directory", treefd_directory, "a directory", 0 },
	{ "treefd_socketpair", treefd_socketpair, "a socket pair with data", 0 },
	{ "treefd_socketpair_siblings", treefd_socketpair_siblings, "between siblings", 0 },
	{ "treefd_socketpair_ended", treefd_socketpair_ended, "standard input without peer", 0 },
	{ "treefd_listen", treefd_listen, "several accept from one socket", 0 },
	{ "treefd_connection", treefd_connection, "a unix connection", 0 },
	{ "treefd_eventfd", treefd_eventfd, "eventfd", 0 },
	{ "treefd_timerfd", treefd_timerfd, "timerfd", 0 },
	{ "treefd_epoll", treefd_epoll, "a shared epoll set", 0 },
	{ "treefd_epoll_workers", treefd_epoll_workers, "epoll sets of workers", 0 },
	{ "treefd_signalfd", treefd_signalfd, "signalfd", 0 },
	{ "treefd_inotify", treefd_inotify, "inotify", 0 },
	{ "treefd_pidfd", treefd_pidfd, "pidfds", 0 },
	{ "treefd_setown", treefd_setown, "F_SETOWN of a child", 0 },
	{ NULL, NULL, NULL, 0 },
};
