"""What is known of each constant, in words: flat, falling, rising, untried. Pure.

Read from single changes alone: what moved with others says little of one. "Falling" is getting worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_NAMED = 8  # of a kind
SURE = 1.96


@dataclass(frozen=True)
class Step:
    """One constant moved alone: its values before and after, the gain (positive is better) and its sd."""

    name: str
    before: float
    after: float
    gain: float
    sd: float | None

    @property
    def told(self) -> int:
        """1 surely better, -1 surely worse, 0 within noise."""
        reach = SURE * (self.sd or 0.0)
        return 0 if abs(self.gain) <= reach else 1 if self.gain > 0 else -1


def words(names: Sequence[str], steps: Sequence[Step], current: Mapping[str, float]) -> str:
    """`flat in MOMENTUM; falling in EMBED_LR above 0.1; untried: ROPE_BASE`; "" where there is nothing to say."""
    flat, sloped, untried = [], [], []
    for name in names:
        mine = [step for step in steps if step.name == name and math.isfinite(step.gain)]
        if not mine:
            untried.append(name)
            continue
        said = _slopes(name, mine, current.get(name, mine[-1].before))
        if said:
            sloped += said
        else:
            flat.append(name)
    parts = [f"flat in {_listed(flat)}"] if flat else []
    parts += sloped[: 2 * MOST_NAMED]
    parts += [f"untried: {_listed(untried)}"] if untried else []
    return "; ".join(parts)


def _slopes(name: str, steps: Sequence[Step], now: float) -> list[str]:
    """What surely happened above and below where the constant stands now."""
    up = [step for step in steps if step.after > step.before and step.told]
    down = [step for step in steps if step.after < step.before and step.told]
    said = []
    worse_above = [step for step in up if step.told < 0 and step.after > now]
    worse_below = [step for step in down if step.told < 0 and step.after < now]
    better_up = [step for step in up if step.told > 0]
    better_down = [step for step in down if step.told > 0]
    if worse_above:
        said.append(f"falling in {name} above {_number(max(step.before for step in worse_above))}")
    if worse_below:
        said.append(f"falling in {name} below {_number(min(step.before for step in worse_below))}")
    if better_up and not worse_above:
        said.append(f"rising in {name} up to {_number(max(step.after for step in better_up))}")
    if better_down and not worse_below:
        said.append(f"rising in {name} down to {_number(min(step.after for step in better_down))}")
    return said


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _number(value: float) -> str:
    return format(value, ".4g")
