/* Questions answered by remote system calls; see remote.h. */
#include "dump/remote.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "tracee/tracee.h"

int remote_call(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	const char *what, uint64_t *ret, struct err *err)
{
	int64_t answer;
	int failed = tracee_syscall(t, th, nr, args, &answer, err);

	if (failed < 0)
		return err_wrap(err, "%s", what);
	if (answer < 0 && answer >= -4095)
		return err_ret(err, answer, "thread %d: %s", th->tid, what);
	if (ret)
		*ret = (uint64_t)answer;
	return 0;
}

int remote_get(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	unsigned out_arg, void *out, size_t len, const char *what, struct err *err)
{
	uint64_t scratch, with_scratch[6];
	size_t room;
	int ret = tracee_scratch(t, &scratch, &room, err);

	if (ret < 0)
		return ret;
	assert(len <= room && out_arg < 6);
	memcpy(with_scratch, args, sizeof with_scratch);
	with_scratch[out_arg] = scratch;
	ret = remote_call(t, th, nr, with_scratch, what, NULL, err);
	if (ret < 0)
		return ret;
	return tracee_read(t, scratch, out, len, err);
}

int remote_prctl(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	uint64_t *value, struct err *err)
{
	return remote_call(t, th, SYS_prctl, (uint64_t[6]){ (uint64_t)option }, what, value, err);
}

int remote_prctl_int(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	int32_t *value, struct err *err)
{
	return remote_get(t, th, SYS_prctl, (uint64_t[6]){ (uint64_t)option }, 1, value,
		sizeof *value, what, err);
}

int remote_prctl_maybe(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	uint64_t *value, struct err *err)
{
	int64_t answer;
	int ret = tracee_syscall(t, th, SYS_prctl, (uint64_t[6]){ (uint64_t)option }, &answer, err);

	if (ret < 0)
		return err_wrap(err, "%s", what);
	if (answer < 0 && answer != -EINVAL)
		return err_ret(err, answer, "thread %d: %s", th->tid, what);
	*value = answer < 0 ? 0 : (uint64_t)answer;
	return 0;
}
