/* Words for what was found; see found.h. */
#include "dump/found.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dump/dumping.h"
#include "dump/fds.h"

/* "epoll_wait, 4 futex", in the order of first appearance. */
static void waits_describe(const struct snap_proc *proc, struct buf *out)
{
	for (size_t i = 0; i < proc->nr_tasks; i++) {
		const char *what = proc->tasks[i].waiting_in;
		size_t same = 0;
		bool before = false;

		for (size_t j = 0; j < proc->nr_tasks; j++) {
			bool equal = !strcmp(proc->tasks[j].waiting_in, what);

			before |= equal && j < i;
			same += equal;
		}
		if (before)
			continue;
		buf_printf(out, i ? ", " : "");
		if (same > 1)
			buf_printf(out, "%zu ", same);
		buf_printf(out, "%s", what);
	}
}

static void unix_describe(const struct sockaddr_un *sa, socklen_t len, struct buf *out)
{
	size_t path = len > offsetof(struct sockaddr_un, sun_path)
			      ? len - offsetof(struct sockaddr_un, sun_path)
			      : 0;

	if (!path)
		buf_printf(out, "an unnamed socket");
	else if (sa->sun_path[0])
		buf_printf(out, "%.*s", (int)strnlen(sa->sun_path, path), sa->sun_path);
	else
		buf_printf(out, "@%.*s", (int)path - 1, sa->sun_path + 1);
}

static void address_describe(int fd, struct buf *out)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} sa;
	socklen_t len = sizeof sa;
	char text[INET6_ADDRSTRLEN];

	if (getsockname(fd, &sa.any, &len) < 0)
		return;
	if (sa.any.sa_family == AF_INET)
		buf_printf(out, "%s:%d", inet_ntop(AF_INET, &sa.in.sin_addr, text, sizeof text),
			ntohs(sa.in.sin_port));
	else if (sa.any.sa_family == AF_INET6)
		buf_printf(out, "[%s]:%d",
			inet_ntop(AF_INET6, &sa.in6.sin6_addr, text, sizeof text),
			ntohs(sa.in6.sin6_port));
	else if (sa.any.sa_family == AF_UNIX)
		unix_describe(&sa.un, len, out);
}

static void listens_describe(const struct slot_table *table, struct buf *out)
{
	for (size_t i = 0; i < table->nr; i++) {
		const struct slot_seen *s = &table->seen[i];
		socklen_t len = sizeof(int);
		int listening = 0;

		if (s->same_as != ID_NONE || !S_ISSOCK(s->seen.st.st_mode) ||
			getsockopt(s->seen.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
			!listening)
			continue;
		buf_printf(out, out->len ? ", " : "");
		address_describe(s->seen.fd, out);
	}
}

void found_describe(struct dumping *d)
{
	const struct snap_proc *proc = &d->snap->procs[0];
	struct buf waits = BUF_EMPTY, listens = BUF_EMPTY;
	struct snap_info *info = &d->snap->info;

	waits_describe(proc, &waits);
	listens_describe(d->slots, &listens);
	info->reason = arena_printf(d->snap->arena, "%s: %zu thread%s: %s", d->reason,
		proc->nr_tasks, proc->nr_tasks == 1 ? "" : "s", waits.data ? waits.data : "");
	if (listens.len)
		info->listens = arena_strdup(d->snap->arena, listens.data);
	snprintf(d->result->found, sizeof d->result->found, "%s%s%s", info->reason,
		listens.len ? "; listens on " : "", listens.len ? listens.data : "");
	buf_finish(&waits);
	buf_finish(&listens);
}
