"""Value that a bidding policy buys with a fixed budget a day, as ln(value / control's value), on the same auctions.

Candidate, control and incumbent are in the field side by side: each meets the same days, hours and rivals, each with a
purse of its own. They run in processes of their own and are told, hour by hour, what a platform would tell: places,
clicks, what was paid, and conversions once they have come home. Units are platforms: a policy that fits one does so on
all of its days, so ten days of it are not ten.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asking import Program, code_kb
from auction import HOURS, SEGMENTS, Auctions, Bidder, World, day_of, hour_of, morning, told, world
from confined import Failed, has_walls, shield
from units import coarse, drawn, jackknife

RULES: dict[str, Any] = json.loads(Path("rules.json").read_text("utf-8"))


@dataclass
class Bought:
    """What a policy bought: value of each day, its spending and what of it was spent before noon."""

    values: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    by_noon: list[float] = field(default_factory=list)


def asked(program: Program, bidder: Bidder, here: World, day: int, hour: int) -> list[float]:
    """The bids of one hour. Raises Failed."""
    said = program.ask("bids", told(here, bidder, day, hour))
    if not isinstance(said, list) or len(said) != len(SEGMENTS) or any(type(bid) not in (int, float) for bid in said):
        raise Failed("bad_output", "bids must answer one number for each segment.")
    if any(not 0.0 <= bid <= RULES["highest_bid"] for bid in said):
        raise Failed("guard_broken", f"A bid is from 0 to {RULES['highest_bid']:g}.")
    return [float(bid) for bid in said]


def played(policy: tuple[str, Path], worlds: list[tuple[World, list[Auctions]]]) -> Bought:
    """One policy through all days of all worlds; what it learned of one world stays there. Raises Failed."""
    file, folder = policy
    found = Bought()
    for here, days in worlds:
        bidder = Bidder(RULES["budget_a_day"])
        with Program(file, folder=folder) as program:
            for today in days:
                morning(bidder, today.day)
                for hour in range(HOURS):
                    hour_of(here, today, hour, asked(program, bidder, here, today.day, hour), bidder)
                found.values.append(bidder.value)
                found.spent.append(bidder.spent / bidder.budget)
                found.by_noon.append(bidder.by_noon / bidder.budget)
    return found


def platforms(values: list[float]) -> list[float]:
    """What was bought on each platform, of all its days."""
    days = RULES["days"]
    return [sum(values[at : at + days]) for at in range(0, len(values), days)]


def lift(pairs: list[tuple[float, float]]) -> float:
    """ln of what was bought by what the control bought, of the same days."""
    ours, theirs = (sum(column) for column in zip(*pairs, strict=True))
    if ours <= 0.0:
        raise Failed("idle", "The policy bought nothing.")
    return math.log(ours / theirs)


def main() -> int:
    shield()
    draw = drawn("worlds")
    worlds = []
    for _ in range(RULES["worlds"]):
        here = world(draw)
        worlds.append((here, [day_of(draw, here, day, RULES["auctions_a_day"]) for day in range(RULES["days"])]))
    policies = {
        "control": ("control.py", Path.cwd()),
        "candidate": ("bidder.py", Path(os.environ["AUTORESEARCH_SNAPSHOT"])),
    }
    if "AUTORESEARCH_INCUMBENT" in os.environ:
        policies["incumbent"] = ("bidder.py", Path(os.environ["AUTORESEARCH_INCUMBENT"]))
    try:
        bought = {name: played(policy, worlds) for name, policy in policies.items()}
        value = {name: platforms(found.values) for name, found in bought.items()}
        score, interval = jackknife(lift, list(zip(value["candidate"], value["control"], strict=True)))
        answer: dict[str, Any] = coarse(score, interval)
        if "incumbent" in bought:
            answer["incumbent"] = round(lift(list(zip(value["incumbent"], value["control"], strict=True))), 3)
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    ours = bought["candidate"]
    answer["secondary"] = {
        "spent_share": round(sum(ours.spent) / len(ours.spent), 3),
        "noon_share": round(sum(ours.by_noon) / len(ours.by_noon), 3),
        "days": float(len(ours.values)),
        "code_kb": code_kb("bidder.py"),
        "walls": float(has_walls()),
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
