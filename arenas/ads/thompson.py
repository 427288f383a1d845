"""Thompson sampling: which of several creatives is shown next, by what each has brought so far. Pure.

Each creative's rate is drawn from what is believed of it, Beta(replies + 1, shown - replies + 1), and the highest is
shown (Thompson 1933). What is surely worse soon costs nothing more; what is unsure still gets its chance.
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def choose(shown: Sequence[int], replies: Sequence[int], draw: random.Random) -> int:
    """The place of the creative to show next."""
    believed = [draw.betavariate(came + 1, max(0, seen - came) + 1) for seen, came in zip(shown, replies, strict=True)]
    return believed.index(max(believed))
