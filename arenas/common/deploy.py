"""The score command: check a sealed plan, book it, hand it over, and answer "pending" until the world has answered.

It always runs in the campaign's first version and is the only program that may write the hand-over folder, which all
experiments of all campaigns of this lab share:

    limits.json   the human's ceilings, and what they are counted in (prices, inboxes, clock, system): written once,
                  from field.json; a campaign may be tighter, never looser
    book/         one file for each order, written before anything leaves: what counts against the ceilings
    outbox/       orders for the system that deploys. It leaves them there until it has answered.
    inbox/        its answers, one file for each order, written beside and renamed

It may be killed anywhere: a name is booked once, handed over once, and asked about as often as it takes. Nothing is
imported from the plan, and nothing in it is believed beyond its numbers.
"""

import fcntl
import importlib
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

FIELD, CONTROL = Path("field.json"), Path("control.json")
PLAN_BYTES = 65_536
LONGEST_RETRY_SECONDS = 3600.0  # a system of your own may be early or late
# Which of two values of a rule is the tighter one; "files" comes before "simulator".
TIGHTER = {"inboxes": min, "window_hours": min, "hours_per_second": min, "give_up_hours": max, "system": min}
LEAST_DELIVERED = 0.5  # of an arm; below that something else was measured


def main() -> dict:
    """One question to the field: the answer for the lab."""
    handover, name = Path(os.environ["AUTORESEARCH_HANDOVER"]), os.environ["AUTORESEARCH_RUN"]
    rules, control = json.loads(FIELD.read_text()), json.loads(CONTROL.read_text())
    for folder in ("book", "outbox", "inbox"):
        (handover / folder).mkdir(exist_ok=True)
    with open(handover / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several supervisors may ask at once, and there is one purse
        rules |= standing(handover / "limits.json", rules)
        order = read(handover / "book" / f"{name}.json")
        if order is None:
            plan, why = read_plan(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "plan.json", rules["plan"])
            if not why and "brand" in rules:  # rules about words, in a file of the arena's own
                why = importlib.import_module(rules["brand"]).refusal(plan)
            if why:
                return {"rejected": "guard_broken", "detail": f"Nothing was deployed: {why}"}
            if rules["system"] != "simulator" and os.environ.get("AUTORESEARCH_TIER") == "T0":
                words = "Nothing was deployed: without any sandbox a run could write the hand-over folder itself."
                return {"rejected": "no_walls", "detail": words}
            order = ordered(name, plan, control, rules, time.time())
            refusal = afford(order, booked(handover), rules["limits"], rules, time.time())
            if refusal is not None:
                return refusal
            write(handover / "book" / f"{name}.json", order)
        out, back = handover / "outbox" / f"{name}.json", handover / "inbox" / f"{name}.json"
        if not out.exists() and not back.exists():
            write(out, order)
        if rules["system"] == "simulator":
            importlib.import_module(rules.get("simulator", "inboxes")).attend(handover, time.time(), rules)
        return settled(order, read(back), rules, time.time())


# --- guard rails ------------------------------------------------------------------------------------------------------


def read_plan(path: Path, allowed: dict) -> tuple[dict, str]:
    """The plan, or why it is none."""
    if not path.is_file() or path.stat().st_size > PLAN_BYTES:
        return {}, f"the run must leave plan.json of at most {PLAN_BYTES} bytes."
    try:
        plan = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return {}, "plan.json is not JSON."
    why = wrong(plan, allowed, "plan.json")
    return ({}, why) if why else (plan, "")


def wrong(plan: object, allowed: dict, where: str) -> str:
    """Why a plan, or a part of it, is none; "" when it has every name, each within its limits, and no other."""
    if not isinstance(plan, dict) or set(plan) != set(allowed):
        return f"{where} must have exactly {', '.join(allowed)}."
    for name, rule in allowed.items():
        value = plan[name]
        if "choices" in rule:
            if value not in rule["choices"]:
                return f"{name} must be one of {', '.join(rule['choices'])}."
        elif "longest" in rule:
            if not isinstance(value, str) or len(value) > rule["longest"]:
                return f"{name} must be a text of at most {rule['longest']} characters."
        elif "most" in rule:  # several at once, each with the same parts
            if not isinstance(value, list) or not 1 <= len(value) <= rule["most"]:
                return f"{name} must be a list of 1 to {rule['most']}."
            for one in value:
                if why := wrong(one, rule["each"], f"each of {name}"):
                    return why
        elif type(value) not in (int, float) or not rule["min"] <= value <= rule["max"]:  # NaN is within nothing
            return f"{name} must be a number from {rule['min']} to {rule['max']}."
    return ""


def ordered(name: str, plan: dict, control: dict, rules: dict, now: float) -> dict:
    """What is deployed: both letters, to equally many readers, in the same hours. How many is not the plan's to say."""
    each = rules["messages_each_arm"]
    arms = {arm: {"plan": letter, "messages": each} for arm, letter in (("candidate", plan), ("control", control))}
    sent = sum(each * (1 + math.ceil(letter.get("follow_ups", 0))) for letter in (plan, control))
    spend = sum(each * cost(letter, rules["price"]) for letter in (plan, control))
    return {
        "name": name,
        "deployed_at": now,
        "window_hours": rules["window_hours"],
        "inboxes": rules["inboxes"],
        "arms": arms,
        "messages": sent,
        "spend": round(spend, 2),
    }


def cost(letter: dict, price: dict) -> float:
    """What one reader costs at most: prices of what the plan has several of, and those that come once."""
    return sum(one * letter.get(f"{name}s", 1) for name, one in price.items())


def standing(path: Path, rules: dict) -> dict:
    """The human's limits with all that they are counted in, each the tighter of what stood there and this campaign's.

    A ceiling on money holds nothing where a later campaign could set the price to nothing, one on messages a day where
    it could claim more inboxes than there are, one on the field where it could call what is out long given up, and no
    ceiling at all where it could have the simulator answer what was deployed for real.
    """
    ours = {name: rules[name] for name in ("limits", "price", *TIGHTER)}
    theirs = read(path)
    if theirs is not None and "limits" not in theirs:  # an earlier version kept the limits alone
        theirs = {"limits": theirs}
    found = dict(ours)
    if theirs is not None:
        limits, price = theirs.get("limits", {}), theirs.get("price", {})
        found["limits"] = {name: min(limit, limits.get(name, limit)) for name, limit in ours["limits"].items()}
        found["price"] = {name: max(one, price.get(name, one)) for name, one in ours["price"].items()}
        found |= {name: tighter(ours[name], theirs.get(name, ours[name])) for name, tighter in TIGHTER.items()}
    if theirs is None or not theirs.keys() >= ours.keys() or found["system"] != theirs["system"]:
        write(path, {**found, **(theirs or {}), "system": found["system"]})
    return found


def booked(handover: Path) -> list[dict]:
    """Every order there ever was in this lab, with whether it is still out."""
    orders = [json.loads(path.read_text()) for path in sorted((handover / "book").glob("*.json"))]
    return [{**order, "out": not (handover / "inbox" / f"{order['name']}.json").exists()} for order in orders]


def afford(order: dict, before: list[dict], limits: dict, rules: dict, now: float) -> dict | None:
    """None when the order may leave; else the answer that says why not, or not yet."""
    a_day = order["messages"] / order["inboxes"] / (order["window_hours"] / 24)
    if a_day > limits["messages_per_inbox_a_day"]:
        return {"rejected": "guard_broken", "detail": f"Nothing was deployed: {a_day:.0f} messages a day and inbox."}
    spent = sum(one["spend"] for one in before)
    if spent + order["spend"] > limits["spend_total"]:
        words = f"Nothing was deployed: {spent:.2f} of {limits['spend_total']:.2f} are spent and this costs "
        return {"rejected": "budget_spent", "detail": words + f"{order['spend']:.2f}."}
    if order["messages"] > limits["messages_in_field"]:
        return {"rejected": "guard_broken", "detail": "Nothing was deployed: it alone is more than the field may hold."}
    out = [one for one in before if one["out"] and hours_since(one, rules, now) < rules["give_up_hours"]]
    if sum(one["messages"] for one in out) + order["messages"] > limits["messages_in_field"]:
        first = max(0.0, min(one["window_hours"] - hours_since(one, rules, now) for one in out))
        return later(first, rules)
    return None


# --- the answer -------------------------------------------------------------------------------------------------------


def settled(order: dict, outcome: dict | None, rules: dict, now: float) -> dict:
    """The score once the world has answered; until then when to ask again."""
    since = hours_since(order, rules, now)
    wrong = "no answer has come" if outcome is None else implausible(outcome, order)
    if wrong:
        print(f"{order['name']}: {wrong}, {since:.1f} hours after its hand-over", file=sys.stderr)
        if since > rules["give_up_hours"]:
            return {"rejected": "no_outcome", "detail": f"{wrong.capitalize()} within {rules['give_up_hours']} hours."}
        return later(order["window_hours"] - since, rules)
    candidate, control = outcome["candidate"], outcome["control"]
    # half a reply more on both sides keeps the logarithm finite and hardly moves it
    (a, n), (b, m) = ((arm["replies"] + 0.5, arm["delivered"] + 0.5) for arm in (candidate, control))
    lift, error = math.log(a / n) - math.log(b / m), math.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    variants = {
        f"variant_{at}_percent": round(100 * one["replies"] / max(1, one["delivered"]), 3)
        for at, one in enumerate(candidate.get("variants", []), 1)
    }
    return {
        "score": round(lift, 6),
        "interval": [round(lift - 1.96 * error, 6), round(lift + 1.96 * error, 6)],
        "secondary": {
            "reply_percent": round(100 * candidate["replies"] / candidate["delivered"], 3),
            "control_percent": round(100 * control["replies"] / control["delivered"], 3),
            "complaints_per_thousand": round(1000 * candidate["complaints"] / candidate["delivered"], 3),
            "spend": order["spend"],
            **variants,
        },
    }


def implausible(outcome: dict, order: dict) -> str:
    """Why an answer cannot be one; "" when it can."""
    for arm, sent in order["arms"].items():
        counts = outcome.get(arm) if isinstance(outcome, dict) else None
        names = ("delivered", "replies", "complaints")
        if not isinstance(counts, dict) or any(type(counts.get(name)) is not int for name in names):
            return f"the answer has no whole numbers {', '.join(names)} for {arm}"
        if not 0 <= counts["replies"] <= counts["delivered"] <= sent["messages"] or counts["complaints"] < 0:
            return f"the answer's counts for {arm} contradict each other"
        variants = counts.get("variants", [])
        if not isinstance(variants, list) or not all(isinstance(one, dict) for one in variants):
            return f"the answer's variants for {arm} are none"
        if any(type(one.get(name)) is not int for one in variants for name in ("delivered", "replies")):
            return f"the answer's variants for {arm} have no whole numbers delivered, replies"
        if counts["delivered"] < LEAST_DELIVERED * sent["messages"]:
            return f"too few letters of {arm} were delivered"
    return ""


def hours_since(order: dict, rules: dict, now: float) -> float:
    """Hours in the field; a simulator's go faster."""
    return (now - order["deployed_at"]) * rules["hours_per_second"]


def later(hours: float, rules: dict) -> dict:
    """Ask again when the window closes, and then every now and then."""
    seconds = hours / rules["hours_per_second"]
    soon = 0.2 if rules["system"] == "simulator" else 60.0
    return {"pending": True, "retry_after_seconds": round(min(LONGEST_RETRY_SECONDS, max(soon, seconds)), 3)}


# --- files ------------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict | None:
    """What a file says; None while there is none, or none that can be read."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        if path.parent.name == "inbox":
            return {}  # half an answer, from a system that does not rename: no answer yet
        raise


def write(path: Path, content: dict) -> None:
    """Whole or not at all, whatever is killed meanwhile."""
    fd, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(fd, "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


if __name__ == "__main__":
    print(json.dumps(main()))
