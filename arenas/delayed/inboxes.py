"""Fifteen inboxes that do not exist: a stand-in for the system that deploys, on an accelerated clock.

It knows nothing of the lab but the folders: it reads orders in outbox/ and answers in inbox/ once their window is
over, as a system of your own would. `deploy.py` lets it look round at every question; `python inboxes.py FOLDER` does
the same from outside. What readers like is drawn when the folder is first used and kept there, out of every run's
sight: this file says of which kind it is, not what it is.
"""

import json
import math
import random
import secrets
import sys
import time
from pathlib import Path

from deploy import write

BASE_RATE = 0.10  # of the control letter in an average week
SEASON = 0.30  # how far the season moves the logarithm of all rates
SEASON_HOURS = 21 * 24.0
INBOX_SPREAD = 0.15  # some addresses are liked better than others
GREETINGS = ("plain", "warm", "formal")


def attend(folder: Path, now: float, rules: dict) -> None:
    """Answer every order whose window is over. May be cut short and repeated: the same order, the same answer."""
    world = _world(folder, now)
    for path in sorted((folder / "outbox").glob("*.json")):
        answer = folder / "inbox" / path.name
        order = json.loads(path.read_text())
        if answer.exists() or (now - order["deployed_at"]) * rules["hours_per_second"] < order["window_hours"]:
            continue
        hour = (order["deployed_at"] - world["began"]) * rules["hours_per_second"]
        arms = {arm: _sent(world, order, arm, hour) for arm in order["arms"]}
        write(answer, {"name": order["name"], **arms})


def _sent(world: dict, order: dict, arm: str, hour: float) -> dict:
    plan, messages = order["arms"][arm]["plan"], order["arms"][arm]["messages"]
    draw = random.Random(f"{world['seed']} {order['name']} {arm}")
    replies = complaints = delivered = 0
    for inbox in range(order["inboxes"]):
        share = messages // order["inboxes"] + (inbox < messages % order["inboxes"])
        liked = random.Random(f"{world['seed']} inbox {inbox}").gauss(0, INBOX_SPREAD)
        # the season and the inbox move both letters alike: that is why a control travels along
        rate = min(0.9, BASE_RATE * math.exp(appeal(world, plan) + season(world, hour) + liked))
        for _ in range(share):
            delivered += draw.random() < 0.98
            replies += draw.random() < rate * 0.98
            complaints += draw.random() < 0.002 * (1 + plan["follow_ups"]) ** 1.5
    return {"delivered": max(delivered, replies), "replies": replies, "complaints": complaints}


def season(world: dict, hour: float) -> float:
    """What the time of the year does to the logarithm of every rate."""
    return SEASON * math.sin(2 * math.pi * (hour / SEASON_HOURS + world["phase"]))


def appeal(world: dict, plan: dict) -> float:
    """What the letter itself does, against the control's."""
    best = world["best"]
    control = {"subject_words": 14, "body_words": 260, "send_hour": 18, "personal_lines": 1, "follow_ups": 1}
    return _liking(best, plan) - _liking(best, {**control, "greeting": "plain"})


def _liking(best: dict, plan: dict) -> float:
    off = {name: math.log2(max(plan[name], 0.5) / best[name]) for name in ("subject_words", "body_words")}
    hours = (plan["send_hour"] - best["send_hour"]) / 4
    personal = math.log2(max(plan["personal_lines"], 0.5) / best["personal_lines"])
    liked = -0.14 * off["subject_words"] ** 2 - 0.14 * off["body_words"] ** 2
    liked += -0.08 * min(hours, 4.0) ** 2 - 0.08 * personal**2
    return liked + 0.12 * math.log2(1 + plan["follow_ups"]) + (0.1 if plan["greeting"] == best["greeting"] else 0.0)


def _world(folder: Path, now: float) -> dict:
    path = folder / "world.json"
    if not path.exists():
        seed = secrets.randbits(32)
        draw = random.Random(seed)
        best = {
            "subject_words": draw.uniform(4, 7),
            "body_words": draw.uniform(70, 120),
            "send_hour": draw.uniform(8.5, 10.5),
            "personal_lines": draw.uniform(2.5, 4.0),
            "greeting": draw.choice(GREETINGS),
        }
        write(path, {"seed": seed, "began": now, "phase": draw.random(), "best": best})
    return json.loads(path.read_text())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python inboxes.py HANDOVER_FOLDER    answers what is due, every second, until Ctrl-C")
    rules = json.loads((Path(__file__).parent / "field.json").read_text())
    while True:
        attend(Path(sys.argv[1]), time.time(), rules)
        time.sleep(1.0)
