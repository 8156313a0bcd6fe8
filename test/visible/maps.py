"""The address space of a process as /proc/PID/smaps, pagemap and numa_maps show it."""

import array
import fcntl
import os
import struct

PAGE = 4096
PAGEMAP_SCAN = 0xC0606610          # _IOWR('f', 16, struct pm_scan_arg), linux/fs.h of 6.7
PAGE_IS_GUARD = 1 << 8             # linux/fs.h of 6.15
# Objects that have no place in a file system: their inode numbers are new after every restore.
MADE_ANEW = ("/dev/zero (deleted)", "/anon_hugepage", "/memfd:", "/SYSV", "/[aio]", "anon_inode:", "socket:")


class Vma:
    def __init__(self, line):
        """7f1c00000000-7f1c00021000 rw-p 00000000 00:00 0       PATH, if any"""
        place, self.perms, offset, self.dev, ino, *path = line.rstrip("\n").split(None, 5)
        start, end = place.split("-")
        self.start, self.end, self.offset, self.ino = int(start, 16), int(end, 16), int(offset, 16), int(ino)
        self.path = path[0] if path else ""
        self.flags = []
        self.page_size = 0

    def is_anonymous(self):
        return self.ino == 0 and not self.path.startswith(("[v", "/"))

    def joins(self, other):
        """Would the kernel show self and its upper neighbour as one line, had they been made at once?"""
        if self.end != other.start or self.perms != other.perms or self.flags != other.flags:
            return False
        if (self.path, self.dev, self.ino) != (other.path, other.dev, other.ino):
            return False
        return self.is_anonymous() or (
            self.ino != 0 and self.offset + self.end - self.start == other.offset)


def read(pid):
    vmas = []
    with open(f"/proc/{pid}/smaps", errors="surrogateescape") as smaps:
        for line in smaps:
            if line[0] in "0123456789abcdef":
                vmas.append(Vma(line))
            elif line.startswith("VmFlags:"):
                vmas[-1].flags = sorted(line.split()[1:])
            elif line.startswith("KernelPageSize:"):
                vmas[-1].page_size = int(line.split()[1])
    return vmas


def merged(vmas):
    out = []
    for vma in vmas:
        if out and out[-1].joins(vma):
            out[-1].end = vma.end
        else:
            out.append(vma)
    return out


def backing(vma, names):
    """What a mapping shows: a path with device and inode, or a name for what has no file."""
    if vma.ino == 0:
        return vma.path or "(anonymous)"
    if vma.path.startswith(MADE_ANEW):
        return f"{vma.path} {names.inode('object', vma.dev, vma.ino)}"
    if vma.path.endswith(" (deleted)"):
        return f"{vma.path} {names.inode('deleted', vma.dev, vma.ino)}"
    return f"{vma.path} {vma.dev}:{vma.ino}"


def guards(pid, vmas):
    """Ranges of MADV_GUARD_INSTALL, which maps and smaps do not show."""
    found = []
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for vma in vmas:
            if vma.ino == 0 and not vma.path.startswith("[v"):
                found += guards_within(pagemap, vma.start, vma.end)
    return [f"guard {start:x}-{end:x}" for start, end in joined(found)]


def guards_within(pagemap, start, end):
    regions = array.array("Q", bytes(24 * 256))
    found = []
    while start < end:
        argument = bytearray(struct.pack(
            "12Q", 96, 0, start, end, 0, regions.buffer_info()[0], 256, 0, 0,
            PAGE_IS_GUARD, 0, PAGE_IS_GUARD))
        try:
            count = fcntl.ioctl(pagemap, PAGEMAP_SCAN, argument)
        except OSError:                  # kernel before 6.7, or one that knows no guards
            return []
        found += [(regions[3 * i], regions[3 * i + 1]) for i in range(count)]
        start = struct.unpack_from("Q", argument, 32)[0] if count == 256 else end
    return found


def joined(ranges):
    out = []
    for start, end in ranges:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def policies(pid):
    """Memory policies other than the default one."""
    try:
        with open(f"/proc/{pid}/numa_maps", errors="surrogateescape") as numa_maps:
            rows = [line.split()[:2] for line in numa_maps]
    except OSError:
        return []
    return [f"policy {row[0]} {row[1]}" for row in rows if row[1] != "default"]


def digests(pid, vmas):
    """A hash of the pages of every readable private mapping; zero pages count as absent."""
    lines = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for vma in vmas:
            if vma.perms[0] == "r" and vma.perms[3] == "p" and not vma.path.startswith("[v"):
                lines.append(f"contents {vma.start:x}-{vma.end:x} {digest(mem, pagemap, vma)}")
    return lines


def digest(mem, pagemap, vma):
    import hashlib                  # slow, and only for --contents
    state = hashlib.blake2b(digest_size=16)
    for page in range(vma.start // PAGE, vma.end // PAGE):
        entry, = struct.unpack("Q", os.pread(pagemap.fileno(), 8, page * 8))
        if not entry >> 62:
            continue
        try:
            data = os.pread(mem.fileno(), PAGE, page * PAGE)
        except OSError:                  # a guard page, or beyond the end of the file
            continue
        if data.count(0) != PAGE:
            state.update(struct.pack("Q", page))
            state.update(data)
    return state.hexdigest()


def lines(pid, names, contents):
    vmas = merged(read(pid))
    out = [f"map {v.start:x}-{v.end:x} {v.perms} {v.offset:x} {backing(v, names)}"
           f" page={v.page_size}k flags={','.join(v.flags)}" for v in vmas]
    out += guards(pid, vmas) + policies(pid)
    return out + (digests(pid, vmas) if contents else [])
