#!/usr/bin/python3 -SE
"""Print all that /proc shows of a process tree in a canonical form, or compare two such prints.

  visible.py [--contents] [--limit SECONDS] PID
  visible.py --diff BEFORE AFTER [--allow NAME,...]

Two prints of one state are equal, before and after a round trip too (DESIGN D1). What is new by nature (start
time, inode numbers of sockets and pipes, counters, times) is named by its first appearance or left out; what may
differ when asked for is named by --allow.
"""

import sys

sys.dont_write_bytecode = True

import argparse
import difflib
import os
import re
import time

import fds
import maps
import process
import sockets
from names import Names

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
    "ghostname": r"map .*\(deleted\)",            # a deleted file whose name another file has taken
}


def sample(root, contents):
    """One pass over the tree: {section: lines}."""
    sockets.UnixDiag.forget()
    names, descriptions, out = Names(), fds.Descriptions(), []
    pids = process.tree(root)
    threads = {pid: process.tasks(pid) for pid in pids}
    for index, pid in enumerate(pids):
        for number, tid in enumerate(threads[pid]):
            names.add_task(tid, index, number)
    for index, pid in enumerate(pids):
        out += section(f"process {index}", one_process(pid, threads[pid], names, descriptions, contents))
        for number, tid in enumerate(threads[pid]):
            if not process.is_zombie(tid):
                out += section(f"thread {index}.{number}", process.thread(pid, tid))
    return out


def one_process(pid, tids, names, descriptions, contents):
    if process.is_zombie(pid):
        return process.ids(pid, names)
    return process.process(pid, names) + maps.lines(pid, names, contents) + \
        fds.lines(pid, tids, names, descriptions)


def section(title, lines):
    return [f"[{title}]"] + lines


# A thread that runs all this time computes; one that runs for less has a wait to come to, on a busy machine late.
COMPUTES = 0.5


def settled(root, contents, limit):
    """Two equal samples in a row: nobody was between two states."""
    end, last, error, since = time.monotonic() + limit, None, None, 0
    while True:
        try:
            now = sample(root, contents)
            if now != last:
                last, since = now, time.monotonic()
            elif "waiting running" not in now or time.monotonic() > since + COMPUTES:
                return now
        except OSError as caught:        # a thread or descriptor that went away meanwhile
            error = caught
            if not os.path.exists(f"/proc/{root}"):
                sys.exit(f"visible.py: no process {root}")
        if time.monotonic() > end:
            if last is None:
                sys.exit(f"visible.py: {root}: {error}")
            print(f"visible.py: process {root} did not come to rest in {limit} s", file=sys.stderr)
            return last
        time.sleep(0.02)


# ---- comparing --------------------------------------------------------------------------------------------


def load(path):
    with open(path, errors="surrogateescape") as file:
        return file.read().splitlines()


def without(lines, allow):
    """Drop what may differ. Lines of a thread's own table begin with "thread N own"."""
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


def diff(before, after, allow):
    before, after = restartable(without(load(before), allow), without(load(after), allow))
    found = [line for line in difflib.unified_diff(
        with_sections(before), with_sections(after), "before", "after", n=0, lineterm="")
        if not line.startswith("@@")]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pid", nargs="?", type=int)
    parser.add_argument("--contents", action="store_true", help="hash private memory too")
    parser.add_argument("--limit", type=float, default=5, help="seconds to wait for rest")
    parser.add_argument("--diff", nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--allow", default="", help="may differ: " + ", ".join(ALLOW))
    options = parser.parse_args()
    if bool(options.diff) == bool(options.pid):
        parser.error("either PID or --diff")
    options.allow = [name for name in options.allow.split(",") if name]
    for name in options.allow:
        if name not in ALLOW:
            parser.error(f"nothing is called {name}; known: {', '.join(ALLOW)}")
    return options


def main():
    options = arguments()
    if options.diff:
        sys.exit(diff(*options.diff, options.allow))
    # Paths and arguments may hold any bytes.
    sys.stdout.reconfigure(errors="surrogateescape")
    print("\n".join(settled(options.pid, options.contents, options.limit)))


if __name__ == "__main__":
    main()
