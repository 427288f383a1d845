"""How high the bar hangs: what a gain must show before it is kept, by how loud the noise is.

The rows were chosen by simulation, for true gain first, then honest claims, then few false keeps;
`benchmarks/referee.py` shows what they do against simpler rules. Nothing here knows a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Bar:
    """What one comparison must clear when its noise is `ratio` typical improvements. All but counts in noise widths."""

    ratio: float
    drop: float  # below this it is the end
    take: float  # above this one look is enough
    looks: float  # seeds asked of anything in between
    bar: float  # to clear after that many
    most: float  # seeds after which a doubt is a no
    anchor: float  # runs the incumbent should have before the campaign ends


# Up to 0.94 the margin is what gives up 3 to 4 % of the true gain that plain greedy makes, and no more (a margin of m
# typical gains forgoes 1 - (1 + m) exp(-m) of gains that are exponential in size). Above 1.2 repeats are cheaper than
# errors, and the lowest of many scores is so lucky that the incumbent must be run again before anyone quotes it. In the
# first row noise is next to nothing beside what gains used to be: a doubt costs one run, and without it a campaign
# whose gains have shrunk to the guess of a noise that is hardly there would discard every one of them for ever.
BARS = (
    Bar(0.000, 2.0, 4.0, 2, 3.0, 2, 1.0),
    Bar(0.090, 3.3, 3.4, 2, 3.6, 2, 1.0),
    Bar(0.098, 3.2, 3.6, 2, 3.8, 2, 1.0),
    Bar(0.104, 3.1, 4.2, 2, 4.2, 2, 1.0),
    Bar(0.140, 2.1, 2.1, 2, 2.1, 2, 1.0),
    Bar(0.190, 1.3, 1.3, 1, 1.3, 1, 1.0),
    Bar(0.280, 0.75, 0.75, 1, 0.75, 1, 1.0),
    Bar(0.380, 0.45, 0.45, 1, 0.45, 1, 1.0),
    Bar(0.660, 0.15, 0.15, 1, 0.15, 1, 1.0),
    Bar(0.940, 0.0, 0.0, 1, 0.0, 1, 2.4),
    Bar(1.300, -0.1, 9.0, 2, 0.0, 2, 3.8),
    Bar(1.600, -0.15, 9.0, 2, 0.0, 2, 5.2),
    Bar(1.900, -0.2, 9.0, 3, 0.0, 3, 7.1),
    Bar(2.170, -0.2, 9.0, 3, 0.0, 3, 11.0),
    Bar(2.400, -0.1, 9.0, 3, 0.0, 3, 14.0),
    Bar(2.600, 0.0, 9.0, 3, 0.0, 4, 17.0),
    Bar(2.800, 0.3, 9.0, 4, 0.6, 6, 14.0),
    Bar(5.000, 0.4, 9.0, 5, 1.0, 8, 10.0),
    Bar(9.500, 1.5, 9.0, 6, 3.0, 10, 1.0),
)
HIDDEN = 2.4  # from here on noise hides effects of the usual size
LATE = 70  # with so few runs left the incumbent is about to be measured again anyway, so one look less is asked
# Without a shared seed a comparison is noisier than its verdict need be: only what looks hopeless is not paired.
UNPAIRED_PATIENCE = -1.5
UNPAIRED_EXCESS = 1.4  # how much noisier it must be before a shared seed is asked for
UNKNOWN_TAKE = 3.0  # while noise is only assumed, one look is enough for nothing smaller


@lru_cache(maxsize=64)
def bar_at(ratio: float) -> Bar:
    """The row of `BARS` for this noise, interpolated; counts are rounded."""
    if ratio >= BARS[-1].ratio:
        return BARS[-1]
    for low, high in pairwise(BARS):
        if ratio < high.ratio:
            share = (ratio - low.ratio) / (high.ratio - low.ratio)
            return Bar(
                ratio,
                low.drop + share * (high.drop - low.drop),
                low.take + share * (high.take - low.take),
                round(low.looks + share * (high.looks - low.looks)),
                low.bar + share * (high.bar - low.bar),
                round(low.most + share * (high.most - low.most)),
                low.anchor + share * (high.anchor - low.anchor),
            )
    return BARS[-1]
