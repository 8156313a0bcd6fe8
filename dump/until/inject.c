/*
 * Changing descriptors of a frozen process; see inject.h. A description of ours gets into another
 * process as a message (SCM_RIGHTS) through a pair of sockets that the process makes for itself:
 * that needs no right but the one to trace it.
 */
#include "dump/until/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/remote.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

/* ---- finding ---------------------------------------------------------------------------- */

static int slot_flags(struct tracee *t, int num, struct arena *a, int *flags, struct err *err)
{
	char name[40], *text;
	uint64_t value = 0;
	int ret;

	snprintf(name, sizeof name, "fdinfo/%d", num);
	ret = proc_text(t->procfd, name, a, &text, NULL, err);
	if (!ret && !text_field_oct(text, "flags", &value))
		ret = err_set(err, EPROTO, "descriptor %d: fdinfo has no flags", num);
	*flags = (int)value;
	return ret;
}

int inject_find(struct tracee *t, const struct stat *st, struct arena *a, struct slot **slots,
	size_t *nr, struct err *err)
{
	size_t nr_nums, cap = 0;
	int *nums, ret = proc_fds(t->procfd, a, &nums, &nr_nums, err);

	*slots = NULL;
	*nr = 0;
	for (size_t i = 0; ret >= 0 && i < nr_nums; i++) {
		struct stat seen;
		char name[32];

		snprintf(name, sizeof name, "fd/%d", nums[i]);
		if (fstatat(t->procfd, name, &seen, 0) < 0 || seen.st_dev != st->st_dev ||
			seen.st_ino != st->st_ino)
			continue;
		*slots = arena_grow(a, *slots, *nr, &cap, sizeof **slots);
		(*slots)[*nr].num = nums[i];
		ret = slot_flags(t, nums[i], a, &(*slots)[(*nr)++].flags, err);
	}
	return ret < 0 ? ret : 0;
}

/* A line of fdinfo of an epoll set: "tfd:        1 events:       19 data: ..." */
static bool epoll_watches(const char *text, int num)
{
	struct text at = { text };
	const char *line;
	size_t len;

	while (text_line(&at, &line, &len)) {
		struct text words = { line };
		uint64_t watched;

		if (!text_word(&words, "tfd:"))
			continue;
		text_blanks(&words);
		if (text_dec(&words, &watched) && watched == (uint64_t)num)
			return true;
	}
	return false;
}

static int slot_unwatched(struct tracee *t, int epoll, int num, struct arena *a, struct err *err)
{
	char name[40], *text;

	snprintf(name, sizeof name, "fdinfo/%d", epoll);
	if (proc_text(t->procfd, name, a, &text, NULL, NULL) < 0 || !epoll_watches(text, num))
		return 0;
	err_set(err, ENOTSUP, "descriptor %d is watched by its epoll set %d", num, epoll);
	return err_hint(err, "with --until=output it is a pipe of snapctl, which would be watched "
			     "no more: use another condition, such as ready or listen");
}

int inject_unwatched(
	struct tracee *t, const struct slot *slots, size_t nr, struct arena *a, struct err *err)
{
	size_t nr_nums;
	int *nums, ret = proc_fds(t->procfd, a, &nums, &nr_nums, err);

	for (size_t i = 0; ret >= 0 && i < nr_nums; i++)
		for (size_t j = 0; ret >= 0 && j < nr; j++)
			ret = slot_unwatched(t, nums[i], slots[j].num, a, err);
	return ret < 0 ? ret : 0;
}

/* ---- remote calls ----------------------------------------------------------------------- */

static int remote(struct tracee *t, long nr, uint64_t arg0, uint64_t arg1, uint64_t arg2,
	uint64_t arg3, const char *what, uint64_t *ret, struct err *err)
{
	const uint64_t args[6] = { arg0, arg1, arg2, arg3 };

	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state != TRACEE_EXITED)
			return remote_call(t, &t->threads[i], nr, args, what, ret, err);
	return err_set(err, ESRCH, "%s in process %d: it has ended", what, t->pid);
}

int inject_close(struct tracee *t, const struct slot *slots, size_t nr, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++)
		ret = remote(t, SYS_close, (uint64_t)slots[i].num, 0, 0, 0, "close", NULL, err);
	return ret;
}

static int send_fd(int channel, int fd, struct err *err)
{
	union {
		char room[CMSG_SPACE(sizeof fd)];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	if (sendmsg(channel, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(err, "send descriptor %d", fd);
	return 0;
}

/* The message as recvmsg(2) in the target finds it, at the beginning of its scratch memory. */
struct letter {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static int receive_remote(
	struct tracee *t, uint64_t scratch, int channel, int *num, struct err *err)
{
	struct letter letter = { .msg = { .msg_iovlen = 1,
					 .msg_controllen = sizeof letter.control },
		.iov.iov_len = 1 };
	struct cmsghdr head;
	int ret;

	/* Addresses of the target, which are no pointers of ours. */
	letter.msg.msg_iov = (void *)(uintptr_t)(scratch + offsetof(struct letter, iov));
	letter.msg.msg_control = (void *)(uintptr_t)(scratch + offsetof(struct letter, control));
	letter.iov.iov_base = (void *)(uintptr_t)(scratch + offsetof(struct letter, byte));
	ret = tracee_write(t, scratch, &letter, sizeof letter, err);
	if (!ret)
		ret = remote(t, SYS_recvmsg, (uint64_t)channel, scratch,
			MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, "recvmsg", NULL, err);
	if (!ret)
		ret = tracee_read(t, scratch, &letter, sizeof letter, err);
	if (ret < 0)
		return ret;
	memcpy(&head, &letter.control, sizeof head);
	if (head.cmsg_level != SOL_SOCKET || head.cmsg_type != SCM_RIGHTS ||
		head.cmsg_len != CMSG_LEN(sizeof *num)) {
		err_set(err, EMFILE, "process %d has no room for a descriptor", t->pid);
		return err_hint(err, "raise its limit of open files (ulimit -n)");
	}
	memcpy(num, letter.control.room + CMSG_LEN(0), sizeof *num);
	return 0;
}

static int pair_remote(struct tracee *t, uint64_t scratch, int pair[2], struct err *err)
{
	int ret = remote(t, SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scratch,
		"socketpair", NULL, err);

	return ret < 0 ? ret : tracee_read(t, scratch, pair, 2 * sizeof *pair, err);
}

static int place(struct tracee *t, int from, const struct slot *slots, size_t nr, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++)
		ret = remote(t, SYS_dup3, (uint64_t)from, (uint64_t)slots[i].num,
			(uint64_t)(slots[i].flags & O_CLOEXEC), 0, "dup3", NULL, err);
	return ret;
}

/* What was opened on the way is closed on every path; the first failure is the one to tell. */
static int replace(struct tracee *t, uint64_t scratch, int fd, const struct slot *slots, size_t nr,
	struct err *err)
{
	struct slot opened[3];
	OWNED_FD channel = -1;
	size_t nr_opened = 0;
	int pair[2], num = -1, ret = pair_remote(t, scratch, pair, err), closed;

	if (ret < 0)
		return ret;
	opened[nr_opened++].num = pair[0];
	opened[nr_opened++].num = pair[1];
	ret = tracee_getfd(t, pair[0], &channel, err);
	if (!ret)
		ret = send_fd(channel, fd, err);
	if (!ret)
		ret = receive_remote(t, scratch, pair[1], &num, err);
	if (!ret) {
		opened[nr_opened++].num = num;
		ret = place(t, num, slots, nr, err);
	}
	closed = inject_close(t, opened, nr_opened, ret < 0 ? NULL : err);
	return ret < 0 ? ret : closed;
}

int inject_replace(struct tracee *t, int fd, const struct slot *slots, size_t nr, struct err *err)
{
	uint64_t scratch;
	size_t len;
	int ret, end;

	if (!nr)
		return 0;
	ret = tracee_scratch(t, &scratch, &len, err);
	if (ret < 0)
		return ret;
	ret = replace(t, scratch, fd, slots, nr, err);
	end = tracee_scratch_end(t, ret < 0 ? NULL : err);
	return ret < 0 ? ret : end;
}
