"""What /proc shows of a process tree, when it has come to rest."""

import os
import sys
import time

import fds
import maps
import process
import sockets
from names import Names


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
