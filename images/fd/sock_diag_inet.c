/* Who stands in the way of a bind: sock_diag about ports, /proc about processes; see sock_diag.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/sock_diag.h"
#include "images/fd/sock_diag_nl.h"

enum {
	TCP_SYN_SENT_STATE = 2,
	TCP_FIN_WAIT1_STATE = 4,
	TCP_FIN_WAIT2_STATE = 5,
	TCP_TIME_WAIT_STATE = 6,
	TCP_LAST_ACK_STATE = 9,
	TCP_LISTENING_STATE = 10,
	TCP_CLOSING_STATE = 11,
}; /* include/net/tcp_states.h */

/* ---- ports ----------------------------------------------------------------------------------- */

struct waiting {
	struct inet_diag_req_v2 reqs[64];
	unsigned nr;
};

struct port_search {
	uint16_t port;
	uint8_t protocol;
	struct diag_port *found;
	struct waiting *waiting; /* collect them too, or NULL */
};

static void port_waiting(const struct inet_diag_msg *msg, struct port_search *s)
{
	struct waiting *w = s->waiting;

	s->found->nr_waiting++;
	if (!w || w->nr == sizeof w->reqs / sizeof *w->reqs)
		return;
	w->reqs[w->nr++] = (struct inet_diag_req_v2){
		.sdiag_family = msg->idiag_family,
		.sdiag_protocol = s->protocol,
		.idiag_states = UINT32_MAX,
		.id = msg->id,
	};
}

/* Closed, and the other end has not acknowledged that yet, nor maybe what was sent before. */
static bool is_closing(const struct inet_diag_msg *msg)
{
	return msg->idiag_state == TCP_FIN_WAIT1_STATE || msg->idiag_state == TCP_LAST_ACK_STATE ||
	       msg->idiag_state == TCP_CLOSING_STATE;
}

static void port_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	struct port_search *s = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || ntohs(msg->id.idiag_sport) != s->port)
		return;
	if (msg->idiag_inode)
		s->found->ino = msg->idiag_inode;
	else if (msg->idiag_state == TCP_TIME_WAIT_STATE || msg->idiag_state == TCP_FIN_WAIT2_STATE)
		port_waiting(msg, s);
	else if (is_closing(msg))
		s->found->nr_closing++;
}

static int port_search(int protocol, uint16_t port, struct diag_port *out, struct waiting *waiting,
	struct err *err)
{
	struct port_search s = { port, (uint8_t)protocol, out, waiting };
	static const int families[] = { AF_INET, AF_INET6 };
	int ret = 0;

	for (size_t i = 0; !ret && i < 2; i++) {
		struct inet_diag_req_v2 req = {
			.sdiag_family = (uint8_t)families[i],
			.sdiag_protocol = (uint8_t)protocol,
			.idiag_states = UINT32_MAX,
			.id.idiag_sport = htons(port),
		};

		ret = diag_ask(
			SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, port_answer, &s, err);
	}
	return ret;
}

int sock_diag_port(int protocol, uint16_t port, struct diag_port *out, struct err *err)
{
	struct diag_port found = { 0 };
	int ret = port_search(protocol, port, &found, NULL, err);

	if (!ret)
		*out = found;
	return ret;
}

static void ignore_answer(const struct nlmsghdr *h, void *arg)
{
	(void)h;
	(void)arg;
}

unsigned sock_diag_end_waiting(int protocol, uint16_t port, bool *closing)
{
	struct waiting waiting = { .nr = 0 };
	struct diag_port found = { 0 };
	struct err err;
	unsigned ended = 0;

	*closing = false;
	if (port_search(protocol, port, &found, &waiting, &err) < 0)
		return 0;
	*closing = found.nr_closing > 0;
	for (unsigned i = 0; i < waiting.nr; i++)
		if (diag_ask(SOCK_DESTROY, NLM_F_ACK, &waiting.reqs[i], sizeof waiting.reqs[i],
			    ignore_answer, NULL, &err) == 0)
			ended++;
	return ended;
}

/* ---- shut down ------------------------------------------------------------------------------- */

struct shut {
	uint64_t ino;
	uint32_t shutdown;
};

static void shutdown_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	struct shut *s = arg;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || msg->idiag_inode != s->ino)
		return;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_SHUTDOWN && RTA_PAYLOAD(a) >= 1)
			s->shutdown = *(const uint8_t *)RTA_DATA(a);
}

int sock_diag_udp_shutdown(int family, uint64_t ino, uint32_t *shutdown, struct err *err)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_UDP,
		.idiag_ext = 1u << (INET_DIAG_SHUTDOWN - 1),
		.idiag_states = UINT32_MAX,
	};
	struct shut s = { .ino = ino };

	if (diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, shutdown_answer, &s, err) <
		0)
		return -err->code;
	*shutdown = s.shutdown;
	return 0;
}

static void address_of(int family, const void *addr, uint16_t port, uint32_t interface,
	struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	memset(out, 0, sizeof *out);
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_port = port;
		memcpy(&v4->sin_addr, addr, 4);
		return;
	}
	v6->sin6_port = port;
	memcpy(&v6->sin6_addr, addr, 16);
	v6->sin6_scope_id = interface;
}

/* ---- connections under way ------------------------------------------------------------------- */

struct connecting {
	uint64_t ino;
	bool found;
	struct inet_diag_msg msg;
};

static void connecting_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	struct connecting *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || msg->idiag_inode != c->ino)
		return;
	c->found = true;
	c->msg = *msg;
}

int sock_diag_connecting(int family, uint64_t ino, struct sockaddr_storage *remote, struct err *err)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1u << TCP_SYN_SENT_STATE,
	};
	struct connecting c = { .ino = ino };

	if (diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, connecting_answer, &c,
		    err) < 0)
		return -err->code;
	if (!c.found)
		return err_set(err, EAGAIN, "a connection was established while it was looked at");
	address_of(family, c.msg.id.idiag_dst, c.msg.id.idiag_dport, c.msg.id.idiag_if, remote);
	return 0;
}

/* ---- ends of connections --------------------------------------------------------------------- */

struct ends {
	void (*each)(const struct diag_end *end, void *arg);
	void *arg;
};

static void ends_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	const struct inet_diag_sockid *id = &msg->id;
	const struct ends *e = arg;
	struct diag_end end;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg))
		return;
	address_of(msg->idiag_family, id->idiag_src, id->idiag_sport, id->idiag_if, &end.own);
	address_of(msg->idiag_family, id->idiag_dst, id->idiag_dport, id->idiag_if, &end.peer);
	end.ino = msg->idiag_inode;
	end.state = msg->idiag_state;
	end.rqueue = msg->idiag_rqueue;
	e->each(&end, e->arg);
}

int sock_diag_ends(void (*each)(const struct diag_end *end, void *arg), void *arg, struct err *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct ends e = { each, arg };

	for (size_t i = 0; i < 2; i++) {
		struct inet_diag_req_v2 req = {
			.sdiag_family = (uint8_t)families[i],
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = UINT32_MAX & ~(1u << TCP_LISTENING_STATE),
		};

		if (diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, ends_answer, &e,
			    err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- processes ------------------------------------------------------------------------------- */

static bool process_holds(const char *pid, const char *wanted)
{
	char path[300], link[64];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);

		link[n > 0 ? n : 0] = '\0';
		found = !strcmp(link, wanted);
	}
	closedir(dir);
	return found;
}

static void process_name(const char *pid, char *text, size_t len)
{
	char path[300], comm[64] = "";
	OWNED_FD fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, comm, sizeof comm - 1);
	comm[n > 0 ? n - 1 : 0] = '\0'; /* without the newline */
	snprintf(text, len, "process %s (%s)", pid, comm);
}

bool sock_diag_owner(uint32_t ino, char *text, size_t len)
{
	DIR *proc = opendir("/proc");
	bool found = false;
	struct dirent *e;
	char wanted[64];

	if (!proc)
		return false;
	snprintf(wanted, sizeof wanted, "socket:[%u]", ino);
	while (!found && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !process_holds(e->d_name, wanted))
			continue;
		process_name(e->d_name, text, len);
		found = true;
	}
	closedir(proc);
	return found;
}
