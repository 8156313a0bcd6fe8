#!/usr/bin/python3
"""make demo: dump a sample server, restore it, and show both times.    demo.py SNAPCTL"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 60  # seconds for each step


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, process, path):
    """Ask as soon as somebody listens; the answer and how long it took from now on."""
    begin = time.monotonic()
    while time.monotonic() < begin + LIMIT:
        if process.poll() is not None:
            sys.exit(f"demo: {process.args[0]} ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
                s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                answer = s.makefile("rb").read().decode()
        except ConnectionError:
            time.sleep(0.0005)
            continue
        return answer.rpartition("\r\n\r\n")[2].strip(), time.monotonic() - begin
    sys.exit(f"demo: no answer within {LIMIT} seconds")


def start(command):
    print("\n$ " + " ".join(command), flush=True)
    return subprocess.Popen(command)


def end(process):
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def demo(snapctl, scratch, running):
    port = free_port()
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    server = [python, os.path.join(HERE, "server.py"), str(port)]
    image = os.path.join(scratch, "image")

    running.append(start(server))
    answer, plain = ask(port, running[-1], "/prime/300000")
    print(answer)
    print(f"started plainly: first answer after {plain * 1000:.0f} ms")
    end(running.pop())

    print("\n$ " + " ".join([snapctl, "dump", "-o", image] + server), flush=True)
    subprocess.run([snapctl, "dump", "-o", image] + server, check=True, timeout=2 * LIMIT)

    running.append(start([snapctl, "restore", image]))
    answer, restored = ask(port, running[-1], "/prime/300000")
    print(answer)
    print(f"restored: first answer after {restored * 1000:.0f} ms")
    answer, _ = ask(port, running[-1], "/prime/1")
    print(answer)
    status = end(running.pop())
    print(f"\nended by SIGTERM with status {status}, as the server itself would have been")
    print(f"\n{plain * 1000:.0f} ms plain, {restored * 1000:.0f} ms restored: {plain / restored:.0f} times faster")


def main():
    scratch, running = tempfile.mkdtemp(prefix="snapctl-demo."), []
    try:
        demo(sys.argv[1], scratch, running)
    except subprocess.CalledProcessError as failed:
        sys.exit(f"demo: {failed.cmd[0]} {failed.cmd[1]} ended with {failed.returncode}")
    finally:
        for process in running:
            end(process)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
