"""A command as the foreground job of a shell, in a terminal of its own: in_front.py [--bg] [PATTERN KEYS]... -- COMMAND...

When PATTERN (a regular expression) comes, KEYS are typed (\\x1a: Ctrl-Z). The shell continues the job when it stops,
as `fg` does; with --bg first as `bg` does, until it stops again. Standard output gets what the terminal shows, and in brackets what the shell sees: [stopped by SIGTSTP],
[ended with 0], [the terminal is as before]. Ends with the command's status.
"""
import os
import pty
import re
import select
import signal
import sys
import termios
import time

LIMIT = 30


def job_start(command):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    return pid


def state():
    return termios.tcgetattr(0), os.tcgetpgrp(0)


def in_background(job, say):
    """Until it wants to read. The shell is in front, and stays there."""
    modes, me = termios.tcgetattr(0), os.getpid()
    os.killpg(job, signal.SIGCONT)
    _, status = os.waitpid(job, os.WUNTRACED)
    say(f"[in the background {'stopped' if os.WIFSTOPPED(status) else 'ended'}]\n")
    same = "as before" if state() == (modes, me) else "changed"
    os.tcsetpgrp(0, me)
    say(f"[the terminal is {same}]\n")


def shell(command, say, background):
    """Session leader of the terminal. It takes nothing back before it has looked."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    modes = termios.tcgetattr(0)
    job = job_start(command)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        now, front = state()
        same = "as before" if now == modes and front == job else "changed"
        os.tcsetpgrp(0, os.getpid())
        say(f"[the terminal is {same}]\n")
        if not os.WIFSTOPPED(status):
            break
        say(f"[stopped by {signal.Signals(os.WSTOPSIG(status)).name}]\n")
        if background:
            background = in_background(job, say)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(status)
    say(f"[ended with {status}]\n")
    return status


def converse(fds, rules):
    """Until both have ended; what came is printed."""
    seen, end = b"", time.monotonic() + LIMIT
    while fds:
        ready = select.select(fds, [], [], max(0, end - time.monotonic()))[0]
        if not ready:
            sys.exit("in_front.py: nothing more came")
        for fd in ready:
            try:
                got = os.read(fd, 4096)
            except OSError:
                got = b""
            if not got:
                fds.remove(fd)
            os.write(1, got)
            seen += got
        while rules and (found := re.search(rules[0][0].encode(), seen)):
            os.write(fds[0], rules.pop(0)[1].encode().decode("unicode_escape").encode())
            seen = seen[found.end():]


def main():
    background = sys.argv[1] == "--bg"
    if background:
        del sys.argv[1]
    words, command = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    hears, says = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os._exit(shell(command, lambda text: os.write(says, text.encode()), background) & 255)
    os.close(says)
    converse([terminal, hears], list(zip(words[::2], words[1::2])))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
