/* pidfd, inotify. (memfd is in mem_shared.c) */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void pidfd_self(void)
{
	int fd = (int)must(syscall(SYS_pidfd_open, getpid(), 0));
	int nonblock = (int)must(syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	target_wait();
	expect(poll(&poll_fd, 1, 0) == 0, "the process has ended, says the pidfd");
	must(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
	expect(sigtimedwait(&set, NULL, &(struct timespec){ 2, 0 }) == SIGUSR1,
		"not a pidfd of this process");
	expect(fcntl(nonblock, F_GETFL) & O_NONBLOCK, "flags");
}

static void inotify_watches(void)
{
	int fd = (int)must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), dir, file, gone;
	char buf[4096];
	struct inotify_event *event = (struct inotify_event *)buf;

	must(mkdir("dir", 0755));
	close(file_make("file", 1, 1, O_RDONLY));
	close(file_make("other", 1, 1, O_RDONLY));
	gone = (int)must(inotify_add_watch(fd, "other", IN_MODIFY));
	dir = (int)must(inotify_add_watch(fd, "dir", IN_CREATE | IN_DELETE));
	file = (int)must(inotify_add_watch(fd, "file", IN_ATTRIB | IN_MODIFY));
	must(inotify_rm_watch(fd, gone)); /* a hole in the numbers */
	must(read(fd, buf, sizeof buf));  /* IN_IGNORED of it */
	target_wait();
	expect(read(fd, buf, sizeof buf) == -1 && errno == EAGAIN, "an event out of nothing: %x",
		event->mask);
	close(file_make("dir/new", 1, 1, O_RDONLY));
	must(read(fd, buf, sizeof buf));
	expect(event->wd == dir && event->mask == IN_CREATE && strcmp(event->name, "new") == 0,
		"watch %d mask %x name %s", event->wd, event->mask, event->name);
	must(chmod("file", 0600));
	must(read(fd, buf, sizeof buf));
	expect(event->wd == file && event->mask == IN_ATTRIB, "watch %d mask %x", event->wd,
		event->mask);
}

static void inotify_queued(void)
{
	int fd = (int)must(inotify_init1(IN_NONBLOCK)), wd;
	char buf[4096];
	struct inotify_event *event = (struct inotify_event *)buf;

	close(file_make("file", 1, 1, O_RDONLY));
	wd = (int)must(inotify_add_watch(fd, "file", IN_ATTRIB));
	must(chmod("file", 0600));
	target_wait();
	must(read(fd, buf, sizeof buf));
	expect(event->wd == wd && event->mask == IN_ATTRIB, "queued event");
}

const struct target targets_fd_misc[] = {
	{ "pidfd_self", pidfd_self, "pidfd of the process itself", 0 },
	{ "inotify_watches", inotify_watches, "inotify watches and their numbers", 0 },
	{ "inotify_queued", inotify_queued, "an inotify event nobody has read", TARGET_EITHER },
	{ NULL, NULL, NULL, 0 },
};
