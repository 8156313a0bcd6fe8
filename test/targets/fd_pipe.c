/* Pipes and FIFOs: contents, sizes, packets, ends that are missing. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void fill(int fd, size_t len, uint32_t seed)
{
	char data[65536];

	pattern_fill(data, len, seed);
	expect(write(fd, data, len) == (ssize_t)len, "filling the pipe: %s", strerror(errno));
}

static bool holds(int fd, size_t len, uint32_t seed)
{
	char data[65536];
	size_t got = 0;
	ssize_t n;

	while (got < len && (n = read(fd, data + got, len - got)) > 0)
		got += (size_t)n;
	return got == len && pattern_is(data, len, seed);
}

static void pipe_contents(void)
{
	int empty[2], some[2], full[2], now;

	must(pipe2(empty, O_CLOEXEC));
	must(pipe2(some, O_NONBLOCK));
	must(pipe2(full, O_NONBLOCK));
	fill(some[1], 5000, 1);
	fill(full[1], 65536, 2);
	target_wait();
	must(ioctl(empty[0], FIONREAD, &now));
	expect(now == 0, "the empty pipe holds %d bytes", now);
	expect(write(full[1], "x", 1) == -1 && errno == EAGAIN, "the full pipe has room");
	fill(some[1], 100, 3);
	expect(holds(some[0], 5000, 1) && holds(some[0], 100, 3), "contents and order");
	expect(holds(full[0], 65536, 2), "contents of the full pipe");
	expect(read(some[0], &now, 1) == -1 && errno == EAGAIN, "more than was written");
}

static void pipe_size(void)
{
	int large[2], small[2];

	must(pipe(large));
	must(pipe(small));
	must(fcntl(large[0], F_SETPIPE_SZ, 512 << 10));
	must(fcntl(small[0], F_SETPIPE_SZ, 4096));
	for (uint32_t i = 0; i < 6; i++)
		fill(large[1], 65536, i);
	target_wait();
	expect(fcntl(large[1], F_GETPIPE_SZ) == 512 << 10, "size %d",
		fcntl(large[1], F_GETPIPE_SZ));
	expect(fcntl(small[1], F_GETPIPE_SZ) == 4096, "size %d", fcntl(small[1], F_GETPIPE_SZ));
	for (uint32_t i = 0; i < 6; i++)
		expect(holds(large[0], 65536, i), "contents of part %u", i);
}

/* O_DIRECT: what was written at once is read at once. */
static void pipe_packets(void)
{
	int fds[2];
	char data[4096];

	must(pipe2(fds, O_DIRECT));
	fill(fds[1], 10, 1);
	fill(fds[1], 4000, 2);
	fill(fds[1], 1, 3);
	target_wait();
	expect(fcntl(fds[1], F_GETFL) & O_DIRECT, "O_DIRECT");
	expect(read(fds[0], data, 4096) == 10 && pattern_is(data, 10, 1), "first packet");
	expect(read(fds[0], data, 4096) == 4000 && pattern_is(data, 4000, 2), "second packet");
	expect(read(fds[0], data, 4096) == 1 && pattern_is(data, 1, 3), "third packet");
}

static void pipe_one_end(void)
{
	int no_writer[2], no_reader[2];
	char byte;

	must(pipe(no_writer));
	must(pipe(no_reader));
	fill(no_writer[1], 3000, 1);
	close(no_writer[1]);
	close(no_reader[0]);
	signal(SIGPIPE, SIG_IGN);
	target_wait();
	expect(holds(no_writer[0], 3000, 1), "contents");
	expect(read(no_writer[0], &byte, 1) == 0, "no end of file");
	expect(write(no_reader[1], "x", 1) == -1 && errno == EPIPE, "somebody reads");
}

static void pipe_dup(void)
{
	int fds[2], reader, writer;
	char byte;

	must(pipe(fds));
	reader = (int)must(dup(fds[0]));
	writer = (int)must(fcntl(fds[1], F_DUPFD_CLOEXEC, 50));
	target_wait();
	must(fcntl(fds[0], F_SETFL, O_NONBLOCK));
	expect(fcntl(reader, F_GETFL) & O_NONBLOCK, "the duplicate is a description of its own");
	fill(writer, 5, 1);
	expect(holds(reader, 5, 1), "contents");
	close(fds[1]);
	expect(read(reader, &byte, 1) == -1 && errno == EAGAIN,
		"end of file, but there is a writer");
	close(writer);
	expect(read(reader, &byte, 1) == 0, "no end of file");
}

/* Opened anew through /proc: a second description of the same end, with flags of its own. */
static void pipe_reopened(void)
{
	int fds[2], again;
	char path[64], byte;

	must(pipe(fds));
	__builtin_snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	again = (int)must(open(path, O_RDONLY | O_NONBLOCK));
	fill(fds[1], 9, 1);
	target_wait();
	expect(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK) && (fcntl(again, F_GETFL) & O_NONBLOCK),
		"flags");
	expect(holds(again, 9, 1), "contents");
	close(fds[1]);
	expect(read(fds[0], &byte, 1) == 0, "end of file");
}

static void pipe_fifo(void)
{
	int reader, writer, both;
	char byte;

	must(mkfifo("fifo", 0600));
	must(mkfifo("second", 0600));
	reader = (int)must(open("fifo", O_RDONLY | O_NONBLOCK));
	writer = (int)must(open("fifo", O_WRONLY | O_CLOEXEC));
	both = (int)must(open("second", O_RDWR));
	fill(writer, 2000, 1);
	fill(both, 100, 2);
	target_wait();
	expect(holds(reader, 2000, 1) && holds(both, 100, 2), "contents");
	expect(read(reader, &byte, 1) == -1 && errno == EAGAIN,
		"end of file, but there is a writer");
	both = (int)must(open("fifo", O_WRONLY | O_NONBLOCK));
	fill(both, 1, 3);
	expect(holds(reader, 1, 3), "it is not the FIFO of that name any more");
	close(both);
	close(writer);
	expect(read(reader, &byte, 1) == 0, "no end of file");
}

static void pipe_fifo_deleted(void)
{
	int fd;

	must(mkfifo("fifo", 0600));
	fd = (int)must(open("fifo", O_RDWR));
	fill(fd, 2000, 1);
	must(unlink("fifo"));
	target_wait();
	expect(holds(fd, 2000, 1), "contents");
	expect(access("fifo", F_OK) == -1, "the deleted FIFO has its name again");
}

/* The name it was opened by is gone, but it has another one, for others to open. */
static void pipe_fifo_linked(void)
{
	int fd, other, late;

	must(mkfifo("linked", 0600));
	fd = (int)must(open("linked", O_RDWR | O_NONBLOCK));
	must(link("linked", "linked2"));
	must(unlink("linked"));
	other = (int)must(open("linked2", O_RDONLY | O_NONBLOCK));
	fill(fd, 2000, 1);
	target_wait();
	late = (int)must(open("linked2", O_WRONLY | O_NONBLOCK));
	expect(holds(other, 2000, 1), "contents");
	fill(late, 100, 2);
	expect(holds(fd, 100, 2), "its other name leads to another FIFO");
	expect(access("linked", F_OK) == -1, "its old name is back");
}

/* Partly read: the first buffer starts in the middle. */
static void pipe_partly(void)
{
	int fds[2];
	char data[3000], all[5000];

	must(pipe(fds));
	pattern_fill(all, sizeof all, 1);
	must(write(fds[1], all, sizeof all));
	must(read(fds[0], data, sizeof data));
	target_wait();
	expect(read(fds[0], data, sizeof data) == 2000 && memcmp(data, all + 3000, 2000) == 0,
		"contents");
}

const struct target targets_fd_pipe[] = {
	{ "pipe_contents", pipe_contents, "empty, filled, full", 0 },
	{ "pipe_size", pipe_size, "F_SETPIPE_SZ", 0 },
	{ "pipe_packets", pipe_packets, "O_DIRECT packets", 0 },
	{ "pipe_one_end", pipe_one_end, "without reader or writer", 0 },
	{ "pipe_dup", pipe_dup, "duplicated ends", 0 },
	{ "pipe_reopened", pipe_reopened, "a second description of one end", 0 },
	{ "pipe_fifo", pipe_fifo, "FIFOs with contents", 0 },
	{ "pipe_fifo_deleted", pipe_fifo_deleted, "a deleted FIFO", 0 },
	{ "pipe_fifo_linked", pipe_fifo_linked, "a FIFO with another name", 0 },
	{ "pipe_partly", pipe_partly, "partly read", 0 },
	{ NULL, NULL, NULL, 0 },
};
