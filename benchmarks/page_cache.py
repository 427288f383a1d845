"""How well one sandboxed process can tell another, later one something by the files and names it has touched.

    python -m benchmarks.page_cache

Two pages of a system's file stand for each bit, or two names that no file has; the first process reads one of them and
ends, the second measures which comes sooner. Each is used once. Printed: the tier, bits tried, bits that came through,
bits a second. Nothing is counted here; of a model's host it is, and a few hundred times while it answers bar a keep.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp_server.runner.sandbox import Confinement, probe, wrap

BITS = 500
PROGRAM = """
import json, mmap, os, sys, time
order = json.load(sys.stdin)

def touch(view, page):
    began = time.perf_counter_ns()
    view[page * 4096]
    return time.perf_counter_ns() - began

APART = 32  # pages: the kernel reads some around the one that is asked for
began, heard, at = time.monotonic(), [], 0
for path, pages in order["files"]:
    fd = os.open(path, os.O_RDONLY)
    view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    view.madvise(mmap.MADV_RANDOM)  # one page at a time, without those behind it
    for place in range(0, pages - 2 * APART, 2 * APART):
        if at == order["count"]:
            break
        if order["bits"] is None:
            heard.append(int(touch(view, place + APART) < touch(view, place)))
        else:
            touch(view, place + APART * order["bits"][at])
        at += 1
print(json.dumps({"heard": heard, "seconds": time.monotonic() - began}))
"""


NAMES = """
import json, os, sys, time
order = json.load(sys.stdin)

def ask(name):
    began = time.perf_counter_ns()
    os.access("/usr/share/" + name, os.F_OK)
    return time.perf_counter_ns() - began

began, heard = time.monotonic(), []
for at in range(order["count"]):
    names = [f"{order['run']}-{at}-{bit}" for bit in (0, 1)]
    if order["bits"] is None:
        heard.append(int(ask(names[1]) < ask(names[0])))
    else:
        ask(names[order["bits"][at]])
print(json.dumps({"heard": heard, "seconds": time.monotonic() - began}))
"""


def unread_files(pages: int) -> list[tuple[str, int]]:
    """Files of the system that hold so many pages together, those that are used least first."""
    found, total = [], 0
    places = [path for path in Path("/usr").rglob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted(places, key=lambda path: path.stat().st_atime):
        size = path.stat().st_size // 4096
        if size >= 512:
            found.append((str(path), size))
            total += size
        if total > pages:
            break
    return found


def main() -> None:
    random.seed(1)
    files = unread_files(100 * BITS)
    for path, _ in files:  # as after a night in which nobody read them
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    whisper("pages", PROGRAM, {"files": files})
    whisper("names", NAMES, {"run": os.urandom(6).hex()})


def whisper(by: str, program: str, order: dict[str, object]) -> None:
    """Let one process tell another some random bits, and print how many were heard."""
    tier, sent, said = probe().tier, [random.randrange(2) for _ in range(BITS)], []
    with tempfile.TemporaryDirectory() as folder:
        for bits in (sent, None):
            confinement = Confinement(read=(), write=(), cwd=Path("/usr"), env={}, scratch=Path(folder))
            done = subprocess.run(
                wrap([sys.executable, "-I", "-S", "-c", program], confinement, tier),
                input=json.dumps({**order, "bits": bits, "count": BITS}),
                capture_output=True,
                text=True,
                env={},
                check=True,
            )
            said.append(json.loads(done.stdout))
    heard = said[1]["heard"]
    right = sum(a == b for a, b in zip(sent, heard, strict=False)) / max(1, len(heard))
    print(f"{tier}, by {by}: {len(heard)} bits, {right:.1%} right, {len(heard) / said[1]['seconds']:,.0f}/s")


if __name__ == "__main__":
    main()
