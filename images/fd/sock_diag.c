/* sock_diag(7): transport, and what it tells about unix sockets; see sock_diag.h. */
#include "images/fd/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/common.h"
#include "images/fd/sock_diag_nl.h"

enum { DIAG_BUFFER = 32768, DIAG_BODY = 128 };

/* ---- transport ------------------------------------------------------------------------------- */

static int diag_send(int fd, int type, int flags, const void *body, size_t len, struct err *err)
{
	struct {
		struct nlmsghdr head;
		char body[DIAG_BODY];
	} msg = { .head = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
			  .nlmsg_type = (uint16_t)type,
			  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) } };

	memcpy(msg.body, body, len);
	if (send(fd, &msg, msg.head.nlmsg_len, 0) < 0)
		return err_sys(err, "ask sock_diag");
	return 0;
}

/* 1: that was the last message. */
static int diag_message(const struct nlmsghdr *h, int flags,
	void (*each)(const struct nlmsghdr *, void *), void *arg, struct err *err)
{
	const struct nlmsgerr *answer = NLMSG_DATA(h);

	if (h->nlmsg_type == NLMSG_DONE)
		return 1;
	if (h->nlmsg_type == NLMSG_ERROR)
		return answer->error ? err_ret(err, answer->error, "sock_diag") : 1;
	each(h, arg);
	return !(flags & (NLM_F_DUMP | NLM_F_ACK));
}

int diag_ask(int type, int flags, const void *body, size_t len,
	void (*each)(const struct nlmsghdr *h, void *arg), void *arg, struct err *err)
{
	OWNED_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(struct nlmsghdr) char buf[DIAG_BUFFER];
	int done = 0, ret;

	if (fd < 0)
		return err_sys(err, "open a sock_diag socket");
	ret = diag_send(fd, type, flags, body, len, err);
	if (ret < 0)
		return ret;
	while (!done) {
		ssize_t n = recv(fd, buf, sizeof buf, 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "answer of sock_diag");
		for (struct nlmsghdr *h = (void *)buf; !done && NLMSG_OK(h, left);
			h = NLMSG_NEXT(h, left))
			done = diag_message(h, flags, each, arg, err);
	}
	return done < 0 ? done : 0;
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

static void unix_attr(const struct rtattr *a, struct diag_unix *out)
{
	struct unix_diag_vfs file;
	struct unix_diag_rqlen lens;

	if (a->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(a) >= sizeof out->peer) {
		out->has_peer = true;
		memcpy(&out->peer, RTA_DATA(a), sizeof out->peer);
	} else if (a->rta_type == UNIX_DIAG_VFS && RTA_PAYLOAD(a) >= sizeof file) {
		memcpy(&file, RTA_DATA(a), sizeof file);
		out->has_file = true;
		out->file_dev = fd_kernel_dev(file.udiag_vfs_dev);
		out->file_ino = file.udiag_vfs_ino;
	} else if (a->rta_type == UNIX_DIAG_RQLEN && RTA_PAYLOAD(a) >= sizeof lens) {
		memcpy(&lens, RTA_DATA(a), sizeof lens);
		out->rqueue = lens.udiag_rqueue;
		out->wqueue = lens.udiag_wqueue;
	} else if (a->rta_type == UNIX_DIAG_SHUTDOWN && RTA_PAYLOAD(a) >= 1) {
		out->shutdown = *(const uint8_t *)RTA_DATA(a);
	}
}

struct unix_pending {
	struct arena *arena;
	uint32_t *inos;
	size_t nr;
};

static void unix_answer(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	struct diag_unix *out = arg;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg))
		return;
	out->state = msg->udiag_state;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left))
		unix_attr(a, out);
}

static struct unix_diag_req unix_request(uint64_t ino, uint32_t show)
{
	return (struct unix_diag_req){
		.sdiag_family = AF_UNIX,
		.udiag_states = UINT32_MAX,
		.udiag_ino = (uint32_t)ino,
		.udiag_show = show,
		.udiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
	};
}

static void pending_answer(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	struct unix_pending *out = arg;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg))
		return;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != UNIX_DIAG_ICONS)
			continue;
		out->inos = arena_copy(out->arena, RTA_DATA(a), RTA_PAYLOAD(a));
		out->nr = RTA_PAYLOAD(a) / sizeof *out->inos;
	}
}

int sock_diag_unix_pending(
	uint64_t ino, struct arena *arena, uint32_t **inos, size_t *nr, struct err *err)
{
	struct unix_diag_req req = unix_request(ino, UDIAG_SHOW_ICONS);
	struct unix_pending found = { .arena = arena };

	if (diag_ask(SOCK_DIAG_BY_FAMILY, 0, &req, sizeof req, pending_answer, &found, err) < 0)
		return -err->code;
	*inos = found.inos;
	*nr = found.nr;
	return 0;
}

int sock_diag_unix(uint64_t ino, struct diag_unix *out, struct err *err)
{
	struct unix_diag_req req = unix_request(
		ino, UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN);
	struct diag_unix found = { 0 };
	int ret = diag_ask(SOCK_DIAG_BY_FAMILY, 0, &req, sizeof req, unix_answer, &found, err);

	if (ret < 0) {
		if (ret != -ENOENT)
			return ret;
		err_set(err, ENOTSUP, "the kernel (sock_diag) does not know this unix socket");
		return err_hint(err,
			"either unix_diag is missing (try modprobe unix_diag), or the "
			"socket belongs to another network namespace: run snapctl there");
	}
	*out = found;
	return 0;
}
