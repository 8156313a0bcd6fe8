"""What becomes of keys typed into an interactive shell: typed.py SHELL [ARG...] <KEYS

Each line of standard input is typed, with \\t for the Tab key. The first lines, up to an empty one, are commands
that set the shell up. Each further line is typed and then turned into arguments of printf, so that what the
shell has made of it is printed: its words, each in <>, on one line.
"""
import os
import pty
import select
import sys
import time

LIMIT = 30  # seconds for all
PROMPT = b"@typed@"


class Terminal:
    def __init__(self, argv):
        self.seen = b""
        self.end = time.monotonic() + LIMIT
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execvp(argv[0], argv)

    def type(self, keys):
        self.seen = b""
        os.write(self.fd, keys)

    def wait(self, what):
        while what not in self.seen:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                sys.exit("typed.py: no %r in %r" % (what, self.seen))
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                sys.exit("typed.py: the shell ended: %r" % self.seen)
        return self.seen


def main():
    setup, _, lines = sys.stdin.read().partition("\n\n")
    terminal = Terminal(sys.argv[1:])
    # The prompt is put together, so that the echo of this line does not look like it.
    terminal.type(b"PS1='@typed''@'; PS2=; PROMPT=\"$PS1\"\n")
    terminal.wait(PROMPT)
    for line in setup.splitlines():
        terminal.type(line.encode() + b"\n")
        terminal.wait(PROMPT)
    for line in lines.splitlines():
        keys = line.replace("\\t", "\t").encode()
        # Ctrl-A: to the beginning of the line.
        terminal.type(keys + b"\x01printf '<%s>' \x05; printf '%s\\n' @@'end'\n")
        seen = terminal.wait(b"@@end")
        words = seen[: seen.rindex(b"@@end")].replace(b"\r", b"").split(b"\n")[-1]
        print(words[words.index(b"<"):].decode() if b"<" in words else words.decode())
    os.close(terminal.fd)
    os.waitpid(terminal.pid, 0)


main()
