#!/usr/bin/python3
"""A small web service that is slow to start, as real ones are: it imports a lot and builds a table first.

    server.py PORT      answers GET /prime/N with the Nth prime, and counts its requests
"""

import asyncio  # noqa: F401  (not used, but neither is most of what a real service imports)
import concurrent.futures  # noqa: F401
import decimal  # noqa: F401
import email.mime.multipart  # noqa: F401
import http.server
import json
import os
import sys
import time
import unittest.mock  # noqa: F401
import xml.dom.minidom  # noqa: F401


def primes(limit):
    """All primes below limit, in the plainest way."""
    sieve = bytearray([1]) * limit
    for n in range(2, int(limit**0.5) + 1):
        if sieve[n]:
            for multiple in range(n * n, limit, n):
                sieve[multiple] = 0
    return [n for n in range(2, limit) if sieve[n]]


class Handler(http.server.BaseHTTPRequestHandler):
    table, ready_at, requests = [], "", 0

    def do_GET(self):
        Handler.requests += 1
        number = int(self.path.rpartition("/")[2] or 1)
        answer = {
            "prime": self.table[number - 1],
            "table built at": self.ready_at,
            "by process": os.getpid(),
            "requests": Handler.requests,
        }
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    Handler.table = primes(5_000_000)
    Handler.ready_at = time.strftime("%H:%M:%S")
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
