"""Two prints of a process tree against each other."""

import sys

# What may differ: name -> lines that are left out of the comparison.
ALLOW = {
    "pid": r"host-[pt]id |sched-group ",         # ids as the host sees them
    "vpid": r"v[pt]id |.*of-vpid ",              # ids as the process itself sees them (--pids=new)
    "ppid": r"ppid ",
    "pgid": r"pgid |sid ",                       # group and session are the launcher's
    "tty": r"tty ",
    "ns": r"ns ",                                # namespaces of --pids=ns
    "caps": r"status Cap|status Groups",         # as seen from outside an own user namespace
    "stdio": r"fd [012] ",                       # bound to the caller's (D10)
    "sockets": r"fd \d+ (queued|tcp-state|peer|name)",
    # Of a TCP connection: what only accept(2) gives to a stream, and what is reckoned anew from time to time.
    "tcp": r"fd \d+ option (ip\.multicast|ipv6\.multicast|ipv6\.mtu |tcp\.maxseg)",
    "limits": r"limit ",
    "oom": r"oom_score_adj ",
    "sched": r"sched |ioprio ",
    "waiting": r"waiting ",
    "maps": r"map |status Vm",
    # The README lists these among the limits of what can be made again.
    "openflags": r"fd \d+ flags",                 # O_TMPFILE, O_NOFOLLOW of files without a name
    "hugetlb": r"status HugetlbPages",           # what is mapped of shared ones, as VmRSS
    "watch": r"fd \d+ inotify inotify",           # of a file without a name, which is a new inode
    "lockowner": r"fd \d+ lock (FLOCK|LEASE) ",  # made by the first process for the one that took it
    "othername": r"fd \d+ is .*\(deleted\)",      # a file that was removed under several names
    # What has lost one name and kept another is opened by that, where the caller cannot open handles.
    "linkedname": r"(fd \d+ is|map) .*/link-(open|map|both)(2| \(deleted\)) ",
    "ghostname": r"map .*\(deleted\)",            # a deleted file whose name another file has taken
}


def load(path):
    with open(path, errors="surrogateescape") as file:
        return file.read().splitlines()


def without(lines, allow):
    """Drop what may differ. Lines of a thread's own table begin with "thread N own"."""
    import re                   # slow, and mostly nothing has to be left out
    pattern = re.compile("(thread \\d+ own )?(" + "|".join(ALLOW[name] for name in allow) + ")") if allow else None
    return [line for line in lines if not pattern or not pattern.match(line)]


def restartable(before, after):
    """
    A sleep that was stopped and went on shows as restart_syscall (219) with the same arguments; after a round
    trip it may be the original call again. Where either says 219, both are printed without the number.
    """
    if len(before) != len(after):
        return before, after
    before, after = list(before), list(after)
    for i, (a, b) in enumerate(zip(before, after)):
        if a != b and a.startswith("waiting ") and b.startswith("waiting ") and "219" in (a.split()[1], b.split()[1]):
            a, b = a.split()[2:], b.split()[2:]
            count = min(len(a), len(b)) - 2     # of arguments; then stack and instruction pointer
            if a[:count] + a[-2:] == b[:count] + b[-2:]:
                before[i] = after[i] = "waiting in a restarted call " + " ".join(a[:count] + a[-2:])
    return before, after


def with_sections(lines):
    """Put the section in front of every line: a difference then says whose it is."""
    out, title = [], ""
    for line in lines:
        if line.startswith("["):
            title = line
        else:
            out.append(f"{title} {line}")
    return out


def diff(before, after, allow, out):
    """Print what is different; the exit status."""
    unknown = [name for name in allow if name not in ALLOW]
    if unknown:
        sys.exit(f"visible.py: nothing is called {unknown[0]}; known: {', '.join(ALLOW)}")
    if before == after:
        return 0
    before, after = restartable(without(before, allow), without(after, allow))
    if before == after:
        return 0
    import difflib              # slow, and mostly there is nothing to show
    found = [line for line in difflib.unified_diff(
        with_sections(before), with_sections(after), "before", "after", n=0, lineterm="")
        if not line.startswith("@@")]
    print("\n".join(found), end="\n" if found else "", file=out)
    return 1 if found else 0
