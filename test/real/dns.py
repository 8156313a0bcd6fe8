"""dns.py PORT NAME: ask 127.0.0.1 for the address of NAME, by UDP."""

import socket
import struct
import sys

port, name = int(sys.argv[1]), sys.argv[2]
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(10)
    sock.sendto(query, ("127.0.0.1", port))
    answer = sock.recv(512)
assert answer[:2] == query[:2] and answer[6:8] == b"\0\1", answer
print(socket.inet_ntoa(answer[-4:]))
