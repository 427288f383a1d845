"""What a campaign's history suggests for the next step, in words for `next` and the report.

How good the predictions were, where each constant was tried, and what a run of failures means. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.edits.moves import ABSENT
from mcp_server.edits.themes import least_tried
from mcp_server.memory.wording import signed
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.records import Status
from mcp_server.nouns.text import clean_line

DRY_SPELL = 5  # decided experiments without a keep after which advice is given


# --- predictions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calibration:
    """How well expected gains foretold measured ones.

    `skill` is 1 for perfect foresight, 0 for no better than "no change" every time, negative for worse than that.
    """

    predictions: int
    right_sign: int
    mean_expected: float
    mean_measured: float
    skill: float | None

    def words(self) -> str:
        if not self.predictions:
            return ""
        said = (
            f"Of {self.predictions} predictions {self.right_sign} had the right sign; you expected "
            f"{signed(self.mean_expected)} on average and {signed(self.mean_measured)} was measured."
        )
        if self.predictions >= 5 and self.skill is not None:
            if self.skill < 0:
                said += " Predicting no change each time would have been closer: expect less."
            elif self.skill > 0.5:
                said += " Your predictions carry real information."
        return said


def calibration(pairs: Sequence[tuple[float, float]]) -> Calibration:
    """Score predictions: (expected, measured) gains."""
    if not pairs:
        return Calibration(0, 0, 0.0, 0.0, None)
    missed = sum(abs(expected - measured) for expected, measured in pairs)
    moved = sum(abs(measured) for _, measured in pairs)
    return Calibration(
        predictions=len(pairs),
        right_sign=sum((expected > 0) == (measured > 0) and expected != 0 for expected, measured in pairs),
        mean_expected=sum(expected for expected, _ in pairs) / len(pairs),
        mean_measured=sum(measured for _, measured in pairs) / len(pairs),
        skill=1 - missed / moved if moved else None,
    )


def predictions(history: Sequence[Attempt]) -> list[tuple[float, float]]:
    """The (expected, measured) pairs of a history."""
    return [
        (expected, one.gain)
        for one in history
        if (expected := one.experiment.expected_delta) is not None and one.gain is not None
    ]


# --- where a constant was tried ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KnobRange:
    """One constant's values so far and what they brought; numbers in order, then everything else."""

    name: str
    values: tuple[tuple[str, int, str], ...]  # value, experiment, outcome

    def words(self) -> str:
        shown = ", ".join(f"{value} ({outcome} #{number})" for value, number, outcome in self.values[:12])
        more = f" and {len(self.values) - 12} more" if len(self.values) > 12 else ""
        return clean_line(f"{self.name} tried at {shown}{more}", 400)


def knob_range(name: str, history: Sequence[Attempt]) -> KnobRange | None:
    """Every value `name` was set to, with the experiment and its outcome; None when it was never changed."""
    found = [
        (after, one.number, one.came)
        for one in history
        for knob, _, after in one.experiment.knobs
        if knob == name and after != ABSENT
    ]
    return KnobRange(name, tuple(sorted(found, key=lambda seen: (_as_number(seen[0]), seen[1])))) if found else None


def _as_number(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def plateau(tried: Sequence[Attempt]) -> str:
    """That nothing was kept for a while and what was tried least, in one sentence; "" while things go well."""
    decided = _decided(tried)
    dry = _dry(decided)
    return f"The last {dry} experiments were not kept; least tried so far: {_rare(decided)}." if dry else ""


def _decided(tried: Sequence[Attempt]) -> list[Attempt]:
    ended = [item for item in tried if not item.open and item.status is not Status.SCORED]
    return [item for item in ended if item.experiment.verdict.code != "rebased"]  # it goes on as another


def _dry(decided: Sequence[Attempt]) -> int:
    """How many were decided since the last keep, once they are a spell."""
    dry = next((i for i, item in enumerate(reversed(decided)) if item.status is Status.KEPT), len(decided))
    return dry if dry >= DRY_SPELL else 0


def _rare(decided: Sequence[Attempt]) -> str:
    return ", ".join(f"{theme} ({count})" for theme, count in least_tried([item.experiment.theme for item in decided]))


def _moved(item: Attempt) -> set[str]:
    return {name.partition(".")[0] for name, _, _ in item.experiment.knobs}


def advice(tried: Sequence[Attempt]) -> str:
    """What a run of failures suggests, in a few sentences; "" while things go well."""
    decided = _decided(tried)
    dry = _dry(decided)
    if not dry:
        return ""
    recent = decided[-dry:]
    said = [f"The last {dry} experiments were not kept."]
    crashed = sum(item.status in (Status.CRASHED, Status.TIMEOUT) for item in recent)
    if crashed * 2 > dry:
        said.append(f"{crashed} of them ended without a score: make the next change smaller.")
    used = Counter(name for item in recent for name in _moved(item))
    if used and used.most_common(1)[0][1] >= max(3, dry // 2):
        name, times = used.most_common(1)[0]
        ranged = knob_range(name, tried)
        said.append(f"{times} of them moved {name}" + (f": {ranged.words()}." if ranged else "."))
    unknown = [item for item in recent if item.doubt]
    if unknown:
        were = "one of them was" if len(unknown) == 1 else f"{len(unknown)} of them were"
        said.append(f"{were} within noise: unknown, not failed; on another base they may be asked again.".capitalize())
    near = [i for i in unknown if i.gain is not None and i.gain > 0 and not i.experiment.protocol]
    if near:
        numbers = ", ".join(f"#{item.number}" for item in near[-3:])
        said.append(f"{numbers} came out better but within noise: combining such changes may show.")
    said.append(f"Least tried so far: {_rare(decided)}.")
    foresight = calibration(predictions(recent))
    if foresight.predictions >= DRY_SPELL and foresight.skill is not None and foresight.skill < 0:
        said.append(foresight.words())
    return " ".join(said)
