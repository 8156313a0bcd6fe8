/* System V semaphores and message queues. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

struct message {
	long type;
	char text[4096];
};

static int sem_id = -1, msg_id = -1;
static bool own; /* in a namespace of our own */

static void clean(void)
{
	if (sem_id >= 0)
		semctl(sem_id, 0, IPC_RMID);
	if (msg_id >= 0)
		msgctl(msg_id, IPC_RMID, NULL);
}

/* For the test, which removes what a target leaves behind, or what it is to find gone. */
static void note(const char *option, int id)
{
	FILE *out;

	if (own) /* its ids mean nothing to the test */
		return;
	out = fopen("ipcrm", "ae");
	expect(out && fprintf(out, "ipcrm %s %d\n", option, id) > 0 && fclose(out) == 0, "note");
}

static void msg_make(int key)
{
	msg_id = (int)must(msgget(key, IPC_CREAT | IPC_EXCL | 0604));
	note("-q", msg_id);
}

static void sem_make(int key, int nr)
{
	sem_id = (int)must(semget(key, nr, IPC_CREAT | IPC_EXCL | 0640));
	note("-s", sem_id);
	for (int i = 0; i < nr; i++)
		must(semctl(sem_id, i, SETVAL, (union semun){ .val = 10 * i }));
}

static int op(int num, int by, int flags)
{
	return semop(sem_id, &(struct sembuf){ (unsigned short)num, (short)by, (short)flags }, 1);
}

static void is(int num, int value)
{
	int now = semctl(sem_id, num, GETVAL);

	expect(now == value, "semaphore %d is %d, not %d", num, now, value);
}

/* ---- in the namespace of the test
 * --------------------------------------------------------------------- */

static void ipc_sem(void)
{
	sem_make(IPC_PRIVATE, 5);
	must(op(3, 7, 0));
	target_wait();
	for (int i = 0; i < 5; i++)
		is(i, 10 * i + (i == 3 ? 7 : 0));
	must(op(3, -37, IPC_NOWAIT));
	clean();
}

/* A lock that is held, one that is given in advance, one of each extreme. */
static void ipc_sem_undo(void)
{
	int status;
	pid_t child;

	sem_make(IPC_PRIVATE, 5);
	must(op(1, -3, SEM_UNDO));
	must(op(2, 5, SEM_UNDO));
	must(op(3, 32000, SEM_UNDO));
	must(op(3, -32000, 0));
	must(op(3, 700, SEM_UNDO));
	must(op(4, -40, SEM_UNDO));
	target_wait();
	is(0, 0);
	is(1, 7);
	is(2, 25);
	is(3, 730);
	is(4, 0);
	/* What a process owes shows when it ends. */
	child = (pid_t)must(fork());
	if (child == 0)
		_exit(unshare(CLONE_SYSVSEM) == 0 && semctl(sem_id, 1, GETVAL) == 7 ? 0 : 1);
	must(waitpid(child, &status, 0));
	expect(status == 0, "the child owes");
	must(unshare(CLONE_SYSVSEM));
	is(1, 10);
	is(2, 20);
	is(3, 0);
	is(4, 40);
	clean();
}

/* Three processes owe to the same semaphore. */
static void ipc_sem_tree(void)
{
	int gate[2], said[2], status;
	char byte;

	sem_make(IPC_PRIVATE, 5);
	must(pipe(gate));
	must(pipe(said));
	must(op(4, -5, SEM_UNDO));
	for (int i = 0; i < 2; i++) {
		if (must(fork()) == 0) {
			must(op(4, i ? -7 : 3, SEM_UNDO));
			must(write(said[1], "r", 1));
			_exit(read(gate[0], &byte, 1) == 1 ? 0 : 1);
		}
		must(read(said[0], &byte, 1));
	}
	target_wait();
	is(4, 31);
	must(write(gate[1], "12", 2));
	for (int i = 0; i < 2; i++) {
		must(wait(&status));
		expect(status == 0, "child ended with %x", status);
	}
	is(4, 35);
	must(unshare(CLONE_SYSVSEM));
	is(4, 40);
	clean();
}

static atomic_int waiter_tid;

static void *sem_waiter(void *arg)
{
	waiter_tid = gettid();
	thread_arrived();
	expect(op(0, -1, SEM_UNDO) == 0, "semop: %s", strerror(errno));
	return arg;
}

static void *sem_timed_waiter(void *arg)
{
	waiter_tid = gettid();
	thread_arrived();
	expect(semtimedop(sem_id, &(struct sembuf){ 1, -100, 0 }, 1,
		       &(struct timespec){ 3600, 0 }) == 0,
		"semtimedop: %s", strerror(errno));
	return arg;
}

static void ipc_sem_waits(void)
{
	pthread_t threads[2];

	sem_make(IPC_PRIVATE, 2);
	threads[0] = thread_start(sem_waiter, NULL);
	thread_waits_in(waiter_tid, SYS_semtimedop);
	threads[1] = thread_start(sem_timed_waiter, NULL);
	thread_waits_in(waiter_tid, SYS_semtimedop);
	target_wait();
	must(op(0, 1, 0));
	must(op(1, 100, 0));
	thread_join(threads[0]);
	thread_join(threads[1]);
	clean();
}

static void message_put(long type, size_t len)
{
	struct message message = { .type = type };

	pattern_fill(message.text, len, (uint32_t)type);
	must(msgsnd(msg_id, &message, len, 0));
}

static void message_is(long type, size_t len)
{
	struct message message;
	ssize_t got = msgrcv(msg_id, &message, sizeof message.text, 0, IPC_NOWAIT);

	expect(got == (ssize_t)len && message.type == type &&
			pattern_is(message.text, len, (uint32_t)type),
		"message of %zd bytes, type %ld, not %zu and %ld", got, message.type, len, type);
}

static void ipc_msg(void)
{
	msg_make(IPC_PRIVATE);
	message_put(3, 100);
	message_put(1, 0);
	message_put(7, 4096);
	target_wait();
	message_is(3, 100);
	message_is(1, 0);
	message_is(7, 4096);
	expect(msgrcv(msg_id, &(struct message){ 0 }, 1, 0, IPC_NOWAIT) == -1 && errno == ENOMSG,
		"one more message");
	clean();
}

static void *msg_receiver(void *arg)
{
	struct message message;

	waiter_tid = gettid();
	thread_arrived();
	expect(msgrcv(msg_id, &message, 10, 5, 0) == 3 && message.type == 5, "msgrcv: %s",
		strerror(errno));
	return arg;
}

static void *msg_sender(void *arg)
{
	struct message message = { .type = 9 };

	waiter_tid = gettid();
	thread_arrived();
	expect(msgsnd(msg_id, &message, 4000, 0) == 0, "msgsnd: %s", strerror(errno));
	return arg;
}

static void ipc_msg_waits(void)
{
	pthread_t threads[2];

	msg_make(IPC_PRIVATE);
	for (int i = 0; i < 4; i++)
		message_put(1, 4000);
	threads[0] = thread_start(msg_receiver, NULL);
	thread_waits_in(waiter_tid, SYS_msgrcv);
	threads[1] = thread_start(msg_sender, NULL);
	thread_waits_in(waiter_tid, SYS_msgsnd);
	target_wait();
	message_is(1, 4000);
	thread_join(threads[1]);
	message_is(1, 4000);
	message_put(5, 3);
	thread_join(threads[0]);
	clean();
}

/* ---- in a namespace of its own: nothing is left there between dump and restore
 * ---------------------- */

static void own_namespace(void)
{
	if (unshare(CLONE_NEWIPC) != 0)
		target_skip("unshare(CLONE_NEWIPC)");
	own = true;
}

/* Limits of the namespace, some raised, some lowered.
 */
static void ipc_own_limits(void)
{
	static const struct {
		const char *path, *value;
	} limits[] = {
		{ "/proc/sys/kernel/shmmax", "123456789" },
		{ "/proc/sys/kernel/shm_rmid_forced", "1" },
		{ "/proc/sys/kernel/sem", "200\t64000\t50\t64" },
		{ "/proc/sys/kernel/msgmax", "1000" },
		{ "/proc/sys/kernel/msgmnb", "70000" },
		{ "/proc/sys/fs/mqueue/msg_max", "33" },
	};
	char line[64] = "";
	int fd;

	own_namespace();
	msg_make(4321);
	message_put(3, 1000);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		fd = (int)must(open(limits[i].path, O_WRONLY));
		must(write(fd, limits[i].value, strlen(limits[i].value)));
		must(close(fd));
	}
	target_wait();
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		size_t len = strlen(limits[i].value);

		fd = (int)must(open(limits[i].path, O_RDONLY));
		must(read(fd, line, sizeof line));
		expect(!strncmp(line, limits[i].value, len) && line[len] == '\n', "%s is %s",
			limits[i].path, line);
		must(close(fd));
	}
	message_is(3, 1000);
	clean();
}

static void ipc_own(void)
{
	struct semid_ds ds;
	int other;

	own_namespace();
	for (int i = 0; i < 5; i++) /* so that ids are not those of an empty namespace */
		semctl(semget(IPC_PRIVATE, 1, 0600), 0, IPC_RMID);
	other = (int)must(semget(77, 1, IPC_CREAT | 0666));
	must(semctl(other, 0, SETVAL, (union semun){ .val = 9 }));
	sem_make(1234, 3);
	must(op(2, -4, SEM_UNDO));
	msg_make(4321);
	message_put(3, 1000);
	message_put(2, 1);
	target_wait();
	expect(semget(1234, 3, 0) == sem_id && semget(77, 1, 0) == other &&
			msgget(4321, 0) == msg_id,
		"ids by key");
	is(0, 0);
	is(1, 10);
	is(2, 16);
	must(semctl(sem_id, 0, IPC_STAT, (union semun){ .buf = &ds }));
	expect((ds.sem_perm.mode & 0777) == 0640, "mode %o", ds.sem_perm.mode);
	must(unshare(CLONE_SYSVSEM));
	is(2, 20);
	expect(semctl(other, 0, GETVAL) == 9, "the other set");
	message_is(3, 1000);
	message_is(2, 1);
}

static unsigned long msg_room(unsigned long set)
{
	struct msqid_ds ds;

	must(msgctl(msg_id, IPC_STAT, &ds));
	if (set) {
		ds.msg_qbytes = set;
		must(msgctl(msg_id, IPC_SET, &ds));
	}
	return ds.msg_qbytes;
}

/* Removed by somebody while the program did not exist: made again. The queue holds more than what
 * it has been lowered to. */
static void ipc_gone(void)
{
	sem_make(IPC_PRIVATE, 3);
	must(op(1, 5, 0));
	must(op(2, -4, SEM_UNDO));
	msg_make(IPC_PRIVATE);
	message_put(3, 1000);
	message_put(4, 4000);
	msg_room(1);
	target_wait();
	is(1, 15);
	is(2, 16);
	expect(msg_room(0) == 1, "msg_qbytes");
	message_is(3, 1000);
	message_is(4, 4000);
	must(unshare(CLONE_SYSVSEM));
	is(2, 20);
	clean();
}

const struct target targets_ipc[] = {
	{ "ipc_sem", ipc_sem, "System V semaphores", 0 },
	{ "ipc_sem_undo", ipc_sem_undo, "SEM_UNDO", 0 },
	{ "ipc_sem_tree", ipc_sem_tree, "SEM_UNDO of three processes", 0 },
	{ "ipc_sem_waits", ipc_sem_waits, "semop and semtimedop wait", 0 },
	{ "ipc_msg", ipc_msg, "System V messages", 0 },
	{ "ipc_msg_waits", ipc_msg_waits, "msgrcv and msgsnd wait", 0 },
	{ "ipc_own_limits", ipc_own_limits, "limits of an IPC namespace of its own", 0 },
	{ "ipc_own", ipc_own, "an IPC namespace of its own", 0 },
	{ "ipc_gone", ipc_gone, "removed in the meantime", 0 },
	{ NULL, NULL, NULL, 0 },
};
