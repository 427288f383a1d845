"""A campaign of any length in a moment: a real lab with a real baseline, and a ledger filled by a seeded story.

What is invented are the experiments; their snapshots are real commits, so that diffs and the vault can be shown.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.nouns.records import CurvePoint, DeviceReading, RunResult, RunState, Tier
from tests.labs import TRAIN, begin, make_lab

BEGAN = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
IDEAS = (
    ("raise the matrix learning rate", "MATRIX_LR", "0.04", "0.05", "optimizer"),
    ("wider value residual", "VALUE_GATE", "0.5", "0.7", "architecture"),
    ("warm down over the last half", "WARMDOWN_RATIO", "0.4", "0.5", "schedule"),
    ("smaller batch, more steps", "TOTAL_BATCH", "2**18", "2**17", "batch"),
    ("squared ReLU instead of GELU", "ACTIVATION", "'gelu'", "'relu2'", "architecture"),
    ("less weight decay on the matrices", "WEIGHT_DECAY", "0.2", "0.1", "regularisation"),
    ("one layer more, narrower", "DEPTH", "8", "9", "architecture"),
    ("heavier momentum at the start", "MOMENTUM", "0.95", "0.97", "optimizer"),
)
METRIC = "{name: val_bpb, direction: minimize, unit: bits per byte}"
WORDS = {"kept": "clearly better", "discarded": "within the noise of the incumbent", "crashed": "the run ended badly"}


def fill(lab: Lab, count: int, *, seed: int = 1, descriptions: dict[int, str] | None = None) -> None:
    """Experiments 2 to `count` of this lab's campaign, decided; numbers as a language model's night has them."""
    draw = random.Random(seed)
    with lab.reading() as (bench, campaign, arena):
        pinned, ledger, program = campaign.pinned, bench.ledger, campaign.program
        commits = [_snapshot(lab, arena.editable, pinned, place) for place in range(len(IDEAS))]
        best, rows, runs = 1.0021, [], []
        ledger_path = ledger.path
        for number in range(2, count + 1):
            words, knob, old, new, theme = IDEAS[draw.randrange(len(IDEAS))]
            at = BEGAN + timedelta(minutes=6 * number)
            luck = draw.random()
            outcome = "crashed" if luck < 0.06 else "rejected" if luck < 0.07 else "discarded"
            score = best + abs(draw.gauss(0.0, 0.0016)) + 0.0002
            if luck > 0.97:
                score = best + draw.random() * 3
            if luck > 0.6 and draw.random() < 22 / (count + 60):
                outcome, score = "kept", best - abs(draw.gauss(0.0016, 0.0008)) * math.exp(-number / count)
            change = best - score
            scored = outcome in ("kept", "discarded")
            label = draw.choice(("confirmed", "confirmed", "provisional")) if outcome == "kept" else None
            verdict = {
                "outcome": outcome,
                "reason": WORDS.get(outcome, "rejected: the model looked ahead"),
                "machine": "NVIDIA H100 580.82",
            }
            if scored:
                verdict |= {"score": score, "change": change, "noise_widths": change / 0.0006}
            if outcome == "kept":
                verdict |= {"probability": 0.97, "believed": change * 0.8}
                best = score
            rows.append(
                {
                    "campaign": campaign.tag, "number": number, "kind": "attempt",
                    "description": (descriptions or {}).get(number, f"{words}, {old} to {new}"),
                    "hypothesis": "The gradient noise is low enough at this size.",
                    "expected_delta": 0.001 if number % 2 else None, "snapshot": commits[number % len(commits)],
                    "base": 1, "fingerprint": f"f{number}", "edit": f"e{number}", "nodes": 3,
                    "knobs": json.dumps([[knob, old, new]]), "protocol": "[]", "theme": theme, "program": program,
                    "style": "bold" if number > count * 0.7 else None, "opened_at": at.isoformat(), "vaulted": 1,
                    "tree": str(lab.paths.tree), "decision": "keep" if outcome == "kept" else "revert",
                    "label": label, "verdict": json.dumps(verdict),
                    "commit_sha": commits[number % len(commits)] if outcome == "kept" else None,
                    "decided_at": (at + timedelta(minutes=6)).isoformat(), "settled": 1, "held": 1, "turn": number + 10,
                }
            )  # fmt: skip
            state = RunState.SCORED if scored else RunState(outcome)
            result = RunResult(state=state, score=score if scored else None, reason="" if scored else "nonzero_exit")
            if number > count - 40:
                result = _told(result, score, draw)
            runs.append(
                {
                    "campaign": campaign.tag, "experiment": number, "run": 1, "seed": 7, "purpose": "first",
                    "state": str(state), "opened_at": at.isoformat(), "closed_at": at.isoformat(),
                    "score": result.score, "tainted": "", "machine": "NVIDIA H100 580.82",
                    "result": result.model_dump_json(exclude_defaults=True),
                }
            )  # fmt: skip
    _write(ledger_path, {"experiments": rows, "runs": runs})
    for number in {2, count // 2, count - 1, count} - {1}:
        lab.workspace.move_vault("first", number, None, commits[number % len(commits)])


def _snapshot(lab: Lab, editable: tuple[str, ...], parent: str, place: int) -> str:
    words, knob, old, new, _ = IDEAS[place]
    text = TRAIN.replace("KNOB = 1.0\n", f"{knob} = {new}  # was {old}\n")
    files = {"train.py": text.encode()}
    return lab.workspace.snapshot(editable, parent, words, BEGAN.isoformat(), files=files).commit


def _told(result: RunResult, score: float, draw: random.Random) -> RunResult:
    """A result as a real run of five minutes tells it."""
    curve = tuple(
        CurvePoint(step=step, tokens=step * 8192, seconds=step / 4, loss=2.6 + 7 * math.exp(-step / 90) + 0.02 * noise)
        for step in range(0, 1200, 12)
        for noise in [draw.gauss(0, 1)]
    )
    device = DeviceReading(name="cuda:0", identity="NVIDIA H100", driver="580.82")
    more = {"curve": curve, "device": device, "tier": Tier.T2, "steps": 1200, "train_seconds": 300.1}
    if result.score is not None:
        more |= {"interval": (score - 0.0011, score + 0.0011), "peak_memory_mb": 45060.0}
    return result.model_copy(update=more)


def _write(path: Path, tables: dict[str, list[dict[str, object]]]) -> None:
    with sqlite3.connect(path) as db:
        for table, rows in tables.items():
            if rows:
                names = list(rows[0])
                values = ", ".join(f":{name}" for name in names)
                db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", rows)
    db.close()


def campaign_of(folder: Path, count: int, descriptions: dict[int, str] | None = None) -> Lab:
    """A lab in `folder` whose campaign `first` has `count` experiments."""
    lab = make_lab(folder, train=TRAIN.replace("KNOB = 1.0", f"KNOB = {3 - math.sqrt(1.0021)}"))
    program = lab.paths.program
    program.write_text(
        program.read_text()
        .replace("bring KNOB to three", "lower the validation loss of a small language model in five minutes")
        .replace("{name: loss, direction: minimize, unit: squares}", METRIC)
    )
    begin(lab)
    lab.commit_or_revert(1)
    fill(lab, count, descriptions=descriptions)
    lab.append_learnings("A higher MATRIX_LR than 0.05 diverges within 200 steps.", 2, ["optimizer"])
    lab.append_learnings("Narrower and deeper costs more time per step than it gains.", 3, ["architecture"])
    return lab
