#!/usr/bin/python3
"""Every truncation of every file of an image, many random changes of single bytes, swapped and missing files.

    damage.py IMAGE SNAPCTL [SNAPCTL-BUILT-WITH-ASAN]

Each must end with status 125 and say something: `verify` of all (by the ASan build, if there is one), `restore` of
every 20th. SOAK_CHANGES (10000) is the number of changes.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile

FILES = ("inventory", "state", "pages")
MOST_CUTS = 20000  # of one file; a larger one is cut at so many random places


def cuts(size):
    return range(size) if size <= MOST_CUTS else sorted(random.sample(range(size), MOST_CUTS))


def damages(contents, changes):
    """(what was done, contents of the damaged image)"""
    for name, data in contents.items():
        for at in cuts(len(data)):
            yield f"{name} cut to {at} bytes", {**contents, name: data[:at]}
        yield f"{name} is missing", {n: d for n, d in contents.items() if n != name}
        yield f"{name} is longer", {**contents, name: data + b"\0"}
        for other in contents:
            if other != name:
                yield f"{name} is {other}", {**contents, name: contents[other]}
    names, sizes = list(contents), [len(d) for d in contents.values()]
    for number in range(changes):
        # The files in turn: pages are large and would draw nearly all of the changes.
        name = names[number % len(names)] if number % 2 else random.choices(names, sizes)[0]
        data = bytearray(contents[name])
        at = random.randrange(len(data))
        new = random.choice([b for b in (0, 255, data[at] ^ 1, data[at] ^ 128, random.randrange(256)) if b != data[at]])
        what = f"{name} byte {at}: {data[at]:#x} is {new:#x}"
        data[at] = new
        yield what, {**contents, name: bytes(data)}


def write_image(directory, contents, before):
    for name in FILES:
        path = os.path.join(directory, name)
        if name not in contents:
            if os.path.exists(path):
                os.unlink(path)
        elif before.get(name) is not contents[name]:
            with open(path, "wb") as file:
                file.write(contents[name])
            os.chmod(path, 0o600)


def refused(command):
    """None, or what is wrong with the way it was refused."""
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "does not end"
    if run.returncode != 125:
        return f"exit status {run.returncode}: {run.stderr.decode(errors='replace')[-2000:]}"
    return None if run.stderr.startswith(b"snapctl: ") else f"says {run.stderr!r}"


def main():
    image, snapctl, checker = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    seed = int(os.environ.get("SOAK_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    print(f"# SOAK_SEED={seed}", flush=True)
    contents = {name: open(os.path.join(image, name), "rb").read() for name in FILES}
    bad, number, before = 0, 0, {}
    with tempfile.TemporaryDirectory(prefix="snapctl-damage.") as directory:
        for what, damaged in damages(contents, int(os.environ.get("SOAK_CHANGES", 10000))):
            number += 1
            write_image(directory, damaged, before)
            before = damaged
            wrong = refused([checker or snapctl, "verify", directory])
            if not wrong and number % 20 == 0:
                wrong = refused([snapctl, "restore", "-d", directory])
            if wrong:
                bad += 1
                print(f"# {what}: {wrong}", flush=True)
                if bad == 1:
                    shutil.copytree(directory, f"{tempfile.gettempdir()}/snapctl-damaged-image", dirs_exist_ok=True)
            if bad >= 10:
                break
    print(f"# {number} damaged images, {bad} not refused as they should")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
