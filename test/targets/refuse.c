/*
 * States that cannot be dumped. snapctl has to say so in words, and the target must run on as if
 * nothing had been: its check is that everything still works.
 */
#include "ring.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A poll that nothing answers is under way. */
static void refuse_io_uring(void)
{
	struct ring *ring = ring_make(4, 0);
	int ends[2];

	must(pipe(ends));
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD,
			       .fd = ends[0],
			       .poll_events = POLLIN,
			       .user_data = 9 });
	ring_enter(ring, 1, 0);
	target_wait();
	must(write(ends[1], "x", 1));
	ring_enter(ring, 0, 1);
	expect(ring_get(ring)->user_data == 9, "user_data");
}

/* What only the stopped target tells. */
static void refuse_io_uring_event(void)
{
	struct ring *ring = ring_make(4, 0);
	int fd = (int)must(eventfd(0, 0));
	uint64_t count;

	must(syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_EVENTFD, &fd, 1));
	target_wait();
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP });
	ring_enter(ring, 1, 1);
	must(read(fd, &count, sizeof count));
}

static void refuse_io_uring_wide(void)
{
	struct ring *ring = ring_make(4, IORING_SETUP_CQE32);

	target_wait();
	expect(fcntl(ring->fd, F_GETFD) >= 0, "descriptor");
}

static void refuse_io_uring_registered(void)
{
	struct ring *ring = ring_make(4, 0);
	struct io_uring_rsrc_update update = { .offset = ~0u, .data = (uint64_t)ring->fd };

	must(syscall(
		SYS_io_uring_register, ring->fd, 20 /* IORING_REGISTER_RING_FDS */, &update, 1));
	target_wait();
	must(syscall(SYS_io_uring_enter, update.offset, 0, 0, 1 << 4, NULL, 0));
}

static void refuse_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	struct uffdio_api api = { .api = UFFD_API };
	char *p = map_anon(4 * PAGE, 3, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)p, 4 * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd < 0)
		target_skip("userfaultfd");
	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	target_wait();
	must(ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
}

static void refuse_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);

	if (fd < 0)
		target_skip("bpf");
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor");
}

static void refuse_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	uint64_t count;

	if (fd < 0)
		target_skip("perf_event_open");
	target_wait();
	expect(read(fd, &count, sizeof count) == sizeof count, "read");
}

static void refuse_fanotify(void)
{
	int fd = (int)syscall(SYS_fanotify_init, FAN_CLASS_CONTENT, O_RDONLY);

	if (fd < 0)
		target_skip("fanotify_init");
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor");
}

static void refuse_device(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		fd = open("/dev/fuse", O_RDWR);
	if (fd < 0)
		target_skip("/dev/kmsg");
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor");
}

static void refuse_mqueue(void)
{
	mqd_t queue = mq_open("/snapctl-test", O_RDWR | O_CREAT, 0600, NULL);

	if (queue < 0)
		target_skip("mq_open");
	mq_unlink("/snapctl-test");
	must(mq_notify(queue, &(struct sigevent){ .sigev_notify = SIGEV_NONE }));
	target_wait();
	must(mq_send(queue, "x", 1, 0));
}

static void refuse_packet(void)
{
	struct tpacket_req ring = { 4096, 1, 2048, 2 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		target_skip("socket(AF_PACKET)");
	must(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring));
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor");
}

static void refuse_alg(void)
{
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);

	if (fd < 0)
		target_skip("socket(AF_ALG)");
	target_wait();
	expect(fcntl(fd, F_GETFD) >= 0, "descriptor");
}

/* ---- connections to outside
 * ------------------------------------------------------------------------------------ */

/* The other end is held by a process that is no child: it has been given to init. */
static void orphan(int keep)
{
	int status;
	pid_t child = (pid_t)must(fork());

	if (child == 0) {
		pid_t parent = getppid();

		if (fork() == 0) {
			char path[64];

			close_range(3, (unsigned)keep - 1, 0);
			close_range((unsigned)keep + 1, ~0u, 0);
			snprintf(path, sizeof path, "/proc/%d", parent);
			while (access(path, F_OK) == 0)
				usleep(50000); /* lives as long as the target */
		}
		_exit(0);
	}
	must(waitpid(child, &status, 0));
}

static void refuse_tcp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0)),
	    client = (int)must(socket(AF_INET, SOCK_STREAM, 0)), server;

	must(bind(fd, (struct sockaddr *)&addr, len));
	must(listen(fd, 1));
	must(getsockname(fd, (struct sockaddr *)&addr, &len));
	must(connect(client, (struct sockaddr *)&addr, len));
	server = (int)must(accept(fd, NULL, NULL));
	close(fd);
	orphan(server);
	close(server);
	target_wait();
	must(send(client, "x", 1, MSG_NOSIGNAL));
}

static void refuse_unix_outside(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	orphan(pair[1]);
	close(pair[1]);
	target_wait();
	must(send(pair[0], "x", 1, MSG_NOSIGNAL));
}

static void refuse_pipe_outside(void)
{
	int fds[2];

	must(pipe(fds));
	orphan(fds[0]);
	close(fds[0]);
	target_wait();
	must(write(fds[1], "x", 1));
}

static void refuse_pidfd_outside(void)
{
	int fd = (int)must(syscall(SYS_pidfd_open, getppid(), 0));

	target_wait();
	must(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}

/* ---- rules and traces
 * -------------------------------------------------------------------------------------------------
 */

static void refuse_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	target_wait();
	expect(prctl(PR_GET_SECCOMP) == 2, "the filter is gone");
}

/* A process that is no child of ours traces us, and lets everything pass. */
static void trace(pid_t pid, int said)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || write(said, "y", 1) != 1)
		_exit(1);
	close_range(3, ~0u, 0);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, NULL, status >> 16 ? 0 : WSTOPSIG(status));
	_exit(0);
}

static void refuse_traced(void)
{
	pid_t self = getpid(), child;
	int ready[2];
	char byte;

	must(pipe(ready));
	child = (pid_t)must(fork());
	if (child == 0) {
		if (fork() == 0)
			trace(self, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	must(waitpid(child, NULL, 0));
	expect(read(ready[0], &byte, 1) == 1, "nobody traces us");
	close(ready[0]);
	target_wait();
}

static void refuse_namespace(void)
{
	if (unshare(CLONE_NEWNS) != 0)
		target_skip("unshare(CLONE_NEWNS)");
	target_wait();
}

const struct target targets_refuse[] = {
	{ "refuse_io_uring", refuse_io_uring, "an io_uring at work", TARGET_REFUSED },
	{ "refuse_io_uring_event", refuse_io_uring_event, "an io_uring with an eventfd",
		TARGET_REFUSED },
	{ "refuse_io_uring_wide", refuse_io_uring_wide, "an io_uring with wide entries",
		TARGET_REFUSED },
	{ "refuse_io_uring_registered", refuse_io_uring_registered, "a registered io_uring",
		TARGET_REFUSED },
	{ "refuse_userfaultfd", refuse_userfaultfd, "userfaultfd", TARGET_REFUSED },
	{ "refuse_bpf", refuse_bpf, "a bpf map", TARGET_REFUSED },
	{ "refuse_perf", refuse_perf, "a perf event", TARGET_REFUSED },
	{ "refuse_fanotify", refuse_fanotify, "fanotify", TARGET_REFUSED },
	{ "refuse_device", refuse_device, "a device file", TARGET_REFUSED },
	{ "refuse_mqueue", refuse_mqueue, "a message queue with a notification", TARGET_REFUSED },
	{ "refuse_packet", refuse_packet, "a packet socket with a ring", TARGET_REFUSED },
	{ "refuse_alg", refuse_alg, "a socket of the crypto interface", TARGET_REFUSED },
	{ "refuse_tcp", refuse_tcp, "an established TCP connection", TARGET_REFUSED },
	{ "refuse_unix_outside", refuse_unix_outside, "a unix socket whose peer is elsewhere",
		TARGET_REFUSED },
	{ "refuse_pipe_outside", refuse_pipe_outside, "a pipe whose reader is elsewhere",
		TARGET_REFUSED },
	{ "refuse_pidfd_outside", refuse_pidfd_outside, "a pidfd of a process elsewhere",
		TARGET_REFUSED },
	{ "refuse_seccomp", refuse_seccomp, "a seccomp filter", TARGET_REFUSED },
	{ "refuse_traced", refuse_traced, "traced by another process", TARGET_REFUSED },
	{ "refuse_namespace", refuse_namespace, "another mount namespace", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
