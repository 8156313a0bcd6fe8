"""A server that checks in when all is imported, and learns its port at each restore:

    snapctl dump --until=checkin python3 server.py
    snapctl restore --setenv PORT=8080 --setenv GREETING=hello image/

It says READY=1 when it serves, as services of systemd do; then it keeps the port of the dump:

    PORT=8080 snapctl dump --until=ready python3 server.py
"""
import asyncio  # noqa: F401  what takes its time
import decimal  # noqa: F401
import email  # noqa: F401
import http.server
import json  # noqa: F401
import os
import socket
import sqlite3  # noqa: F401
import unittest  # noqa: F401
import xml.dom.minidom  # noqa: F401

import snapctl


def env():
    return {**os.environ, **snapctl.env()}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{env().get('GREETING')} {snapctl.generation()}\n".encode())

    def log_message(self, *args):
        pass


def say_ready():
    """sd_notify(3) in five lines."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect("\0" + address[1:] if address[0] == "@" else address)
            s.send(b"STATUS=serving\nREADY=1")


snapctl.ready()
server = http.server.HTTPServer(("127.0.0.1", int(env().get("PORT", "8080"))), Handler)
say_ready()
server.serve_forever()
