/*
 * Streams at work between processes, over everything that can carry one: numbers are written as
 * fast as they are read, in pieces of many sizes. None may be lost, doubled or out of order,
 * however often the tree is dumped meanwhile.
 */
#include "target.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE_MOST = 4096, STREAMS_MOST = 8 };

/* Shared by all of them. */
struct progress {
	atomic_bool enough;
	_Atomic uint64_t sent[STREAMS_MOST], received[STREAMS_MOST];
};

/* ---- what carries: ends[0] reads, ends[1] writes
 * -------------------------------------------------- */

static void carrier_pipe(int ends[2])
{
	must(pipe(ends));
}

static void carrier_packet_pipe(int ends[2])
{
	must(pipe2(ends, O_DIRECT));
}

static void carrier_unix_stream(int ends[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static void carrier_unix_packets(int ends[2])
{
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
}

static void tcp_connect(int family, const struct sockaddr *addr, socklen_t len, int ends[2])
{
	struct sockaddr_storage bound;
	socklen_t bound_len = sizeof bound;
	int listener = (int)must(socket(family, SOCK_STREAM, 0));

	must(bind(listener, addr, len));
	must(listen(listener, 1));
	must(getsockname(listener, (struct sockaddr *)&bound, &bound_len));
	ends[1] = (int)must(socket(family, SOCK_STREAM, 0));
	must(connect(ends[1], (struct sockaddr *)&bound, bound_len));
	ends[0] = (int)must(accept(listener, NULL, NULL));
	close(listener);
}

static void carrier_tcp(int ends[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp_connect(AF_INET, (struct sockaddr *)&addr, sizeof addr, ends);
}

static void carrier_tcp6(int ends[2])
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	tcp_connect(AF_INET6, (struct sockaddr *)&addr, sizeof addr, ends);
}

/* ---- the two processes of a stream -------------------------------------------------------------
 */

static void write_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len > 0;) {
		ssize_t put = must(write(fd, at, len));

		at += put;
		len -= (size_t)put;
	}
}

static void produce(int fd, struct progress *p, size_t stream)
{
	uint64_t piece[PIECE_MOST / 8], next = 0;

	while (!atomic_load(&p->enough)) {
		size_t nr = 1 + next % (PIECE_MOST / 8);

		for (size_t i = 0; i < nr; i++)
			piece[i] = next++;
		write_all(fd, piece, nr * 8);
		atomic_store(&p->sent[stream], next);
	}
	_exit(0);
}

static void consume(int fd, struct progress *p, size_t stream)
{
	char data[2 * PIECE_MOST];
	size_t have = 0;
	uint64_t next = 0, got;
	ssize_t len;

	while ((len = must(read(fd, data + have, sizeof data - have))) > 0) {
		size_t at = 0;

		for (have += (size_t)len; have - at >= 8; at += 8) {
			memcpy(&got, data + at, 8);
			expect(got == next, "stream %zu: %llu instead of %llu", stream,
				(unsigned long long)got, (unsigned long long)next);
			next++;
		}
		memmove(data, data + at, have - at);
		have -= at;
		atomic_store(&p->received[stream], next);
	}
	expect(have == 0, "stream %zu ends within a number", stream);
	_exit(0);
}

static void stream_start(void (*carrier)(int ends[2]), struct progress *p, size_t stream)
{
	int ends[2];

	carrier(ends);
	if (must(fork()) == 0) {
		close(ends[0]);
		produce(ends[1], p, stream);
	}
	if (must(fork()) == 0) {
		close(ends[1]);
		consume(ends[0], p, stream);
	}
	close(ends[0]);
	close(ends[1]);
}

static void streams(void (*const carriers[])(int ends[2]), size_t nr)
{
	struct progress *p = (struct progress *)map_anon(
		sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED);
	uint64_t before[STREAMS_MOST];
	int status;

	for (size_t i = 0; i < nr; i++)
		stream_start(carriers[i], p, i);
	for (size_t i = 0; i < nr; i++)
		while (!atomic_load(&p->received[i]))
			usleep(1000);
	target_wait();
	/* They go on: what was on the way arrives, and new numbers. */
	for (size_t i = 0; i < nr; i++)
		before[i] = atomic_load(&p->sent[i]);
	for (size_t i = 0; i < nr; i++)
		while (atomic_load(&p->received[i]) <= before[i] + PIECE_MOST)
			usleep(1000);
	atomic_store(&p->enough, true);
	while (wait(&status) > 0)
		expect(status == 0, "a process of a stream ended with status %#x", status);
	for (size_t i = 0; i < nr; i++)
		expect(p->received[i] == p->sent[i], "stream %zu: %llu of %llu arrived", i,
			(unsigned long long)p->received[i], (unsigned long long)p->sent[i]);
}

static void stream_local(void)
{
	static void (*const carriers[])(int ends[2]) = { carrier_pipe, carrier_packet_pipe,
		carrier_unix_stream, carrier_unix_packets };

	streams(carriers, sizeof carriers / sizeof *carriers);
}

static void stream_tcp(void)
{
	static void (*const carriers[])(int ends[2]) = { carrier_tcp, carrier_tcp6 };

	streams(carriers, sizeof carriers / sizeof *carriers);
}

const struct target targets_tree_stream[] = {
	{ "stream_local", stream_local, "streams at work over pipes and unix sockets",
		TARGET_BUSY | TARGET_UNSTEADY },
	{ "stream_tcp", stream_tcp, "streams at work over TCP", TARGET_BUSY | TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
