/*
 * Descriptors of something that has a path: regular files and directories, and with O_PATH
 * anything. Which file it is, whether it may have changed, and what a deleted one held is the
 * business of the file table (file_of, open_file). Files of kernel file systems are opened again by
 * their path; those below /proc/PID by the path of the new process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/proc_gone.h"
#include "images/fd/reg.h"

/* ipc/mqueue.c; not in linux/magic.h. */
enum { MQUEUE_MAGIC = 0x19800202 };
/* The bit of O_TMPFILE that is not O_DIRECTORY; fcntl.h has it under a name of libc's own. */
enum { TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY };

struct reg_priv {
	uint32_t file; /* ID_NONE for kernel files, which have ... */
	char *path;    /* ... the whole path, or what follows /proc/PID */
	int32_t pid;   /* of that, as the target sees it; else 0 */
	bool gone;     /* it has ended, and was waited for */
};

static long fs_of(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 ? 0 : (long)fs.f_type;
}

/* Regular for stat(2), but nothing that could be opened by a path. */
static bool is_internal(const struct fd_seen *seen)
{
	static const char *const links[] = {
		"/memfd:",
		"/dmabuf:",
		"/anon_hugepage",
		"/SYSV",
		"/dev/zero (deleted)",
	};
	long fs = fs_of(seen->fd);

	if (fs == MQUEUE_MAGIC || fs == NSFS_MAGIC || fs == SECRETMEM_MAGIC)
		return true;
	for (size_t i = 0; seen->st.st_nlink == 0 && i < sizeof links / sizeof *links; i++)
		if (text_starts(seen->link, links[i]))
			return true;
	return text_starts(seen->link, "/dmabuf:");
}

static bool reg_is(const struct fd_seen *seen)
{
	if (seen->link[0] != '/' || is_internal(seen))
		return false;
	return S_ISREG(seen->st.st_mode) || S_ISDIR(seen->st.st_mode) ||
	       fcntl(seen->fd, F_GETFL) & O_PATH;
}

/* ---- kernel files --------------------------------------------------------------------------- */

static bool is_kernel_file(const struct fd_seen *seen)
{
	static const long magics[] = {
		PROC_SUPER_MAGIC,
		SYSFS_MAGIC,
		DEBUGFS_MAGIC,
		TRACEFS_MAGIC,
		SECURITYFS_MAGIC,
		CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC,
		SELINUX_MAGIC,
		EFIVARFS_MAGIC,
		BINFMTFS_MAGIC,
		BPF_FS_MAGIC,
	};
	long fs = fs_of(seen->fd);

	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (fs == magics[i])
			return true;
	return false;
}

/* The thread of "/task/TID/..."; 0 where the path does not lead there. */
static int32_t task_tid(const char *rest, const char **behind)
{
	struct text t = { rest };
	uint64_t tid;

	if (!text_word(&t, "/task/") || !text_dec(&t, &tid) || tid > INT32_MAX)
		return 0;
	*behind = t.at;
	return (int32_t)tid;
}

static bool thread_lives(int32_t pid, int32_t tid)
{
	char path[48];

	snprintf(path, sizeof path, "/proc/%d/task/%d", pid, tid);
	return access(path, F_OK) == 0;
}

/* These show the memory that the process had when they were opened. */
static bool bound_to_memory(const char *rest)
{
	static const char *const names[] = {
		"maps",
		"smaps",
		"smaps_rollup",
		"numa_maps",
		"mem",
		"environ",
		"auxv",
		"pagemap",
	};
	const char *name = strrchr(rest, '/');

	for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
		if (!strcmp(name + 1, names[i]))
			return true;
	return false;
}

static bool is_inside(const struct snap *snap, int32_t pid)
{
	return snap_has_process(snap, pid) || snap_has_zombie(snap, pid);
}

static const char DELETED[] = " (deleted)";

/* Length of the path of a kernel file: below /proc/net, entries are made for each look. */
static size_t kernel_path_len(const struct fd_seen *seen)
{
	size_t len = strlen(seen->link);

	return text_ends(seen->link, DELETED) ? len - strlen(DELETED) : len;
}

/* Is it of a process that is gone, here in our /proc? What is left of one half read is lost. */
static bool belongs_to_gone(const struct fd_seen *seen)
{
	char path[PATH_MAX];
	const char *rest;
	struct stat ours;
	int32_t pid;

	snprintf(path, sizeof path, "%.*s", (int)kernel_path_len(seen), seen->link);
	pid = proc_path_pid(path, &rest);
	return pid && pid != seen->pid && !is_inside(seen->dump->snap, pid) &&
	       stat("/proc", &ours) == 0 && ours.st_dev == seen->st.st_dev && proc_gone(pid) &&
	       (S_ISDIR(seen->st.st_mode) || lseek(seen->fd, 0, SEEK_CUR) <= 0);
}

static int proc_file_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	const char *rest = "", *behind;
	int32_t pid = proc_path_pid(seen->link, &rest);
	int32_t tid = pid ? task_tid(rest, &behind) : 0;

	if (!pid)
		return 0;
	if (snap_has_zombie(seen->dump->snap, pid) && bound_to_memory(rest))
		err_set(err, ENOTSUP, "%s belongs to process %d, which has ended and has no memory",
			name, pid);
	else if (pid != seen->pid && !is_inside(seen->dump->snap, pid))
		err_set(err, ENOTSUP, "%s belongs to process %d, which is not part of the dump",
			name, pid);
	else if (tid && !thread_lives(pid, tid))
		err_set(err, ENOTSUP, "%s belongs to thread %d, which has ended", name, tid);
	else
		return 0;
	return err_hint(err, "let the program close it after use");
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/* Does the path lead to it, seen from here? */
static bool path_leads_here(const struct fd_seen *seen)
{
	struct stat st;

	return lstat(seen->link, &st) == 0 && st.st_dev == seen->st.st_dev &&
	       st.st_ino == seen->st.st_ino;
}

/* It was opened by somebody else, who could look there: a shell of root, say. */
static int path_closed(const char *name, struct err *err)
{
	err_set(err, ENOTSUP, "%s: you may not look at that path: %s", name, strerror(EACCES));
	return err_hint(err,
		"give yourself permission to search its directories, or run snapctl as "
		"root");
}

static bool kernel_file_is_there(const struct fd_seen *seen)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%.*s", (int)kernel_path_len(seen), seen->link);
	return is_kernel_file(seen) && lstat(path, &st) == 0 && st.st_dev == seen->st.st_dev &&
	       st.st_mode == seen->st.st_mode;
}

static int path_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	errno = 0;
	if (path_leads_here(seen))
		return 0;
	if (errno == EACCES)
		return path_closed(name, err);
	if (kernel_file_is_there(seen))
		return 0;
	if (!text_ends(seen->link, DELETED)) {
		err_set(err, ENOTSUP,
			"%s: its path leads to something else or nothing, seen from here", name);
		return err_hint(err,
			"run snapctl in the mount namespace and root directory of the program; "
			"if something was mounted over the file, unmount that");
	}
	if ((S_ISREG(seen->st.st_mode) || S_ISDIR(seen->st.st_mode)) && !is_kernel_file(seen))
		return 0;
	err_set(err, ENOTSUP, "%s is something that has been removed", name);
	return err_hint(err, "let the program close it");
}

/* F_NOTIFY shows nowhere, but it makes its process the owner, which a directory needs for nothing
 * else. */
static int notify_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	struct f_owner_ex owner = { 0 };

	if (!S_ISDIR(seen->st.st_mode) || fcntl(seen->fd, F_GETFL) & O_PATH ||
		fcntl(seen->fd, F_GETOWN_EX, &owner) < 0 || !owner.pid)
		return 0;
	err_set(err, ENOTSUP,
		"%s is a directory watched with F_NOTIFY, and the kernel does not tell for what",
		name);
	return err_hint(err, "let the program use inotify(7) instead");
}

/* A trigger (Documentation/accounting/psi.rst) shows nowhere, but who polls without gets an error.
 */
static int pressure_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	struct pollfd look = { seen->fd, POLLPRI, 0 };
	bool is = text_starts(seen->link, "/proc/pressure/") || text_ends(seen->link, ".pressure");

	if (!is || (fcntl(seen->fd, F_GETFL) & O_ACCMODE) == O_RDONLY || poll(&look, 1, 0) < 0 ||
		look.revents & POLLERR)
		return 0;
	err_set(err, ENOTSUP,
		"%s waits for a pressure that the program has set, and the kernel does not tell "
		"which",
		name);
	return err_hint(err, "let the program close it, and set it up again after the restore");
}

static int reg_check(const struct fd_seen *seen, struct err *err)
{
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (notify_check(seen, name, err) < 0)
		return -err->code;
	if (is_kernel_file(seen) && pressure_check(seen, name, err) < 0)
		return -err->code;
	if (is_kernel_file(seen) && belongs_to_gone(seen))
		return 0;
	if (is_kernel_file(seen) && proc_file_check(seen, name, err) < 0)
		return -err->code;
	return path_check(seen, name, err);
}

static int reg_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct fd_dump *d = seen->dump;
	struct reg_priv *priv = arena_alloc(d->snap->arena, sizeof *priv);
	const char *path, *rest;

	if (reg_check(seen, err) < 0)
		return -err->code;
	priv->file = ID_NONE;
	if (is_kernel_file(seen)) {
		path = rest = arena_strndup(d->snap->arena, seen->link, kernel_path_len(seen));
		priv->pid = proc_path_pid(path, &rest);
		priv->path = arena_strdup(d->snap->arena, rest);
		priv->gone = belongs_to_gone(seen);
	} else if (d->file_of(d, seen->pid, seen->fd, seen->link, &priv->file, err) < 0) {
		return -err->code;
	}
	ofd->priv = priv;
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int reg_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct reg_priv *priv = ofd->priv;
	Pb__RegFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__reg_fd__init(m);
	m->has_file = priv->file != ID_NONE;
	m->file = priv->file;
	if (priv->path) {
		m->has_path = true;
		m->path = message_path(priv->path);
		m->has_pid = priv->pid != 0;
		m->pid = priv->pid;
		m->has_gone = m->gone = priv->gone;
	}
	msg->reg = m;
	return 0;
}

static int kernel_file_unpack(
	struct snap *snap, const Pb__RegFd *m, struct reg_priv *priv, struct err *err)
{
	const char *behind;
	int32_t tid;

	priv->pid = m->has_pid ? m->pid : 0;
	priv->gone = m->gone;
	if (priv->gone ? priv->pid <= 0 : priv->pid && !is_inside(snap, priv->pid))
		return err_set(err, EBADMSG, "reg: there is no process %d", priv->pid);
	/* "/proc/42" itself leaves nothing behind the number. */
	if (priv->pid && m->path.len == 0) {
		priv->path = arena_strdup(snap->arena, "");
		return 0;
	}
	if (message_path_read(snap, &m->path, "reg", &priv->path, err) < 0)
		return -err->code;
	tid = priv->pid ? task_tid(priv->path, &behind) : 0;
	if (tid && tid != priv->pid && !snap_has_thread(snap, tid))
		return err_set(err, EBADMSG, "reg: there is no thread %d", tid);
	return 0;
}

static int reg_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct reg_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__RegFd *m = msg->reg;

	if (!m || m->has_file == m->has_path)
		return message_missing("reg", err);
	priv->file = m->has_file ? m->file : ID_NONE;
	if (m->has_file && message_id_check(m->file, snap->nr_files, "reg: file", err) < 0)
		return -err->code;
	if (m->has_path && kernel_file_unpack(snap, m, priv, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static int kernel_file_path(
	const struct fd_make *m, const struct reg_priv *priv, char path[PATH_MAX], struct err *err)
{
	pid_t pid = priv->pid ? m->pid_of(m, priv->pid) : 0;
	const char *behind;
	int len;

	if (priv->pid && pid <= 0)
		return err_set(err, ESRCH, "no process stands for %d", priv->pid);
	if (!priv->pid)
		len = snprintf(path, PATH_MAX, "%s", priv->path);
	else if (task_tid(priv->path, &behind))
		len = snprintf(path, PATH_MAX, "/proc/%d/task/%d%s", pid, pid, behind);
	else
		len = snprintf(path, PATH_MAX, "/proc/%d%s", pid, priv->path);
	return len < PATH_MAX ? 0 : err_set(err, ENAMETOOLONG, "%s", priv->path);
}

/* F_GETFL has what open(2) was given, less O_CREAT, O_EXCL, O_NOCTTY and O_TRUNC. */
static int open_flags(const struct snap_ofd *ofd)
{
	uint32_t flags = ofd->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC);

	/* A file that was made by O_TMPFILE is opened again as the file it is. */
	if (flags & TMPFILE_BIT)
		flags &= ~(uint32_t)O_TMPFILE;
	return (int)(flags | O_CLOEXEC);
}

int32_t reg_thread(const struct snap_ofd *ofd, const char **behind)
{
	const struct reg_priv *priv = ofd->priv;
	const char *rest;
	int32_t tid;

	if (ofd->kind != &fd_reg || !priv->pid)
		return 0;
	tid = task_tid(priv->path, &rest);
	if (!tid || tid == priv->pid)
		return 0;
	*behind = rest;
	return tid;
}

const char *reg_later(const struct snap *snap, const struct snap_ofd *ofd, int32_t *pid)
{
	const struct reg_priv *priv = ofd->priv;
	const char *behind;

	if (ofd->kind != &fd_reg || ofd->inherited >= 0 || !priv->pid || priv->gone)
		return NULL;
	if (priv->pid == snap->procs[0].pid && !reg_thread(ofd, &behind) &&
		(ofd->flags & O_PATH || !bound_to_memory(priv->path)))
		return NULL;
	*pid = priv->pid;
	return priv->path;
}

uint32_t reg_later_flags(const struct snap_ofd *ofd)
{
	return (uint32_t)open_flags(ofd) & ~(uint32_t)O_CLOEXEC;
}

uint32_t reg_made_with(const struct snap_ofd *ofd, uint32_t *flags)
{
	const struct reg_priv *priv = ofd->priv;

	if (ofd->kind != &fd_reg || ofd->inherited >= 0 || ofd->flags & O_PATH ||
		!(ofd->flags & (TMPFILE_BIT | O_NOFOLLOW)))
		return ID_NONE;
	*flags = ofd->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC);
	return priv->file;
}

int reg_access(const struct snap_ofd *ofd, uint32_t file)
{
	const struct reg_priv *priv = ofd->priv;

	if (ofd->kind != &fd_reg || ofd->inherited >= 0 || ofd->flags & O_PATH ||
		priv->file != file)
		return -1;
	return (int)ofd->flags & O_ACCMODE;
}

static int reg_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct reg_priv *priv = ofd->priv;
	/* What stands there until the process it belongs to does. */
	char path[PATH_MAX] = "/dev/null";
	int32_t pid;
	int fresh;

	if (priv->file != ID_NONE)
		return m->open_file(m, priv->file, open_flags(ofd), fd, err);
	if (priv->gone)
		return proc_gone_open(priv->pid, priv->path, open_flags(ofd), fd, err);
	if (ofd->flags & O_DIRECTORY)
		strcpy(path, "/proc");
	if (!reg_later(m->snap, ofd, &pid) && kernel_file_path(m, priv, path, err) < 0)
		return -err->code;
	fresh = open(path, open_flags(ofd) | O_NOCTTY);
	if (fresh < 0)
		return err_sys(err, "open %s", path);
	*fd = fresh;
	return 0;
}

/* ---- when all stands ------------------------------------------------------------------------ */

static bool is_half_read(const struct snap *snap, const struct snap_ofd *ofd)
{
	(void)snap;
	return ((const struct reg_priv *)ofd->priv)->path && ofd->offset && !(ofd->flags & O_PATH);
}

/*
 * What is behind the position was put together when it was set (seq_lseek() in fs/seq_file.c), from
 * the process that restored it. So it is set again.
 */
static int half_read_finish(
	const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	(void)m;
	if (lseek(fd, 0, SEEK_SET) < 0 || lseek(fd, (off_t)ofd->offset, SEEK_SET) < 0)
		return err_sys(err, "seek to %lld", (long long)ofd->offset);
	return 0;
}

static char *reg_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct reg_priv *priv = ofd->priv;

	if (ofd->flags & O_PATH)
		return arena_strdup(arena, "O_PATH");
	if (priv->file != ID_NONE && snap->files[priv->file].deleted)
		return arena_printf(arena, "at %llu, deleted", (unsigned long long)ofd->offset);
	return arena_printf(arena, "at %llu", (unsigned long long)ofd->offset);
}

const struct fd_kind fd_reg = {
	.name = "reg",
	.is = reg_is,
	.check = reg_check,
	.save = reg_save,
	.pack = reg_pack,
	.unpack = reg_unpack,
	.make = reg_make,
	.finish = half_read_finish,
	.finish_needed = is_half_read,
	.describe = reg_describe,
};
