"""An audience that does not exist: a stand-in for the system that shows advertisements, on an accelerated clock.

It knows nothing of the lab but the folders, as a system of your own would: orders in outbox/, answers in inbox/ once
their window is over. Within the window it splits an arm's traffic among its creatives by Thompson sampling, hour by
hour. What people like is drawn when the folder is first used and kept there, out of every run's sight.
"""

from __future__ import annotations

import json
import math
import random
import re
import secrets
import sys
import time
from pathlib import Path

from thompson import choose

from deploy import write

BASE_RATE = 0.05  # of the control in an average week
SEASON, SEASON_HOURS = 0.30, 21 * 24.0  # how far the season moves the logarithm of all rates
PLACE_SPREAD = 0.15  # some places are looked at more than others
HIDES = 0.002  # share of those who hide an advertisement; more, the longer it is
BENEFITS = ("warm", "fresh", "freshly", "soft", "crust", "taste", "tastes", "smell", "hot")
SOON = ("today", "tomorrow", "now", "morning", "sunday", "weekend", "until")
DOING = ("order", "reserve", "pick", "try", "taste", "get", "find", "visit")


def attend(folder: Path, now: float, rules: dict) -> None:
    """Answer every order whose window is over. May be cut short and repeated: the same order, the same answer."""
    world = _world(folder, now)
    for path in sorted((folder / "outbox").glob("*.json")):
        answer = folder / "inbox" / path.name
        order = json.loads(path.read_text())
        if answer.exists() or (now - order["deployed_at"]) * rules["hours_per_second"] < order["window_hours"]:
            continue
        hour = (order["deployed_at"] - world["began"]) * rules["hours_per_second"]
        write(answer, {"name": order["name"], **{arm: shown(world, order, arm, hour) for arm in order["arms"]}})


def shown(world: dict, order: dict, arm: str, hour: float) -> dict:
    """What an arm brought: all its creatives together, and each by itself."""
    creatives, messages = order["arms"][arm]["plan"]["creatives"], order["arms"][arm]["messages"]
    draw = random.Random(f"{world['seed']} {order['name']} {arm}")
    likes = [appeal(world, creative) for creative in creatives]
    places = [random.Random(f"{world['seed']} place {at}").gauss(0, PLACE_SPREAD) for at in range(order["inboxes"])]
    seen, came, hidden = [0] * len(creatives), [0] * len(creatives), 0
    hours = math.ceil(order["window_hours"])
    for turn in range(hours):
        known = list(seen), list(came)  # within an hour nothing new is known
        season = SEASON * math.sin(2 * math.pi * ((hour + turn) / SEASON_HOURS + world["phase"]))
        for at in range(messages // hours + (turn < messages % hours)):
            chosen = choose(*known, draw)
            rate = min(0.9, BASE_RATE * math.exp(likes[chosen] + season + places[at % len(places)]))
            seen[chosen] += 1
            came[chosen] += draw.random() < rate
            hidden += draw.random() < HIDES * (1 + len(creatives[chosen]["body"]) / 60)
    variants = [{"delivered": one, "replies": two} for one, two in zip(seen, came, strict=True)]
    return {"delivered": sum(seen), "replies": sum(came), "complaints": hidden, "variants": variants}


def appeal(world: dict, creative: dict) -> float:
    """What a creative does to the logarithm of the rate: what anybody can count, each liked as it was drawn."""
    head, body = (re.findall(r"[a-z0-9']+", creative[part].lower()) for part in ("headline", "body"))
    text, call = head + body, re.findall(r"[a-z']+", creative["call"].lower())
    you, we = (sum(word in words for word in text) for words in (("you", "your", "yours"), ("we", "us", "our")))
    counted = {
        "short headline": -abs(len(head) - 4) / 3,
        "about you": max(-2, min(2, you - we)),
        "benefit": min(2, sum(word in BENEFITS for word in text)),
        "soon": min(1, sum(word in SOON for word in text)),
        "doing": 1 if call and call[0] in DOING else 0,
        "question": 1 if "?" in creative["headline"] else 0,
        "long body": -max(0, len(body) - 12) / 5,
    }
    return sum(world["likes"][name] * value for name, value in counted.items()) - world["control"]


def _world(folder: Path, now: float) -> dict:
    path = folder / "world.json"
    if not path.exists():
        seed = secrets.randbits(32)
        draw = random.Random(seed)
        usual = {"short headline": 0.2, "about you": 0.15, "benefit": 0.2, "soon": 0.2, "doing": 0.25}
        likes = {name: max(0.05, draw.gauss(size, 0.05)) for name, size in usual.items()}
        likes |= {"question": draw.choice((-0.2, 0.2)), "long body": 0.15}
        world = {"seed": seed, "began": now, "phase": draw.random(), "likes": likes, "control": 0.0}
        (control,) = json.loads((Path(__file__).parent / "control.json").read_text())["creatives"]
        world["control"] = appeal(world, control)
        write(path, world)
    found: dict = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python audience.py HANDOVER_FOLDER    answers what is due, every second, until Ctrl-C")
    rules = json.loads((Path(__file__).parent / "field.json").read_text())
    while True:
        attend(Path(sys.argv[1]), time.time(), rules)
        time.sleep(1.0)
