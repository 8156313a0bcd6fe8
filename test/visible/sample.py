"""What /proc shows of a process tree, when it has come to rest."""

import os
import sys
import time

import fds
import maps
import process
from names import Names


def tree(root):
    """{pid: {tid: what it has done so far}}, parents first."""
    return {pid: {tid: process.activity(f"/proc/{pid}/task/{tid}") for tid in process.tasks(pid)}
            for pid in process.tree(root)}


def sample(threads, contents):
    """One pass over a tree: {section: lines}."""
    names, descriptions, out = Names(), fds.Descriptions(), []
    for index, pid in enumerate(threads):
        for number, tid in enumerate(threads[pid]):
            names.add_task(tid, index, number)
    for index, pid in enumerate(threads):
        out += section(f"process {index}", one_process(pid, list(threads[pid]), names, descriptions, contents))
        for number, tid in enumerate(threads[pid]):
            if not process.is_zombie(tid):
                out += section(f"thread {index}.{number}", process.thread(pid, tid))
    return out


def one_process(pid, tids, names, descriptions, contents):
    if process.is_zombie(pid):
        return process.zombie(pid, names)
    return process.process(pid, tids, names) + maps.lines(pid, names, contents) + \
        fds.lines(pid, tids, names, descriptions)


def section(title, lines):
    return [f"[{title}]"] + lines


# ---- rest ---------------------------------------------------------------------------------------

# Of CPU time, in ticks. Who runs for that long computes; who runs for less has a wait to come to, on a busy machine
# late.
COMPUTES = 10


def is_at_rest(before, after):
    """Has no thread run in between?"""
    return before == after and not any(state == "R" for doing in before.values() for state, _, _ in doing.values())


def computes(since, now):
    """Have those that run been at it since then?"""
    spent = [ticks - since[pid][tid][2]
             for pid, doing in now.items() for tid, (state, _, ticks) in doing.items() if state == "R"]
    return bool(spent) and min(spent) >= COMPUTES


def settled(root, contents, limit):
    """
    When nobody is between two states. A sample is one of a tree at rest if no thread has run for a while before it and
    until its end. Where some always run, two samples in a row have to be equal.
    """
    end, last, error, since = time.monotonic() + limit, None, None, None
    while True:
        try:
            before = tree(root)
            time.sleep(0.02)
            now = sample(before, contents)
            after = tree(root)
            if is_at_rest(before, after):
                return now
            if now != last:
                last, since = now, before
            elif "waiting running" not in now or computes(since, after):
                return now
        except (OSError, KeyError) as caught:        # a thread or descriptor that went away meanwhile, or came
            error = caught
            if not os.path.exists(f"/proc/{root}"):
                sys.exit(f"visible.py: no process {root}")
        if time.monotonic() > end:
            if last is None:
                sys.exit(f"visible.py: {root}: {error}")
            print(f"visible.py: process {root} did not come to rest in {limit} s", file=sys.stderr)
            return last
