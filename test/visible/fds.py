"""The descriptor table of a process."""

import ctypes
import errno
import fcntl
import os
import select
import stat
import struct

from process import LIBC, text

SYS_KCMP, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 312, 434, 438      # asm/unistd_64.h
KCMP_FILE, KCMP_FILES = 0, 2
F_GETSIG, F_GETOWN_EX, F_GETPIPE_SZ, F_GET_SEALS, F_GET_RW_HINT = 11, 16, 1032, 1034, 1035
O_PATH = 0o10000000
PIDFD_THREAD = os.O_EXCL
# Lines of fdinfo that count, name the place or tell the time.
CHANGING = {"mnt_id", "ino", "eventfd-id", "pos", "flags", "it_value", "it_interval", "ticks", "lock", "tfd",
            "inotify", "Pid", "NSpid", "scm_fds", "SqTotalTime", "SqWorkTime"}


def syscall(number, *arguments):
    result = LIBC.syscall(number, *(ctypes.c_long(a) for a in arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def pidfd_open(tid):
    """Any thread may have a table of its own (CLONE_FILES not shared); before Linux 6.9, the first one is seen."""
    try:
        return syscall(SYS_PIDFD_OPEN, tid, PIDFD_THREAD)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return syscall(SYS_PIDFD_OPEN, tid, 0)


class Duplicate:
    """A duplicate of the target's descriptor: looking at it does not disturb the target."""

    def __init__(self, pid, number):
        pidfd = pidfd_open(pid)
        try:
            self.fd = syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        finally:
            os.close(pidfd)

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


# ---- fdinfo ----------------------------------------------------------------------------------------


def fdinfo(pid, number):
    rows = text(f"/proc/{pid}/fdinfo/{number}").decode(errors="replace").splitlines()
    return [(key.strip(), value.strip()) for key, _, value in (row.partition(":") for row in rows)]


def epoll_lines(values, names):
    """tfd: 5 events: 19 data: 5 pos:0 ino:810 sdev:f; in the order of kernel addresses"""
    out = []
    for row in sorted((value.split() for value in values), key=lambda row: (int(row[0]), row[4])):
        fd, _, events, _, data, _, ino, dev = (word.rpartition(":")[2] for word in row)
        out.append(f"epoll fd {fd} events {events} data {data} {names.inode('watched', dev, int(ino, 16))}")
    return out


def lock_row(value, names):
    """1: POSIX ADVISORY WRITE 1234 fe:00:12 0 EOF; the inode is that of the descriptor."""
    words = value.split()
    words[4] = names.task(int(words[4]))
    return " ".join(words[1:5] + words[6:])


def timerfd_lines(info):
    out = []
    for key, value in info:
        if key == "it_value":
            out.append(f"armed {value != '(0, 0)'}")
        elif key == "it_interval":
            out.append(f"interval {value}")
        elif key == "ticks":             # goes on counting
            out.append(f"fired {value != '0'}")
    return out


def special_lines(info, names):
    out = epoll_lines([value for key, value in info if key == "tfd"], names) + timerfd_lines(info)
    out += sorted("lock " + lock_row(value, names) for key, value in info if key == "lock")
    out += sorted("inotify " + key + value for key, value in info if key.startswith(("inotify", "fanotify")))
    out += [f"pidfd of {names.task(int(value))}" for key, value in info if key == "Pid"]
    return out + [f"scm_fds {value}" for key, value in info if key == "scm_fds" and value != "0"]


def info_lines(info, names):
    known = dict(info)
    out = [f"flags {known['flags']}", f"pos {known['pos']}"]
    out += [f"{key} {value}" for key, value in info
            if key not in CHANGING and not key.startswith(("inotify", "fanotify"))]
    return out + special_lines(info, names)


# ---- what the duplicate tells -----------------------------------------------------------------------


def owner(fd, names):
    kind, pid = struct.unpack("ii", fcntl.fcntl(fd, F_GETOWN_EX, struct.pack("ii", 0, 0)))
    signal = fcntl.fcntl(fd, F_GETSIG)
    return [f"owner {('tid', 'pid', 'pgrp')[kind]} {names.task(pid)} signal {signal}"] \
        if pid or signal else []


def numbers(fd, what):
    out = []
    for name, command in what:
        try:
            out.append(f"{name} {fcntl.fcntl(fd, command)}")
        except OSError:
            continue
    return out


def file_lines(st):
    out = [f"type {stat.S_IFMT(st.st_mode):o} mode {stat.S_IMODE(st.st_mode):o}"]
    if stat.S_ISREG(st.st_mode):
        out += [f"size {st.st_size} unlinked {st.st_nlink == 0} uid {st.st_uid} gid {st.st_gid}"]
    if stat.S_ISCHR(st.st_mode):
        out += [f"device {st.st_rdev:x}"]
    return out


def identity(link, st, names):
    """Files that still have a name must be the very same; all else is named anew."""
    if link.startswith("/proc/"):        # inodes there are made on demand
        return ""
    if stat.S_IFMT(st.st_mode) and st.st_nlink and link.startswith("/") and "memfd:" not in link:
        return f"inode {st.st_dev:x}:{st.st_ino}"
    if stat.S_ISSOCK(st.st_mode) or stat.S_ISFIFO(st.st_mode) or not stat.S_IFMT(st.st_mode):
        return ""
    return f"inode {names.inode('unlinked', st.st_dev, st.st_ino)}"


TERMINAL = (                             # asm-generic/ioctls.h, where termios does not have them
    ("attributes", 0x802C542A, 44),      # TCGETS2
    ("window", 0x5413, 8), ("discipline", 0x5424, 4), ("exclusive", 0x80045440, 4),
    ("packet", 0x80045438, 4), ("lock", 0x80045439, 4), ("number", 0x80045430, 4),
    ("device", 0x80045432, 4), ("input", 0x541B, 4))


def terminal_lines(fd):
    """What a terminal is set to; EIO is the answer of one that was hung up."""
    out = []
    for name, request, size in TERMINAL:
        try:
            out.append(f"terminal {name} {fcntl.ioctl(fd, request, bytes(size)).hex()}")
        except OSError as error:
            out.append(f"terminal {name} {error.strerror}")
    waits = select.poll()
    waits.register(fd, select.POLLIN | select.POLLOUT | select.POLLPRI)
    return out + [f"terminal events {sum(event for _, event in waits.poll(0)):x}"]


def socket_lines(fd, st, names):
    import socket                        # slow, and few have one
    import sockets
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sockets.lines(sock, st.st_ino, names)


def duplicate_lines(pid, number, st, names):
    with Duplicate(pid, number) as fd:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & O_PATH:
            return []
        out = owner(fd, names)
        if stat.S_ISSOCK(st.st_mode):
            return out + socket_lines(fd, st, names)
        if stat.S_ISFIFO(st.st_mode):
            import termios
            queued = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
            out += [f"queued {queued}"] + numbers(fd, [("pipe-size", F_GETPIPE_SZ)])
        if stat.S_ISCHR(st.st_mode) and os.major(st.st_rdev) in (5, *range(136, 144)):
            out += terminal_lines(fd)
        return out + numbers(fd, [("seals", F_GET_SEALS)])


# ---- the table ----------------------------------------------------------------------------------------


def kcmp(pid1, pid2, kind, a=0, b=0):
    """0 equal, 1 less, 2 greater, in an order the kernel keeps secret but constant."""
    return syscall(SYS_KCMP, pid1, pid2, kind, a, b)


class Descriptions:
    """Which slots share an open file description (dup, fork), by kcmp(2)."""

    def __init__(self):
        self.seen = {}          # (device, inode) -> [(pid, number, name)]
        self.count = 0

    def name(self, pid, number, st):
        known = self.seen.setdefault((st.st_dev, st.st_ino), [])
        for other_pid, other, name in known:
            if kcmp(pid, other_pid, KCMP_FILE, number, other) == 0:
                return name
        self.count += 1
        known.append((pid, number, f"ofd#{self.count}"))
        return known[-1][2]


def one(pid, number, names, descriptions):
    st = os.stat(f"/proc/{pid}/fd/{number}")
    link = os.readlink(f"/proc/{pid}/fd/{number}")
    directory, mark, inode = link.partition("/#")
    if mark and inode.removesuffix(" (deleted)").isdigit():      # what O_TMPFILE has made
        link = f"{directory}/#inode (deleted)"
    device = 0 if link.startswith("socket:") else st.st_dev
    shown = names.link(link, device) if stat.S_ISSOCK(st.st_mode) or stat.S_ISFIFO(st.st_mode) else link
    head = [f"is {shown} {descriptions.name(pid, number, st)} {identity(link, st, names)}".rstrip()]
    rest = file_lines(st) + info_lines(fdinfo(pid, number), names)
    return [f"fd {number} {line}" for line in head + rest + duplicate_lines(pid, number, st, names)]


def table(pid, names, descriptions):
    found = sorted(int(n) for n in os.listdir(f"/proc/{pid}/fd"))
    return [line for number in found for line in one(pid, number, names, descriptions)]


def lines(pid, tids, names, descriptions):
    """The table of the process, and that of every thread which has one of its own (CLONE_FILES)."""
    out = table(pid, names, descriptions)
    for index, tid in enumerate(tids[1:], 1):
        if kcmp(pid, tid, KCMP_FILES) != 0:
            out += [f"thread {index} own {line}" for line in table(tid, names, descriptions)]
    return out
