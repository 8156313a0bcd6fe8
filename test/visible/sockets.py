"""Sockets, looked at through a duplicate of the target's descriptor and sock_diag(7)."""

import socket
import struct

LISTEN = 10                        # TCP_LISTEN, include/net/tcp_states.h

# (level, number, name, how to print) of what getsockopt(2) answers and what does not change by itself.
# SO_ERROR is missing: reading it clears it. Sizes and names are those of the kernel's uapi headers.
SOL = socket.SOL_SOCKET
SOCKET_OPTIONS = {
    2: "reuseaddr", 5: "dontroute", 6: "broadcast", 7: "sndbuf", 8: "rcvbuf", 9: "keepalive",
    10: "oobinline", 11: "no_check", 12: "priority", 13: "linger", 15: "reuseport", 16: "passcred",
    18: "rcvlowat", 19: "sndlowat", 20: "rcvtimeo", 21: "sndtimeo", 25: "bindtodevice",
    29: "timestamp", 30: "acceptconn", 34: "passsec", 35: "timestampns", 36: "mark",
    37: "timestamping", 40: "rxq_ovfl", 42: "peek_off", 43: "nofcs", 44: "lock_filter",
    45: "select_err_queue", 46: "busy_poll", 47: "max_pacing_rate", 60: "zerocopy", 61: "txtime",
    72: "buf_lock", 73: "reserve_mem", 74: "txrehash", 75: "rcvmark", 76: "passpidfd"}
TCP_OPTIONS = {
    1: "nodelay", 2: "maxseg", 3: "cork", 4: "keepidle", 5: "keepintvl", 6: "keepcnt", 7: "syncnt",
    8: "linger2", 9: "defer_accept", 10: "window_clamp", 13: "congestion", 18: "user_timeout",
    23: "fastopen", 25: "notsent_lowat", 27: "save_syn", 30: "fastopen_connect", 37: "tx_delay"}
IP_OPTIONS = {
    1: "tos", 2: "ttl", 3: "hdrincl", 5: "router_alert", 6: "recvopts", 8: "pktinfo",
    10: "mtu_discover", 11: "recverr", 12: "recvttl", 13: "recvtos", 15: "freebind",
    19: "transparent", 20: "recvorigdstaddr", 21: "minttl", 22: "nodefrag", 24: "bind_no_port",
    25: "recvfragsize", 32: "multicast_if", 33: "multicast_ttl", 34: "multicast_loop",
    49: "multicast_all", 50: "unicast_if", 51: "local_port_range"}
IPV6_OPTIONS = {
    16: "unicast_hops", 17: "multicast_if", 18: "multicast_hops", 19: "multicast_loop",
    23: "mtu_discover", 24: "mtu", 25: "recverr", 26: "v6only", 29: "multicast_all",
    33: "flowinfo_send", 49: "recvpktinfo", 51: "recvhoplimit", 66: "recvtclass", 67: "tclass",
    70: "autoflowlabel", 72: "addr_preferences", 73: "minhopcount", 75: "transparent",
    76: "unicast_if", 77: "recvfragsize", 78: "freebind"}
UDP_OPTIONS = {1: "cork", 101: "no_check6_tx", 102: "no_check6_rx", 103: "segment", 104: "gro"}
NETLINK_OPTIONS = {3: "pktinfo", 4: "broadcast_error", 5: "no_enobufs", 8: "listen_all_nsid",
                   9: "memberships", 10: "cap_ack", 11: "ext_ack", 12: "strict_check"}
PACKET_OPTIONS = {10: "version", 11: "hdrlen", 18: "fanout"}


def options(sock, level, name, table):
    out = []
    for number, word in table.items():
        try:
            value = sock.getsockopt(level, number, 256)
        except OSError:
            continue
        out.append(f"option {name}.{word} {printable(value)}")
    return out


def printable(value):
    if len(value) == 4:
        return str(struct.unpack("i", value)[0])
    return value.hex() or "(empty)"


def tables(sock):
    """The option tables that apply to this socket."""
    found = [(SOL, "socket", SOCKET_OPTIONS)]
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        found.append((socket.IPPROTO_IP, "ip", IP_OPTIONS))
        if sock.family == socket.AF_INET6:
            found.append((socket.IPPROTO_IPV6, "ipv6", IPV6_OPTIONS))
        if sock.proto == socket.IPPROTO_TCP:
            found.append((socket.IPPROTO_TCP, "tcp", TCP_OPTIONS))
        if sock.proto == socket.IPPROTO_UDP:
            found.append((socket.IPPROTO_UDP, "udp", UDP_OPTIONS))
    if sock.family == socket.AF_NETLINK:
        found.append((270, "netlink", NETLINK_OPTIONS))
    if sock.family == socket.AF_PACKET:
        found.append((263, "packet", PACKET_OPTIONS))
    return found


def address(call):
    try:
        return repr(call())
    except OSError as error:
        return f"({error.strerror})"


def tcp_state(sock):
    """State and, for listeners, the backlog, which only TCP_INFO and sock_diag tell."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    waiting, backlog = struct.unpack_from("II", info, 24)     # tcpi_unacked, tcpi_sacked
    state = info[0]
    return [f"tcp-state {state}"] + ([f"backlog {backlog} waiting {waiting}"] if state == LISTEN else [])


def queues(sock):
    import fcntl
    import termios
    out = []
    for name, request in (("queued-in", termios.FIONREAD), ("queued-out", termios.TIOCOUTQ)):
        try:
            value = struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0]
        except OSError:
            continue
        # Of unix sockets the kernel tells how much memory is queued, overhead included.
        counts = sock.family != socket.AF_UNIX or name == "queued-in"
        out.append(f"{name} {value if counts else value > 0}")
    return out


def netlink_address(sock, names):
    """The port id is the process id by custom, so it is named like one."""
    port, groups = sock.getsockname()
    return f"({names.task(port) if port in names.tasks else port}, {groups:#x})"


def peer_credentials(sock, names):
    """SO_PEERCRED: who connected, listened or made the pair."""
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(SOL, socket.SO_PEERCRED, 12))
    return f"peercred {names.task(pid)} uid {uid} gid {gid}"


def unix_lines(ino, names):
    if names.unix is None:
        names.unix = {row["ino"]: row for row in unix_dump()}
    row = names.unix.get(ino)
    if row is None:
        return ["unix-diag (none)"]
    peer = names.inode("socket", 0, row["peer"]) if row["peer"] else "none"
    out = [f"unix-state {row['state']} shutdown {row['shutdown']} peer {peer}"]
    out += [f"unix-name {row['name']!r}", f"unix-vfs {row['vfs']}"]
    return out + ([f"backlog {row['wqueue']} waiting {row['rqueue']}"] if row["state"] == LISTEN else [])


def lines(sock, ino, names):
    kind = socket.SocketKind(sock.type).name
    out = [f"socket {socket.AddressFamily(sock.family).name} {kind} protocol {sock.proto}"]
    if sock.family == socket.AF_NETLINK:
        out.append(f"name {netlink_address(sock, names)}")
    else:
        out += [f"name {address(sock.getsockname)}", f"peer {address(sock.getpeername)}"]
    if sock.family == socket.AF_UNIX:
        out += unix_lines(ino, names) + [peer_credentials(sock, names)]
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.proto == socket.IPPROTO_TCP:
        out += tcp_state(sock)
    out += queues(sock)
    for level, name, table in tables(sock):
        out += options(sock, level, name, table)
    return out


def unix_dump():
    """All unix sockets, from sock_diag(7)."""
    # UDIAG_SHOW_NAME 1, VFS 2, PEER 4, RQLEN 0x10; attributes 0 name, 1 vfs, 2 peer, 4 rqlen, 6 shutdown
    request = struct.pack("IHHIIBBHIIIII", 40, 20, 0x301, 1, 0, socket.AF_UNIX, 0, 0,
                          0xffffffff, 0, 0x17, 0xffffffff, 0xffffffff)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        diag.send(request)
        while True:
            data = diag.recv(1 << 18)
            while data:
                length, kind = struct.unpack_from("IH", data)
                if kind == 3 or kind == 2:
                    return
                yield unix_row(data[16:length])
                data = data[(length + 3) & ~3:]


def unix_row(message):
    _, _, state, _, ino = struct.unpack_from("BBBBI", message)
    row = {"ino": ino, "state": state, "name": b"", "vfs": "none", "peer": 0, "shutdown": 0,
           "rqueue": 0, "wqueue": 0}
    at = 16
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("HH", message, at)
        value = message[at + 4:at + length]
        if kind == 0:
            row["name"] = value
        elif kind == 1:
            row["vfs"] = "bound"
        elif kind == 2:
            row["peer"], = struct.unpack("I", value)
        elif kind == 4:
            row["rqueue"], row["wqueue"] = struct.unpack("II", value)
        elif kind == 6:
            row["shutdown"] = value[0]
        at += max((length + 3) & ~3, 4)
    return row
