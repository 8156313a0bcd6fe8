/* TCP connections that are carried over; see connections.h. */
#include "restore/connections.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "images/fd/inet.h"
#include "images/fd/tcp.h"
#include "restore/job.h"
#include "restore/stops.h"

/* The connection that an ofd was and is to be again; NULL: none, or it comes back as a reset one.
 */
static const struct inet_sock *carried(const struct job *job, uint32_t ofd)
{
	const struct inet_sock *sock = tcp_established(job->snap, ofd);

	return sock && (sock->conn->inside || job->opts->tcp_established) ? sock : NULL;
}

static bool has_carried(const struct job *job)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (carried(job, i))
			return true;
	return false;
}

static bool has_outside(const struct snap *snap)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct inet_sock *sock = tcp_established(snap, i);

		if (sock && !sock->conn->inside)
			return true;
	}
	return false;
}

int connections_hold(struct job *job, struct err *err)
{
	char table[TCP_HOLD_NAME];

	if (!has_carried(job))
		return 0;
	snprintf(table, sizeof table, "snapctl-restore-%d", getpid());
	job->hold = tcp_hold_create(table, true);
	if (!job->hold)
		return err_set(err, ENOMEM, "out of memory");
	if (tcp_hold_all(job->hold, job->snap, false, err) < 0)
		return -err->code;
	return tcp_hold_park(job->hold, job->park, err);
}

void connections_release(struct job *job)
{
	tcp_hold_destroy(job->hold);
	job->hold = NULL;
}

static int slot_wake(const struct job *job, const struct snap_fd *slot,
	const struct inet_sock *sock, struct err *err)
{
	OWNED_FD fd = -1;

	if (stops_getfd(job, (int)slot->num, &fd, err) < 0)
		return -err->code;
	return tcp_conn_wake(fd, sock, err);
}

/* Each once, through the first slot that is found. */
static int slots_wake(const struct job *job, bool *awake, struct err *err)
{
	const struct snap *snap = job->snap;

	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		const struct inet_sock *sock = carried(job, slot->ofd);

		if (!sock || awake[slot->ofd])
			continue;
		if (slot_wake(job, slot, sock, err) < 0)
			return err_wrap(err, "%s", snap->ofds[slot->ofd].label);
		awake[slot->ofd] = true;
	}
	return 0;
}

/* With --tcp-close by somebody who may not, others' packets stay held back: no reason to fail. */
static int hold_remove(struct job *job, struct err *err)
{
	char table[TCP_HOLD_NAME];

	connections_release(job);
	if (!has_outside(job->snap))
		return 0;
	if (tcp_hold_remove(tcp_hold_name(job->snap, table), err) == 0)
		return 0;
	if (job->opts->tcp_established)
		return -err->code;
	log_warn("%s: as root, nft delete table inet %s", err->msg, table);
	return 0;
}

int connections_wake(struct job *const *jobs, size_t nr, struct err *err)
{
	struct snap *snap = jobs[0]->snap;
	bool *awake;

	if (hold_remove(jobs[0], err) < 0)
		return -err->code;
	awake = arena_array(snap->arena, snap->nr_ofds, sizeof *awake);
	for (size_t i = 0; i < nr; i++)
		if (slots_wake(jobs[i], awake, err) < 0)
			return -err->code;
	return 0;
}
