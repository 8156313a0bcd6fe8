/* The topics of `snapctl help`; see topics.h. Each fits on a screen, and is in words of 80 columns.
 */
#include "topics.h"

#include <string.h>

#include "dump/dump.h"

static void until_list(FILE *out)
{
	struct dump_until until;

	fputc('\n', out);
	for (size_t i = 0; dump_until_nth(i, &until); i++)
		fprintf(out, "  %-18s %s\n", until.usage, until.summary);
}

const struct topic topics[] = {
	{ "start", "the first image, step by step",
		"Start a program once and keep it:\n"
		"\n"
		"  snapctl dump ./server --port 8080      options of the server behind its name\n"
		"\n"
		"It runs until it is quiet, is written to image/ and ends. Then, as often as "
		"wanted:\n"
		"\n"
		"  snapctl restore image/                 in the foreground; Ctrl-C ends it\n"
		"  snapctl restore -d --pidfile p image/  in the background\n"
		"\n"
		"A program that runs already:\n"
		"\n"
		"  snapctl check --pid 4242               can it be dumped? If not: why, what to "
		"do\n"
		"  snapctl dump --pid 4242                it ends when its image is safe\n"
		"\n"
		"If it was stopped too early or too late, see `snapctl help until`. If a restore\n"
		"says that a process id is taken, see `snapctl help pids`.\n",
		NULL },
	{ "until", "when a program that was started is stopped",
		"`snapctl dump --until=CONDITION PROGRAM` starts the program and stops it when "
		"the\n"
		"condition holds. Given several times, the first that holds stops it. --timeout "
		"says\n"
		"how long to wait (60s); when it is over, a message says what was waited for and "
		"what\n"
		"the program was doing. --warmup CMD runs a command after that, such as requests "
		"that\n"
		"fill caches, and waits until the program is quiet again. It is stopped when\n",
		until_list },
	{ "images", "what an image is, where it goes, what to do with it",
		"An image is a directory of three files (snapctl-image(5)). It appears whole or "
		"not at\n"
		"all, by default as image/ in the current directory; -o names another place, and "
		"only\n"
		"--force replaces an older image.\n"
		"\n"
		"  snapctl show image/          what is in it; --json for programs\n"
		"  snapctl verify image/        is it undamaged?\n"
		"  snapctl diff before/ after/  what is different between two\n"
		"  snapctl pack image/          one file that restores itself: ./image.snap\n"
		"  snapctl unpack image.snap    the image again\n"
		"  snapctl core image/          a core file, for gdb\n"
		"\n"
		"It can be copied (cp -r, tar, rsync), restored as often as wanted, and removed "
		"with\n"
		"rm -r. It holds everything that the process had in memory: see `snapctl help\n"
		"security`. To restore it elsewhere, see `snapctl help machines`.\n",
		NULL },
	{ "pids", "process ids of what is restored",
		"A program may remember its process ids, so a restore gives them back if it can:\n"
		"\n"
		"  --pids=keep  the ids it had. They must be free, and you need to be root\n"
		"               (CAP_CHECKPOINT_RESTORE).\n"
		"  --pids=ns    the ids it had, inside a PID namespace of its own: any number of\n"
		"               copies at the same time, also for ordinary users where user\n"
		"               namespaces are allowed.\n"
		"  --pids=new   new ids, for a single process that does not remember its own.\n"
		"  --pids=auto  the first of these that is possible (default); -v says which.\n",
		NULL },
	{ "files", "open and mapped files that have changed since the dump",
		"An image names the files that the program had open or mapped; their contents "
		"stay\n"
		"where they are. A restore compares them (size, time, build-id) before it uses "
		"them.\n"
		"\n"
		"  programs, libraries   must be the same; dump --embed takes them into the image\n"
		"  data files            restore --files=keep uses them as they are, restore puts\n"
		"                        back what is in the image, fail refuses; auto (default)\n"
		"                        keeps files that are shared through a mapping if their "
		"size\n"
		"                        is the same, and refuses all others\n"
		"  deleted files         travel in the image\n",
		NULL },
	{ "descriptors", "standard input and output, and other descriptors from outside",
		"Descriptors that the program had from whoever ran `snapctl dump` (standard "
		"input,\n"
		"output, error, the terminal) are those of whoever runs `snapctl restore`. So\n"
		"\n"
		"  snapctl restore image/ >log 2>&1 </dev/null\n"
		"\n"
		"does what it does for any program. Others are named by number:\n"
		"\n"
		"  snapctl restore --inherit 5=3 3>other image/    its 5 is our 3\n"
		"\n"
		"All others (files, pipes, sockets, terminals inside) are made again as they "
		"were.\n",
		NULL },
	{ "network", "listening sockets, connections, ports",
		"Listening sockets listen again at the same address: it has to be free. Copies at "
		"the\n"
		"same time need network namespaces of their own (ip netns exec, unshare --net).\n"
		"Connections inside the program are held. Those to outside are refused, unless:\n"
		"\n"
		"  --tcp-close        they come back as reset ones: what most servers handle\n"
		"  --tcp-established  they are carried over, dump and restore; as root, on a "
		"machine\n"
		"                     with the same addresses. Packets are held back in between.\n",
		NULL },
	{ "permissions", "what an ordinary user may do, and why tracing is refused",
		"A dump traces the process as a debugger does (ptrace(2)). You may trace your own\n"
		"processes if they have no more privileges than you, are dumpable, and Yama allows "
		"it\n"
		"(/proc/sys/kernel/yama/ptrace_scope); programs that snapctl starts always are.\n"
		"`snapctl check --pid N` names the rule that refuses, and what would help; "
		"programs\n"
		"that call snapctl_listen() can be asked: `snapctl dump --ask PID`.\n"
		"\n"
		"A restore as an ordinary user cannot choose process ids outside of a namespace\n"
		"(`snapctl help pids`), carry over connections, or make seccomp filters again.\n",
		NULL },
	{ "signals", "signals, job control and the exit status of what is restored",
		"`snapctl restore` stands in for the program: signals sent to it are passed on,\n"
		"stopping it by job control stops the program, and it exits with the program's "
		"status\n"
		"(128+N where signal N ended it). With --detach it returns when the program runs.\n"
		"\n"
		"Pending signals, handlers and masks are restored. `snapctl dump` that is "
		"interrupted\n"
		"(SIGINT, SIGTERM) leaves a --pid process running as before, and no image.\n",
		NULL },
	{ "machines", "restoring on another machine, kernel or CPU",
		"An image fits where the same files are at the same paths, and the CPU has the\n"
		"features that the program has seen; what is missing is named. --embed takes "
		"programs\n"
		"and libraries along. Another kernel is fine: its vdso is called where the old "
		"one\n"
		"was, and clocks that would go back are set in a time namespace (as root).\n"
		"Wall-clock time goes on meanwhile; timers go on with the time they had left.\n",
		NULL },
	{ "instances", "one image for many: telling restored programs apart",
		"Programs that use libsnapctl can be told what they are to be:\n"
		"\n"
		"  snapctl restore --setenv PORT=8081 image/ -- --verbose\n"
		"\n"
		"They ask with snapctl_restore_env() and snapctl_restore_args() (C, Python), get "
		"a\n"
		"generation id, and have hooks before a dump and after a restore: snapctl-lib(3).\n"
		"`dump --until=checkin` stops where the program calls snapctl_ready();\n"
		"`dump --until=effect` before it does anything that others could see, so that "
		"each\n"
		"instance does it for itself. Memory with MADV_WIPEONFORK comes back empty, so "
		"that\n"
		"random generators that look for forks seed themselves again.\n",
		NULL },
	{ "security", "secrets in images, and whose images may be restored",
		"An image holds all that the process had in memory: passwords, keys, sessions. It "
		"is\n"
		"made readable by its owner only (0700, 0600); keep copies that way, and encrypt "
		"them\n"
		"where they leave the machine.\n"
		"\n"
		"What is in an image runs as you. So a restore refuses images that belong to "
		"somebody\n"
		"else than you or root, or that others may write to. What is damaged is refused as "
		"a\n"
		"whole. doc/SECURITY.md has the threat model.\n",
		NULL },
	{ "exit-status", "what exit statuses mean",
		"  0     success; diff: the same\n"
		"  1     check: something stands against a dump; diff: there are differences\n"
		"  125   snapctl itself failed; standard error says why, and what to do\n"
		"  126   dump: the program was found but could not be run\n"
		"  127   dump: the program was not found\n"
		"\n"
		"`snapctl restore` in the foreground exits with the status of the program, or "
		"with\n"
		"128+N where signal N ended it.\n",
		NULL },
	{ 0 },
};

const struct topic *topic_find(const char *name)
{
	for (const struct topic *t = topics; t->name; t++)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

void topic_print(const struct topic *t, FILE *out)
{
	fprintf(out, "%s: %s\n\n%s", t->name, t->summary, t->text);
	if (t->more)
		t->more(out);
}
