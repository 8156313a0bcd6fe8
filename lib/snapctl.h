#ifndef SNAPCTL_H
#define SNAPCTL_H

/*
 * libsnapctl: what a program may say to snapctl(1), and learn from it. Programs need none of this
 * to be dumped and restored; it is for those that know best when they are ready, hold what cannot
 * travel, or are to be told at the restore what this instance is for. See snapctl-lib(3).
 */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * "Checkpoint me here": under `snapctl dump --until=checkin`, the image is made while this call
 * stands. Returns
 *     1   in a process that was restored from the image,
 *     0   in the original that goes on after the dump (--leave-running),
 *     -ENOTCONN   nobody waits for it: not started by snapctl, or said before. Just go on,
 *     -EACCES     refused: the token was not the right one,
 *     -ECANCELED  a hook failed, or the dump did; the process goes on as before.
 * Other threads run until they are frozen. One thread at a time.
 */
int snapctl_ready(void);

/*
 * Have `before` called before a dump and `after` when the process goes on, in the original and in
 * what is restored (restored is 1 there). Before hooks run in the order in which they were given,
 * after hooks in reverse. A before hook that returns other than 0 (an errno) aborts the dump, which
 * names the hook; the after hooks of those that had run are called then. Either may be NULL; `name`
 * must stay. Returns 0 or -ENOMEM.
 */
int snapctl_hook(const char *name, int (*before)(void *arg), void (*after)(void *arg, int restored),
	void *arg);

/*
 * Have reseed called in every restored process, before all after hooks: random generators have the
 * same state in all of them otherwise. `generation` is 16 bytes that no two restores share.
 */
int snapctl_reseed(void (*reseed)(void *arg, const unsigned char generation[16]), void *arg);

/* 36 characters and a NUL, as a UUID; all zeroes where the process was never restored. */
const char *snapctl_generation(void);

/*
 * What followed "--" at `snapctl restore IMAGE -- ARG...`, and what --setenv NAME=VALUE said, each
 * ending with NULL; empty in a process that was never restored. Good until the next restore, and
 * however the image was made.
 */
const char *const *snapctl_restore_args(void);
const char *const *snapctl_restore_env(void);
/* VALUE of --setenv NAME=VALUE, or what getenv(3) says. */
const char *snapctl_getenv(const char *name);

/*
 * Let processes of the same user ask for a dump: `snapctl dump --ask PID`. Nothing listens until
 * somebody asks, with a file named after the pid in a directory that only this user may enter, and
 * this signal; 0 is SIGQUIT, if the program has no handler for it. Starts a thread that sleeps.
 * Returns 0, or -EBUSY where the signal is taken, -EPERM in set-uid programs, -EALREADY, -errno.
 */
int snapctl_listen(int sig);

#ifdef __cplusplus
}
#endif

#endif
