"""What a terminal shows in the end: screen.py RAW COMMAND...

Runs a command on a pseudo terminal of 100 columns. RAW gets every byte that came, standard output what the screen
then looks like: carriage returns and "erase to the end of the line" are obeyed. Ends with the command's status.
"""
import fcntl
import os
import pty
import struct
import sys
import termios


def rendered(raw):
    lines, column = [[]], 0
    i = 0
    while i < len(raw):
        line = lines[-1]
        if raw.startswith("\x1b[K", i):
            del line[column:]
            i += 2
        elif raw[i] == "\r":
            column = 0
        elif raw[i] == "\n":
            lines.append([])
            column = 0
        else:
            line[column:column + 1] = raw[i]
            column += 1
        i += 1
    return "\n".join("".join(line).rstrip() for line in lines)


def main():
    pid, fd = pty.fork()
    if pid == 0:
        # Only its own terminal: what bats and make have left open would be pipes to outside.
        os.closerange(3, 256)
        sys.stdin = None
        os.execvp(sys.argv[2], sys.argv[2:])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    raw = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        raw += piece
    status = os.waitpid(pid, 0)[1]
    with open(sys.argv[1], "wb") as out:
        out.write(raw)
    print(rendered(raw.decode(errors="replace")))
    sys.exit(os.waitstatus_to_exitcode(status))


main()
