"""What belongs to a process and to its threads, apart from memory and descriptors."""

import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_IOPRIO_GET, SYS_SCHED_GETATTR = 252, 315      # asm/unistd_64.h

STATUS_OF_PROCESS = (
    "Umask Uid Gid Groups VmSize VmLck VmPin VmData VmStk VmExe VmLib HugetlbPages CoreDumping"
    " THP_enabled untag_mask Threads ShdPnd SigIgn SigCgt").split()
STATUS_OF_THREAD = (
    "Uid Gid Groups SigPnd SigBlk CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp"
    " Seccomp_filters Speculation_Store_Bypass SpeculationIndirectBranch Cpus_allowed_list"
    " Mems_allowed_list x86_Thread_features x86_Thread_features_locked").split()
# Names of fields 22 and on of /proc/PID/stat which do not change while a process waits (proc(5)).
STAT_ADDRESSES = {26: "start_code", 27: "end_code", 28: "start_stack", 45: "start_data",
                  46: "end_data", 47: "start_brk", 48: "arg_start", 49: "arg_end",
                  50: "env_start", 51: "env_end"}


def text(path):
    with open(path, "rb") as file:
        return file.read()


SHOWN = {"NSpid", *STATUS_OF_PROCESS, *STATUS_OF_THREAD}


def status(path):
    rows = (line.partition(":") for line in text(path).decode(errors="replace").splitlines())
    return {key: " ".join(value.split()) for key, _, value in rows if key in SHOWN}


def stat(path):
    """Fields of stat by the numbers proc(5) gives them; comm may contain blanks and brackets."""
    before, _, after = text(path).rpartition(b")")
    return [None, before.split(b" ")[0], before] + after.decode().split()


def state_class(letter):
    return {"R": "runs or waits", "S": "runs or waits", "D": "runs or waits",
            "T": "stopped", "t": "traced"}.get(letter, letter)


def is_zombie(pid):
    return stat(f"/proc/{pid}/stat")[3] in "ZX"


def activity(base):
    """Of a thread: its state, how often it was switched to another one, and its CPU time in ticks."""
    fields = stat(f"{base}/stat")
    switches = text(f"{base}/status").rpartition(b"\nvoluntary_ctxt_switches")[2]
    return fields[3], switches, int(fields[14]) + int(fields[15])


# ---- ids -----------------------------------------------------------------------------------------


def is_worker(pid, tid):
    """A helper of the kernel for io_uring (PF_IO_WORKER), which comes and goes."""
    return tid != pid and int(stat(f"/proc/{pid}/task/{tid}/stat")[9]) & 0x10


def tasks(pid):
    tids = (int(tid) for tid in os.listdir(f"/proc/{pid}/task"))
    return sorted((tid for tid in tids if not is_worker(pid, tid)), key=lambda t: (t != pid, t))


def children(pid):
    found = []
    for tid in tasks(pid):
        found += text(f"/proc/{pid}/task/{tid}/children").split()
    return sorted(int(child) for child in found)


def tree(root):
    found = [root]
    for pid in found:
        found += children(pid)
    return found


def zombie(pid, names):
    return ids(pid, stat(f"/proc/{pid}/stat"), status(f"/proc/{pid}/status"), names)


def ids(pid, fields, seen, names):
    return [f"host-pid {pid}",
            f"vpid {seen['NSpid'].split()[-1]}",
            f"ppid {names.task(int(fields[4]))}",
            f"pgid {names.task(int(fields[5]))}",
            f"sid {names.task(int(fields[6]))}",
            f"tty {int(fields[7]):x}",
            f"state {state_class(fields[3])}"]


def namespaces(pid):
    """Is each namespace that of the observer? Their numbers would be new each time."""
    # A namespace for children has no link before the first of them is there.
    return [f"ns {name} {'observers' if link(f'/proc/{pid}/ns/{name}') == own else 'own'}"
            for name, own in OWN_NAMESPACES.items()]


OWN_NAMESPACES = {name: os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))}


# ---- the process ------------------------------------------------------------------------------------


def link(path):
    try:
        return os.readlink(path)
    except OSError as error:
        return f"({error.strerror})"


def words(data):
    return [repr(word)[1:] for word in data.split(b"\0")]


def auxv(pid):
    data = text(f"/proc/{pid}/auxv")
    pairs = struct.iter_unpack("QQ", data[:len(data) // 16 * 16])
    return [f"auxv {key} {value:x}" for key, value in pairs]


def limits(pid):
    rows = text(f"/proc/{pid}/limits").decode().splitlines()[1:]
    return ["limit " + " ".join(row.split()) for row in rows]


def timers(pid, names):
    """POSIX timers; thread ids inside them (who is notified, whose CPU clock) are named."""
    out, row = [], []
    for line in text(f"/proc/{pid}/timers").decode().splitlines():
        key, _, value = line.partition(": ")
        if key == "ID" and row:
            out.append("timer " + " ".join(row))
            row = []
        if key == "notify":
            how, _, tid = value.rpartition(".")
            value = f"{how}.{names.task(int(tid))}"
        if key == "ClockID":
            value = clock(int(value))
        row.append(f"{key}={value}")
    return out + (["timer " + " ".join(row)] if row else [])


def clock(number):
    """Negative clock ids hold the thread id as the target sees it in ~id >> 3 (linux/posix-timers.h)."""
    if number >= 0:
        return str(number)
    return f"cpu-clock-{number & 7}-of-vpid {~(number >> 3)}"


def attributes(pid):
    one_line = ("personality", "oom_score_adj", "coredump_filter", "cpuset")
    out = [f"{name} {text(f'/proc/{pid}/{name}').decode().strip()}" for name in one_line]
    ksm = text(f"/proc/{pid}/ksm_stat").decode() if os.path.exists(f"/proc/{pid}/ksm_stat") else ""
    return out + ["ksm " + line for line in ksm.splitlines() if line.startswith("ksm_merge_any")]


def process(pid, tids, names):
    fields, seen = stat(f"/proc/{pid}/stat"), status(f"/proc/{pid}/status")
    out = ids(pid, fields, seen, names) + namespaces(pid)
    out += [f"{name} {link(f'/proc/{pid}/{name}')}" for name in ("exe", "cwd", "root")]
    out += [f"cmdline {word}" for word in words(text(f"/proc/{pid}/cmdline"))]
    out += [f"environ {word}" for word in words(text(f"/proc/{pid}/environ"))]
    out += auxv(pid)
    seen["Threads"] = len(tids)
    out += [f"status {key} {seen[key]}" for key in STATUS_OF_PROCESS if key in seen]
    out += [f"mm {name} {int(fields[n]):x}" for n, name in STAT_ADDRESSES.items()]
    out += [f"exit_signal {fields[38]}"]
    return out + attributes(pid) + limits(pid) + timers(pid, names)


# ---- one thread --------------------------------------------------------------------------------------


def scheduling(tid):
    attr = ctypes.create_string_buffer(56)
    if LIBC.syscall(SYS_SCHED_GETATTR, tid, attr, len(attr), 0) != 0:
        raise ProcessLookupError(tid)
    _, policy, flags, nice, priority, runtime, deadline, period, low, high = struct.unpack(
        "IIQiIQQQII", attr.raw)
    # Runtime of the fair classes is the slice; it is only the user's where custom slices are in use.
    return [f"sched policy={policy} flags={flags} nice={nice} priority={priority}"
            f" runtime={runtime} deadline={deadline} period={period} util={low}-{high}",
            f"ioprio {LIBC.syscall(SYS_IOPRIO_GET, 1, tid)}"]


# How many arguments the calls have that threads wait in; registers beyond hold leftovers of what was before.
ARGUMENTS = {"0": 3, "1": 3, "7": 3, "16": 3, "23": 5, "34": 0, "35": 2, "42": 3, "43": 3, "46": 3, "47": 3, "61": 4,
             "65": 3, "70": 5, "72": 3, "73": 2, "128": 4, "130": 2, "220": 4, "230": 4, "232": 4, "247": 5, "271": 5,
             "288": 4}
# poll, nanosleep, futex, clock_nanosleep: after a stop they are restart_syscall (219), with the same arguments.
RESTARTED = {"7", "35", "202", "219", "230"}
# epoll_wait, epoll_pwait: made again for the milliseconds that are left.
COUNTED_DOWN = {"232", "281"}


def waiting(base):
    """The system call a thread waits in with arguments, stack and instruction pointer."""
    if state_class(stat(f"{base}/stat")[3]) == "stopped":
        return "waiting stopped"         # on its way into or out of the call
    words = text(f"{base}/syscall").decode().split()
    if words[0] in RESTARTED:
        words = ["restarted"] + words[1:3] + words[-2:]
    if words[0] in COUNTED_DOWN and 0 < int(words[4], 16) < 1 << 31:
        words[4] = "milliseconds"
    if words[0] in ARGUMENTS:
        del words[1 + ARGUMENTS[words[0]]:-2]
    return "waiting " + " ".join(words)


def timerslack(tid):
    try:
        return text(f"/proc/{tid}/timerslack_ns").decode().strip()
    except PermissionError:             # without CAP_SYS_NICE; all else is shown to who may trace
        return "(not shown)"


def thread(pid, tid):
    base = f"/proc/{pid}/task/{tid}"
    seen = status(f"{base}/status")
    out = [f"host-tid {tid}", f"vtid {seen['NSpid'].split()[-1]}",
           f"comm {text(f'{base}/comm')[:-1]!r}", waiting(base)]
    out += [f"status {key} {seen[key]}" for key in STATUS_OF_THREAD if key in seen]
    out += scheduling(tid)
    out += [f"timerslack {timerslack(tid)}"]
    out += [f"personality {text(f'{base}/personality').decode().strip()}"]
    return out + [f"{name} {link(f'{base}/{name}')}" for name in ("cwd", "root")]
