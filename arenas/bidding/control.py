"""The control policy: the same bid for everybody, at every hour. It is in the field on the same days; frozen."""

from __future__ import annotations

from typing import Any

BID = 0.2


def bids(seen: dict[str, Any]) -> list[float]:
    return [BID] * len(seen["worth"])
