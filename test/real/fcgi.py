"""fcgi.py SOCKET|PORT SCRIPT: ask a FastCGI server to run a script, print what it answers."""
import socket
import struct
import sys


def record(kind, body):
    return struct.pack("!BBHHBx", 1, kind, 1, len(body), 0) + body


def pair(name, value):
    return bytes([len(name), len(value)]) + name.encode() + value.encode()


is_port = sys.argv[1].isdigit()
s = socket.socket(socket.AF_INET if is_port else socket.AF_UNIX)
s.settimeout(15)
s.connect(("127.0.0.1", int(sys.argv[1])) if is_port else sys.argv[1])
params = {"SCRIPT_FILENAME": sys.argv[2], "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
s.sendall(record(1, struct.pack("!HB5x", 1, 0)) + record(4, b"".join(pair(*p) for p in params.items())) +
          record(4, b"") + record(5, b""))
data = b""
while part := s.recv(65536):
    data += part
out, at = b"", 0
while at + 8 <= len(data):
    _, kind, _, length, padding = struct.unpack("!BBHHBx", data[at:at + 8])
    if kind == 6:
        out += data[at + 8:at + 8 + length]
    at += 8 + length + padding
sys.stdout.write(out.decode().split("\r\n\r\n", 1)[1])
