"""Programs that the tests of real Python processes run:   servers.py NAME PORT   (all answer on 127.0.0.1)"""

import http.server
import sys
import threading


def counting(before=lambda: ""):
    """A handler that answers with the number of requests so far, and what before() says."""
    lock, seen = threading.Lock(), [0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with lock:
                seen[0] += 1
                text = f"{seen[0]} {before()}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    return Handler


def numpy_server(port):
    """numpy with its threads, a matrix from before the dump, and a worker that computes all the time."""
    import numpy
    matrix = numpy.random.default_rng(7).random((60, 60))
    want = float((matrix @ matrix).sum())
    wrong = [0]
    tick = threading.Event()

    def work():
        product = numpy.empty_like(matrix)
        while not tick.wait(0.2):
            wrong[0] += float(numpy.matmul(matrix, matrix, out=product).sum()) != want

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    handler = counting(lambda: f"wrong {wrong[0]} sum {float((matrix @ matrix).sum()) == want}")
    http.server.HTTPServer(("127.0.0.1", port), handler).serve_forever()


def count_server(port):
    http.server.ThreadingHTTPServer(("127.0.0.1", port), counting()).serve_forever()


if __name__ == "__main__":
    {"numpy": numpy_server, "count": count_server}[sys.argv[1]](int(sys.argv[2]))
