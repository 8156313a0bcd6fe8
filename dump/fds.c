/* The descriptor table; see fds.h. */
#include "dump/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/files.h"
#include "dump/in_flight.h"
#include "dump/inherited.h"
#include "dump/shared.h"
#include "dump/tree.h"
#include "dump/unshared.h"
#include "images/fd/common.h"
#include "images/fd/locks.h"

/* kcmp(2): 0 equal, 1 less, 2 greater, in an order that is stable until the next boot. */
static int kcmp_files(int a, int b)
{
	pid_t self = getpid();

	return (int)syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
}

int fds_same(int a, int b)
{
	int order = kcmp_files(a, b);

	return order < 0 ? -errno : order == 0;
}

/* ---- the table -------------------------------------------------------------------------- */

struct slot_table *slot_table_create(struct dumping *d)
{
	return arena_alloc(d->snap->arena, sizeof(struct slot_table));
}

void slot_table_finish(struct slot_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->nr; i++)
		if (table->seen[i].same_as == ID_NONE)
			fd_close(&table->seen[i].seen.fd);
	for (size_t i = 0; i < table->nr_kept; i++)
		fd_close(&table->kept[i]);
	table->nr = table->nr_kept = 0;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Files that differ in inode need no kcmp; *order gets <0, 0, >0. */
static int seen_compare(
	const struct fd_seen *a, const struct fd_seen *b, int *order, struct err *err)
{
	int kernel;

	*order = compare(a->st.st_ino, b->st.st_ino);
	if (!*order)
		*order = compare(a->st.st_dev, b->st.st_dev);
	if (*order)
		return 0;
	kernel = kcmp_files(a->fd, b->fd);
	if (kernel < 0) {
		err_sys(err, "kcmp");
		return err_hint(err, "this needs a kernel with CONFIG_KCMP");
	}
	*order = kernel == 0 ? 0 : kernel == 1 ? -1 : 1;
	return 0;
}

/* Where in table->order a file stands, or has to be put: *found says which. */
static int order_find(const struct slot_table *table, const struct fd_seen *seen, size_t *at,
	bool *found, struct err *err)
{
	size_t low = 0, high = table->nr_order;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order, ret = seen_compare(
				   seen, &table->seen[table->order[middle]].seen, &order, err);

		if (ret < 0)
			return ret;
		if (order == 0) {
			*found = true;
			low = middle;
			break;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*at = low;
	return 0;
}

static uint32_t ofd_add(struct dumping *d, const struct fd_seen *seen, uint32_t same_as)
{
	struct slot_table *table = d->slots;
	struct snap_ofd *ofd = snap_add_ofd(d->snap);

	ofd->id = (uint32_t)(ofd - d->snap->ofds);
	ofd->label = (char *)seen->link;
	table->seen = arena_grow(
		d->snap->arena, table->seen, table->nr, &table->cap, sizeof *table->seen);
	table->seen[table->nr++] = (struct slot_seen){ *seen, same_as };
	return ofd->id;
}

static void order_insert(struct dumping *d, size_t at, uint32_t id)
{
	struct slot_table *table = d->slots;

	table->order = arena_grow(d->snap->arena, table->order, table->nr_order, &table->cap_order,
		sizeof *table->order);
	memmove(table->order + at + 1, table->order + at,
		(table->nr_order - at) * sizeof *table->order);
	table->order[at] = id;
	table->nr_order++;
}

uint32_t fds_split(struct dumping *d, uint32_t ofd)
{
	struct fd_seen seen = d->slots->seen[ofd].seen;

	return ofd_add(d, &seen, ofd);
}

/* ---- looking ---------------------------------------------------------------------------- */

int seen_getfd(struct dumping_proc *p, int num, int *fd, struct err *err)
{
	if (p->th != &p->t->threads[0])
		return thread_getfd(p->th->tid, num, fd, err);
	return tracee_getfd(p->t, num, fd, err);
}

/* Not -ENOENT, although that is what FUSE says of a directory that was removed: it is open. */
static int fstat_refused(const struct fd_seen *seen, struct err *err)
{
	err_set(err, ENOTSUP, "%s: its file system does not know it any more (fstat: %s)",
		seen->link, strerror(errno));
	return err_hint(err, "let the program close what it has removed on FUSE and network "
			     "file systems");
}

static int seen_read(const struct slots_look *look, int num, struct fd_seen *seen, struct err *err)
{
	struct arena *a = look->p->d->snap->arena;
	char name[32], *link, *fdinfo;
	size_t len;
	int ret;

	snprintf(name, sizeof name, "fd/%d", num);
	ret = proc_link(look->procfd, name, a, &link, err);
	if (ret < 0)
		return ret;
	snprintf(name, sizeof name, "fdinfo/%d", num);
	ret = proc_text(look->procfd, name, a, &fdinfo, &len, err);
	if (ret < 0)
		return ret;
	*seen = (struct fd_seen){
		.link = link,
		.fdinfo = fdinfo,
		.pid = look->p->status.nspid,
		.num = num,
		.dump = &look->p->d->fd_dump,
	};
	ret = look->tid ? thread_getfd(look->tid, num, &seen->fd, err)
			: seen_getfd(look->p, num, &seen->fd, err);
	if (ret < 0)
		return ret;
	if (fstat(seen->fd, &seen->st) < 0) {
		ret = fstat_refused(seen, err);
		fd_close(&seen->fd);
		return ret;
	}
	fd_seen_note(seen);
	return ret;
}

int fds_add(struct dumping *d, struct fd_seen *seen, uint32_t *ofd, struct err *err)
{
	OWNED_FD owned = seen->fd;
	bool found;
	size_t at;
	int ret = order_find(d->slots, seen, &at, &found, err);

	if (ret < 0)
		return ret;
	if (found) {
		*ofd = d->slots->order[at];
		return locks_save_posix(seen, &d->snap->ofds[*ofd], err);
	}
	take_fd(&owned);
	*ofd = ofd_add(d, seen, ID_NONE);
	order_insert(d, at, *ofd);
	return 0;
}

static int slot_look(
	const struct slots_look *look, int num, uint32_t *ofd, bool *cloexec, struct err *err)
{
	OWNED_FD owned = -1;
	struct fd_seen seen;
	uint64_t flags = 0;
	int ret = seen_read(look, num, &seen, err);

	if (ret < 0)
		return ret;
	owned = seen.fd;
	if (!text_field_oct(seen.fdinfo, "flags", &flags))
		return err_set(err, EPROTO, "fdinfo without flags");
	*cloexec = flags & O_CLOEXEC;
	take_fd(&owned);
	return fds_add(look->p->d, &seen, ofd, err);
}

/* We hold a duplicate of each open file of the target: as many as it has. */
static void raise_nofile(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int fds_look_slots(
	const struct slots_look *look, struct snap_fd **fds, size_t *nr_fds, struct err *err)
{
	struct arena *a = look->p->d->snap->arena;
	size_t nr;
	int *nums, ret = proc_fds(look->procfd, a, &nums, &nr, err);

	if (ret < 0)
		return ret;
	*fds = arena_array(a, nr, sizeof **fds);
	for (size_t i = 0; i < nr; i++) {
		struct snap_fd *slot = &(*fds)[*nr_fds];

		slot->num = (uint32_t)nums[i];
		ret = slot_look(look, nums[i], &slot->ofd, &slot->cloexec, err);
		/* While the target runs, it may close one between two looks. */
		if (ret == -ENOENT || ret == -EBADF)
			continue;
		if (ret < 0)
			return err_wrap(err, "descriptor %d", nums[i]);
		(*nr_fds)++;
	}
	return 0;
}

static int process_look(struct dumping_proc *p, struct err *err)
{
	struct slots_look look = { p, p->dir, 0 };
	struct snap_fd *fds = NULL;
	size_t nr = 0;
	int ret = fds_look_slots(&look, &fds, &nr, err);

	if (ret < 0)
		return ret;
	dumping_snap_proc(p)->fds = fds;
	dumping_snap_proc(p)->nr_fds = nr;
	return unshared_look(p, err);
}

/* What leads outside can be told only when all have been looked at. */
int fds_look(struct dumping *d, struct err *err)
{
	int ret = 0;

	raise_nofile();
	for (size_t i = 0; !ret && i < d->nr_procs; i++) {
		ret = process_look(&d->procs[i], err);
		/* For a check, processes are not frozen, and may end. */
		if (ret < 0 && i && tree_is_ending(d->procs[i].t->pid))
			ret = 0;
		if (ret < 0)
			err_wrap(err, "process %d", d->procs[i].t->pid);
	}
	for (size_t i = 0; !ret && i < d->nr_procs; i++)
		if ((ret = inherited_mark(&d->procs[i], err)) < 0)
			err_wrap(err, "process %d", d->procs[i].t->pid);
	return ret;
}

/* ---- saving ----------------------------------------------------------------------------- */

/* What the launcher gave is bound to the caller's at restore; only people want to know what it was.
 */
static int inherited_save(
	const struct fd_seen *seen, bool launched, struct snap_ofd *ofd, struct err *err)
{
	int flags = fcntl(seen->fd, F_GETFL);

	if (flags < 0)
		return err_sys(err, "F_GETFL");
	ofd->flags = (uint32_t)flags;
	ofd->kind = fd_kind_of(seen, NULL); /* NULL: any kind will do */
	if (!launched && S_ISREG(seen->st.st_mode) && ofd->inherited == seen->num)
		log_warn("descriptor %d: %s is not yours to open: at restore, it is what the "
			 "caller has there",
			seen->num, seen->link);
	return 0;
}

static int ofd_save(struct dumping *d, uint32_t id, struct err *err)
{
	const struct fd_seen *seen = &d->slots->seen[id].seen;
	struct snap_ofd *ofd = &d->snap->ofds[id];
	int ret;

	if (ofd->inherited >= 0)
		return inherited_save(seen, d->target->launched, ofd, err);
	ofd->kind = fd_kind_of(seen, err);
	if (!ofd->kind)
		return err ? -err->code : -ENOTSUP;
	ret = ofd->kind->check ? ofd->kind->check(seen, err) : 0;
	if (!ret)
		ret = ofd_save_common(seen, ofd, err);
	return ret < 0 || !ofd->kind->save ? ret : ofd->kind->save(seen, ofd, err);
}

static int ofd_wrap(const struct dumping *d, uint32_t id, struct err *err)
{
	return err_wrap(err, "process %d", d->slots->seen[id].seen.pid);
}

static int ofd_save_link(struct dumping *d, uint32_t id, struct err *err)
{
	struct snap_ofd *ofd = &d->snap->ofds[id];

	if (ofd->inherited >= 0 || !ofd->kind->save_link)
		return 0;
	return ofd->kind->save_link(&d->slots->seen[id].seen, ofd, err);
}

int fds_collect(struct dumping *d, struct err *err)
{
	int ret = fds_look(d, err);

	for (uint32_t id = 0; !ret && id < d->snap->nr_ofds; id++)
		if ((ret = ofd_save(d, id, err)) < 0)
			return ofd_wrap(d, id, err);
	for (uint32_t id = 0; !ret && id < d->snap->nr_ofds; id++)
		if ((ret = ofd_save_link(d, id, err)) < 0)
			return ofd_wrap(d, id, err);
	return ret < 0 ? ret : in_flight_check(d, err);
}

int fds_collect_last(struct dumping *d, size_t *bytes, struct err *err)
{
	for (uint32_t id = 0; id < d->snap->nr_ofds; id++) {
		struct snap_ofd *ofd = &d->snap->ofds[id];

		if (ofd->inherited < 0 && ofd->kind->save_last &&
			ofd->kind->save_last(&d->slots->seen[id].seen, ofd, bytes, err) < 0)
			return ofd_wrap(d, id, err);
	}
	return 0;
}

/* ---- what kinds ask --------------------------------------------------------------------- */

static struct dumping *dumping_of(const struct fd_dump *hooks)
{
	return hooks->priv;
}

static uint32_t hook_ofd_of_slot(struct fd_dump *hooks, int pid, int num)
{
	const struct snap *snap = hooks->snap;

	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		for (size_t f = 0; proc->pid == pid && f < proc->nr_fds; f++)
			if (proc->fds[f].num == (uint32_t)num)
				return proc->fds[f].ofd;
	}
	return ID_NONE;
}

static uint32_t hook_ofd_of_inode(
	struct fd_dump *hooks, uint64_t dev, uint64_t ino, uint32_t except)
{
	const struct slot_table *table = dumping_of(hooks)->slots;

	for (uint32_t i = 0; i < table->nr; i++)
		if (i != except && table->seen[i].seen.st.st_ino == ino &&
			table->seen[i].seen.st.st_dev == dev)
			return i;
	return ID_NONE;
}

/* An epoll may watch a slot that holds another file by now, or nothing. */
static bool hook_same_file(struct fd_dump *hooks, int pid, int num, int fd)
{
	uint32_t ofd = hook_ofd_of_slot(hooks, pid, num);

	return ofd != ID_NONE && fds_same(dumping_of(hooks)->slots->seen[ofd].seen.fd, fd) == 1;
}

static int hook_fd_of(struct fd_dump *hooks, uint32_t ofd)
{
	const struct slot_table *table = dumping_of(hooks)->slots;

	return ofd < table->nr ? table->seen[ofd].seen.fd : -1;
}

static int hook_file_of(
	struct fd_dump *hooks, int pid, int fd, const char *link, uint32_t *file, struct err *err)
{
	(void)pid; /* all processes of a dump have our mount namespace and root: check.c */
	if (files_add(dumping_of(hooks), fd, link, file, err) < 0)
		return -err->code;
	return files_open_travels(dumping_of(hooks), fd, *file, err);
}

static void hook_keep_fd(struct fd_dump *hooks, int fd)
{
	struct slot_table *table = dumping_of(hooks)->slots;

	table->kept = arena_grow(hooks->snap->arena, table->kept, table->nr_kept, &table->cap_kept,
		sizeof *table->kept);
	table->kept[table->nr_kept++] = fd;
}

static int hook_mem_of(struct fd_dump *hooks, int fd, const struct stat *st, const char *link,
	uint32_t *mem, struct err *err)
{
	return shared_of_memfd(dumping_of(hooks), fd, st, link, mem, err);
}

void fds_hooks_init(struct dumping *d)
{
	d->fd_opts = (struct fd_opts){ .tcp_close = d->opts->tcp_close,
		.tcp_established = d->opts->tcp_established,
		.launched = d->opts->argv,
		.leave_running = d->opts->leave_running };
	d->fd_dump = (struct fd_dump){
		.snap = d->snap,
		.opts = &d->fd_opts,
		.pages = d->pages,
		.ofd_of_slot = hook_ofd_of_slot,
		.ofd_of_inode = hook_ofd_of_inode,
		.same_file = hook_same_file,
		.fd_of = hook_fd_of,
		.ofd_of_fd = in_flight_ofd,
		.file_of = hook_file_of,
		.keep_fd = hook_keep_fd,
		.mem_of = hook_mem_of,
		.priv = d,
	};
}
