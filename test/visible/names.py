"""Names that stay the same over a round trip: task[0.1] for thread ids, socket#2 for inodes."""


class Names:
    """Numbers the kernel hands out anew are named by their first appearance in the output."""

    def __init__(self):
        self.tasks = {}        # host tid -> "task[P.T]"
        self.inodes = {}       # (kind, device, inode) -> "kind#N"
        self.counts = {}
        self.unix = None       # inode -> row of sock_diag(7), once one has been asked for

    def add_task(self, tid, proc, thread):
        self.tasks[tid] = f"task[{proc}.{thread}]"

    def task(self, tid):
        """A host thread id as the tree knows it; 0 and -1 mean nobody, all others are strangers."""
        if tid in (0, -1):
            return "nobody" if tid == 0 else "gone"
        if -tid in self.tasks:
            return "group of " + self.tasks[-tid]
        return self.tasks.get(tid, "outside")

    def inode(self, kind, dev, ino):
        key = (kind, dev, ino)
        if key not in self.inodes:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.inodes[key] = f"{kind}#{self.counts[kind]}"
        return self.inodes[key]

    def link(self, text, dev):
        """The text behind /proc/PID/fd/N with inode numbers named: "socket:[77]" -> "socket#1"."""
        kind, _, number = text.partition(":[")
        return self.inode(kind, dev, int(number[:-1])) if kind in ("socket", "pipe") and number else text
