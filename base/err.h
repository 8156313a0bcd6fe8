#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * Why something failed, in words. A struct err lives on the stack of whoever wants to know and owns
 * nothing. Whoever finds a failure describes it (err_set, err_sys), whoever knows more puts that in
 * front (err_wrap), whoever knows a remedy adds it (err_hint); only snapctl.c prints.
 *
 * Every function here returns the negative errno that is the result of the failed call, so that
 * `return err_sys(err, "open maps");` is the whole of error handling. `err` may be NULL.
 */
struct err {
	int code;       /* positive errno; 0 while nothing failed */
	char msg[1024]; /* "task 42: open maps: Permission denied"; cut in the middle, never overrun
			 */
	char hint[512]; /* what the user can do; empty if nobody knew */
};

#define ERR_FMT(a, b) __attribute__((format(printf, a, b)))

/* Something that is not a failed system call: code is a positive errno, ENOTSUP for "we cannot". */
int err_set(struct err *err, int code, const char *fmt, ...) ERR_FMT(3, 4);
/* A failed libc or system call: appends ": strerror(errno)" and keeps errno. */
int err_sys(struct err *err, const char *fmt, ...) ERR_FMT(2, 3);
/* As err_sys, where the kernel's answer came as a negative number (raw or remote system calls). */
int err_ret(struct err *err, long ret, const char *fmt, ...) ERR_FMT(3, 4);
/* Put "context: " in front of what err already says. */
int err_wrap(struct err *err, const char *fmt, ...) ERR_FMT(2, 3);
/* Say what to do about it; the first hint stays, being the nearest to the cause. */
int err_hint(struct err *err, const char *fmt, ...) ERR_FMT(2, 3);
/* Not enough memory for ourselves. */
int err_nomem(struct err *err);

#endif
