"""Arms compared over whole campaigns: curves with bands, what each came to, differences with their intervals."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, stdev

from pydantic import Field

from mcp_server.judging.arms import Difference, difference, power
from mcp_server.judging.student import student_quantile
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.text import clean_line
from mcp_server.views.comparison.courses import Course, common_budget

MEASURES = ("gain", "area", "exam")
KEYS = ("campaign", "program", "style", "agent", "engine", "lab", "machine")
GRID = 60  # places of a curve
BAND = 0.95


class ArmReply(Reply):
    """One way of doing research, over its campaigns. Gains are over each campaign's own baseline."""

    arm: str
    campaigns: list[str]
    gain: float | None = Field(default=None, description="mean best gain at the common budget")
    interval: list[float] = Field(default_factory=list, description="95 % interval of that mean")
    area: float | None = Field(default=None, description="mean best gain over the common budget")
    exam_gain: float | None = Field(default=None, description="mean of the closing exams, where all have one")
    reached: str = Field(default="", description="how many reached the target, and when")
    experiments: float = 0.0
    hours: float = 0.0
    device_hours: float = 0.0
    cost_usd: float | None = Field(default=None, description="of all campaigns; absent where one attempt told none")
    tokens: int | None = None
    keep_rate: float | None = None
    false_keeps: float | None = Field(default=None, description="expected, a campaign")
    duplicates: int = 0
    crashes: int = 0
    programs: list[str] = Field(default_factory=list)
    styles: list[str] = Field(default_factory=list)
    agents: list[str] = Field(default_factory=list)


class DifferenceReply(Reply):
    """The first arm minus the second, in gains: positive where the first is better."""

    first: str
    second: str
    difference: float
    interval: list[float] = Field(default_factory=list, description="95 %")
    verdict: str = Field(description="which is better, or that nobody can say")
    paired: bool = Field(default=False, description="by machine and time")
    campaigns: list[int] = Field(default_factory=list)
    power: float | None = Field(default=None, description="chance to tell a true difference as large, with as many")
    needed: int | None = Field(default=None, description="campaigns an arm that would settle a difference as large")


class CurveReply(Reply):
    """An arm's best gain so far along an axis: mean over its campaigns, and the 95 % band of that mean."""

    arm: str
    spent: list[float]
    gain: list[float]
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)


class CompareReply(Reply):
    """Ways of doing research, compared over whole campaigns of one contract."""

    metric: str
    unit: str = ""
    contract: str
    measure: str
    axis: str
    budget: float = Field(description="of the axis, that every campaign has spent")
    target: float | None = None
    arms: list[ArmReply] = Field(default_factory=list)
    differences: list[DifferenceReply] = Field(default_factory=list)
    curves: list[CurveReply] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    next: str = ""


@dataclass(frozen=True)
class Arm:
    """A name and the campaigns that belong to it."""

    name: str
    courses: tuple[Course, ...]


def arms_of(asked: Sequence[str], courses: Sequence[Course]) -> list[Arm]:
    """Arms as they are asked for: `[NAME=]SELECTOR[,SELECTOR]`. Raises NotNow.

    A selector is a campaign's tag (with * for several) or KEY:VALUE, the key one of `KEYS`.
    """
    arms = []
    for text in asked:
        name, equals, rest = text.partition("=")
        selectors = (rest if equals else name).split(",")
        chosen = tuple(one for one in courses if any(_selects(selector.strip(), one) for selector in selectors))
        if not chosen:
            known = ", ".join(dict.fromkeys(one.tag for one in courses)) or "none"
            raise NotNow(
                f"No campaign fits the arm {clean_line(text, 80)}. Campaigns here: {known}. An arm is a tag, a pattern "
                f"such as night-*, or one of {', '.join(f'{key}:VALUE' for key in KEYS)}."
            )
        arms.append(Arm(clean_line(name.strip(), 40), chosen))
    if len({arm.name for arm in arms}) < len(arms):
        raise NotNow("Two arms have one name. Name them: first=TAG second=TAG.")
    return arms


def _selects(selector: str, course: Course) -> bool:
    key, colon, value = selector.partition(":")
    if not colon:
        return fnmatch.fnmatchcase(course.tag, selector)
    if key not in KEYS:
        raise NotNow(f"{clean_line(selector, 60)}: an arm is chosen by {', '.join(KEYS)}.")
    told = course.tag if key == "campaign" else str(getattr(course, key))
    if key == "program":
        return bool(value) and (told.startswith(value) or value.startswith(told))
    return fnmatch.fnmatchcase(told, value) or (key == "agent" and told.split(" ")[0] == value)


def compare(
    arms: Sequence[Arm], axis: str = "experiments", measure: str = "gain", target: float | None = None
) -> CompareReply:
    """Raises NotNow where the arms do not measure the same, or one campaign stands in two of them."""
    every = [course for arm in arms for course in arm.courses]
    _refuse_incomparable(arms, every)
    budget = common_budget(every, axis)
    notes = _notes(arms, axis, budget)
    first = every[0]
    reply = CompareReply(
        metric=first.metric,
        unit=first.unit,
        contract=first.contract,
        measure=measure,
        axis=axis,
        budget=round(budget, 6),
        target=target,
        arms=[_arm(arm, axis, budget, target) for arm in arms],
        curves=[_curve(arm, axis, budget) for arm in arms],
        notes=notes,
    )
    for place, one in enumerate(arms):
        for other in arms[place + 1 :]:
            reply.differences.append(_difference(one, other, axis, budget, measure))
    reply.next = _next(reply)
    return reply


def _refuse_incomparable(arms: Sequence[Arm], every: Sequence[Course]) -> None:
    contracts = {one.contract for one in every}
    if len(contracts) > 1:
        said = "; ".join(f"{c.lab + '/' if c.lab else ''}{c.tag}: {c.contract[:8]}" for c in every)
        raise NotNow(
            "These campaigns do not measure the same (metric, frozen files, run, score, budget, corpus), so they "
            f"cannot be compared: {said}. Choose campaigns of one contract."
        )
    seen: dict[tuple[str, str], str] = {}
    for arm in arms:
        for course in arm.courses:
            before = seen.setdefault((course.lab, course.tag), arm.name)
            if before != arm.name:
                raise NotNow(
                    f"Campaign {course.tag} stands in the arms {before} and {arm.name}. Let each stand in one."
                )


def value_of(course: Course, axis: str, budget: float, measure: str) -> float | None:
    """One campaign as one number; None where it has none."""
    if measure == "exam":
        return course.exam_gain
    return course.area(axis, budget) if measure == "area" else course.gain_at(axis, budget)


def _arm(arm: Arm, axis: str, budget: float, target: float | None) -> ArmReply:
    courses = arm.courses
    gains = [one.gain_at(axis, budget) for one in courses]
    exams = [one.exam_gain for one in courses if one.exam_gain is not None]
    costs = [one.points[-1].cost_usd if one.points else 0.0 for one in courses]
    tokens = [one.tokens for one in courses if one.tokens is not None]
    attempts = sum(one.attempts for one in courses)
    false = [one.false_keeps for one in courses if one.false_keeps is not None]
    return ArmReply(
        arm=arm.name,
        campaigns=[f"{one.lab}/{one.tag}" if one.lab else one.tag for one in courses],
        gain=_short(fmean(gains)),
        interval=[_short(edge) for edge in _interval(gains)],
        area=_short(fmean(one.area(axis, budget) for one in courses)),
        exam_gain=_short(fmean(exams)) if len(exams) == len(courses) else None,
        reached=_reached(courses, axis, target),
        experiments=attempts / len(courses),
        hours=round(fmean(one.hours for one in courses), 3),
        device_hours=round(fmean(one.points[-1].device_hours if one.points else 0.0 for one in courses), 4),
        cost_usd=None if None in costs else round(sum(cost or 0.0 for cost in costs), 4) or None,
        tokens=sum(tokens) or None,
        keep_rate=round(sum(one.kept for one in courses) / attempts, 4) if attempts else None,
        false_keeps=_short(fmean(false)) if false else None,
        duplicates=sum(one.duplicates for one in courses),
        crashes=sum(one.crashes for one in courses),
        programs=sorted({one.program for one in courses}),
        styles=sorted({one.style for one in courses if one.style}),
        agents=sorted({one.agent for one in courses}),
    )


def _reached(courses: Sequence[Course], axis: str, target: float | None) -> str:
    if target is None:
        return ""
    times = sorted(at for one in courses if (at := one.time_to(target, axis)) is not None)
    middle = f", the middle one after {times[len(times) // 2]:.4g} {axis.replace('_', ' ')}" if times else ""
    return f"{len(times)} of {len(courses)}{middle}"


def _curve(arm: Arm, axis: str, budget: float) -> CurveReply:
    spent = [budget * step / GRID for step in range(GRID + 1)]
    columns = [[one.gain_at(axis, at) for one in arm.courses] for at in spent]
    bands = [_interval(column) for column in columns]
    return CurveReply(
        arm=arm.name,
        spent=[_short(at) for at in spent],
        gain=[_short(fmean(column)) for column in columns],
        low=[_short(band[0]) for band in bands if band],
        high=[_short(band[1]) for band in bands if band],
    )


def _interval(values: Sequence[float]) -> list[float]:
    """Student's interval of a mean; [] for a single campaign."""
    if len(values) < 2:
        return []
    reach = student_quantile(0.5 + BAND / 2, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return [fmean(values) - reach, fmean(values) + reach]


def _difference(one: Arm, other: Arm, axis: str, budget: float, measure: str) -> DifferenceReply:
    partners = pairs(one.courses, other.courses)
    first, second = zip(*partners, strict=True) if partners else (one.courses, other.courses)
    values = [[value_of(course, axis, budget, measure) for course in arm] for arm in (first, second)]
    told = [[value for value in arm if value is not None] for arm in values]
    if any(None in arm for arm in values):  # to leave campaigns out would be to choose among them
        raise NotNow(f"Not every campaign of {one.name} and {other.name} has an exam. `autoresearch exam` measures it.")
    found = difference(told[0], told[1], bool(partners))
    return DifferenceReply(
        first=one.name,
        second=other.name,
        difference=_short(found.estimate),
        interval=[] if found.low is None or found.high is None else [_short(found.low), _short(found.high)],
        verdict=verdict(one.name, other.name, found),
        paired=found.paired,
        campaigns=list(found.campaigns),
        power=_power(found),
        needed=found.needed,
    )


def verdict(first: str, second: str, found: Difference) -> str:
    """In words: which is better, or how many campaigns would tell."""
    if found.claim:
        better, worse = (first, second) if found.claim > 0 else (second, first)
        return f"{better} is better than {worse}"
    if found.sd is None:
        return "nobody can say: an arm has one campaign, and one is no evidence of the next"
    more = "" if found.needed is None else f"; about {found.needed} campaigns an arm would settle a difference as large"
    return f"nobody can say{more}"


def _power(found: Difference) -> float | None:
    if found.sd is None:
        return None
    return round(power(abs(found.estimate), found.sd, min(found.campaigns), found.paired), 3)


def pairs(first: Sequence[Course], second: Sequence[Course]) -> list[tuple[Course, Course]]:
    """Campaigns of two arms that stood beside each other: of one block, or on one machine with overlapping times.

    All of both, or none: what is left over would be thrown away, and who is left out must not be chosen.
    """
    if len(first) != len(second) or len(first) < 2:
        return []
    found, free = [], list(second)
    for one in first:
        partner = next((other for other in free if _beside(one, other)), None)
        if partner is None:
            return []
        free.remove(partner)
        found.append((one, partner))
    return found


def _beside(one: Course, other: Course) -> bool:
    if one.block or other.block:
        return one.block == other.block
    if not one.machine or one.machine != other.machine:
        return False
    a, b = (datetime.fromisoformat(course.began_at).timestamp() / 3600 for course in (one, other))
    return a <= b + other.hours and b <= a + one.hours


def _notes(arms: Sequence[Arm], axis: str, budget: float) -> list[str]:
    notes = []
    begun = [course.tag for arm in arms for course in arm.courses if not course.points]
    if begun:
        notes.append(f"Without an attempt yet, so that nothing can be compared: {', '.join(begun)}.")
    elif axis == "cost_usd" and budget == 0:
        notes.append("Not every attempt told what it cost, so money cannot be an axis: no curve goes further.")
    alone = [arm.name for arm in arms if len(arm.courses) < 2]
    if alone:
        notes.append(f"One campaign alone has no band and proves nothing: {', '.join(alone)}.")
    machines = {course.machine for arm in arms for course in arm.courses if course.machine}
    if len(machines) > 1:
        notes.append(f"Measured on {len(machines)} kinds of machine; gains are over each campaign's own baseline.")
    if len(arms) > 2:
        notes.append(f"{len(arms) * (len(arms) - 1) // 2} differences were looked at; one alone is no surprise.")
    return notes


def _next(reply: CompareReply) -> str:
    if not reply.differences:
        return "One arm alone is no comparison: name a second one, or run both by `autoresearch tournament`."
    open_ones = [one for one in reply.differences if "nobody" in one.verdict]
    if not open_ones:
        return "The difference is told apart; the closing exams say how much of it holds (--measure exam)."
    needed = max((one.needed or 0 for one in open_ones), default=0)
    if needed:
        return f"More campaigns tell more: `autoresearch tournament` runs them; about {needed} an arm would settle it."
    return "More campaigns tell more: `autoresearch tournament` runs them."


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def default_arms(courses: Sequence[Course]) -> list[Arm]:
    """Without a wish: every campaign of the newest contract is an arm of its own, once it has an attempt.

    One that has only begun got nowhere yet, and all are compared as far as all of them got.
    """
    some = [one for one in courses if one.points] or courses
    newest = max(some, key=lambda one: one.began_at).contract
    return [Arm(one.tag, (one,)) for one in some if one.contract == newest]
