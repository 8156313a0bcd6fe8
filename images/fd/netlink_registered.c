/* What the kernel keeps for the port number of a netlink socket; see netlink.h. */
#include "images/fd/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kind.h"

/* ---- the audit daemon
 * -------------------------------------------------------------------------------- */

struct audit_answer {
	struct nlmsghdr header;
	struct audit_status status;
};

/* In the initial one: only there the kernel has an audit daemon, and answers who asks. */
static bool in_first_pid_ns(void)
{
	enum { PROC_PID_INIT_INO = 0xEFFFFFFC };
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 ||
	       st.st_ino == (ino_t)(uint32_t)PROC_PID_INIT_INO;
}

/* A thread of the kernel answers, a moment later; an error comes at once. */
static bool audit_ask(int fd, struct audit_status *status)
{
	struct nlmsghdr request = { sizeof request, AUDIT_GET, NLM_F_REQUEST, 1, 0 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct audit_answer answer = { 0 };

	if (send(fd, &request, sizeof request, 0) < 0 || poll(&p, 1, 1000) != 1 ||
		recv(fd, &answer, sizeof answer, 0) < 0 || answer.header.nlmsg_type != AUDIT_GET)
		return false;
	*status = answer.status;
	return true;
}

/* Many who only write to the log (dbus-daemon, login, cron) have such a socket for that. */
bool netlink_audit_is_registered(const struct fd_seen *seen)
{
	OWNED_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	struct audit_status status;

	if (fd < 0 || !audit_ask(fd, &status))
		return in_first_pid_ns();
	return status.pid != 0 && status.pid == (uint32_t)seen->pid;
}

/* ---- netfilter --------------------------------------------------------------------------------
 */

/* linux/netfilter/nf_tables.h of 5.12. */
enum { TABLE_OWNER = 7, LIST_LIMIT = 1 << 20 };

/* Each line has a number of a queue or group, and then the port number of who reads it. */
static bool is_listed(const char *path, uint32_t portid)
{
	OWNED_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	struct text t;
	const char *line;
	uint32_t found;
	bool listed = false;
	char *text;
	size_t len;

	if (fd < 0)
		return errno != ENOENT;
	if (fd_read_text(fd, LIST_LIMIT, &text, &len, NULL) < 0)
		return true;
	t = (struct text){ text };
	while (!listed && text_line(&t, &line, &len))
		listed = sscanf(line, " %*u %" SCNu32, &found) == 1 && found == portid;
	free(text);
	return listed;
}

/* NFTA_TABLE_OWNER: who made the table takes it along at its end. */
static bool is_owner(const struct nlmsghdr *h, uint32_t portid)
{
	size_t at = NLMSG_SPACE(sizeof(struct nfgenmsg));

	while (at + NLA_HDRLEN <= h->nlmsg_len) {
		const struct nlattr *a = (const void *)((const uint8_t *)h + at);
		uint32_t owner;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > h->nlmsg_len - at)
			return false;
		if ((a->nla_type & NLA_TYPE_MASK) == TABLE_OWNER &&
			a->nla_len == NLA_HDRLEN + sizeof owner) {
			memcpy(&owner, (const uint8_t *)a + NLA_HDRLEN, sizeof owner);
			return ntohl(owner) == portid;
		}
		at += NLA_ALIGN(a->nla_len);
	}
	return false;
}

/* One answer of many messages; *more is false behind the last one. */
static bool tables_read(int fd, uint32_t portid, bool *more)
{
	_Alignas(8) uint8_t answer[32768];
	ssize_t len = recv(fd, answer, sizeof answer, 0);
	const struct nlmsghdr *h = (const void *)answer;

	*more = len > 0;
	if (len < 0)
		return true;
	for (; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			*more = false;
		else if (is_owner(h, portid))
			return true;
	}
	return false;
}

static bool owns_tables(uint32_t portid)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
	} request = {
		.header = { sizeof request, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
			NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
	};
	OWNED_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	bool more = true;

	if (fd < 0 || send(fd, &request, sizeof request, 0) < 0)
		return true;
	while (more)
		if (tables_read(fd, portid, &more))
			return true;
	return false;
}

bool netlink_netfilter_is_registered(const struct fd_seen *seen)
{
	struct sockaddr_nl nl;
	socklen_t len = sizeof nl;

	if (getsockname(seen->fd, (struct sockaddr *)&nl, &len) < 0)
		return true;
	return nl.nl_pid && (is_listed("/proc/net/netfilter/nfnetlink_queue", nl.nl_pid) ||
				    is_listed("/proc/net/netfilter/nfnetlink_log", nl.nl_pid) ||
				    owns_tables(nl.nl_pid));
}
