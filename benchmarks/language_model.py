"""Suggestions against search on the shipped language model: `python -m benchmarks.compare --language-model RUNS`.

Real runs: each idea is trained beside its incumbent, at the same moment, on exchanged cores, in a slot of the real
supervisor; both researchers have as many, turn by turn, from the shipped train.py. What a pair scatters by is measured
first, with equal halves. Kept is what gains more than twice that. In the end each incumbent is trained beside the
shipped file on seeds that no decision has seen, and that gain is the row. Same edits of the same file are run once, and
both researchers are told the same of them.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks.training import SHIPPED, Bench
from mcp_server.researcher import classical, habits
from mcp_server.researcher.habits import BETTER, FAILED, KEPT, UNKNOWN, WORSE, Proposal, Trial

BUDGET = 20.0  # processor seconds of a run
SEED, EQUAL, FRESH = 1, (101, 102, 103), (201, 202)
Propose = Callable[[str, Sequence[Trial], int], Proposal | None]
ARMS: dict[str, Propose] = {
    "tpe": classical.propose,
    "seeded": lambda source, trials, seed: habits.propose(source, trials, seed),
}


@dataclass
class Pairs:
    """Pairs of files in slots, each pair once."""

    folder: Path
    budget: float
    slots: int = 0
    _known: dict[tuple[str, str, int], float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._bench = Bench(self.folder, self.budget)

    def gain(self, source: str, incumbent: str, seed: int) -> float | None:
        """Bits per byte that `source` has less than `incumbent`; None where it has no score."""
        key = source, incumbent, seed
        if key not in self._known:
            one, other = self.folder / "candidate.py", self.folder / "incumbent.py"
            one.write_text(source, "utf-8")
            other.write_text(incumbent, "utf-8")
            self.slots += 1
            try:
                result = self._bench.run(one, seed, "side_by_side", other).result
            except SystemExit as error:
                print(error, file=sys.stderr, flush=True)
                self._known[key] = None
            else:
                if result.incumbent_score is None or result.score is None:
                    raise SystemExit(f"The pair broke: {result.flags}, {result.beside}")
                self._known[key] = result.incumbent_score - result.score
        return self._known[key]

    def scatter(self) -> float:
        """Root of the mean square of what equal halves differ by."""
        source = SHIPPED.read_text("utf-8")
        found = [self.gain(source, source, seed) for seed in EQUAL]
        return fmean(one**2 for one in found if one is not None) ** 0.5


@dataclass
class Arm:
    """A researcher's campaign."""

    name: str
    source: str = field(default_factory=lambda: SHIPPED.read_text("utf-8"))
    trials: list[Trial] = field(default_factory=list)

    def step(self, pairs: Pairs, sd: float) -> None:
        """One idea, trained beside its incumbent."""
        idea = ARMS[self.name](self.source, self.trials, SEED)
        if idea is None:
            return
        gain = pairs.gain(idea.source, self.source, SEED)
        self.trials.append(Trial(len(self.trials) + 1, idea.moves, outcome(gain, sd), gain, sd))
        said = "no score" if gain is None else f"{gain:+.4f}"
        print(f"  {self.name:7} {idea.description}: {said}, {self.trials[-1].outcome}", file=sys.stderr, flush=True)
        if self.trials[-1].outcome == KEPT:
            self.source = idea.source


def outcome(gain: float | None, sd: float) -> str:
    """What a gain of one pair says, beside what equal halves scatter by."""
    if gain is None:
        return FAILED
    return KEPT if gain > 2 * sd else UNKNOWN if abs(gain) <= 2 * sd else BETTER if gain > 0 else WORSE


def rows(runs: int, budget: float = BUDGET) -> list[tuple[str, str, str]]:
    """(what, value, spread): what both researchers' incumbents bring on fresh seeds."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-suggesting-") as name:
        pairs, arms = Pairs(Path(name), budget), [Arm(name) for name in ARMS]
        sd = pairs.scatter()
        for _ in range(runs):
            for arm in arms:
                arm.step(pairs, sd)
        brought, kept = [], []
        for arm in arms:
            shipped = SHIPPED.read_text("utf-8")
            gains = [0.0] if arm.source == shipped else [pairs.gain(arm.source, shipped, seed) for seed in FRESH]
            brought.append(fmean([one for one in gains if one is not None] or [math.nan]))
            kept.append(sum(trial.outcome == KEPT for trial in arm.trials))
        spread = (
            f"bits per byte on {len(FRESH)} fresh seeds; {kept[0]} and {kept[1]} kept of {runs} each; one campaign; "
            f"equal halves scatter by {sd:.4f}; {pairs.slots} slots of {budget:g} s"
        )
        value = f"{brought[0]:+.4f} / {brought[1]:+.4f}"
        return [(f"language model, brought by {runs} runs, tpe / seeded", value, spread)]
