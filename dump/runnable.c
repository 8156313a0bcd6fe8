/* What there is to say about a program by its file; see runnable.h. */
#include "dump/runnable.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"

enum { PATH_LEN = 4096, HEAD_LEN = 4096 };

struct program {
	char path[PATH_LEN]; /* empty: not found */
	struct stat st;
	union {
		Elf64_Ehdr elf;
		char text[HEAD_LEN + 1];
	} head; /* zeroes behind its end, and where it may not be read */
};

/* ---- finding it --------------------------------------------------------------------------------
 */

static bool found_at(struct program *p, const char *dir, size_t len, const char *name)
{
	const char *slash = len ? "/" : "";

	return (size_t)snprintf(p->path, sizeof p->path, "%.*s%s%s", (int)len, dir, slash, name) <
		       sizeof p->path &&
	       !stat(p->path, &p->st);
}

/* As execvp(3) does, but for files that only somebody else may execute. */
static bool found(struct program *p, const char *name)
{
	const char *dir = getenv("PATH");

	if (strchr(name, '/') || !*name)
		return found_at(p, "", 0, name);
	for (dir = dir ? dir : "/bin:/usr/bin"; *dir; dir += dir[strcspn(dir, ":")] == ':') {
		size_t len = strcspn(dir, ":");

		if (found_at(p, dir, len, name) && S_ISREG(p->st.st_mode) && (p->st.st_mode & 0111))
			return true;
		dir += len;
	}
	return false;
}

static bool program_read(struct program *p, const char *name)
{
	OWNED_FD fd = -1;

	memset(p, 0, sizeof *p);
	if (!found(p, name)) {
		p->path[0] = '\0';
		return false;
	}
	fd = S_ISREG(p->st.st_mode) ? open(p->path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || read(fd, p->head.text, HEAD_LEN) < 0)
		p->head.text[0] = '\0';
	return true;
}

static bool is_elf(const struct program *p)
{
	return !memcmp(p->head.elf.e_ident, ELFMAG, SELFMAG);
}

static bool mounted(const struct program *p, unsigned long flag)
{
	struct statvfs fs;

	return !statvfs(p->path, &fs) && (fs.f_flag & flag);
}

/* ---- before it is started ----------------------------------------------------------------------
 */

/* Who may trace anybody keeps what the file gives (execve(2), "Set-user-ID ... and ptrace"). */
static bool may_trace_anybody(void)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps)
		cap_get_flag(caps, CAP_SYS_PTRACE, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

static const char *gift_of_file(const struct program *p)
{
	if (mounted(p, ST_NOSUID))
		return NULL;
	if ((p->st.st_mode & S_ISUID) && p->st.st_uid != geteuid())
		return "set-user-ID";
	if ((p->st.st_mode & S_ISGID) && (p->st.st_mode & S_IXGRP) && p->st.st_gid != getegid())
		return "set-group-ID";
	return getxattr(p->path, "security.capability", NULL, 0) > 0 ? "capabilities" : NULL;
}

int runnable_check(const char *name, struct err *err)
{
	struct program p;
	const char *gift;

	if (!program_read(&p, name) || !is_elf(&p))
		return 0;
	if (p.head.elf.e_ident[EI_CLASS] == ELFCLASS32) {
		err_set(err, ENOTSUP, "%s is a 32-bit program", p.path);
		return err_hint(err, "only 64-bit programs can be dumped");
	}
	gift = may_trace_anybody() ? NULL : gift_of_file(&p);
	if (gift)
		log_warn("%s runs without the %s of its file, as the kernel has it for whoever "
			 "traces it without being root",
			p.path, gift);
	return 0;
}

/* ---- why it could not be started ---------------------------------------------------------------
 */

bool runnable_is_to_blame(int ret)
{
	static const int codes[] = { ENOENT, EACCES, ENOEXEC, ENOTDIR, ELOOP, EISDIR, ENAMETOOLONG,
		ETXTBSY, EINVAL, ELIBBAD };

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (ret == -codes[i])
			return true;
	return false;
}

static const char *script_interpreter(struct program *p)
{
	char *start = p->head.text + 2;

	start += strspn(start, " \t");
	start[strcspn(start, " \t\r\n")] = '\0';
	return start;
}

static const char *elf_interpreter(const struct program *p)
{
	const Elf64_Ehdr *e = &p->head.elf;
	const char *text = p->head.text;

	for (size_t i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t at = e->e_phoff + i * sizeof ph;

		if (at > HEAD_LEN - sizeof ph)
			break;
		memcpy(&ph, text + at, sizeof ph);
		if (ph.p_type == PT_INTERP && ph.p_offset < HEAD_LEN)
			return text + ph.p_offset;
	}
	return "of its header";
}

static void explain_missing(struct program *p, const char *name, struct err *err)
{
	if (is_elf(p))
		err_hint(err, "it is there, but its interpreter %s is not", elf_interpreter(p));
	else if (text_starts(p->head.text, "#!"))
		err_hint(err, "it is there, but its interpreter %s is not", script_interpreter(p));
	else if (strspn(name, "0123456789") == strlen(name))
		err_hint(err, "did you mean `snapctl dump --pid %s`?", name);
	else if (!strchr(name, '/') && !access(name, F_OK))
		err_hint(err, "did you mean `./%s`?", name);
	else if (!strchr(name, '/'))
		err_hint(err, "it is in no directory of PATH");
}

static void explain_denied(const struct program *p, struct err *err)
{
	if (S_ISDIR(p->st.st_mode))
		err_hint(err, "it is a directory: name a program");
	else if (p->path[0] && !(p->st.st_mode & 0111))
		err_hint(err, "it is not executable: chmod +x %s", p->path);
	else if (p->path[0] && mounted(p, ST_NOEXEC))
		err_hint(err, "it is in a file system that is mounted noexec: copy it elsewhere");
	else
		err_hint(err, "it, or a directory above it, is not for you to execute");
}

void runnable_explain(const char *name, struct err *err)
{
	struct program p;

	program_read(&p, name);
	if (err->code == ENOENT)
		explain_missing(&p, name, err);
	else if (err->code == EACCES)
		explain_denied(&p, err);
}
