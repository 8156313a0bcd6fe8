/* A gate and a word between processes; see gate.h. */
#include "gate.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

int gate[2], word[2];

void gate_make(void)
{
	must(pipe(gate));
	must(pipe(word));
}

char gate_await(void)
{
	char byte = 0;

	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	return byte;
}

void gate_open(int times)
{
	for (int i = 0; i < times; i++)
		must(write(gate[1], "x", 1));
}

void word_tell(pid_t pid)
{
	must(write(word[1], &pid, sizeof pid));
}

pid_t word_hear(void)
{
	pid_t pid;

	expect(read(word[0], &pid, sizeof pid) == sizeof pid, "no word from a process");
	return pid;
}

void ended_with(pid_t pid, int code)
{
	int status = -1;

	expect(waitpid(pid, &status, 0) == pid, "waitpid of %d: %s", pid, strerror(errno));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "process %d ended with %#x", pid,
		(unsigned)status);
}
