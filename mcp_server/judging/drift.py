"""When the machine has moved under two scores that were taken apart in time. Pure.

What is compared is the pace of unchanged work: steps per second of the budget's own clock, whichever that is, and the
fixed speed probe. One unchanged job of the reference "improved" by 0.0016 overnight, its score following the steps done
with a correlation of -0.98. Two runs in one slot share the machine, and none of this concerns them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

# One per cent more steps is worth 0.0006 bits per byte on GPUs, that is 0.4 of a typical improvement of 0.0015.
EFFECTS_PER_SPEED = 40.0
SPEED_RESOLUTION = 0.001  # readings of a second repeat themselves to about this share on the quietest machine
COARSE = 0.005  # a probe that scatters by more sees only what is larger than its scatter
READINGS_APART = 4.0  # by so many resolutions two readings of one unmoved machine may differ


class Anchor(StrEnum):
    """Why the incumbent is measured again before a verdict counts."""

    NONE = ""
    DEVICE = "device_changed"
    DRIVER = "driver_changed"
    SPEED = "speed_changed"
    STEPS = "steps_changed"
    REPEAT = "repeat_disagrees"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a run was taken. None means not recorded, and decides nothing."""

    device: str = ""  # identity: model and processor
    driver: str | None = None
    speed: float | None = None  # the fixed speed probe; compares a machine with itself
    pace: float | None = None  # steps per second of the budget's clock: the machine's doing and the code's


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far the readings of unchanged code lie apart on this machine: sd of their logarithms. None is not known."""

    speed: float | None = None
    pace: float | None = None

    def resolution(self, seen: Anchor) -> float:
        """The least share of speed that one reading can tell from another."""
        measured = self.speed if seen is Anchor.SPEED else self.pace
        return max(SPEED_RESOLUTION, measured or 0.0)

    def width(self, effect: float) -> float:
        """By how much a difference of two runs scatters for the machine's sake, in the score's unit (sd)."""
        return math.sqrt(2.0) * EFFECTS_PER_SPEED * effect * (self.pace or 0.0)


def scatter(groups: Iterable[Sequence[Conditions]]) -> Scatter:
    """From runs of equal code, one group for each code."""
    speed, pace, speeds, paces = 0.0, 0.0, 0, 0
    for group in groups:
        squares, degrees = _within([one.speed for one in group])
        speed, speeds = speed + squares, speeds + degrees
        squares, degrees = _within([one.pace for one in group])
        pace, paces = pace + squares, paces + degrees
    return Scatter(math.sqrt(speed / speeds) if speeds else None, math.sqrt(pace / paces) if paces else None)


def _within(readings: Sequence[float | None]) -> tuple[float, int]:
    logs = [math.log(one) for one in readings if one is not None and one > 0.0]
    if len(logs) < 2:
        return 0.0, 0
    centre = sum(logs) / len(logs)
    return sum((one - centre) ** 2 for one in logs), len(logs) - 1


def explained(now: Conditions, then: Conditions, effect: float, known: Scatter) -> tuple[float, Anchor]:
    """The gain that a faster machine alone would have brought (a slower one: negative), and what shows it.

    The probe knows a fast machine from a fast idea, so it is asked first, where its own scatter is known; the pace
    confounds the two.
    """
    if now.speed and then.speed and known.speed is not None:
        return EFFECTS_PER_SPEED * effect * math.log(now.speed / then.speed), Anchor.SPEED
    if now.pace and then.pace:
        return EFFECTS_PER_SPEED * effect * math.log(now.pace / then.pace), Anchor.STEPS
    return 0.0, Anchor.NONE


def elsewhere(now: Conditions, then: Conditions) -> Anchor:
    """Why two runs were not taken on one machine."""
    if now.device != then.device:
        return Anchor.DEVICE
    if now.driver is not None and then.driver is not None and now.driver != then.driver:
        return Anchor.DRIVER
    return Anchor.NONE


def must_anchor(
    now: Conditions, then: Conditions, known: Scatter, width: float, effect: float, spare: float | None
) -> Anchor:
    """Why the incumbent must be run again before this candidate is judged for good.

    spare: by how much a gain clears its bar; None where nothing would be kept or repeated. Another device or driver
    always asks. A faster machine asks when the win would not stand without it and without what the readings may have
    missed, or owes it a good part. The pace also asks when it is lower, since a slower idea can hide a faster machine.
    A change of speed far beyond the noise asks whatever the verdict: the old score misleads both ways. The answer costs
    one run of the incumbent; its earlier runs no longer count.
    """
    if moved := elsewhere(now, then):
        return moved
    helped, seen = explained(now, then, effect, known)
    if not seen:
        return Anchor.NONE
    least = 2.0 * known.resolution(seen) * EFFECTS_PER_SPEED * effect
    if seen is Anchor.SPEED and known.resolution(seen) > COARSE and abs(helped) <= least:
        return Anchor.NONE  # a probe that scatters like this on an unmoved machine would doubt every win
    if seen is Anchor.SPEED and abs(helped) >= max(4.0 * width, effect / 2.0):
        return seen
    unseen = READINGS_APART * known.resolution(seen) * EFFECTS_PER_SPEED * effect
    if spare is None:
        return Anchor.NONE
    if seen is Anchor.SPEED:
        doubted = helped + unseen > 0.0 and helped + unseen >= min(spare, width + unseen)
    else:
        # a slower idea can hide a faster machine, so any difference in pace that shows is doubted
        shows = abs(helped) > (least if known.pace is not None else 0.0)
        doubted = shows and abs(helped) >= min(spare, width, unseen)
    return seen if doubted else Anchor.NONE


def machine_could(gain: float, now: Conditions, then: Conditions, known: Scatter, width: float, effect: float) -> bool:
    """Whether what the machine itself moved explains a difference, better or worse: then nothing was learnt from it."""
    if not gain:
        return False
    helped, seen = explained(now, then, effect, known)
    by_scatter = 2.0 * known.width(effect)
    beyond = abs(helped) > READINGS_APART * known.resolution(seen) * EFFECTS_PER_SPEED * effect if seen else False
    moved = abs(helped) + by_scatter if beyond and helped * gain > 0.0 else by_scatter
    return width < moved and abs(gain) <= moved


def repeat_disagrees(earlier: float, again: float, repeat_sd: float) -> bool:
    """Whether two runs of the same code on the same seed differ by more than three widths: the machine has moved."""
    return not (abs(again - earlier) <= 3.0 * math.sqrt(2.0) * repeat_sd)
