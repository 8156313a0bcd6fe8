/* Descriptors that no kind knows; see refused.h. First match wins. */
#include "images/fd/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/err.h"
#include "base/text.h"
#include "images/fd/kind.h"

/* ipc/mqueue.c; not in linux/magic.h. */
enum { MQUEUE_MAGIC = 0x19800202 };

struct refusal {
	const char *link; /* the link text begins with this ... */
	long fs;          /* ... or, without a link: f_type of its file system */
	const char *what, *why, *remedy;
};

static const char ASK_TO_CLOSE[] = "let the program close it before the dump";

static const struct refusal refusals[] = {
	{ "anon_inode:[userfaultfd]", 0, "a userfaultfd",
		"the kernel does not tell which faults wait for an answer", ASK_TO_CLOSE },
	{ "anon_inode:bpf", 0, "an object of bpf(2)",
		"it lives in the kernel and others may use it",
		"let the program pin it below /sys/fs/bpf, close it, and open it again after the "
		"restore" },
	{ "anon_inode:[perf_event]", 0, "a performance counter (perf_event_open)",
		"the counter belongs to the hardware", "stop the profiler before the dump" },
	{ "anon_inode:seccomp notify", 0, "the listener of a seccomp filter",
		"calls of another process wait for its answers",
		"end the supervised program first" },
	{ "anon_inode:[landlock-ruleset]", 0, "a Landlock ruleset",
		"the kernel does not tell its rules",
		"let the program close it once it is enforced (landlock_restrict_self)" },
	{ "anon_inode:[fscontext]", 0, "a file system being set up (fsopen)",
		"the kernel does not tell its parameters", "wait until the mount is done" },
	{ "anon_inode:kvm", 0, "a virtual machine (KVM)", "its state is in the hardware",
		"use the snapshot function of the virtual machine monitor" },
	{ "anon_inode:[vfio", 0, "a device of VFIO", "its state is in the hardware", ASK_TO_CLOSE },
	{ "anon_inode:sync_file", 0, "a fence of a graphics device", "its state is in the hardware",
		"end the use of the graphics device before the dump" },
	{ "/dmabuf:", 0, "a buffer of a device", "its memory belongs to the device",
		"end the use of the device before the dump" },
	{ NULL, SECRETMEM_MAGIC, "secret memory (memfd_secret)",
		"nobody but the program may read it",
		"keep no secret memory while the program is dumped" },
	{ "/anon_hugepage", 0, "huge pages opened through /proc",
		"they have no descriptor of their own", ASK_TO_CLOSE },
	{ "/SYSV", 0, "a System V segment opened through /proc", "it has no descriptor of its own",
		ASK_TO_CLOSE },
	{ "/dev/zero (deleted)", 0, "shared memory opened through /proc",
		"it has no descriptor of its own", ASK_TO_CLOSE },
	{ "/dev/fuse", 0, "the server side of a FUSE file system", "requests may be under way",
		"unmount the file system before the dump" },
	{ "/dev/kvm", 0, "the door to KVM", "virtual machines live in the hardware",
		"use the snapshot function of the virtual machine monitor" },
	{ "/dev/net/tun", 0, "a tunnel device", "packets may be under way",
		"close the tunnel before the dump" },
	{ "/dev/vhost", 0, "a vhost device", "its queues are shared with the kernel",
		"end the use of the device before the dump" },
	{ "/dev/dri/", 0, "a graphics device", "its state is in the hardware",
		"run the program without graphics acceleration" },
	{ "/dev/nvidia", 0, "a graphics device", "its state is in the hardware",
		"run the program without the GPU (CUDA_VISIBLE_DEVICES=)" },
	{ "/dev/snd/", 0, "a sound device", "its state is in the hardware",
		"run the program without sound" },
	{ "/dev/kmsg", 0, "the kernel's log", "its reading position cannot be set again",
		"run the program without reading the kernel's log" },
	{ NULL, NSFS_MAGIC, "a namespace", "it is another one than the process is in",
		ASK_TO_CLOSE },
	{ NULL, MQUEUE_MAGIC, "the directory of POSIX message queues",
		"it belongs to the IPC namespace", ASK_TO_CLOSE },
};

static const struct refusal *refusal_of(const struct fd_seen *seen)
{
	struct statfs fs = { 0 };

	if (fstatfs(seen->fd, &fs) < 0)
		fs.f_type = 0;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const struct refusal *r = &refusals[i];

		if (r->link ? text_starts(seen->link, r->link) : r->fs == fs.f_type)
			return r;
	}
	return NULL;
}

static const char *family_name(int family)
{
	switch (family) {
	case AF_PACKET:
		return "a packet socket (raw network frames)";
	case AF_VSOCK:
		return "a socket to a virtual machine (AF_VSOCK)";
	case AF_ALG:
		return "a socket of the kernel's cryptography (AF_ALG)";
	case AF_BLUETOOTH:
		return "a Bluetooth socket";
	case AF_CAN:
		return "a CAN bus socket";
	case AF_XDP:
		return "an XDP socket";
	case AF_TIPC:
		return "a TIPC socket";
	default:
		return NULL;
	}
}

static int refused_socket(const struct fd_seen *seen, const char *name, struct err *err)
{
	int family = -1, type = -1;
	socklen_t len = sizeof family;

	if (getsockopt(seen->fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ||
		getsockopt(seen->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_sys(err, "%s", name);
	if (family_name(family))
		err_set(err, ENOTSUP, "%s is %s, which snapctl cannot dump", name,
			family_name(family));
	else
		err_set(err, ENOTSUP,
			"%s is a socket of family %d, type %d, which snapctl cannot dump", name,
			family, type);
	return err_hint(err, "%s", ASK_TO_CLOSE);
}

static int refused_device(const struct fd_seen *seen, const char *name, struct err *err)
{
	bool block = S_ISBLK(seen->st.st_mode);

	err_set(err, ENOTSUP, "%s is a %s device (%u:%u), whose state is in the %s", name,
		block ? "block" : "character", major(seen->st.st_rdev), minor(seen->st.st_rdev),
		block ? "disk" : "driver");
	return err_hint(err, "%s", ASK_TO_CLOSE);
}

int fd_refused(const struct fd_seen *seen, struct err *err)
{
	const struct refusal *r = refusal_of(seen);
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (fcntl(seen->fd, F_GETFL) & O_PATH) {
		err_set(err, ENOTSUP, "%s is an O_PATH descriptor of something that has no path",
			name);
		return err_hint(err, "%s", ASK_TO_CLOSE);
	}
	if (r) {
		err_set(err, ENOTSUP, "%s is %s, which cannot be dumped: %s", name, r->what,
			r->why);
		return err_hint(err, "%s", r->remedy);
	}
	if (S_ISBLK(seen->st.st_mode) || S_ISCHR(seen->st.st_mode))
		return refused_device(seen, name, err);
	if (S_ISSOCK(seen->st.st_mode))
		return refused_socket(seen, name, err);
	err_set(err, ENOTSUP, "%s is of a kind that snapctl does not know", name);
	return err_hint(err, "%s", ASK_TO_CLOSE);
}
