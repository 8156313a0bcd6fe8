#!/usr/bin/python3
"""Damaged images through the command line: cuts, changed bytes, swapped, missing and longer files.

    damage.py IMAGE SNAPCTL SNAPCTL-BUILT-WITH-ASAN

Each must end with status 125 and say something: `verify` by the ASan build, `restore` and `show` in turn. SOAK_SAMPLES
(200) is the number of cuts and of changes; all cuts and many more changes are tried by test/fuzz in one process.
"""

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile

FILES = ("inventory", "state", "pages")


def misplaced(contents):
    """(what was done, contents of the damaged image): files that are not there, or not where they belong."""
    for name, data in contents.items():
        yield f"{name} is missing", {n: d for n, d in contents.items() if n != name}
        yield f"{name} is empty", {**contents, name: b""}
        yield f"{name} is longer", {**contents, name: data + b"\0"}
        yield f"{name} lacks a byte", {**contents, name: data[:-1]}
        for other in contents:
            if other != name:
                yield f"{name} is {other}", {**contents, name: contents[other]}


def damaged_bytes(contents, samples):
    """The files in turn: pages are large and would draw nearly all of it."""
    for number in range(samples):
        name = FILES[number % len(FILES)]
        data = contents[name]
        at = random.randrange(len(data))
        yield f"{name} cut to {at} bytes", {**contents, name: data[:at]}
        at = random.randrange(len(data))
        new = random.choice([b for b in (0, 255, data[at] ^ 1, data[at] ^ 128, random.randrange(256)) if b != data[at]])
        changed = data[:at] + bytes([new]) + data[at + 1 :]
        yield f"{name} byte {at}: {data[at]:#x} is {new:#x}", {**contents, name: changed}


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


def packed_damages(data, program, samples):
    """(what was done, contents, may a restore succeed): a packed image, whose program needs no digest to run."""
    yield "packed, continued", data + b"\0", False
    for number in range(samples):
        at = random.randrange(len(data) - 80 * (number % 2))
        yield f"packed, cut to {at} bytes", data[:at], at < 16
        # As often in the program as in the image, and in the trailer.
        at = random.choice((random.randrange(program), random.randrange(program, len(data)), len(data) - 1 - number % 80))
        changed = data[:at] + bytes([data[at] ^ 1 << number % 8]) + data[at + 1 :]
        yield f"packed, byte {at} of {len(data)} (program: {program})", changed, at < program


def damage_packed(image, snapctl, checker, samples):
    """How many were not refused."""
    bad = 0
    with tempfile.TemporaryDirectory(prefix="snapctl-damage.") as directory:
        path = os.path.join(directory, "packed")
        subprocess.run([snapctl, "pack", "-q", image, "-o", path], check=True)
        data = open(path, "rb").read()
        # The trailer begins with the size of the program, which is filled up to pages.
        program = (int.from_bytes(data[-80:-72], "little") + 4095) // 4096 * 4096
        for what, damaged, runs in packed_damages(data, program, samples):
            with open(path, "wb") as file:
                file.write(damaged)
            wrong = refused([checker, "verify", path])
            if not wrong and not runs:
                wrong = refused([snapctl, "restore", "-d", path])
            if wrong:
                bad += 1
                print(f"# {what}: {wrong}", flush=True)
    return bad


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
    image, snapctl, checker = sys.argv[1:]
    seed = int(os.environ.get("SOAK_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    print(f"# SOAK_SEED={seed}", flush=True)
    contents = {name: open(os.path.join(image, name), "rb").read() for name in FILES}
    bad, number, before = 0, 0, {}
    with tempfile.TemporaryDirectory(prefix="snapctl-damage.") as directory:
        commands = ([snapctl, "restore", "-d", directory], [snapctl, "show", directory])
        damages = itertools.chain(misplaced(contents), damaged_bytes(contents, int(os.environ.get("SOAK_SAMPLES", 200))))
        for what, damaged in damages:
            write_image(directory, damaged, before)
            before = damaged
            # Nobody reads the contents of pages to show an image.
            command = commands[0 if "pages" in what else number % 2]
            wrong = refused([checker, "verify", directory]) or refused(command)
            number += 1
            if wrong:
                bad += 1
                print(f"# {what}: {wrong}", flush=True)
                if bad == 1:
                    shutil.copytree(directory, f"{tempfile.gettempdir()}/snapctl-damaged-image", dirs_exist_ok=True)
            if bad >= 10:
                break
    bad += damage_packed(image, snapctl, checker, int(os.environ.get("SOAK_SAMPLES", 200)))
    print(f"# {number} damaged images, {bad} not refused as they should")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
