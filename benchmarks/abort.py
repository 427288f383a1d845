"""What stopping hopeless runs would save: `python -m benchmarks.abort [--record] [--budget 20]`.

Replays the rule of `mcp_server.judging.abort` on real runs whose ends are known: each run judged by a rule learnt from
all the others. The runs are in `curves.json`: edits of the shipped train.py's constants, trained on one seed with a
budget of processor seconds and scored as in a lab. `--record` makes them anew (some 30 slots, on a quiet machine).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

from benchmarks.training import ROOT, SHIPPED, Bench, Slot
from mcp_server.judging import abort
from mcp_server.judging.abort import Past, gap, replay
from mcp_server.nouns.records import CurvePoint

CURVES = ROOT / "benchmarks" / "curves.json"
# none of the kinds that bend the curve; good and bad ones as an agent would try
EDITS = {
    "DEPTH": ("1", "3", "4"),
    "WIDTH": ("64", "96", "192", "256"),
    "HEADS": ("1", "4"),
    "MLP_RATIO": ("1", "2", "6"),
    "WINDOW": ("8", "16", "32", "128"),
    "VALUE_PATTERN": ('"-"', '"V"'),
    "QK_SCALE": ("0.6", "2.0"),
    "SOFTCAP": ("15.0",),
    "COPY_ORDERS": ("(1,)", "(2, 3)"),
    "MEMORY_ORDERS": ("(2,)", "(3, 4)"),
    "GRAM_WIDTH": ("16", "128"),
    "EMBED_INIT": ("0.2", "3.0"),
    "MATRIX_INIT": ("0.2", "1.5"),
}


def record(budget: float) -> None:
    """Train the shipped file and every edit of it, and write down what became of them. Raises SystemExit."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        bench = Bench(Path(name), budget)
        found = [_entry("", bench.run(SHIPPED, 1))]
        for knob, values in EDITS.items():
            for value in values:
                edited = Path(name) / "edited.py"
                source, count = re.subn(rf"(?m)^{knob} = .*$", f"{knob} = {value}", SHIPPED.read_text())
                assert count == 1
                edited.write_text(source)
                found.append(_entry(f"{knob} = {value}", bench.run(edited, 1)))
                print(f"  {found[-1]['edit']}: {found[-1]['score']:.4f}", file=sys.stderr, flush=True)
    CURVES.write_text(json.dumps({"budget_seconds": budget, "runs": found}))


def _entry(edit: str, slot: Slot) -> dict[str, object]:
    curve = [[point.tokens, round(point.loss, 4)] for point in slot.result.curve]
    return {"edit": edit, "score": slot.score, "curve": curve}


def past() -> tuple[list[Past], list[float]]:
    """What the recorded runs teach, and the share of its budget that each had left at the look."""
    runs = json.loads(CURVES.read_text())["runs"]
    curves = [
        tuple(
            CurvePoint(step=i, tokens=tokens, seconds=0.0, loss=loss) for i, (tokens, loss) in enumerate(run["curve"])
        )
        for run in runs
    ]
    found, left = [], []
    for run, curve in zip(runs[1:], curves[1:], strict=True):
        behind = gap(curve, curves[0])
        if behind is not None:
            found.append(Past(behind, run["score"] - runs[0]["score"]))
            left.append(1 - abort.look_at(curves[0])[1] / curve[-1].tokens)
    return found, left


def rows() -> list[tuple[str, str, str]]:
    """(what, value, spread) for the table."""
    found, left = past()
    stopped, lost = replay(found)
    won = sum(run.worse <= 0 for run in found)
    limits = [abort.margin([*found[:i], *found[i + 1 :]]) for i in range(len(found))]
    gone = [part for run, part, limit in zip(found, left, limits, strict=True) if limit is not None and run.gap > limit]
    return [
        ("early abort, runs stopped / hopeless or not", f"{stopped / len(found):.2f}", f"{stopped} of {len(found)}"),
        ("early abort, winners stopped / winners", f"{lost / max(1, won):.2f}", f"{lost} of {won}"),
        ("early abort, training saved / all training", f"{sum(gone) / len(found):.2f}", f"look at {abort.LOOK:.2f}"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="train everything anew and replace curves.json")
    parser.add_argument("--budget", type=float, default=20.0, help="processor seconds of a recorded run")
    options = parser.parse_args()
    if options.record:
        record(options.budget)
    for what, value, spread in rows():
        print(f"{what:46} {value:>10}   {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
