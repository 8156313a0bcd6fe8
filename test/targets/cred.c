/* Credentials and capabilities. Most of these need root; without it they prepare what they may. */
#include "target.h"

#include <errno.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_root(void)
{
	return geteuid() == 0;
}

static void capget_of(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	must(syscall(SYS_capget, &header, data));
}

static void capset_to(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	must(syscall(SYS_capset, &header, data));
}

static void cred_ids(void)
{
	gid_t groups[] = { 5, 1000, 70000 }, now[8];
	uid_t r, e, s;

	if (is_root()) {
		must(setgroups(3, groups));
		must(setresgid(1001, 1002, 1003));
		must(prctl(PR_SET_KEEPCAPS, 1));
		must(setresuid(1001, 0, 1003));
		setfsuid(1004);
	}
	must(prctl(PR_SET_DUMPABLE, 1));
	target_wait();
	if (!is_root())
		return;
	must(getresuid(&r, &e, &s));
	expect(r == 1001 && e == 0 && s == 1003, "uids %d %d %d", r, e, s);
	expect(setfsuid((uid_t)-1) == 1004, "file system uid %d", setfsuid((uid_t)-1));
	must(getresgid(&r, &e, &s));
	expect(r == 1001 && e == 1002 && s == 1003, "gids %d %d %d", r, e, s);
	expect(getgroups(8, now) == 3 && memcmp(groups, now, sizeof groups) == 0, "groups");
}

/* No privilege left at all. */
static void cred_nobody(void)
{
	uid_t r, e, s;

	if (is_root()) {
		must(setgroups(0, NULL));
		must(setresgid(65534, 65534, 65534));
		must(setresuid(65534, 65534, 65534));
		must(prctl(PR_SET_DUMPABLE, 1));
	}
	target_wait();
	must(getresuid(&r, &e, &s));
	expect(r == e && e == s, "uids");
	expect(setuid(0) == -1, "may become root again");
	expect(getgroups(0, NULL) == 0 || !is_root(), "groups");
}

static void cred_caps(void)
{
	struct __user_cap_data_struct before[2], after[2];

	capget_of(before);
	before[0].effective &= ~(1u << CAP_NET_RAW | 1u << CAP_CHOWN);
	before[0].permitted &= ~(1u << CAP_NET_RAW);
	before[0].inheritable = before[0].permitted & (1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE);
	capset_to(before);
	if (is_root()) {
		must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
		must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	}
	target_wait();
	capget_of(after);
	expect(memcmp(before, after, sizeof after) == 0,
		"effective %x, was %x; permitted %x, was %x", after[0].effective,
		before[0].effective, after[0].permitted, before[0].permitted);
	if (is_root()) {
		expect(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0, "bounding set");
		expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 1,
			"ambient set");
	}
}

/* An ordinary uid with capabilities kept. */
static void cred_keepcaps(void)
{
	struct __user_cap_data_struct data[2], now[2];

	capget_of(data);
	if (is_root()) {
		must(prctl(PR_SET_KEEPCAPS, 1));
		must(setresuid(2000, 2000, 2000));
		data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN | 1u << CAP_SETUID;
		data[1].effective = data[1].permitted = 0;
		capset_to(data);
		must(prctl(PR_SET_DUMPABLE, 1));
	}
	target_wait();
	capget_of(now);
	expect(now[0].effective == data[0].effective && now[0].permitted == data[0].permitted,
		"capabilities");
}

static void cred_securebits(void)
{
	int bits = SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED;

	if (is_root())
		must(prctl(PR_SET_SECUREBITS, bits));
	target_wait();
	if (is_root())
		expect(prctl(PR_GET_SECUREBITS) == bits, "securebits %x", prctl(PR_GET_SECUREBITS));
}

static void cred_no_new_privs(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	target_wait();
	expect(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "PR_GET_NO_NEW_PRIVS");
}

/* The system calls themselves change one thread only; glibc's wrappers change all. */
static int gate[2];

static void *other_user(void *arg)
{
	char byte;
	long uid;

	if (is_root())
		must(syscall(SYS_setresuid, 3000, 3000, 0));
	uid = syscall(SYS_getuid);
	thread_arrived();
	must(read(gate[0], &byte, 1));
	expect(syscall(SYS_getuid) == uid, "uid of the thread is %ld", syscall(SYS_getuid));
	return arg;
}

static void cred_thread(void)
{
	bool root = is_root();
	pthread_t thread;

	must(pipe(gate));
	thread = thread_start(other_user, NULL);
	must(prctl(PR_SET_DUMPABLE, 1));
	target_wait();
	expect(!root || getuid() == 0, "uid of the process is %d", getuid());
	must(write(gate[1], "x", 1));
	thread_join(thread);
}

/* ---- capabilities and secure bits that cannot be set in any order --------------------------- */

struct caps {
	int securebits, ambient, bounding;
	struct __user_cap_data_struct data[2];
};

static struct caps caps_now(void)
{
	struct caps caps = { prctl(PR_GET_SECUREBITS),
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0),
		prctl(PR_CAPBSET_READ, CAP_KILL), { { 0 } } };

	capget_of(caps.data);
	return caps;
}

static void all_locked(void)
{
	must(prctl(PR_SET_SECUREBITS, SECURE_ALL_BITS | SECURE_ALL_LOCKS));
}

static void kill_inheritable(void)
{
	struct caps caps = caps_now();

	caps.data[0].inheritable |= 1u << CAP_KILL;
	capset_to(caps.data);
}

static void ambient_locked(void)
{
	kill_inheritable();
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	must(prctl(PR_SET_SECUREBITS,
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED));
}

static void inheritable_unbounded(void)
{
	kill_inheritable();
	must(prctl(PR_CAPBSET_DROP, CAP_KILL));
}

static void user_locked(void)
{
	must(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_KEEP_CAPS_LOCKED));
	must(syscall(SYS_setresuid, 3000, 3000, 3000));
}

static void (*const locks[])(
	void) = { all_locked, ambient_locked, inheritable_unbounded, user_locked };

static void *lock_one(void *arg)
{
	struct caps before, after;
	char byte;

	if (is_root())
		locks[(intptr_t)arg]();
	before = caps_now();
	thread_arrived();
	must(read(gate[0], &byte, 1));
	after = caps_now();
	expect(!memcmp(&before, &after, sizeof after),
		"thread %d: secure bits %x, were %x; inheritable %x, were %x; ambient %d, was %d",
		(int)(intptr_t)arg, after.securebits, before.securebits, after.data[0].inheritable,
		before.data[0].inheritable, after.ambient, before.ambient);
	return NULL;
}

static void cred_locked(void)
{
	enum { NR = sizeof locks / sizeof locks[0] };
	pthread_t threads[NR];

	must(pipe(gate));
	for (intptr_t i = 0; i < NR; i++)
		threads[i] = thread_start(lock_one, (void *)i);
	must(prctl(PR_SET_DUMPABLE, 1));
	target_wait();
	must(write(gate[1], "xxxx", NR));
	for (int i = 0; i < NR; i++)
		thread_join(threads[i]);
}

/* To be run from a file with set-id bits, whose group (and user) it gives up, or keeps. */
static void set_id(bool drops)
{
	uid_t uids[3], uids_now[3];
	gid_t gids[3], gids_now[3];

	expect(getuid() != geteuid() || getgid() != getegid(), "not from a file with set-id bits");
	if (drops) {
		must(setresgid(getgid(), getgid(), getgid()));
		must(setresuid(getuid(), getuid(), getuid()));
	}
	must(prctl(PR_SET_DUMPABLE, 1));
	must(getresuid(&uids[0], &uids[1], &uids[2]));
	must(getresgid(&gids[0], &gids[1], &gids[2]));
	target_wait();
	must(getresuid(&uids_now[0], &uids_now[1], &uids_now[2]));
	must(getresgid(&gids_now[0], &gids_now[1], &gids_now[2]));
	expect(!memcmp(uids, uids_now, sizeof uids), "effective uid %d, now %d", (int)uids[1],
		(int)uids_now[1]);
	expect(!memcmp(gids, gids_now, sizeof gids), "effective gid %d, now %d", (int)gids[1],
		(int)gids_now[1]);
}

static void cred_setid_dropped(void)
{
	set_id(true);
}

static void cred_setid_kept(void)
{
	set_id(false);
}

/* Not held, but told by the test's dump: a key in each keyring of its own, two in the session's. */
static void cred_keyrings(void)
{
	static const int rings[] = { KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING,
		KEY_SPEC_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING };

	must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
	for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
		must(syscall(SYS_add_key, "user", i % 2 ? "odd" : "even", "x", 1, rings[i]));
	target_wait();
}

const struct target targets_cred[] = {
	{ "cred_ids", cred_ids, "uids, gids, groups", 0 },
	{ "cred_nobody", cred_nobody, "an ordinary user", 0 },
	{ "cred_caps", cred_caps, "capability sets", 0 },
	{ "cred_keepcaps", cred_keepcaps, "a user with capabilities", 0 },
	{ "cred_securebits", cred_securebits, "securebits", 0 },
	{ "cred_no_new_privs", cred_no_new_privs, "no_new_privs", 0 },
	{ "cred_thread", cred_thread, "a thread of another user", 0 },
	{ "cred_locked", cred_locked, "secure bits and capabilities that are locked", 0 },
	{ "cred_setid_dropped", cred_setid_dropped, "set-id bits whose ids were given up", 0 },
	{ "cred_keyrings", cred_keyrings, "keys of its own (told)", 0 },
	{ "cred_setid_kept", cred_setid_kept, "set-id bits whose ids are in use", 0 },
	{ NULL, NULL, NULL, 0 },
};
