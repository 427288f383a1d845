"""When the machine has moved under the scores: whether the incumbent must be run again before a verdict counts.

Pure. One unchanged job of the reference "improved" by 0.0016 overnight, its score following the steps done with a
correlation of -0.98: so what explains a win by speed is asked first, and an old score that no longer speaks for
today's machine is retired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# One per cent more steps is worth 0.0006 bits per byte on GPUs, that is 0.4 of a typical improvement of 0.0015.
EFFECTS_PER_SPEED = 40.0
SPEED_RESOLUTION = 0.001  # a probe of a second repeats itself to about this share on a quiet machine
READINGS_APART = 4.0  # by so many resolutions two readings of one unmoved machine may differ


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a run was taken. None means not recorded, and decides nothing."""

    device: str = ""  # identity: model and uuid
    driver: str | None = None
    speed: float | None = None  # the fixed speed probe; compares a machine with itself
    steps: int | None = None


AnchorCode = Literal["", "device_changed", "driver_changed", "speed_changed", "steps_changed", "repeat_disagrees"]


def explained_by_speed(candidate: Conditions, incumbent: Conditions, effect: float) -> tuple[float, AnchorCode]:
    """Score change that a faster (negative) or slower (positive) machine alone would cause, and what shows it.

    The speed probe knows a fast machine from a fast idea, so it is asked first; steps done confound the two and are
    used only where no probe was taken. Sensitivity: `EFFECTS_PER_SPEED` typical improvements per unit of speed.
    """
    if candidate.speed and incumbent.speed:
        return -EFFECTS_PER_SPEED * effect * (candidate.speed / incumbent.speed - 1.0), "speed_changed"
    if candidate.steps and incumbent.steps:
        return -EFFECTS_PER_SPEED * effect * (candidate.steps / incumbent.steps - 1.0), "steps_changed"
    return 0.0, ""


def needs_anchor(
    candidate: Conditions,
    incumbent: Conditions,
    width: float,
    effect: float,
    would_keep: bool,
    spare: float | None = None,
) -> AnchorCode:
    """Why the incumbent must be run again before this candidate is judged for good; "" when it need not.

    width, spare: the verdict's, that is the sd of its difference, and by how much a keep clears its bar. would_keep:
    the verdict is keep or confirm. Another device or driver always asks. A faster machine asks when the win would not
    stand without it and what the probes may have missed, or owes it a good part. Steps also ask when there are fewer
    of them, since a slower idea can hide a faster machine. A change of speed far beyond the noise asks whatever the
    verdict: the old score misleads both ways. The answer costs one run of the incumbent; its earlier runs no longer
    count.
    """
    if candidate.device != incumbent.device:
        return "device_changed"
    if candidate.driver is not None and incumbent.driver is not None and candidate.driver != incumbent.driver:
        return "driver_changed"
    explained, code = explained_by_speed(candidate, incumbent, effect)
    helped = abs(explained) if code == "steps_changed" else -explained
    if would_keep and code and _in_doubt(helped, code, width, effect, spare):
        return code
    if code == "speed_changed" and abs(explained) >= max(4.0 * width, effect / 2.0):
        return code
    return ""


def _in_doubt(helped: float, code: AnchorCode, width: float, effect: float, spare: float | None) -> bool:
    """Whether a win may be owed to the machine, which helped by so much as far as the readings show."""
    if spare is None:
        return helped > 0.0 and helped >= 0.5 * width
    unseen = READINGS_APART * SPEED_RESOLUTION * EFFECTS_PER_SPEED * effect
    if code == "speed_changed":
        return helped + unseen > 0.0 and helped + unseen >= min(spare, width + unseen)
    # a slower idea can hide a faster machine, so any difference in steps that shows is doubted
    return helped > 0.0 and helped >= min(spare, width, unseen)


def repeat_disagrees(earlier: float, again: float, repeat_sd: float) -> bool:
    """Whether two runs of the same code on the same seed differ by more than three widths: the machine has moved."""
    return not (abs(again - earlier) <= 3.0 * math.sqrt(2.0) * repeat_sd)
