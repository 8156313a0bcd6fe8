"""A server that checks in when all is imported, and learns its port at each restore:

    snapctl dump --until=checkin python3 server.py
    snapctl restore --setenv PORT=8080 --setenv GREETING=hello image/
"""
import asyncio  # noqa: F401  what takes its time
import decimal  # noqa: F401
import email  # noqa: F401
import http.server
import json  # noqa: F401
import os
import sqlite3  # noqa: F401
import unittest  # noqa: F401
import xml.dom.minidom  # noqa: F401

import snapctl


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{env.get('GREETING')} {snapctl.generation()}\n".encode())

    def log_message(self, *args):
        pass


snapctl.ready()
env = {**os.environ, **snapctl.env()}
http.server.HTTPServer(("127.0.0.1", int(env.get("PORT", "8080"))), Handler).serve_forever()
