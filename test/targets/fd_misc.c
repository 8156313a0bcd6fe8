/* pidfd, inotify. (memfd is in mem_shared.c) */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return must(poll(&p, 1, 0)) == 1;
}

/* Of a child, in an epoll too, and shared with another child; of one that is a zombie; of one that
 * is gone. */
static void pidfd_children(void)
{
	int go[2], epoll = (int)must(epoll_create1(EPOLL_CLOEXEC)), status, fd, zombie, gone;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	pid_t waiting, other, ended;
	siginfo_t info;

	must(pipe(go));
	waiting = (pid_t)must(fork());
	if (waiting == 0) {
		close(go[1]);
		_exit((int)read(go[0], &status, 1));
	}
	fd = (int)must(syscall(SYS_pidfd_open, waiting, 0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	ended = (pid_t)must(fork());
	if (ended == 0)
		_exit(5);
	gone = (int)must(syscall(SYS_pidfd_open, ended, 0));
	must(waitpid(ended, &status, 0));
	ended = (pid_t)must(fork());
	if (ended == 0)
		_exit(6);
	zombie = (int)must(syscall(SYS_pidfd_open, ended, 0));
	must(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT));
	other = (pid_t)must(fork());
	if (other == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		close(go[1]);
		_exit(poll(&p, 1, 20000) == 1 ? 9 : 1);
	}
	close(go[0]);
	target_wait();
	expect(!has_ended(fd) && has_ended(zombie) && has_ended(gone), "who has ended");
	expect(syscall(SYS_pidfd_send_signal, gone, 0, NULL, 0) == -1 && errno == ESRCH, "gone");
	must(waitid(P_PIDFD, (id_t)zombie, &info, WEXITED));
	expect(info.si_pid == ended && info.si_status == 6, "zombie");
	expect(epoll_wait(epoll, &event, 1, 0) == 0, "an event out of nothing");
	must(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	close(go[1]);
	expect(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u64 == 77, "its end");
	must(waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
	expect(info.si_pid == waiting && info.si_status == 0, "wait");
	must(waitpid(other, &status, 0));
	expect(WEXITSTATUS(status) == 9, "the other child's");
}

/* Signals of asynchronous input for a child, and for its group. */
static void owner_child(void)
{
	int ends[2], go[2], status;
	struct f_owner_ex owner;
	sigset_t set;
	pid_t child;

	must(pipe(go));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	child = (pid_t)must(fork());
	if (child == 0) {
		close(go[1]);
		if (read(go[0], &status, 1) != 0)
			_exit(1);
		_exit(sigtimedwait(&set, NULL, &(struct timespec){ 5, 0 }) == SIGUSR2 ? 0 : 2);
	}
	close(go[0]);
	must(setpgid(child, child));
	must(fcntl(ends[0], F_SETOWN, -child));
	must(fcntl(ends[1], F_SETOWN, child));
	for (int i = 0; i < 2; i++)
		must(fcntl(ends[i], F_SETSIG, SIGUSR2));
	must(fcntl(ends[1], F_SETFL, O_ASYNC));
	target_wait();
	must(fcntl(ends[0], F_GETOWN_EX, &owner));
	expect(owner.type == F_OWNER_PGRP && owner.pid == child, "owner %d", owner.pid);
	must(write(ends[0], "x", 1));
	close(go[1]);
	must(waitpid(child, &status, 0));
	expect(status == 0, "the child got no signal: %x", status);
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

/* Watches for everything, of a file that was moved and one that is deleted and still open. */
static void inotify_moved(void)
{
	int fd = (int)must(inotify_init1(IN_NONBLOCK)), gone = file_make("gone", 10, 1, O_RDWR),
	    open_one, moved, deleted;
	char buf[4096];
	struct inotify_event *event = (struct inotify_event *)buf;

	must(mkdir("dir", 0755));
	must(mkdir("all", 0755));
	open_one = file_make("all/open", 10, 1, O_RDWR);
	close(file_make("file", 1, 1, O_RDONLY));
	moved = (int)must(inotify_add_watch(fd, "file", IN_ATTRIB | IN_MOVE_SELF));
	deleted = (int)must(inotify_add_watch(fd, "gone", IN_MODIFY));
	must(inotify_add_watch(fd, "all", IN_ALL_EVENTS));
	must(rename("file", "dir/elsewhere"));
	must(unlink("gone"));
	must(read(fd, buf, sizeof buf));
	target_wait();
	expect(read(fd, buf, sizeof buf) == -1 && errno == EAGAIN, "an event out of nothing: %x %s",
		event->mask, event->name);
	must(chmod("dir/elsewhere", 0600));
	must(read(fd, buf, sizeof buf));
	expect(event->wd == moved && event->mask == IN_ATTRIB, "watch %d mask %x", event->wd,
		event->mask);
	must(write(gone, "x", 1));
	must(read(fd, buf, sizeof buf));
	expect(event->wd == deleted && event->mask == IN_MODIFY, "watch %d mask %x", event->wd,
		event->mask);
	close(open_one);
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

/* Marks of a directory with an ignored mask, and of a file system; nothing of the restore shows. */
static void fanotify_marks(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_FID, O_RDONLY);
	const struct fanotify_event_metadata *event;
	char events[4096];

	if (fd < 0)
		target_skip("fanotify_init");
	must(mkdir("dir", 0755));
	must(fanotify_mark(
		fd, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "dir"));
	must(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
		FAN_MODIFY, AT_FDCWD, "dir"));
	must(fanotify_mark(
		fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_DELETE_SELF, AT_FDCWD, "/dev/shm"));
	target_wait();
	expect(read(fd, events, sizeof events) == -1 && errno == EAGAIN, "event out of nothing");
	must(mkdir("dir/new", 0755));
	must(read(fd, events, sizeof events));
	event = (const struct fanotify_event_metadata *)events;
	expect(event->mask == (FAN_CREATE | FAN_ONDIR), "event %llx",
		(unsigned long long)event->mask);
}

const struct target targets_fd_misc[] = {
	{ "pidfd_self", pidfd_self, "pidfd of the process itself", 0 },
	{ "pidfd_children", pidfd_children, "pidfds of children, alive, ended and gone", 0 },
	{ "owner_child", owner_child, "F_SETOWN of a child and its group", 0 },
	{ "inotify_watches", inotify_watches, "inotify watches and their numbers", 0 },
	{ "inotify_moved", inotify_moved, "watches of what was moved or deleted; all events", 0 },
	{ "fanotify_marks", fanotify_marks, "fanotify marks of a directory and a file system", 0 },
	{ "inotify_queued", inotify_queued, "an inotify event nobody has read", TARGET_EITHER },
	{ NULL, NULL, NULL, 0 },
};
