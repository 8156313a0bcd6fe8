/* Keyrings that are lost; see keyrings.h. */
#include "dump/keyrings.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/dumping.h"

enum {
	KEY_USERS_LIMIT = 4 * 1024 * 1024,
	KEYS_OF_USER = 2, /* everybody's _uid and _uid_ses keyrings */
	KEYS_OF_ROOT = 3, /* and .user_reg, which names them */
};

/* Behind "    0: ": "    9 8/8 3/1000000 56/25000000": keys, instantiated ones, those of a quota.
 */
static bool line_has_more(const char *line)
{
	uint64_t uid, keys;
	struct text t = { line };

	text_blanks(&t);
	if (!text_dec(&t, &uid) || !text_char(&t, ':'))
		return false;
	for (int field = 0; field < 3; field++) {
		text_blanks(&t);
		if (!text_dec(&t, &keys))
			return false;
		if (field < 2)
			t.at += strcspn(t.at, " \n");
	}
	return keys > (uint64_t)(uid ? KEYS_OF_USER : KEYS_OF_ROOT);
}

/* Nearly always nobody has keys at all, and no thread has to be asked. */
static bool somebody_has_keys(void)
{
	OWNED_FD fd = open("/proc/key-users", O_RDONLY | O_CLOEXEC);
	bool more = false;
	const char *line;
	struct text t;
	size_t len;
	char *text;

	if (fd < 0 || fd_read_text(fd, KEY_USERS_LIMIT, &text, &len, NULL) < 0)
		return false;
	t.at = text;
	while (!more && text_line(&t, &line, &len))
		more = line_has_more(line);
	free(text);
	return more;
}

enum ring { RING_THREAD, RING_PROCESS, RING_SESSION, RING_USER_SESSION, NR_RINGS };

static const struct {
	const char *name;
	int32_t id;
} rings[NR_RINGS] = {
	[RING_THREAD] = { "the keyring of the thread", KEY_SPEC_THREAD_KEYRING },
	[RING_PROCESS] = { "its process keyring", KEY_SPEC_PROCESS_KEYRING },
	[RING_SESSION] = { "its session keyring", KEY_SPEC_SESSION_KEYRING },
	[RING_USER_SESSION] = { NULL, KEY_SPEC_USER_SESSION_KEYRING },
};

/* Its id, or a negative one: there is none, or a filter does not let it look. */
static int rings_ask(struct dumping_proc *p, struct tracee_thread *th,
	struct tracee_call calls[NR_RINGS], struct err *err)
{
	for (size_t i = 0; i < NR_RINGS; i++)
		calls[i] = (struct tracee_call){ SYS_keyctl,
			{ KEYCTL_GET_KEYRING_ID, (uint64_t)rings[i].id }, 0 };
	return tracee_syscalls(p->t, th, calls, NR_RINGS, err);
}

/* The answer to a question for no bytes of it is how many there are: an id of four for each key. */
static int ring_tell(struct dumping_proc *p, struct tracee_thread *th, enum ring ring, int64_t id,
	struct err *err)
{
	const uint64_t args[6] = { KEYCTL_READ, (uint64_t)id };
	int64_t len, nr;

	if (tracee_syscall(p->t, th, SYS_keyctl, args, &len, err) < 0)
		return -err->code;
	nr = len / (int64_t)sizeof(int32_t);
	if (nr > 0)
		log_warn("process %d, thread %d: %s is lost, with %lld key%s: nothing makes keys "
			 "again (keyctl(1) shows them)",
			p->t->pid, th->tid, rings[ring].name, (long long)nr, nr == 1 ? "" : "s");
	return 0;
}

static bool is_callers(int64_t id)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) == id;
}

/* Process and session keyring of a thread are mostly those of the one before. */
static int thread_tell(
	struct dumping_proc *p, struct tracee_thread *th, int64_t told[NR_RINGS], struct err *err)
{
	struct tracee_call calls[NR_RINGS];
	int ret = rings_ask(p, th, calls, err);

	for (size_t i = 0; !ret && i < RING_USER_SESSION; i++) {
		int64_t id = calls[i].ret;

		if (id <= 0 || id == told[i] || id == calls[RING_USER_SESSION].ret)
			continue;
		told[i] = id;
		if (i != RING_SESSION || !is_callers(id))
			ret = ring_tell(p, th, (enum ring)i, id, err);
	}
	return ret;
}

int keyrings_tell(struct dumping_proc *p, struct err *err)
{
	int64_t told[NR_RINGS] = { [RING_SESSION] = p->d->told_session };
	int ret = 0;

	if (!somebody_has_keys())
		return 0;
	for (size_t i = 0; !ret && i < p->t->nr_threads; i++)
		if (p->t->threads[i].state != TRACEE_EXITED)
			ret = thread_tell(p, &p->t->threads[i], told, err);
	p->d->told_session = told[RING_SESSION];
	return ret;
}
