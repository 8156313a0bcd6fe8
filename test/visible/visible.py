#!/usr/bin/python3 -SE
"""Print all that /proc shows of a process tree in a canonical form, or compare two such prints.

  visible.py [--contents] [--limit SECONDS] PID
  visible.py --diff BEFORE AFTER [--allow NAME,...]
  visible.py --same BEFORE [--allow NAME,...] [--contents] [--limit SECONDS] PID    # print, and compare on stderr

Two prints of one state are equal, before and after a round trip too (DESIGN D1). What is new by nature (start
time, inode numbers of sockets and pipes, counters, times) is named by its first appearance or left out; what may
differ when asked for is named by --allow.
"""

import os
import sys

# A thousand runs in `make check`. So the python is Debian's (pyenv's shims take twice as long), without site (-S);
# compiled modules are kept below $BUILD, never beside the sources; and what only some runs need, those import.
sys.pycache_prefix = os.environ.get("BUILD") and os.environ["BUILD"] + "/pycache"
sys.dont_write_bytecode = not sys.pycache_prefix


def usage(problem):
    sys.exit(f"visible.py: {problem}\n\n{__doc__}")


def arguments(words):
    """{"pid": N, "diff": (BEFORE, AFTER), "same": BEFORE, ...}; argparse is slow."""
    options = {"pid": None, "diff": None, "same": None, "allow": [], "contents": False, "limit": 5.0}
    words = list(words)
    try:
        while words:
            word = words.pop(0)
            if word == "--contents":
                options["contents"] = True
            elif word == "--limit":
                options["limit"] = float(words.pop(0))
            elif word == "--diff":
                options["diff"] = words.pop(0), words.pop(0)
            elif word == "--same":
                options["same"] = words.pop(0)
            elif word == "--allow":
                options["allow"] = [name for name in words.pop(0).split(",") if name]
            else:
                options["pid"] = int(word)
    except (IndexError, ValueError):
        usage(f"{word} is no option, or lacks its value")
    if bool(options["diff"]) == bool(options["pid"]):
        usage("either PID or --diff")
    return options


def main():
    options = arguments(sys.argv[1:])
    # Paths and arguments may hold any bytes.
    sys.stdout.reconfigure(errors="surrogateescape")
    sys.stderr.reconfigure(errors="surrogateescape")
    if options["diff"]:
        import compare
        before, after = map(compare.load, options["diff"])
        sys.exit(compare.diff(before, after, options["allow"], sys.stdout))
    import sample
    seen = sample.settled(options["pid"], options["contents"], options["limit"])
    print("\n".join(seen))
    if options["same"]:
        import compare
        # As lines of a file: a name may hold a newline.
        seen = "\n".join(seen).splitlines()
        sys.exit(compare.diff(compare.load(options["same"]), seen, options["allow"], sys.stderr))


if __name__ == "__main__":
    main()
