"""Job control in the caller's terminal: what a person types and sees, in real pseudo-terminals.

jobs.py SCENARIO SNAPCTL IMAGE [RESTORE OPTION...]: a shell or one of its jobs in one terminal is dumped by --pid,
restored in another one, and used. Says OK, or what did not come.
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

scenario, snapctl, image, *options = sys.argv[1:]
LIMIT = 15
SHELL = ["bash", "--norc", "--noprofile", "-i"]
PROMPT = rb"PROMPT> "


class Terminal:
    """A child in a terminal of its own."""

    def __init__(self, argv):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.closerange(3, 300)
            env = {"PATH": os.environ["PATH"], "PS1": "PROMPT> ", "HOME": os.environ["HOME"], "TERM": "dumb"}
            os.execvpe(argv[0], argv, env)

    def read(self, seconds):
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return b""
        try:
            return os.read(self.fd, 4096)
        except OSError:
            return b""

    def expect(self, pattern):
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.seen)):
            got = self.read(end - time.monotonic())
            if not got:
                sys.exit(f"{scenario}: no {pattern!r} in {self.seen!r}")
            self.seen += got
        self.seen = self.seen[found.end():]

    def forget(self):
        """What has been shown until now, read or not."""
        while self.read(0):
            pass
        self.seen = b""

    def type(self, text):
        os.write(self.fd, text.encode())

    def run(self, line, pattern=b""):
        """A command that ends. A shell that has just printed its prompt may lose what comes before it reads."""
        self.until(self.raw, "at its prompt")
        self.type(line + "\r")
        self.expect(re.escape(line.encode()))
        self.expect(pattern + b"(?s:.*)" + PROMPT)

    def foreground(self):
        return os.tcgetpgrp(self.fd)

    def raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def silent(self):
        """As `stty -echo` leaves it; a shell that edits a line is raw besides."""
        return not self.raw() and not termios.tcgetattr(self.fd)[3] & termios.ECHO

    def until(self, condition, what):
        """Nobody tells when a group has come to the foreground."""
        end = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > end:
                sys.exit(f"{scenario}: never {what}")
            self.seen += self.read(0.01)

    def end(self):
        """The exit status, while its last words are read."""
        while True:
            got, status = os.waitpid(self.pid, os.WNOHANG)
            if got:
                return os.waitstatus_to_exitcode(status)
            self.read(0.01)


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()


def job_in(terminal, name, line):
    """Start a job, and wait until it has the terminal; its pid."""
    shell = terminal.foreground()
    terminal.type(line + "\r")
    terminal.until(lambda: terminal.foreground() != shell and comm(terminal.foreground()) == name, f"a {name} in front")
    return terminal.foreground()


def dump(pid):
    subprocess.run([snapctl, "dump", "-q", "--pid", str(pid), "-o", image], check=True)


def shell_start():
    terminal = Terminal(SHELL)
    terminal.expect(PROMPT)
    terminal.run("X=4711")
    return terminal


def shell_dump(terminal):
    dump(terminal.pid)
    os.waitpid(terminal.pid, 0)
    os.close(terminal.fd)


def shell_restore():
    return Terminal([snapctl, "restore", *options, image])


def shell_works(terminal):
    """At its prompt: memory, pipelines, the terminal, jobs; and its exit status comes through."""
    terminal.run("echo v$X", b"v4711")
    terminal.run("tty >/dev/null && echo on$?", b"on0")
    job_in(terminal, "sleep", "sleep 100")
    terminal.type("\x1a")
    terminal.expect(rb"Stopped(?s:.*)" + PROMPT)
    shell = terminal.foreground()
    terminal.type("fg\r")
    terminal.until(lambda: terminal.foreground() != shell, "a job in front")
    terminal.type("\x03")
    terminal.expect(PROMPT)
    terminal.type("exit 7\r")
    if (status := terminal.end()) != 7:
        sys.exit(f"{scenario}: exit status {status}")


def prompt():
    """A shell that waits for a line, which it edits in raw mode."""
    terminal = shell_start()
    shell_dump(terminal)
    terminal = shell_restore()
    terminal.until(terminal.raw, "raw")
    terminal.type("\r")
    terminal.expect(PROMPT)
    shell_works(terminal)


def foreground():
    """A shell that waits for a job in the foreground."""
    terminal = shell_start()
    job_in(terminal, "cat", "cat")
    shell_dump(terminal)
    terminal = shell_restore()
    terminal.until(lambda: terminal.foreground() > 0 and comm(terminal.foreground()) == "cat", "cat in front")
    terminal.type("line\r")
    terminal.expect(rb"line\r\nline")
    terminal.type("\x03")
    terminal.expect(PROMPT)
    terminal.run("echo status $?", b"status 130")
    shell_works(terminal)


def stopped():
    """A shell with a stopped job."""
    terminal = shell_start()
    job_in(terminal, "cat", "cat")
    terminal.type("\x1a")
    terminal.expect(rb"Stopped(?s:.*)" + PROMPT)
    shell_dump(terminal)
    terminal = shell_restore()
    terminal.until(terminal.raw, "raw")
    terminal.type("\r")
    terminal.expect(PROMPT)
    terminal.run("jobs", b"Stopped")
    job_in(terminal, "cat", "fg")
    terminal.type("line\r")
    terminal.expect(rb"line\r\nline")
    terminal.type("\x04")
    terminal.expect(PROMPT)
    shell_works(terminal)


def job():
    """A job, restored as a job of another shell: Ctrl-Z and fg reach all of it, modes come and go with it."""
    terminal = shell_start()
    pid = job_in(terminal, "sh", "sh -c 'stty -echo; cat | cat; exit 5'")
    terminal.until(terminal.silent, "without echo")
    dump(pid)
    terminal.expect(PROMPT)
    line = " ".join([snapctl, "restore", *options, image])
    terminal.type(line + "\r")
    terminal.until(terminal.silent, "without echo again")
    terminal.forget()
    terminal.type("line\r")
    terminal.expect(rb"^line\r\n")
    terminal.type("\x1a")
    terminal.expect(rb"Stopped(?s:.*)" + PROMPT)
    terminal.run("jobs", b"Stopped")
    terminal.type("fg\r")
    terminal.until(terminal.silent, "in front")
    terminal.type("more\r")
    terminal.expect(rb"more\r\n")
    terminal.type("\x04")
    terminal.expect(PROMPT)
    terminal.run("echo status $?", b"status 5")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.end()


def editor():
    """An editor that fills the screen draws it again, and types go into the text."""
    terminal = shell_start()
    path = os.environ["HOME"] + "/text"
    pid = job_in(terminal, "vim.tiny", f"vim.tiny -u NONE -n {path}")
    terminal.until(terminal.raw, "an editor that reads keys")  # before that it is the terminal who echoes them
    terminal.type("ifirst words")
    terminal.expect(rb"first words")
    dump(pid)
    terminal.expect(PROMPT)
    terminal.type(" ".join([snapctl, "restore", *options, image]) + "\r")
    terminal.expect(rb"restore")
    terminal.expect(rb"first words")
    terminal.type(" and more\x1b:wq\r")
    terminal.expect(PROMPT)
    with open(path, encoding="ascii") as file:
        if (text := file.read()) != "first words and more\n":
            sys.exit(f"{scenario}: the text is {text!r}")
    terminal.run("echo v$X", b"v4711")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.end()


globals()[scenario]()
print("OK")
