"""What one NVIDIA card does with the shipped preset, as one JSON file: `dev/gpu.sh`, or `python -m dev.gpu [--cpu]`.

Slots are run by the real supervisor, as in a lab. Each step is written down as soon as it is over, with what it took; a
step that fails says why and the others go on; what would go beyond the time is left out, and named. `--cpu` runs the
same steps in miniature on a processor. No figure of this project is from a GPU: nothing here has ever run on one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import evaluation
from benchmarks.training import PLAIN, ROOT, SHIPPED, Bench, Slot
from mcp_server.nouns.files import write_atomically
from mcp_server.runner.machine import devices, health, load, nvidia

LIMIT_SECONDS = 570.0
AUDIT_ROUNDS = 1
# The sizes of karpathy/autoresearch as it stands on a large card, put into the plain first version of this project.
REFERENCE = {"DEPTH": 8, "WIDTH": 512, "HEADS": 4, "BATCH_TOKENS": 2**18}


@dataclass(frozen=True)
class Scale:
    """How large everything is. Seconds of budget; `device` is what the lab calls it."""

    device: str
    short: float
    long: float
    noise: float
    sizes: dict[str, int]

    @property
    def kind(self) -> str:
        return self.device.partition(":")[0]


CARD = Scale("cuda:0", 60.0, 300.0, 12.0, REFERENCE)
MINIATURE = Scale("cpu", 8.0, 16.0, 8.0, {"DEPTH": 1, "WIDTH": 64, "HEADS": 1, "BATCH_TOKENS": 2048})


@dataclass
class Report:
    """What was found, step by step, on the disk after each."""

    out: Path
    ends: float
    found: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, least_seconds: float, action: Callable[[], object]) -> None:
        """One step, unless it cannot end in time. Whatever it raises is its answer."""
        began = time.monotonic()
        if began + least_seconds > self.ends:
            self.found[name] = {"left_out": f"{self.ends - began:.0f} s were left; it needs {least_seconds:.0f}"}
        else:
            print(f"{name} ...", file=sys.stderr, flush=True)
            self.found[name] = {"failed": "it was cut short"}  # if this is the last that is heard of it
            self._write()
            try:
                self.found[name] = {"found": action()}
            except (Exception, SystemExit) as error:
                self.found[name] = {"failed": str(error)[:2000], "where": traceback.format_exc()[-3000:]}
            self.found[name]["took_seconds"] = round(time.monotonic() - began, 1)
        self._write()

    def _write(self) -> None:
        write_atomically(self.out, json.dumps(self.found, indent=1, default=str).encode())


# --- steps ------------------------------------------------------------------------------------------------------------


def command(*words: str) -> dict[str, Any]:
    """A command of the lab: its exit status and what it printed, as data where it is JSON."""
    answer = subprocess.run([sys.executable, "-m", "mcp_server.cli", *words], cwd=ROOT, capture_output=True, text=True)
    said: Any = answer.stdout[-8000:]
    with contextlib.suppress(ValueError):
        said = json.loads(answer.stdout)
    return {"status": answer.returncode, "said": said, "errors": answer.stderr[-2000:]}


def machine(scale: Scale) -> dict[str, Any]:
    """The card, the driver, torch, and what else is known before anything runs."""
    asked = "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available()]))"
    torch = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    lease = devices.Lease(scale.device, -1)
    return {
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
        "devices": devices.available(),
        "torch": torch.stdout.strip() or torch.stderr[-500:],
        "reading": health.read(lease, load.LoadMeter(time.monotonic())).model_dump(),
        "strangers": () if lease.card is None else nvidia.compute_processes(lease.card),
        "cores": os.cpu_count(),
    }


def told(slot: Slot) -> dict[str, Any]:
    """What a slot came to: score, pace, memory, and where its seconds went."""
    result = slot.result
    seconds = result.train_seconds or 1.0
    return {
        "file": slot.file,
        "seed": slot.seed,
        "score": slot.score,
        "steps": result.steps,
        "tokens": result.tokens,
        "tokens_a_second": round((result.tokens or 0) / seconds, 1),
        "memory_mb": result.peak_memory_mb,
        "weights_mb": round((result.artifact_bytes or 0) / 1e6, 1),
        "wall_seconds": round(slot.wall_seconds, 2),
        "compiled_before": result.compiled_before,
        "parts": {name: round(value, 2) for name, value in slot.parts.items()},
        "overhead_seconds": round(slot.wall_seconds - (result.wall_seconds or 0.0), 2),
        "tainted": result.tainted,
        "flags": result.flags,
        "device": None if result.device is None else result.device.model_dump(),
    }


def resized(folder: Path, sizes: dict[str, int]) -> Path:
    """The plain first version at other sizes, in TF32 on a card; not compiled."""
    text = PLAIN.read_text()
    for name, value in sizes.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, f"{PLAIN.name} has no constant {name} any more"
    text = text.replace("import prepare\n", 'import prepare\n\ntorch.set_float32_matmul_precision("high")\n', 1)
    made = folder / "reference_sizes.py"
    made.write_text(text)
    return made


def repeats(bench: Bench) -> dict[str, Any]:
    """Equal code on one seed, three times one after the other: what one run says, without a pair."""
    slots = [bench.run(SHIPPED, 1) for _ in range(3)]
    scores = [slot.score for slot in slots]
    return {"scores": scores, "range": max(scores) - min(scores), "steps": [slot.result.steps for slot in slots]}


def paired(bench: Bench) -> dict[str, Any]:
    """The same code beside itself, where there is something to pair with: two cards, or cores on a processor."""
    cards = devices.equal_cards(devices.available())
    if bench.device != "cpu" and not cards:
        return {"impossible": "one card cannot train two at the speed of one; pairs take two equal cards"}
    differences = []
    for seed in (1, 2):
        result = bench.run(SHIPPED, seed, "side_by_side").result
        assert result.incumbent_score is not None, result.beside
        assert result.score is not None
        differences.append(result.score - result.incumbent_score)
    return {"differences": differences}


def audit_cost(scale: Scale) -> dict[str, Any]:
    ratios = [wall for wall, _ in evaluation.ratio_of(SHIPPED, AUDIT_ROUNDS, device=scale.kind)]
    return {"audited_to_plain": ratios, "positions": evaluation.POSITIONS[-1]}


def one_step(scale: Scale) -> dict[str, Any]:
    """A step of the shipped preset taken apart, by a process of its own."""
    environment = {**os.environ, "AUTORESEARCH_DEVICE": scale.kind, "AUTORESEARCH_SEED": "1"}
    asked = [sys.executable, "-m", "dev.gpu_step", *(["--small"] if scale is MINIATURE else [])]
    answer = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    if answer.returncode:
        raise RuntimeError(answer.stderr[-2000:])
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def cold_and_warm(report: Report) -> dict[str, Any]:
    """The slot's seconds beside the training: of the first slot of all, which compiles, and of the one after it."""
    first, second = (report.found[name].get("found") for name in ("preset_short", "preset_long"))
    if not first or not second:
        raise RuntimeError("A slot of the preset has no score, so there is nothing to compare.")
    return {"cold": {**first["parts"], "all": first["overhead_seconds"]}, "warm": {
        **second["parts"], "all": second["overhead_seconds"]}}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when every step was run and none failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("gpu.json"))
    parser.add_argument("--cpu", action="store_true", help="in miniature, on a processor")
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="for everything (default 570)")
    options = parser.parse_args(argv)
    scale = MINIATURE if options.cpu else CARD
    if not options.cpu and not nvidia.cards():
        print("No NVIDIA card is seen here. `dev/gpu.sh --cpu` runs the same in miniature.", file=sys.stderr)
        return 2
    report = Report(options.out.resolve(), time.monotonic() + options.seconds)
    # one card, so that the pair's step says so: a second one would be used by nothing here
    os.environ.setdefault("AUTORESEARCH_CHART", "off")
    with tempfile.TemporaryDirectory(prefix="autoresearch-gpu-", ignore_cleanup_errors=True) as name:
        clock = "cpu" if options.cpu else "wall"
        same: dict[str, Any] = {"clock": clock, "device": scale.device, "compiled": Path(name) / "compiled"}
        short = Bench(Path(name) / "short", scale.short, **same)
        long = Bench(Path(name) / "long", scale.long, **same)
        noise = Bench(Path(name) / "noise", scale.noise, **same)
        for bench in (short, long, noise):
            bench.folder.mkdir()
        reference = resized(Path(name), scale.sizes)
        slot = 12.0 if options.cpu else 25.0  # of a slot beside its budget
        report.step("machine", 5, lambda: machine(scale))
        report.step("doctor", 10, lambda: command("doctor", "--json"))
        report.step("preset_short", scale.short + slot, lambda: told(short.run(SHIPPED, 1)))
        report.step("preset_long", scale.long + slot, lambda: told(long.run(SHIPPED, 1)))
        report.step("slot_overhead", 0, lambda: cold_and_warm(report))
        report.step("one_step", 30, lambda: one_step(scale))
        report.step("reference_sizes", scale.short + slot, lambda: told(short.run(reference, 1)))
        report.step("audit", 15, lambda: audit_cost(scale))
        report.step("repeats", 3 * (scale.noise + slot / 2), lambda: repeats(noise))
        report.step("pairs", 2 * (scale.noise + slot / 2), lambda: paired(noise))
        report.step("calibration", 30, lambda: command("doctor", "--calibrate"))
    wrong = [name for name, one in report.found.items() if "found" not in one]
    print(f"{report.out}: {len(report.found) - len(wrong)} steps of {len(report.found)}. {' '.join(wrong)}".strip())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
