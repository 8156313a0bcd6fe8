"""core_compare.py CORE PID: what the core file holds is what the process has in memory; prints how much that is.
Fails where a mapping of the process is missing, or other bytes are there."""
import struct
import sys

PT_LOAD = 1


def segments(core):
    header = core.read(64)
    assert header[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", header, 16)[0] == 4, "not a core file"
    offset, = struct.unpack_from("<Q", header, 32)
    size, number = struct.unpack_from("<HH", header, 54)
    core.seek(offset)
    table = core.read(size * number)
    for i in range(number):
        kind, flags, at, start, _, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", table, i * size)
        if kind == PT_LOAD:
            yield start, memsz, at, filesz, flags


def main():
    with open(sys.argv[1], "rb") as core, open(f"/proc/{sys.argv[2]}/mem", "rb", 0) as mem:
        found = list(segments(core))
        covered, compared = set(), 0
        for start, memsz, at, filesz, _ in found:
            covered.update(range(start, start + memsz, 4096) if memsz < 1 << 30 else [start])
            assert filesz in (0, memsz), f"{start:x}: a part of it"
            for position in range(0, filesz, 1 << 20):
                length = min(1 << 20, filesz - position)
                core.seek(at + position)
                try:
                    mem.seek(start + position)
                    theirs = mem.read(length)
                except OSError:
                    continue  # behind the end of a file
                ours = core.read(length)[: len(theirs)]
                if ours != theirs:
                    first = next(i for i in range(len(theirs)) if ours[i] != theirs[i])
                    sys.exit(f"at {start + position + first:x} there is another byte")
                compared += length
    with open(f"/proc/{sys.argv[2]}/maps") as maps:
        for line in maps:
            start = int(line.split("-")[0], 16)
            if start not in covered and "[vsyscall]" not in line:
                sys.exit(f"it is not in the core file: {line}")
    print(compared)


main()
