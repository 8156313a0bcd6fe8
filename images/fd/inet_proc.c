/*
 * Whom a raw or ping socket is connected to. getpeername(2) does not tell where the port is 0, as
 * it mostly is with these; /proc/net does.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/inet.h"

enum { PROC_LIMIT = 64 * 1024 * 1024, STATE_CONNECTED = 1 };

static const char *table_of(const struct inet_sock *sock)
{
	if (sock->family == AF_INET)
		return sock->type == SOCK_RAW ? "/proc/net/raw" : "/proc/net/icmp";
	return sock->type == SOCK_RAW ? "/proc/net/raw6" : "/proc/net/icmp6";
}

/* Each 32 bits of the address are printed as a number of this machine. */
static bool address_read(const char *hex, size_t nr_words, uint8_t *addr)
{
	for (size_t i = 0; i < nr_words; i++) {
		char digits[9] = "";
		uint32_t word;

		memcpy(digits, hex + 8 * i, 8);
		word = (uint32_t)strtoul(digits, NULL, 16);
		memcpy(addr + 4 * i, &word, sizeof word);
	}
	return true;
}

/* "  54: 0100007F:0001 0100007F:0000 01 00000000:00000000 00:00000000 00000000 0 0 12266373 2 ..."
 */
static bool line_read(const char *line, uint64_t ino, struct inet_sock *sock)
{
	size_t words = sock->family == AF_INET ? 1 : 4;
	char remote[33] = "";
	unsigned state, port;
	uint64_t found;

	if (sscanf(line, " %*u: %*32[0-9A-F]:%*4x %32[0-9A-F]:%4x %2x %*s %*s %*s %*u %*u %" SCNu64,
		    remote, &port, &state, &found) != 4 ||
		found != ino || strlen(remote) != 8 * words)
		return false;
	if (state != STATE_CONNECTED)
		return true;
	sock->remote.set = true;
	/* Raw ones show none, but have that of connect(2) for getpeername(2). */
	sock->remote.port = sock->type == SOCK_RAW ? sock->remote.port : (uint16_t)port;
	return address_read(remote, words, sock->remote.addr);
}

int inet_proc_remote(uint64_t ino, struct inet_sock *sock, struct err *err)
{
	OWNED_FD fd = open(table_of(sock), O_RDONLY | O_CLOEXEC);
	struct text t;
	const char *line;
	char *text;
	size_t len;

	if (fd < 0)
		return err_sys(err, "open %s", table_of(sock));
	if (fd_read_text(fd, PROC_LIMIT, &text, &len, err) < 0)
		return err_wrap(err, "%s", table_of(sock));
	t = (struct text){ text };
	while (text_line(&t, &line, &len))
		if (line_read(line, ino, sock))
			break;
	free(text);
	return 0;
}
