"""memory_has.py PID TEXT: is the text anywhere in the memory of the process? Says where; exit status 1: it is not."""
import re
import sys

pid, text = sys.argv[1], re.escape(sys.argv[2].encode())
found = 0
with open(f"/proc/{pid}/mem", "rb", 0) as mem, open(f"/proc/{pid}/maps") as maps:
    for line in maps:
        span, prot = line.split()[:2]
        start, end = (int(n, 16) for n in span.split("-"))
        if "r" not in prot or "[v" in line:
            continue
        mem.seek(start)
        for match in re.finditer(text, mem.read(end - start)):
            print(f"{start + match.start():#x} in {line}", end="")
            found += 1
sys.exit(found == 0)
