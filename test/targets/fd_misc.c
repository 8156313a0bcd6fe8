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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
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

/* ---- events that nobody has read ---------------------------------------------------------------
 */

enum { EVENTS_LEN = 1 << 20 };

/* Two with the same watches: what the one says before is what the other has to say afterwards. */
struct twins {
	int fds[2];
	char *said; /* by the second */
	ssize_t len;
};

static void twins_init(struct twins *t)
{
	for (int i = 0; i < 2; i++)
		t->fds[i] = (int)must(inotify_init1(i ? IN_NONBLOCK : 0));
}

static int twins_watch(const struct twins *t, const char *path, uint32_t mask)
{
	int wd = (int)must(inotify_add_watch(t->fds[0], path, mask));

	expect(must(inotify_add_watch(t->fds[1], path, mask)) == wd, "twins");
	return wd;
}

static void twins_unwatch(const struct twins *t, int wd)
{
	for (int i = 0; i < 2; i++)
		must(inotify_rm_watch(t->fds[i], wd));
}

static ssize_t read_all(int fd, char *buf)
{
	ssize_t len = 0;
	int left;

	while (must(ioctl(fd, FIONREAD, &left)) == 0 && left)
		len += must(read(fd, buf + len, (size_t)(EVENTS_LEN - len)));
	return len;
}

/* The second one's are taken; the first one's stay where they are. */
static void twins_listen(struct twins *t)
{
	t->said = map_anon(EVENTS_LEN, 3, 0);
	t->len = read_all(t->fds[1], t->said);
	expect(t->len > 0, "no events");
}

static void events_print(const char *buf, ssize_t len)
{
	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *e = (const struct inotify_event *)(buf + at);

		fprintf(stderr, "%d 0x%x %u %s\n", e->wd, e->mask, e->cookie,
			e->len ? e->name : "");
		at += (ssize_t)(sizeof *e + e->len);
	}
}

static void twins_judge(const struct twins *t)
{
	uint32_t old_cookie = 0, new_cookie = 0;
	char *buf = map_anon(EVENTS_LEN, 3, 0);
	ssize_t len = read_all(t->fds[0], buf);

	if (len != t->len) {
		events_print(t->said, t->len);
		fprintf(stderr, "---\n");
		events_print(buf, len);
	}
	expect(len == t->len, "%zd bytes of events, not %zd", len, t->len);
	for (ssize_t at = 0; at < len;) {
		struct inotify_event *a = (struct inotify_event *)(t->said + at),
				     *b = (struct inotify_event *)(buf + at);

		expect(a->wd == b->wd && a->mask == b->mask && a->len == b->len,
			"event at %zd: 0x%x of %d, not 0x%x of %d", at, b->mask, b->wd, a->mask,
			a->wd);
		expect(!memcmp(a->name, b->name, a->len), "name %s, not %s", b->name, a->name);
		/* Both halves of a move have the same one, whatever it is. */
		expect(!a->cookie == !b->cookie, "cookie %u", b->cookie);
		expect(!a->cookie || a->cookie != old_cookie || b->cookie == new_cookie,
			"the halves of a move have two cookies");
		old_cookie = a->cookie;
		new_cookie = b->cookie;
		at += (ssize_t)(sizeof *a + a->len);
	}
	munmap(buf, EVENTS_LEN);
}

/* Watches work on, and the next one gets the number that it would have got. */
static void twins_go_on(const struct twins *t, int next)
{
	must(mkdir("later", 0755));
	/* Nothing shows the number of the one that had nothing queued. */
	expect(must(inotify_add_watch(t->fds[0], "later", IN_CREATE)) == next, "the next number");
	must(inotify_add_watch(t->fds[1], "later", IN_CREATE));
	must(mkdir("later/on", 0755));
	expect(read_all(t->fds[0], map_anon(EVENTS_LEN, 3, 0)) > 0, "nothing of the new one");
}

static void inotify_queued(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = (int)must(epoll_create1(0));
	struct twins t;

	twins_init(&t);
	close(file_make("file", 1, 1, O_RDONLY));
	twins_watch(&t, "file", IN_ATTRIB);
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, t.fds[0], &event));
	must(chmod("file", 0600));
	twins_listen(&t);
	target_wait();
	expect(epoll_wait(epoll, &event, 1, 0) == 1, "epoll sees no events");
	twins_judge(&t);
	expect(epoll_wait(epoll, &event, 1, 0) == 0, "epoll sees more");
	must(chmod("file", 0640));
	twins_listen(&t);
	twins_judge(&t);
	twins_go_on(&t, 2);
}

static void use_file(const char *path)
{
	int fd = file_make(path, 10, 1, O_RDWR);
	char byte;

	must(pread(fd, &byte, 1, 0));
	close(fd);
	must(chmod(path, 0640));
	must(open(path, O_RDONLY));
}

/* Every kind of event, of files and directories, of what is gone, and of watches that are gone. */
static void inotify_queued_kinds(void)
{
	char name[256];
	struct twins t;
	int one, gone;

	twins_init(&t);
	for (int i = 0; i < 3; i++)
		must(mkdir((const char *[]){ "one", "two", "three" }[i], 0755));
	close(file_make("plain", 10, 1, O_RDONLY));
	close(file_make("doomed", 10, 1, O_RDONLY));
	gone = twins_watch(&t, "three", IN_ALL_EVENTS);
	one = twins_watch(&t, "one", IN_ALL_EVENTS);
	twins_watch(&t, "two", IN_ALL_EVENTS);
	twins_watch(&t, "plain", IN_ALL_EVENTS);
	twins_watch(&t, "doomed", IN_ALL_EVENTS | IN_ONESHOT);
	must(mkdir("three/x", 0755));
	twins_unwatch(&t, gone);
	use_file("one/a");
	must(rename("one/a", "two/b"));
	must(rename("two/b", "outside"));
	must(rename("outside", "one/c"));
	must(rename("one/c", "one/d"));
	must(mkdir("two/sub", 0755));
	must(rename("two/sub", "one/sub"));
	must(rmdir("one/sub"));
	must(unlink("one/d"));
	must(unlink("doomed"));
	must(chmod("two", 0700));
	must(rename("plain", "moved"));
	use_file("moved");
	must(rmdir("two"));
	memset(name, 'n', sizeof name);
	memcpy(name, "one/", 4);
	name[255] = '\0';
	must(mkdir(name, 0755));
	twins_listen(&t);
	target_wait();
	twins_judge(&t);
	must(rmdir(name));
	twins_listen(&t);
	twins_judge(&t);
	twins_go_on(&t, one + 4);
}

/* Of a file that is open and has no name any more; and of one that somebody else changes. */
static void inotify_queued_deleted(void)
{
	struct twins t;
	int fd = file_make("file", 10, 1, O_RDWR);

	twins_init(&t);
	twins_watch(&t, "file", IN_MODIFY | IN_ATTRIB);
	must(unlink("file"));
	must(write(fd, "x", 1));
	twins_listen(&t);
	/* The twin's is a watch like any other. */
	target_wait();
	twins_judge(&t);
	must(write(fd, "x", 1));
	twins_listen(&t);
	twins_judge(&t);
}

/* Of a file system that has been unmounted since. */
static void inotify_queued_unmounted(void)
{
	struct twins t;

	must(mkdir("mnt", 0755));
	must(mkdir("here", 0755));
	if (mount("none", "mnt", "tmpfs", 0, NULL) < 0)
		target_skip("mount");
	must(mkdir("mnt/dir", 0755));
	close(file_make("mnt/dir/file", 10, 1, O_RDONLY));
	twins_init(&t);
	twins_watch(&t, "mnt/dir", IN_ALL_EVENTS);
	twins_watch(&t, "mnt/dir/file", IN_ALL_EVENTS);
	twins_watch(&t, "here", IN_CREATE);
	must(chmod("mnt/dir/file", 0640));
	must(umount("mnt"));
	must(mkdir("here/new", 0755));
	twins_listen(&t);
	target_wait();
	twins_judge(&t);
	twins_go_on(&t, 4);
}

/* More than fits, of which some were read, so that more came behind. */
static void inotify_queued_overflow(void)
{
	char byte = 'x', some[1600];
	int fd = file_make("file", 10, 1, O_RDWR);
	struct twins t;

	twins_init(&t);
	twins_watch(&t, "file", IN_MODIFY | IN_ACCESS | IN_ATTRIB);
	for (int i = 0; i < 20000; i++)
		must(i & 1 ? pread(fd, &byte, 1, 0) : pwrite(fd, &byte, 1, 0));
	for (int i = 0; i < 2; i++)
		must(read(t.fds[i], some, sizeof some));
	for (int i = 0; i < 50; i++)
		must(i & 1 ? fchmod(fd, 0600) : pwrite(fd, &byte, 1, 0));
	twins_listen(&t);
	target_wait();
	twins_judge(&t);
	must(fchmod(fd, 0640));
	twins_listen(&t);
	twins_judge(&t);
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

/* Whoever is told of an end once and asks once, without waiting, gets the status. */
static void pidfd_once(void)
{
	for (int i = 0; i < 100; i++) {
		pid_t pid = (pid_t)must(fork());
		struct pollfd ended = { .events = POLLIN };
		siginfo_t info = { 0 };

		if (pid == 0)
			_exit(7);
		ended.fd = (int)must(syscall(SYS_pidfd_open, pid, 0));
		must(poll(&ended, 1, -1));
		must(waitid(P_PIDFD, (id_t)ended.fd, &info, WEXITED | WNOHANG));
		expect(info.si_pid == pid && info.si_status == 7,
			"child %d of 100 is not there to be waited for", i);
		close(ended.fd);
	}
	target_wait();
}

const struct target targets_fd_misc[] = {
	{ "pidfd_self", pidfd_self, "pidfd of the process itself", 0 },
	{ "pidfd_once", pidfd_once, "pidfds of children that end", 0 },
	{ "pidfd_children", pidfd_children, "pidfds of children, alive, ended and gone", 0 },
	{ "owner_child", owner_child, "F_SETOWN of a child and its group", 0 },
	{ "inotify_watches", inotify_watches, "inotify watches and their numbers", 0 },
	{ "inotify_moved", inotify_moved, "watches of what was moved or deleted; all events", 0 },
	{ "fanotify_marks", fanotify_marks, "fanotify marks of a directory and a file system", 0 },
	{ "inotify_queued", inotify_queued, "an inotify event nobody has read", 0 },
	{ "inotify_queued_kinds", inotify_queued_kinds, "all kinds of inotify events, unread", 0 },
	{ "inotify_queued_deleted", inotify_queued_deleted, "unread events of a deleted file", 0 },
	{ "inotify_queued_unmounted", inotify_queued_unmounted, "unread events of an unmount", 0 },
	{ "inotify_queued_overflow", inotify_queued_overflow, "more events than fit", 0 },
	{ NULL, NULL, NULL, 0 },
};
