/* Every listening socket: sock_diag(7) in dumps; see sock_diag.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "images/fd/common.h"
#include "images/fd/sock_diag.h"
#include "images/fd/sock_diag_nl.h"

enum { TCP_LISTEN_STATE = 10 }; /* include/net/tcp_states.h */

struct listing {
	void (*each)(const struct diag_listener *l, void *arg);
	void *arg;
};

static void inet_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	const struct listing *listing = arg;
	struct diag_listener l = { 0 };

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg))
		return;
	l.ino = msg->idiag_inode;
	l.family = msg->idiag_family;
	l.port = ntohs(msg->id.idiag_sport);
	listing->each(&l, listing->arg);
}

static void unix_listener_attr(const struct rtattr *a, struct diag_listener *l)
{
	struct unix_diag_vfs file;
	size_t len = RTA_PAYLOAD(a);

	if (a->rta_type == UNIX_DIAG_NAME && len > 0 && len < sizeof l->name) {
		memcpy(l->name, RTA_DATA(a), len);
		if (!l->name[0])
			l->name[0] = '@';
	} else if (a->rta_type == UNIX_DIAG_VFS && len >= sizeof file) {
		memcpy(&file, RTA_DATA(a), sizeof file);
		l->has_file = true;
		l->file_dev = fd_kernel_dev(file.udiag_vfs_dev);
		l->file_ino = file.udiag_vfs_ino;
	}
}

static void unix_listener_answer(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	const struct listing *listing = arg;
	struct diag_listener l = { .family = AF_UNIX };
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg))
		return;
	l.ino = msg->udiag_ino;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left))
		unix_listener_attr(a, &l);
	listing->each(&l, listing->arg);
}

/* ENOENT: a kernel without this family, or without its diag module: nobody to be listed. */
static int listing_ask(const void *req, size_t len,
	void (*answer)(const struct nlmsghdr *h, void *arg), struct listing *listing,
	struct err *err)
{
	struct err why = { 0 };
	int ret = diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, req, len, answer, listing, &why);

	if (ret == -ENOENT)
		return 0;
	if (ret < 0 && err)
		*err = why;
	return ret;
}

static int listing_inet(struct listing *listing, int family, struct err *err)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1 << TCP_LISTEN_STATE,
	};

	return listing_ask(&req, sizeof req, inet_answer, listing, err);
}

static int listing_unix(struct listing *listing, struct err *err)
{
	const struct unix_diag_req req = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1 << TCP_LISTEN_STATE,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS,
	};

	return listing_ask(&req, sizeof req, unix_listener_answer, listing, err);
}

int sock_diag_listeners(
	void (*each)(const struct diag_listener *l, void *arg), void *arg, struct err *err)
{
	struct listing listing = { each, arg };
	int ret = listing_inet(&listing, AF_INET, err);

	if (!ret)
		ret = listing_inet(&listing, AF_INET6, err);
	return ret < 0 ? ret : listing_unix(&listing, err);
}
