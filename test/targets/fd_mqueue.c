/* POSIX message queues: messages with priorities, attributes, names. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removed at the end by the target itself; whoever fails leaves it, like any queue. */
static char name[64];

static mqd_t queue_make(int flags)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 50 };
	mqd_t queue;

	snprintf(name, sizeof name, "/snapctl-target-%d", getpid());
	queue = mq_open(name, flags | O_CREAT | O_EXCL, 0620, &attr);
	if (queue < 0)
		target_skip("mq_open");
	return queue;
}

static void receives(mqd_t queue, const char *text, unsigned priority)
{
	unsigned got_priority = 99;
	char got[50];
	ssize_t len = mq_receive(queue, got, sizeof got, &got_priority);

	expect(len == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0 &&
			got_priority == priority,
		"got %zd bytes with priority %u instead of \"%s\"", len, got_priority, text);
}

static void fill(mqd_t queue)
{
	must(mq_send(queue, "one", 3, 1));
	must(mq_send(queue, "two", 3, 1));
	must(mq_send(queue, "urgent", 6, 32767));
	must(mq_send(queue, "", 0, 0));
}

/* Full, so that its two ends wait or do not as their flags say. */
static void drain(mqd_t queue)
{
	struct mq_attr attr;

	must(mq_getattr(queue, &attr));
	expect(attr.mq_maxmsg == 4 && attr.mq_msgsize == 50 && attr.mq_curmsgs == 4, "attributes");
	receives(queue, "urgent", 32767);
	receives(queue, "one", 1);
	receives(queue, "two", 1);
	receives(queue, "", 0);
}

static void mqueue_named(void)
{
	mqd_t queue = queue_make(O_RDWR | O_NONBLOCK), sender = must(mq_open(name, O_WRONLY));

	fill(queue);
	target_wait();
	expect(mq_send(queue, "x", 1, 0) == -1 && errno == EAGAIN, "it waits, or has room");
	drain(queue);
	must(mq_send(sender, "again", 5, 7));
	receives(queue, "again", 7);
	expect(mq_receive(sender, (char[50]){ 0 }, 50, NULL) == -1 && errno == EBADF,
		"access mode");
	must(mq_unlink(name));
}

static void mqueue_deleted(void)
{
	mqd_t queue = queue_make(O_RDWR), again = must(mq_open(name, O_RDONLY | O_NONBLOCK));
	struct stat before, st;

	fill(queue);
	must(mq_unlink(name));
	must(fstat(queue, &before));
	target_wait();
	must(fstat(queue, &st));
	expect(st.st_nlink == 0 && st.st_mode == before.st_mode, "mode %o", st.st_mode);
	drain(again);
	must(mq_send(queue, "x", 1, 0));
	receives(again, "x", 0);
}

const struct target targets_fd_mqueue[] = {
	{ "mqueue_named", mqueue_named, "a message queue with a name", 0 },
	{ "mqueue_deleted", mqueue_deleted, "a message queue without a name any more", 0 },
	{ 0 },
};
