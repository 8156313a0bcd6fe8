"""Names of the nftables tables of this network namespace, one a line, without nft(8); --delete NAME removes one."""
import socket
import struct
import sys

NETLINK_NETFILTER, BEGIN, END, GETTABLE, DELTABLE = 12, 16, 17, 10 << 8 | 1, 10 << 8 | 2
REQUEST, DUMP, DONE, ERROR, INET = 1, 0x301, 3, 2, 1


def message(kind, flags, family, resource, attributes=b""):
    return struct.pack("=IHHII", 20 + len(attributes), kind, flags, 0, 0) + struct.pack(
        ">BBH", family, 0, resource) + attributes


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def tables(nft):
    nft.send(message(GETTABLE, DUMP, 0, 0))
    while True:
        data = nft.recv(1 << 16)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (DONE, ERROR):
                return
            size, = struct.unpack_from("=H", data, 20)  # the first attribute is the name
            yield data[24:20 + size].rstrip(b"\0").decode()
            data = data[(length + 3) & ~3:]


def delete(nft, name):
    nft.send(message(BEGIN, REQUEST, 0, 10) + message(
        DELTABLE, REQUEST, INET, 0, attribute(1, name.encode() + b"\0")) + message(END, REQUEST, 0, 10))


with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as nft:
    if sys.argv[1:2] == ["--delete"]:
        delete(nft, sys.argv[2])
    else:
        print("\n".join(tables(nft)))
