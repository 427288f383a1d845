"""How far can a run be believed? What its history alone tells, finding by finding. Pure but for the commits.

Each finding is one sentence and the rows it rests on. What could not be checked is said; silence means it was.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import NormalDist, correlation, fmean, median

from mcp_server.histories.noise import Noise, marks, noise_of
from mcp_server.histories.rows import KEPT, History, Row, Unreadable
from mcp_server.histories.words import REPEAT, seed_only, whole
from mcp_server.judging.student import student_cdf

LEAST_CORRELATED = 8  # rows with steps
CORRELATED, SURE = 0.6, 0.01
CURSED = 0.2  # of the claimed gain
FALSE_KEEPS = 0.5
LEAST_KEPT = 4  # keeps, most of them no better, that say they were decided by something else
LONG_PAUSE = 10.0  # times the usual one
LEAST_PAUSES = 5
MOST_NUMBERS = 100_000
COMMIT = re.compile(r"[0-9a-f]{6,64}(?![0-9A-Za-z])")  # what else stands in that column (-, baseline, HEAD) names none
Known = Callable[[str], bool]  # whether a commit resolves


@dataclass(frozen=True)
class Finding:
    """What is wrong, in one sentence, and the rows that show it."""

    code: str
    sentence: str
    rows: tuple[Row, ...] = ()
    unread: tuple[Unreadable, ...] = ()

    @property
    def evidence(self) -> list[tuple[int, str]]:
        """(line, words) of each row it rests on."""
        read = [(row.line, row.words()) for row in self.rows]
        return read + [(one.line, one.words()) for one in self.unread]


@dataclass(frozen=True)
class Audit:
    """What an audit found, what it could not look at, and what it counted."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]
    keeps: int
    claimed: float | None  # the gain of the last best over the first score
    believed: float | None
    false_keeps: float | None
    noise: Noise | None


def audit(history: History, known: Known | None = None, stated_noise: float | None = None) -> Audit:
    """Look a history through. known: of the repository the commits should be in; stated_noise: sd of one run."""
    noise = noise_of(history, stated_noise)
    gains = history.gain_over_best()
    keeps = [row for row in history.rows if row.status == KEPT and row.line in gains and not deliberate(row)]
    elsewise = _elsewise(keeps, gains)
    belief = believe(gains, history.rows, [] if elsewise else keeps, noise)
    checks: list[Iterator[Finding]] = [
        _unread(history),
        _unresolved(history, known),
        _not_better(keeps, gains, history.schema.metric),
        _within_noise([] if elsewise else keeps, gains, noise, history.schema.metric),
        _seeds(history, gains),
        _duplicates(history),
        _gaps(history),
        _steps(history, gains),
        _curse(belief),
        _false_keeps(belief),
    ]
    claimed = sum(max(0.0, gains[row.line]) for row in keeps) if keeps else None
    return Audit(
        findings=tuple(one for found in checks for one in found),
        unchecked=tuple(_unchecked(history, known, noise, 0 if elsewise else len(keeps) - len(belief.judged))),
        keeps=len(keeps),
        claimed=claimed,
        believed=belief.believed,
        false_keeps=belief.false,
        noise=noise,
    )


# --- what the keeps are worth -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worth:
    """Gains of the keeps that can be judged as claimed and as one may believe them, and how many are probably none."""

    judged: tuple[Row, ...] = ()
    claimed: float = 0.0
    believed: float | None = None
    false: float | None = None
    doubtful: tuple[Row, ...] = ()  # by falling doubt, those more likely false than not


def believe(gains: dict[int, float], rows: Sequence[Row], keeps: Sequence[Row], noise: Noise | None) -> Worth:
    """What the keeps are worth, each segment by its own noise: another one may measure something else."""
    judged: list[Row] = []
    means: dict[int, float] = {}
    chances: dict[int, float] = {}
    all_gains: dict[int, list[float]] = {}
    for row in rows:
        if row.line in gains:
            all_gains.setdefault(row.segment, []).append(gains[row.line])
    kept: dict[int, list[Row]] = {}
    for row in keeps:
        kept.setdefault(row.segment, []).append(row)
    for segment, own in kept.items():
        width = noise.apart_at(own[0]) if noise else None
        if width is not None:
            found = all_gains[segment]
            judged += own
            for row in own:
                means[row.line], chances[row.line] = _believed(gains[row.line], found, own, gains, width)
    if not judged:
        return Worth()
    claimed = sum(max(0.0, gains[row.line]) for row in judged)
    believed = min(claimed, sum(max(0.0, mean) for mean in means.values()))
    doubtful = sorted((row for row in judged if chances[row.line] > 0.5), key=lambda row: -chances[row.line])
    return Worth(tuple(judged), claimed, believed, sum(chances.values()), tuple(doubtful))


def _believed(
    gain: float, found: Sequence[float], keeps: Sequence[Row], gains: dict[int, float], width: float
) -> tuple[float, float]:
    """A kept gain shrunk by what all gains of its segment show of true ones, and the chance that it is none.

    Empirical Bayes with a normal prior: a posterior mean needs no correction for having been chosen (Efron 2011,
    "Tweedie's formula and selection bias"). The prior's centre is that of all attempts, most of which bring nothing; a
    crash or an outlier does not move it. Nor is it ever above nothing: a log of keeps alone would prove itself.
    """
    if width == 0:
        return gain, float(gain <= 0)
    middle = min(0.0, median(found))
    # the usual size of a true change, from the middle half, which no outlier reaches
    spread = 1.4826 * median(abs(one - middle) for one in found)
    kept = fmean(gains[row.line] for row in keeps)
    size = max(math.sqrt(max(0.0, spread**2 - width**2)), max(0.0, kept - middle) / 2, 1e-12)
    share = size**2 / (size**2 + width**2)
    mean = middle + share * (gain - middle)
    return mean, NormalDist(mean, math.sqrt(share) * width).cdf(0.0)


# --- the findings -----------------------------------------------------------------------------------------------------


def _unread(history: History) -> Iterator[Finding]:
    lost_rows = tuple(one for one in history.unreadable if not one.other)
    if lost_rows:
        count = len(lost_rows)
        lost = f"{_rows(count)} cannot be read."
        if history.shape == "branch":
            lost = f"{count} of {count + len(history.rows)} commits tell no {history.schema.metric}."
        yield Finding("unreadable", lost, unread=lost_rows)


def _unresolved(history: History, known: Known | None) -> Iterator[Finding]:
    if known is None:
        return
    named = [row for row in history.rows if COMMIT.match(row.commit)]
    lost = [row for row in named if (found := COMMIT.match(row.commit)) and not known(found[0])]
    if lost:
        yield Finding(
            "unresolvable",
            f"{len(lost)} of {len(named)} commits do not resolve in the repository, so nobody can look at or repeat "
            "what they measured.",
            tuple(lost),
        )


def _elsewise(keeps: Sequence[Row], gains: dict[int, float]) -> bool:
    """Whether most keeps are no better than the best before: something else decided them, and gains mean little."""
    return len(keeps) >= LEAST_KEPT and 2 * sum(gains[row.line] <= 0 for row in keeps) > len(keeps)


def _not_better(keeps: Sequence[Row], gains: dict[int, float], metric: str) -> Iterator[Finding]:
    worse = [row for row in keeps if gains[row.line] <= 0]
    if worse:
        words = "is" if len(worse) == 1 else "are"
        sentence = f"{len(worse)} of {len(keeps)} keeps {words} not better than the best that was kept before"
        if _elsewise(keeps, gains):
            sentence += (
                f": something other than {metric} decided them, or it is told against each one's predecessor, so what "
                "they gained is not judged"
            )
        yield Finding("not_better", f"{sentence}.", tuple(worse))


def _within_noise(keeps: Sequence[Row], gains: dict[int, float], noise: Noise | None, metric: str) -> Iterator[Finding]:
    apart = {row.line: noise.apart_at(row) if noise else None for row in keeps}
    better = [row for row in keeps if gains[row.line] > 0 and apart[row.line] is not None]
    inside = [row for row in better if gains[row.line] < (apart[row.line] or 0.0)]
    if noise is not None and inside:
        words = "is" if len(inside) == 1 else "are"
        yield Finding(
            "within_noise",
            f"{len(inside)} of {len(better)} kept gains of {metric} {words} smaller than {noise.words_at(inside)}.",
            tuple(inside),
        )


def _seeds(history: History, gains: dict[int, float]) -> Iterator[Finding]:
    rows = [row for row in history.rows if seed_only(row.description)]
    by_config: dict[tuple[int, str], Row] = {}
    for row in history.rows:
        earlier = by_config.get((row.segment, row.config)) if row.config else None
        if earlier is not None and row.seed is not None and row.seed != earlier.seed and row.status == KEPT:
            rows.append(row)
        if row.config:
            by_config.setdefault((row.segment, row.config), row)
    rows = list(dict.fromkeys(rows))
    kept = [row for row in rows if row.status == KEPT and row.line in gains]
    if not rows:
        return
    several = "One row changes" if len(rows) == 1 else f"{len(rows)} rows change"
    if kept:
        won = max(gains[row.line] for row in kept)
        sentence = f"{several} nothing but the seed, and {len(kept)} of them was kept as a win ({won:+.3g})."
        sentence = sentence.replace("1 of them was kept", "it was kept") if len(rows) == 1 else sentence
    else:
        sentence = f"{several} nothing but the seed."
    yield Finding("seed_only", sentence, tuple(rows))


def _duplicates(history: History) -> Iterator[Finding]:
    seen: dict[tuple[int, str, str], Row] = {}
    again: dict[Row, None] = {}  # in order
    for row in history.rows:
        if deliberate(row):
            continue
        keys = [(row.segment, kind, f"{key} {row.seed or ''}") for kind, key in marks(row)]
        earlier = next((seen[key] for key in keys if key in seen), None)
        if earlier is not None:
            again |= dict.fromkeys((earlier, row))
        for key in keys:
            seen.setdefault(key, row)
    if again:
        yield Finding(
            "duplicates",
            f"{len(again)} rows tell of the same attempt as another: the same configuration or the same words.",
            tuple(again),
        )


def deliberate(row: Row) -> bool:
    """Whether a row says itself that it repeats another."""
    return row.baseline or REPEAT.search(row.description) is not None


def _gaps(history: History) -> Iterator[Finding]:
    told = {found for one in history.unreadable if (found := number_in(one)) is not None}
    told |= {row.number for row in history.rows if row.number is not None}  # segments may share one numbering
    segments: dict[int, list[Row]] = {}
    for row in history.rows:
        segments.setdefault(row.segment, []).append(row)
    for rows in segments.values():
        numbered = [row for row in rows if row.number is not None]
        numbers = sorted({row.number for row in numbered if row.number is not None})
        missing: list[int] = []
        if len(numbers) > 1 and numbers[-1] - numbers[0] < MOST_NUMBERS:
            missing = sorted(set(range(numbers[0], numbers[-1])) - told)
        if 0 < len(missing) <= len(numbers):  # else they do not count: dates, or numbers of something else
            after = [row for row in numbered if row.number is not None and row.number + 1 in missing]
            runs = "1 run is" if len(missing) == 1 else f"{len(missing)} runs are"
            yield Finding("gaps", f"{runs} missing from the numbering: {_ranges(missing)}.", tuple(after))
        yield from _pauses(rows)


def number_in(lost: Unreadable) -> int | None:
    """The number of an unreadable row, so that it is not called missing as well."""
    return lost.number if lost.number is not None else whole(lost.text.split(" ", 1)[0])


def _pauses(rows: Sequence[Row]) -> Iterator[Finding]:
    timed = [(when, row) for row in rows if (when := seconds_of(row.at)) is not None]
    steps = [(after - before, row) for (before, _), (after, row) in pairwise(timed)]
    back = [row for step, row in steps if step < 0]
    if back:
        carry = "1 row carries" if len(back) == 1 else f"{len(back)} rows carry"
        yield Finding("gaps", f"{carry} an earlier time than the row before.", tuple(back))
    forward = [step for step, _ in steps if step > 0]
    if len(forward) < LEAST_PAUSES:
        return
    usual = median(forward)
    long = [row for step, row in steps if step > LONG_PAUSE * usual]
    if long:
        yield Finding(
            "gaps",
            f"{len(long)} of {len(steps)} pauses took over {LONG_PAUSE:.0f} times the usual {usual / 60:.3g} minutes: "
            "the machine may have changed, and attempts may be missing.",
            tuple(long),
        )


def _steps(history: History, gains: dict[int, float]) -> Iterator[Finding]:
    rows = [row for row in history.rows if row.scored and row.steps is not None and row.score is not None]
    if len(rows) < LEAST_CORRELATED:
        return
    done = [row.steps or 0.0 for row in rows]
    worth = [history.gain(row.score or 0.0, 0.0) for row in rows]
    if len(set(done)) < 2 or len(set(worth)) < 2:
        return
    # of the changes from row to row: a slow drift of both says nothing
    moved, won = _changes(done), _changes(worth)
    r = correlation(moved, won) if len(set(moved)) > 1 and len(set(won)) > 1 else 0.0
    degrees = len(rows) - 3
    t = r * math.sqrt(degrees / max(1e-12, 1 - r * r))
    if r < CORRELATED or 1 - student_cdf(t, degrees) > SURE:
        return
    before = dict(zip([row.line for row in rows[1:]], rows, strict=False))
    kept = [row for row in rows[1:] if row.status == KEPT and gains.get(row.line, 0.0) > 0]
    faster = [row for row in kept if (row.steps or 0.0) > (before[row.line].steps or 0.0)]
    yield Finding(
        "steps",
        f"Steps done explain {r * r:.0%} of what moved the score (r = {r:.2f} over {len(rows)} rows): "
        f"{len(faster)} of {len(kept)} kept gains came with more steps in the same time, so the machine or the speed "
        "of the code may have won, not the idea.",
        tuple(faster),
    )


def _changes(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def _curse(belief: Worth) -> Iterator[Finding]:
    if belief.believed is None or belief.claimed <= 0:
        return
    lost = 1 - belief.believed / belief.claimed
    if lost > CURSED:
        claimed = f"{belief.claimed:.4g}"
        claim = f"The {len(belief.judged)} keeps claim {claimed} together"
        claim = claim if len(belief.judged) > 1 else f"The one keep claims {claimed}"
        yield Finding(
            "winners_curse",
            f"{claim}; the best of many noisy scores is better than its code, and about {belief.believed:.4g} of it "
            "can be believed.",
            belief.judged,
        )


def _false_keeps(belief: Worth) -> Iterator[Finding]:
    if belief.false is not None and belief.false >= FALSE_KEEPS:
        several = f"About {belief.false:.1f} of {len(belief.judged)} keeps are"
        several = several if len(belief.judged) > 1 else "The one keep is"
        yield Finding(
            "false_keeps",
            f"{several} probably no improvement at all.",
            belief.doubtful,
        )


def _unchecked(history: History, known: Known | None, noise: Noise | None, unjudged: int) -> Iterator[str]:
    if known is None and any(COMMIT.match(row.commit) for row in history.rows):
        yield "whether the commits exist: name the repository with --repo DIR"
    if others := sum(one.other for one in history.unreadable):
        yield f"{_rows(others)} that measure something else: --metric NAME takes them"
    if "status" not in history.schema.columns:
        yield "the keeps: no column tells what was kept"
    elif unjudged:
        shows = f"no repeat stands beside {unjudged} of them" if noise else "the log shows no repeat"
        yield f"the gains against the noise: {shows}; state the sd of one run with --noise SD"
    if "steps" not in history.schema.columns:
        yield "whether steps explain gains: none are logged"
    if "number" not in history.schema.columns and "at" not in history.schema.columns:
        yield "gaps: neither numbers nor times are logged"


def seconds_of(at: str) -> float | None:
    """Unix seconds of a time as logs write it: ISO 8601, or seconds or milliseconds since 1970."""
    try:
        value = float(at)
    except ValueError:
        try:
            found = datetime.fromisoformat(at.strip().replace("Z", "+00:00"))
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return value / 1000 if value > 1e11 else value if value > 1e8 else None


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _ranges(numbers: Sequence[int]) -> str:
    """`3, 7 to 9`"""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    said = [str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in parts[:12]]
    return ", ".join(said) + (" …" if len(parts) > 12 else "")
