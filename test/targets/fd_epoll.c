/* epoll: trigger modes, nesting, descriptors that were closed behind its back. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int event_make(unsigned count)
{
	return (int)must(eventfd(count, EFD_NONBLOCK));
}

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ events, { .u64 = data } }));
}

static void signal_event(int fd)
{
	must(write(fd, &(uint64_t){ 1 }, 8));
}

/* Does the epoll say exactly this one event now (data 0: none)? */
static bool says(int epoll, uint32_t events, uint64_t data)
{
	struct epoll_event got[4];
	int nr = epoll_wait(epoll, got, 4, 0);

	if (data == 0)
		return nr == 0;
	return nr == 1 && got[0].events == events && got[0].data.u64 == data;
}

static void epoll_level(void)
{
	int epoll = (int)must(epoll_create1(EPOLL_CLOEXEC)), ready = event_make(1),
	    idle = event_make(0);

	add(epoll, ready, EPOLLIN, 0x1122334455667788);
	add(epoll, idle, EPOLLIN | EPOLLRDHUP, 2);
	target_wait();
	expect(says(epoll, EPOLLIN, 0x1122334455667788), "the ready one");
	expect(says(epoll, EPOLLIN, 0x1122334455667788), "not level-triggered");
	must(read(ready, &(uint64_t){ 0 }, 8));
	expect(says(epoll, 0, 0), "it is still ready");
	signal_event(idle);
	expect(says(epoll, EPOLLIN, 2), "the other one");
	expect(fcntl(epoll, F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC");
}

static void epoll_edge(void)
{
	int epoll = (int)must(epoll_create1(0)), waiting = event_make(0);

	add(epoll, waiting, EPOLLIN | EPOLLET, 7);
	signal_event(waiting); /* an edge nobody has asked for yet */
	target_wait();
	expect(says(epoll, EPOLLIN, 7), "an edge was lost");
	expect(says(epoll, 0, 0), "not edge-triggered");
	signal_event(waiting);
	expect(says(epoll, EPOLLIN, 7), "a new edge");
}

/* Edges that were reported before: not again. No other is due, or one of another set. */
static void epoll_reported(void)
{
	int epoll = (int)must(epoll_create1(0)), other = (int)must(epoll_create1(0)), pair[2],
	    ends[2], event = event_make(1), due = event_make(1), quiet = event_make(0);
	struct epoll_event got[8];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(pipe(ends));
	must(write(ends[1], "x", 1));
	must(write(pair[1], "x", 1));
	add(epoll, quiet, EPOLLIN, 1);
	add(epoll, event, EPOLLIN | EPOLLOUT | EPOLLET, 2);
	add(epoll, ends[0], EPOLLIN | EPOLLET | EPOLLRDHUP, 3);
	add(epoll, ends[1], EPOLLOUT | EPOLLET, 4);
	add(epoll, pair[0], EPOLLIN | EPOLLOUT | EPOLLET, 5);
	expect(epoll_wait(epoll, got, 8, 0) == 4, "before");
	add(other, due, EPOLLIN | EPOLLET, 6);
	target_wait();
	expect(says(epoll, 0, 0), "an edge that was reported");
	expect(says(other, EPOLLIN, 6), "an edge was lost");
	signal_event(quiet);
	expect(says(epoll, EPOLLIN, 1), "level-triggered");
	must(read(quiet, &(uint64_t){ 0 }, 8));
	must(write(ends[1], "y", 1));
	must(write(pair[1], "y", 1));
	signal_event(event);
	expect(epoll_wait(epoll, got, 8, 0) == 3, "new edges");
}

static void epoll_oneshot(void)
{
	int epoll = (int)must(epoll_create1(0)), spent = event_make(1), loaded = event_make(0);

	add(epoll, spent, EPOLLIN | EPOLLONESHOT, 1);
	add(epoll, loaded, EPOLLIN | EPOLLONESHOT, 2);
	expect(says(epoll, EPOLLIN, 1), "before");
	target_wait();
	expect(says(epoll, 0, 0), "a spent one fires again");
	signal_event(loaded);
	expect(says(epoll, EPOLLIN, 2), "a loaded one does not fire");
	expect(says(epoll, 0, 0), "not a oneshot");
	must(epoll_ctl(
		epoll, EPOLL_CTL_MOD, spent, &(struct epoll_event){ EPOLLIN, { .u64 = 3 } }));
	expect(says(epoll, EPOLLIN, 3), "cannot be loaded again");
}

static void epoll_exclusive(void)
{
	int a = (int)must(epoll_create1(0)), b = (int)must(epoll_create1(0)), fd = event_make(0);

	add(a, fd, EPOLLIN | EPOLLEXCLUSIVE, 5);
	add(b, fd, EPOLLIN | EPOLLEXCLUSIVE, 6);
	target_wait();
	signal_event(fd);
	expect(says(a, EPOLLIN, 5) && says(b, EPOLLIN, 6), "exclusive");
	expect(epoll_ctl(a, EPOLL_CTL_MOD, fd, &(struct epoll_event){ EPOLLIN, { .u64 = 1 } }) ==
				-1 &&
			errno == EINVAL,
		"EPOLLEXCLUSIVE is lost");
}

static void epoll_nested(void)
{
	int outer = (int)must(epoll_create1(0)), middle = (int)must(epoll_create1(0)),
	    inner = (int)must(epoll_create1(0));
	int fd = event_make(0);

	add(inner, fd, EPOLLIN, 3);
	add(outer, middle, EPOLLIN, 1);
	add(middle, inner, EPOLLIN | EPOLLET, 2);
	target_wait();
	signal_event(fd);
	expect(says(outer, EPOLLIN, 1) && says(middle, EPOLLIN, 2) && says(inner, EPOLLIN, 3),
		"nested");
}

/* The number is free, a duplicate keeps the description alive: events still arrive under the old
 * data. */
static void epoll_closed(void)
{
	int epoll = (int)must(epoll_create1(0)), fd = event_make(0), keeps = (int)must(dup(fd));

	add(epoll, fd, EPOLLIN, 11);
	close(fd);
	target_wait();
	expect(fcntl(fd, F_GETFD) == -1, "the closed descriptor is open");
	signal_event(keeps);
	expect(says(epoll, EPOLLIN, 11), "no event of the closed descriptor");
}

/* The number is in use again, by something else that is watched too. */
static void epoll_reused(void)
{
	int epoll = (int)must(epoll_create1(0)), fd = event_make(0), keeps = (int)must(dup(fd)),
	    other;

	add(epoll, fd, EPOLLIN, 21);
	close(fd);
	other = event_make(0);
	expect(other == fd, "the number was not used again");
	add(epoll, other, EPOLLIN, 22);
	target_wait();
	signal_event(other);
	expect(says(epoll, EPOLLIN, 22), "event of the new one");
	must(read(other, &(uint64_t){ 0 }, 8));
	signal_event(keeps);
	expect(says(epoll, EPOLLIN, 21), "event of the old one");
}

/* One descriptor watched under two numbers, and an epoll that is duplicated. */
static void epoll_dup(void)
{
	int epoll = (int)must(epoll_create1(0)), fd = event_make(0), again = (int)must(dup(fd));
	int epoll2 = (int)must(dup(epoll));
	struct epoll_event got[4];

	add(epoll, fd, EPOLLIN, 31);
	add(epoll, again, EPOLLIN | EPOLLET, 32);
	target_wait();
	signal_event(fd);
	expect(epoll_wait(epoll2, got, 4, 0) == 2, "two events");
	must(epoll_ctl(epoll2, EPOLL_CTL_DEL, again, NULL));
	expect(says(epoll, EPOLLIN, 31), "epoll is two now");
}

static void epoll_many(void)
{
	int epoll = (int)must(epoll_create1(0)), fds[200];
	struct epoll_event got[256];

	for (uint64_t i = 0; i < 200; i++) {
		fds[i] = event_make(i % 10 == 0);
		add(epoll, fds[i], EPOLLIN, i + 1);
	}
	target_wait();
	expect(epoll_wait(epoll, got, 256, 0) == 20, "ready ones");
	for (int i = 0; i < 20; i++)
		expect(got[i].data.u64 % 10 == 1, "data %lu", got[i].data.u64);
}

static void epoll_sockets(void)
{
	int epoll = (int)must(epoll_create1(0)), pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	add(epoll, pair[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, 41);
	must(write(pair[1], "x", 1));
	expect(says(epoll, EPOLLIN | EPOLLOUT, 41), "before");
	target_wait();
	must(write(pair[1], "y", 1));
	expect(says(epoll, EPOLLIN | EPOLLOUT, 41), "new input");
	close(pair[1]);
	expect(says(epoll, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP, 41), "hang-up");
}

/*
 * One set for two processes: an item of the child's is known by its number there, which is another
 * file with the parent.
 */
static void epoll_processes(void)
{
	int epoll = (int)must(epoll_create1(0)), go[2], ready[2], child_fd;
	struct epoll_event got;
	char byte;

	must(pipe(go));
	must(pipe(ready));
	child_fd = (int)must(open("/dev/null", O_RDONLY));
	if (must(fork()) == 0) {
		close(go[1]);
		must(dup2(event_make(0), child_fd));
		add(epoll, child_fd, EPOLLIN, 55);
		must(write(ready[1], "x", 1));
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		signal_event(child_fd);
		_exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(go[0]);
	must(read(ready[0], &byte, 1));
	target_wait();
	expect(says(epoll, 0, 0), "an event out of nothing");
	must(write(go[1], "x", 1));
	expect(epoll_wait(epoll, &got, 1, 5000) == 1 && got.data.u64 == 55, "the child's item");
	close(go[1]);
}

const struct target targets_fd_epoll[] = {
	{ "epoll_level", epoll_level, "level-triggered", 0 },
	{ "epoll_edge", epoll_edge, "edge-triggered", 0 },
	{ "epoll_reported", epoll_reported, "edges that were reported", 0 },
	{ "epoll_oneshot", epoll_oneshot, "oneshot, spent and loaded", 0 },
	{ "epoll_exclusive", epoll_exclusive, "exclusive", 0 },
	{ "epoll_nested", epoll_nested, "nested", 0 },
	{ "epoll_closed", epoll_closed, "a descriptor closed behind its back", 0 },
	{ "epoll_reused", epoll_reused, "closed, and its number used again", 0 },
	{ "epoll_dup", epoll_dup, "duplicates on both sides", 0 },
	{ "epoll_many", epoll_many, "200 descriptors", 0 },
	{ "epoll_sockets", epoll_sockets, "sockets", 0 },
	{ "epoll_processes", epoll_processes, "an epoll set of two processes", 0 },
	{ NULL, NULL, NULL, 0 },
};
