"""A lab server under twenty ordinary days at once: 32 labs x 12 runs an hour x 20, on the machine that asks as well.

Pushes are made beforehand with real keys and real git packs; then they are sent at their time over HTTP, as git sends
them: for each run a lease is taken and let go, a journal grows, and another lab fetches it; all labs look every ten
seconds. A line of the first row is one answer of the server. Memory is read of its process, with what it has started.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.community.leases import wire
from mcp_server.community.leases.terms import Ours
from mcp_server.community.wire import journal
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.store import LEASES, Store, journal_ref
from mcp_server.hosting.door.tokens import May, Tokens
from mcp_server.hosting.premises import Premises
from mcp_server.hosting.smart import ZERO, packet
from mcp_server.nouns.exchanged import Attempt, stamp

LABS, RUNS_AN_HOUR, TIMES, SECONDS = 32, 12, 20, 60.0
LOOKS_SECONDS = 10.0
WARM_SECONDS = 10.0  # that count for nothing
GOAL_SECONDS = 0.2
GROWTH = 1.25  # of memory, from the first third to the last


@dataclass(frozen=True)
class Planned:
    """One request: when, after the beginning, and what."""

    at: float
    lab: int
    kind: str
    path: str
    body: bytes | None = None


def push_body(store: Store, moves: list[tuple[str, str, str]], had: list[str]) -> bytes:
    """A push as git sends it: (ref, old, new) each, and a pack of what the other side has not."""
    lines = [f"{old} {new} {ref}" for ref, old, new in moves]
    lines[0] += "\0report-status object-format=sha1"
    head = b"".join(map(packet, lines)) + b"0000"
    wanted = [new for _, _, new in moves if new != ZERO]
    if not wanted:
        return head
    revisions = "".join(f"{one}\n" for one in (*wanted, *(f"^{one}" for one in had)))
    pack = store.do("pack-objects", "--revs", "--thin", "--stdout", "-q", stdin=revisions.encode())
    return head + pack


class Writer:
    """One lab that has all its runs ahead of it."""

    def __init__(self, folder: Path, place: int) -> None:
        self.key: LabKey = own_key(folder / f"key{place}")
        self.store = Store.at(folder / f"lab{place}.git")
        self.place, self.tip, self.n = place, "", 0

    def run(self) -> tuple[bytes, bytes]:
        """The pushes of one run: its lease; then its record and code, with the lease let go."""
        self.n += 1
        code, now = f"{self.place:04x}{self.n:028x}", datetime.now(UTC)
        ours = Ours(key=code, ref=LEASES + code, oid="", mark=code[:16], contract="ab" * 16, seconds=600, takes=300,
                    claimed=0, told=0)  # fmt: skip
        lease = wire.write(self.store, self.key, ours, now.timestamp())
        source = b"".join(b"VALUE_%d = %d\n" % (i, hash((i, self.place, self.n)) % 1000) for i in range(200))
        (commit,) = self.store.write_attempts([({"train.py": source}, None, int(now.timestamp()), "attempt")])
        record = Attempt(
            n=self.n, mark=code[-16:], contract="ab" * 16, code=code, edit=code, status="discarded", commit=commit,
            score=1.0, against=0.9, gain=-0.1, low=-0.2, high=0.0, text=f"move it to {self.n}", at=stamp(now),
        )  # fmt: skip
        before, self.tip = (
            self.tip,
            journal.append(self.store, self.key, self.tip or None, [record], int(now.timestamp())),
        )
        taken = push_body(self.store, [(ours.ref, ZERO, lease)], [])
        moves = [(journal_ref(self.key.lab), before or ZERO, self.tip), (ours.ref, lease, ZERO)]
        return taken, push_body(self.store, moves, [before] if before else [])


def planned(folder: Path, seconds: float, labs: int) -> list[Planned]:
    """All requests of a stretch of time, in order."""
    draw, found = random.Random(1), list[Planned]()
    every = 3600.0 / (RUNS_AN_HOUR * TIMES) * (LABS / labs)
    want = b"".join(map(packet, ["command=ls-refs\n", "object-format=sha1"])) + b"0001" + packet("peel\n") + b"0000"
    for place in range(labs):
        writer, at = Writer(folder, place), draw.uniform(0, every)
        while at < seconds:
            taken, told = writer.run()
            ends = at + 0.6 * every
            for when, body in ((at, taken), (ends, told)):
                found.append(Planned(when, place, "before push", "/info/refs?service=git-receive-pack"))
                found.append(Planned(when, place, "push", "/git-receive-pack", body))
            found.append(Planned(ends + 1, place, "fetch", "/git-upload-pack", b"of " + writer.key.lab.encode()))
            at += every
        looks = draw.uniform(0, LOOKS_SECONDS)
        while looks < seconds:
            found.append(Planned(looks, place, "before fetch", "/info/refs?service=git-upload-pack"))
            found.append(Planned(looks, place, "look", "/git-upload-pack", want))
            looks += LOOKS_SECONDS
    return sorted((one for one in found if one.at < seconds), key=lambda one: one.at)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else 0.0


def sent(url: str, token: str, one: Planned, tips: dict[str, str]) -> float:
    """Seconds until the answer was here. Raises where it was none."""
    body = one.body
    headers = {"Authorization": f"Bearer {token}", "Git-Protocol": "version=2"}
    if body is not None and one.kind == "fetch":
        lab = body.decode().removeprefix("of ")
        if lab not in tips:
            return -1.0
        lines = ["command=fetch", "object-format=sha1"]
        wants = [packet(f"want {tips[lab]}\n"), packet("deepen 2\n"), packet("done\n")]
        body = b"".join(map(packet, lines)) + b"0001" + packet("ofs-delta\n") + b"".join(wants) + b"0000"
    began = time.perf_counter()
    asked = urllib.request.Request(url + one.path, data=body, headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        content = answer.read()
    took = time.perf_counter() - began
    if one.kind == "push":
        if b"ng " in content or b"unpack ok" not in content:
            raise AssertionError(content[:300])
        moved = re.search(rb"([0-9a-f]{40}) (refs/autoresearch/labs/([0-9a-f]{32}))", one.body or b"")
        if moved is not None:
            tips[moved[3].decode()] = (one.body or b"")[45:85].decode()
    return took


def main(seconds: float = SECONDS, labs: int = LABS) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        premises = Premises.at(folder / "journals")
        tokens = [Tokens(premises).add(f"lab{n}", May.PUBLISH, datetime.now(UTC)) for n in range(labs)]
        began = time.monotonic()
        plan = planned(folder, seconds, labs)
        print(f"{len(plan)} requests were prepared in {time.monotonic() - began:.0f} s", flush=True)
        command = [sys.executable, "-m", "mcp_server.cli", "community", "serve", str(premises.folder), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[2]
            return _measured(url, tokens, plan, process.pid, seconds)
        finally:
            process.terminate()
            process.wait(timeout=60)
            process.stdout.close()


def _measured(url: str, tokens: list[str], plan: list[Planned], pid: int, seconds: float) -> int:
    took: dict[str, list[float]] = {}
    memory: list[float] = []
    failed: list[str] = []
    tips: dict[str, str] = {}
    turns = [threading.Lock() for _ in tokens]  # a lab does one thing after the other
    time.sleep(2.0)
    used, began = _processor(pid), time.monotonic()

    def send(one: Planned) -> None:
        with turns[one.lab]:
            try:
                found = sent(url, tokens[one.lab], one, tips)
            except (OSError, AssertionError) as error:
                failed.append(f"{one.kind}: {error}")
                return
        if one.at >= WARM_SECONDS and found >= 0:
            took.setdefault(one.kind, []).append(found)

    with ThreadPoolExecutor(16) as pool:
        for one in plan:
            wait = began + one.at - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            pool.submit(send, one)
            if not memory or len(memory) * 0.5 < time.monotonic() - began:
                memory.append(memory_mb(pid))
    lasted = time.monotonic() - began
    cores = (_processor(pid) - used) / lasted
    everything = sorted(one for some in took.values() for one in some)
    p95 = everything[int(0.95 * len(everything))]
    third = max(1, len(memory) // 3)
    grown = (sum(memory[-third:]) / third) / (sum(memory[third : 2 * third]) / third)
    parts = ", ".join(f"{kind} {sorted(some)[int(0.95 * len(some))] * 1000:.0f}" for kind, some in sorted(took.items()))
    print(
        f"{len(tokens)} labs, {RUNS_AN_HOUR * TIMES} runs an hour each: {len(plan)} requests in {lasted:.0f} s"
        f" ({len(plan) / lasted:.0f} a second), {len(failed)} failed; p95 {p95 * 1000:.0f} ms (goal 200), median"
        f" {everything[len(everything) // 2] * 1000:.0f}; p95 by kind, ms: {parts}; the server took {cores:.2f} cores;"
        f" memory {memory[0]:.0f} MB at first, {memory[-1]:.0f} at the end, {grown:.2f} x from the second third to the"
        f" last (goal {GROWTH})",
        flush=True,
    )
    for words in failed[:5]:
        print(f"  {words}", file=sys.stderr)
    return int(bool(failed) or p95 > GOAL_SECONDS or grown > GROWTH)


def _processor(pid: int) -> float:
    """Processor seconds of a process and of what it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
