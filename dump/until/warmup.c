/* The command that warms the program up; see warmup.h. */
#include "dump/until/warmup.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/log.h"
#include "dump/until/command.h"

static int warmup_judge(const char *text, int status, struct err *err)
{
	if (status == 0)
		return 0;
	if (WIFSIGNALED(status))
		err_set(err, ECANCELED, "the warm-up `%s` was killed by signal %d (%s)", text,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		err_set(err, ECANCELED, "the warm-up `%s` ended with status %d", text,
			WEXITSTATUS(status));
	return err_hint(err, "if that does not matter, write --warmup '...; true'");
}

int warmup_run(const char *text, pid_t program, int (*turn)(void *arg, struct err *err), void *arg,
	struct err *err)
{
	struct command command = { 0 };
	int status = 0, ret = command_start(&command, text, program, false, err);

	while (!ret) {
		ret = command_poll(&command, &status, err);
		if (!ret)
			ret = turn(arg, err);
	}
	command_stop(&command);
	if (ret < 0)
		return err_wrap(err, "warm-up");
	log_info("warm-up ended with status 0x%x", (unsigned)status);
	return warmup_judge(text, status, err);
}
