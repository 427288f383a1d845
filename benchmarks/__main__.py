"""One table of what a slot is worth and what it costs: `make bench`, or `python -m benchmarks [--quick]`.

Each row is a ratio measured in one run, what it compares taken in turn, with its spread; the machine and the commit
stand above. It needs a quiet machine with 2 cores and less than 20 minutes; `--quick` takes 6, with runs of 10 s.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

from benchmarks import counting, evaluation, slots, training
from benchmarks.training import ROOT

LOADED_BATCHES = 200
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
LOADER = """
import time, prepare, train
batches = prepare.batches(2 * train.BATCH, on="cpu", folds=2)
next(batches)
began = time.process_time()
for _ in range({count}): tokens, _ = next(batches)
print((time.process_time() - began) / {count} / tokens.numel())
"""


def machine() -> str:
    """What the numbers belong to; nothing that names the machine."""
    with open("/proc/cpuinfo") as file:
        name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    cores = len(os.sched_getaffinity(0))
    python = f"Python {platform.python_version()}"
    return f"{cores} x {name or platform.machine()}, {python}, commit {commit.stdout.strip()}"


def said(program: str, *, rounds: int = 3) -> list[float]:
    """The number that a fresh interpreter prints, each time."""
    env = {**os.environ, "AUTORESEARCH_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    return [float(subprocess.check_output(command, env=env, cwd=ROOT, text=True)) for _ in range(rounds)]


def first_tool_list() -> float:
    """Seconds from starting a server to its answer to tools/list."""
    program = (
        "import anyio, sys, time\n"
        "from mcp.client import Client\n"
        "from mcp.client.stdio import StdioServerParameters, stdio_client\n"
        "async def main():\n"
        "    began = time.perf_counter()\n"
        "    command = StdioServerParameters(command=sys.executable, args=['-m', 'mcp_server'])\n"
        "    async with Client(stdio_client(command)) as client:\n"
        "        await client.list_tools()\n"
        "        print(time.perf_counter() - began)\n"
        "anyio.run(main)\n"
    )
    return statistics.median(said(program))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="runs of 10 s on two seeds: for a look, not for a claim")
    options = parser.parse_args()
    began = time.monotonic()
    print(machine(), f"load {os.getloadavg()[0]:.1f} at the start", sep="\n", flush=True)
    budget, seeds = (10.0, 2) if options.quick else (60.0, 5)
    found = training.measure(budget, seeds)
    table = training.rows(found)
    per_token = statistics.median(said(LOADER.format(count=LOADED_BATCHES)))
    speed = statistics.median(training.speed(slot) for slot in found.shipped)
    table.append(("loader's share of a step", f"{per_token * speed:.4f}", f"{LOADED_BATCHES} batches"))
    table += counting.rows(budget)
    ratios = zip(*evaluation.ratio_of(training.SHIPPED, rounds=1 if options.quick else 3), strict=True)
    for clock, ratio in zip(("the wall", "the processor"), ratios, strict=True):
        what = f"audited / plain evaluation, 1,024 positions, {clock}"
        table.append((what, f"{statistics.median(ratio):.2f}", training.spread(ratio)))
    table += slots.rows(10.0 if options.quick else 20.0, rounds=1 if options.quick else 2)
    imported = said(IMPORT.format("mcp_server.server"))
    torch = said(IMPORT.format("torch"))
    table.append(
        ("import of the server / of torch", f"{statistics.median(imported) / statistics.median(torch):.2f}", "")
    )
    table.append(("server start to tools/list / 1.5 s", f"{first_tool_list() / 1.5:.2f}", "median of 3"))
    for what, value, spread in table:
        print(f"{what:46} {value:>10}   {spread}")
    print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
