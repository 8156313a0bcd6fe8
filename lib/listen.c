/*
 * Being asked for a dump. Until somebody asks there is a thread that sleeps, a signal handler and a
 * small file; the socket is there for the moment of asking only, in a directory that nobody else
 * may enter. All of this is closed again before the dump: nothing of it is in the image.
 */
#include "lib/snapctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/internal.h"
#include "lib/place.h"

enum {
	ASK_LIMIT_MS = 10000, /* from the signal to the connection */
	TALK_LIMIT_MS = 500,  /* for what a connected peer has to say */
	BACKLOG = 8,
	PEERS = 16,
	NAME_LEN = SNAPCTL_PLACE_FILE_LEN,
};

static struct {
	sem_t asked;
	int sig, ignored;
	int minds_forks; /* pthread_atfork(3) was told */
	/* As the file says. A restored process has another start, and so it is another process. */
	pid_t pid;
	unsigned long long start;
	unsigned long long pid_ns; /* inode; where there is no /proc nobody can ask, either */
	char place[SNAPCTL_PLACE_LEN];
} listening;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void name_of(char name[NAME_LEN], const char *suffix)
{
	snprintf(name, NAME_LEN, "%llu-%d.%s", listening.pid_ns, getpid(), suffix);
}

/* ---- the signal -------------------------------------------------------------------------- */

/* signal-safety(7): no printf. */
static char *put_number(char *at, unsigned long long number)
{
	char digits[24], *first = digits + sizeof digits;
	size_t len;

	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	len = (size_t)(digits + sizeof digits - first);
	memcpy(at, first, len);
	return at + len;
}

static void path_of_trigger(char path[SNAPCTL_PLACE_LEN + NAME_LEN])
{
	size_t len = strlen(listening.place);

	memcpy(path, listening.place, len);
	path += len;
	*path++ = '/';
	path = put_number(path, listening.pid_ns);
	*path++ = '-';
	path = put_number(path, (unsigned)getpid());
	memcpy(path, ".ask", sizeof ".ask");
}

static int is_own_file(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid();
}

/* Without a trigger file the signal means what it means to everybody. */
static void signal_came(int sig)
{
	char path[SNAPCTL_PLACE_LEN + NAME_LEN];
	int saved = errno;
	struct stat st;

	path_of_trigger(path);
	if (lstat(path, &st) == 0 && is_own_file(&st)) {
		sem_post(&listening.asked);
	} else if (!listening.ignored) {
		struct sigaction dfl = { .sa_handler = SIG_DFL };

		sigaction(sig, &dfl, NULL);
		raise(sig);
	}
	errno = saved;
}

/* ---- the file that says so --------------------------------------------------------------- */

/* Field 22 of /proc/self/stat: it tells this process from another one with its pid. */
static unsigned long long start_time(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	unsigned long long start = 0;
	char line[1024], *at;

	if (!file)
		return 0;
	at = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		start = strtoull(at, NULL, 10);
	fclose(file);
	return start;
}

/* Beside its name first, so that nobody reads half of it. */
static int announce(void)
{
	int dir = place_open(listening.place), fd, code = 0;
	unsigned long long start = start_time();
	char name[NAME_LEN], new[NAME_LEN];
	struct stat st;

	if (dir < 0)
		return dir;
	listening.pid_ns = stat("/proc/self/ns/pid", &st) < 0 ? 0 : st.st_ino;
	name_of(name, "listens");
	name_of(new, "new");
	unlinkat(dir, new, 0);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%d %llu\n", listening.sig, start) < 0 ||
		renameat(dir, new, dir, name) < 0)
		code = -errno;
	if (!code) {
		listening.pid = getpid();
		listening.start = start;
	}
	if (fd >= 0)
		close(fd);
	close(dir);
	return code;
}

/* ---- the socket -------------------------------------------------------------------------- */

/* A stale one of ours is removed, anything else is not. Through the descriptor of the directory, so
 * that the path cannot be exchanged. */
static int socket_open(int dir, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode) &&
		st.st_uid == geteuid())
		unlinkat(dir, name, 0);
	snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/%s", dir, name);
	/* Nobody can connect before listen(2), and then only through the directory. */
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || fchmodat(dir, name, 0600, 0) < 0 ||
		listen(fd, BACKLOG) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* Same user, or root. */
static int peer_of(int fd, pid_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
		(cred.uid != geteuid() && cred.uid != 0) || cred.pid <= 0)
		return -EACCES;
	*pid = cred.pid;
	return 0;
}

/* Those that have connected and not said what they want. None of them keeps us from hearing the
 * others, however many there are and however long they take. */
struct peer {
	int fd;
	pid_t pid;
	int64_t until;
};

struct peers {
	struct peer at[PEERS]; /* the oldest first */
	int nr;
};

static void peer_drop(struct peers *p, int i)
{
	if (p->at[i].fd >= 0)
		close(p->at[i].fd);
	memmove(&p->at[i], &p->at[i + 1], (size_t)(--p->nr - i) * sizeof *p->at);
}

static void peer_take(struct peers *p, int server)
{
	struct peer peer = { .until = now_ms() + TALK_LIMIT_MS };

	peer.fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	if (peer.fd < 0)
		return;
	if (peer_of(peer.fd, &peer.pid) < 0) {
		close(peer.fd);
		return;
	}
	if (p->nr == PEERS)
		peer_drop(p, 0);
	p->at[p->nr++] = peer;
}

/* 1: it asks, 0: it has not said anything yet, or -1. */
static int peer_asks(const struct peer *peer)
{
	struct snapctl_hello hello;
	ssize_t n = recv(peer->fd, &hello, sizeof hello, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR) && now_ms() < peer->until)
		return 0;
	return n == (ssize_t)sizeof hello &&
			       !memcmp(hello.magic, SNAPCTL_HELLO_MAGIC, sizeof hello.magic) &&
			       hello.kind == SNAPCTL_CHECKS_IN
		       ? 1
		       : -1;
}

/* The descriptor of one that asks, or -1. */
static int peers_hear(struct peers *p, pid_t *pid)
{
	for (int i = p->nr - 1; i >= 0; i--) {
		int asks = peer_asks(&p->at[i]), fd = p->at[i].fd;

		if (asks > 0) {
			*pid = p->at[i].pid;
			p->at[i].fd = -1;
			return fd;
		}
		if (asks < 0)
			peer_drop(p, i);
	}
	return -1;
}

static void peers_wait(const struct peers *p, int server, int64_t until)
{
	struct pollfd fds[1 + PEERS] = { { .fd = server, .events = POLLIN } };
	int64_t left;

	for (int i = 0; i < p->nr; i++) {
		fds[1 + i] = (struct pollfd){ .fd = p->at[i].fd, .events = POLLIN };
		until = p->at[i].until < until ? p->at[i].until : until;
	}
	left = until - now_ms();
	poll(fds, (nfds_t)(1 + p->nr), left > 0 ? (int)left : 0);
}

/* The first peer that may ask and does; others are turned away, and the wait goes on. */
static int peer_accept(int server, pid_t *pid)
{
	int64_t until = now_ms() + ASK_LIMIT_MS;
	struct peers p = { .nr = 0 };
	int fd = -1;

	while (fd < 0 && now_ms() < until) {
		peers_wait(&p, server, until);
		peer_take(&p, server);
		fd = peers_hear(&p, pid);
	}
	while (p.nr)
		peer_drop(&p, 0);
	return fd < 0 ? -ETIMEDOUT : fd;
}

static int peer_await(pid_t *pid)
{
	int dir = place_open(listening.place), server, fd;
	char trigger[NAME_LEN], name[NAME_LEN];

	if (dir < 0)
		return dir;
	name_of(trigger, "ask");
	name_of(name, "sock");
	unlinkat(dir, trigger, 0);
	server = socket_open(dir, name);
	fd = server < 0 ? server : peer_accept(server, pid);
	if (server >= 0) {
		close(server);
		unlinkat(dir, name, 0);
	}
	close(dir);
	return fd;
}

/* ---- the conversation -------------------------------------------------------------------- */

static int asker_alive(void *arg)
{
	return kill(*(pid_t *)arg, 0) == 0 || errno == EPERM;
}

/* What is said is said before the descriptor is closed, and the asker waits for that end. */
static int offer(int fd, pid_t asker, struct talk *talk)
{
	struct snapctl_hello hello;
	int failed;

	talk_begin(talk);
	hello_init(&hello, SNAPCTL_CHECKS_IN);
	failed = hooks_before(hello.words);
	if (failed)
		hello.kind = SNAPCTL_HOOK_FAILED;
	area_get()->state = SNAPCTL_ASKING;
	/* Yama, mode 1: a process may trace those that have said so. Elsewhere EINVAL: no need. */
	prctl(PR_SET_PTRACER, (unsigned long)asker, 0, 0, 0);
	if (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello && !failed) {
		hooks_after(talk_restored(talk));
		failed = -EPIPE;
	}
	close(fd);
	return failed;
}

static void be_asked(void)
{
	pid_t asker = 0;
	struct talk talk;
	int fd = peer_await(&asker), ret;

	if (fd < 0)
		return;
	if (!area_get()) {
		close(fd);
		return;
	}
	ret = offer(fd, asker, &talk);
	if (ret < 0) {
		talk_end();
		return;
	}
	talk_wait(&talk, asker_alive, &asker);
	prctl(PR_SET_PTRACER, 0UL, 0, 0, 0);
	if (talk_restored(&talk))
		announce(); /* another process, with another start time */
	hooks_after(talk_restored(&talk));
}

static void *listen_thread(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "snapctl");
	for (;;) {
		while (sem_wait(&listening.asked) < 0)
			;
		snapctl_lock();
		be_asked();
		snapctl_unlock();
	}
	return NULL;
}

static int thread_start(void)
{
	sigset_t all, before;
	pthread_t thread;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&thread, NULL, listen_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!code)
		pthread_detach(thread);
	return -code;
}

/* A child has the handler, and no thread. */
static void forget_in_child(void)
{
	listening.sig = 0;
}

static int listen_start(int sig)
{
	struct sigaction action;
	int ret;

	if (sigaction(sig, NULL, &action) < 0)
		return -errno;
	if (action.sa_handler == signal_came)
		action.sa_handler = listening.ignored ? SIG_IGN : SIG_DFL;
	/* Shells have what runs in the background ignore SIGINT and SIGQUIT: nobody has taken it.
	 */
	listening.ignored = action.sa_handler == SIG_IGN;
	if (action.sa_handler != SIG_DFL && !listening.ignored)
		return -EBUSY;
	if (!listening.minds_forks)
		pthread_atfork(NULL, NULL, forget_in_child);
	listening.minds_forks = 1;
	ret = place_name(listening.place);
	if (ret < 0 || sem_init(&listening.asked, 0, 0) < 0)
		return ret < 0 ? ret : -errno;
	listening.sig = sig;
	action = (struct sigaction){ .sa_handler = signal_came, .sa_flags = SA_RESTART };
	ret = thread_start();
	if (!ret && sigaction(sig, &action, NULL) < 0)
		ret = -errno;
	return ret < 0 ? ret : announce();
}

/* Said by somebody who is still the same process. */
static int listens_already(void)
{
	return listening.sig && listening.pid == getpid() && listening.start == start_time();
}

int snapctl_listen(int sig)
{
	int ret;

	/* A program with more rights than its user is nobody's to dump. */
	if (getauxval(AT_SECURE) || geteuid() != getuid() || getegid() != getgid())
		return -EPERM;
	snapctl_lock();
	if (listens_already())
		ret = -EALREADY;
	else
		ret = listening.sig ? announce() : listen_start(sig ? sig : SIGQUIT);
	if (ret < 0 && ret != -EALREADY)
		listening.sig = 0;
	snapctl_unlock();
	return ret;
}
