"""A server that has a pool of processes do the work, and counts in memory that they share.  pool.py PORT"""

import http.server
import multiprocessing
import sys
from multiprocessing import shared_memory


def square(n):
    return n * n


def count(name):
    memory = shared_memory.SharedMemory(name=name)
    with lock:
        memory.buf[0] += 1
    value = memory.buf[0]
    memory.close()
    return value


def begin(shared_lock):
    global lock
    lock = shared_lock


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        number = pool.apply(count, (memory.name,))
        total = sum(pool.map(square, range(10)))
        answer = f"{number} {total} {number == memory.buf[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


memory = shared_memory.SharedMemory(create=True, size=4096)
try:
    pool = multiprocessing.Pool(2, begin, (multiprocessing.Lock(),))
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
finally:
    memory.unlink()
