"""What to bid, hour by hour: `bids(seen)` answers one bid for each segment of users.

`seen` has `day` and `hour`, `budget` and `spent` of today, `worth` of a conversion in each segment, and for each
segment what there was so far: `won` places, `paid` for them, `clicks`, and conversions that have come `home`, which
takes days.
"""

from __future__ import annotations

from typing import Any

BID_LEVEL = 0.16  # where nothing is known
LEARNING = 0.2  # how far bids follow what a place has brought in its segment, 0 to 1
PRIOR_PLACES = 400.0  # how many places an average segment is imagined to have had before
PACE = 0.2  # how far bids follow the purse: 1 halves them where twice the due part is spent
EVENING_SHARE = 0.5  # of the bid that is made from 18 o'clock on, when rivals bid more


def bids(seen: dict[str, Any]) -> list[float]:
    level = BID_LEVEL * pace(seen)
    return [level * (1.0 + LEARNING * (better - 1.0)) for better in brought(seen)]


def pace(seen: dict[str, Any]) -> float:
    """Below 1 where more is spent than the hour has earned, above where less."""
    hour = seen["hour"]
    due = seen["budget"] * max(1, hour) / 24
    now = EVENING_SHARE if hour >= 18 else 1.0
    return now * (max(0.1, due) / max(0.1, seen["spent"], 0.25 * due)) ** PACE


def brought(seen: dict[str, Any]) -> list[float]:
    """What a place has brought in each segment, by the mean of all; clicks tell sooner than conversions do."""
    clicks, home, won = sum(seen["clicks"]), sum(seen["home"]), sum(seen["won"])
    usual = (clicks + 1.0) / (won + 4.0)
    usual_home = (home + 1.0) / (clicks + 5.0)
    found = []
    for at, worth in enumerate(seen["worth"]):
        rate = (seen["clicks"][at] + PRIOR_PLACES * usual) / (seen["won"][at] + PRIOR_PLACES)
        seen_clicks = seen["clicks"][at]
        converts = (seen["home"][at] + 0.25 * PRIOR_PLACES * usual_home) / (seen_clicks + 0.25 * PRIOR_PLACES)
        found.append(rate * converts * worth)
    mean = sum(found) / len(found)
    return [one / mean for one in found]
