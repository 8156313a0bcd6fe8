"""A small MQTT 3.1.1 client:   mqtt.py PORT publish TOPIC TEXT | mqtt.py PORT retained TOPIC"""

import socket
import struct
import sys


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packet(kind, body):
    return bytes([kind, len(body)]) + body          # bodies here are shorter than 128 bytes


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(packet(0x10, text("MQTT") + b"\4\2\0\x3c" + text("test")))
    assert sock.recv(4) == b"\x20\2\0\0", "no CONNACK"
    return sock


def publish(port, topic, value):
    with connect(port) as sock:
        sock.sendall(packet(0x31, text(topic) + value.encode()))        # retained
        sock.sendall(packet(0x82, b"\0\1" + text("none") + b"\0"))      # its answer says that it arrived
        assert sock.recv(5)[0] == 0x90, "no SUBACK"


def retained(port, topic):
    with connect(port) as sock:
        sock.sendall(packet(0x82, b"\0\1" + text(topic) + b"\0"))
        data = b""
        while topic.encode() not in data:
            got = sock.recv(200)
            assert got, "connection closed"
            data += got
        print(data[data.index(topic.encode()) + len(topic):].decode())


if __name__ == "__main__":
    {"publish": publish, "retained": retained}[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
