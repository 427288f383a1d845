"""What a score command may answer, read from what it printed: one JSON object, checked to the last number. Pure.

A wrong answer is told with the one that is wanted. A number that is none is the training's doing, not the scorer's:
it is told apart, so that nobody mends a sound scorer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mcp_server.nouns.numbers import LARGEST_SCORE
from mcp_server.nouns.records import MOST_UNITS, Audit, HostUse
from mcp_server.nouns.refusals import given, place, sentence
from mcp_server.nouns.text import clean_line, object_in
from mcp_server.runner.process.logs import clean

LONGEST_WAIT = 30 * 24 * 3600.0  # the world may take a month
QUOTED_CHARACTERS = 120  # of what was printed instead of an answer
WANTED = 'Wanted is one line such as {"score": 0.98, "secondary": {"memory_gb": 1.5}}'
LONGEST_NAME = 80
LEAST_DECIMALS = 3  # a score that is printed with fewer is taken for exact to so many
DUST = 1e-6  # of the numbers that are added, for sums in another order
UNITS = ("units", "incumbent_units")
OTHERS = 'or {"pending": true, "retry_after_seconds": 3600}, or {"rejected": "a_code", "detail": "why"}.'
NO_NUMBER = (
    "is {value}: what the run left gives no number. That is the training's doing and not the scorer's: a loss that "
    "overflowed, a division by zero, a rate that is too high. Look at the run's log and mend the editable files."
)
# json.dumps(..., allow_nan=False) of a careful scorer
REFUSED_BY_JSON = "Out of range float values are not JSON compliant"


def _finite(number: float) -> float:
    if not abs(number) < LARGEST_SCORE:
        raise ValueError(f"must be a finite number, below {LARGEST_SCORE:g}")
    return number


def _short_names(secondary: dict[str, float]) -> dict[str, float]:
    if len(secondary) > 64 or any(len(name) > 64 or clean(name) != name for name in secondary):
        raise ValueError("at most 64 metrics with names of at most 64 plain characters")
    return secondary


def _contributions(units: dict[str, float]) -> dict[str, float]:
    said = wrong_names(units)
    if said:
        raise ValueError(said)
    return units


def _finite_audit(audit: Audit) -> Audit:
    for number in (audit.correction, audit.correction_sd, audit.largest_difference, audit.tolerance):
        _finite(number)
    return audit


Finite = Annotated[float, AfterValidator(_finite)]
Contributions = Annotated[dict[str, Finite], AfterValidator(_contributions)]
FiniteAudit = Annotated[Audit, AfterValidator(_finite_audit)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Score(_Answer):
    """The artifact was measured; and the incumbent in the same slot, where it was laid beside the run.

    `units`: what each example contributes to the score, which is their sum or their mean. `claimed`: nobody measured
    it; it is the number that the run printed.
    """

    score: Finite
    incumbent: Finite | None = None
    interval: tuple[Finite, Finite] | None = None
    secondary: Annotated[dict[str, Finite], AfterValidator(_short_names)] = {}
    audit: FiniteAudit | None = None
    hosts: HostUse | None = None
    units: Contributions = {}
    incumbent_units: Contributions = {}
    claimed: bool = False


class Pending(_Answer):
    """The world needs time; ask again."""

    pending: Literal[True]
    retry_after_seconds: Annotated[float, Field(gt=0, le=LONGEST_WAIT)]


class Rejection(_Answer):
    """The artifact is not what it claims to be."""

    rejected: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    detail: Annotated[str, Field(max_length=4000)] = ""
    audit: FiniteAudit | None = None


@dataclass(frozen=True)
class Failure:
    """No answer: a reason code, a sentence, and the end of what the scorer said on stderr."""

    reason: str
    detail: str
    excerpt: str = ""


Answer = Score | Pending | Rejection | Failure
KINDS: dict[str, type[Score] | type[Pending] | type[Rejection]] = {
    "score": Score,
    "pending": Pending,
    "rejected": Rejection,
}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {key: TypeAdapter(kind) for key, kind in KINDS.items()}


def parse(stdout: str, files: Callable[[str], bytes] | None = None) -> Answer:
    """The last line of stdout that is one JSON object, if it is an answer.

    files: gives the content of a file that the scorer wrote and names in place of many `units`; raises OSError.
    """
    # lines end as programs end them: splitlines() would also cut where a text in the answer has one of Unicode's ends
    lines = re.split(r"[\r\n]+", stdout)
    for line in reversed(lines):
        found = object_in(line)
        if found is not None:
            named = [name for name in UNITS if isinstance(found.get(name), str)]
            if named:
                try:
                    found |= {name: _from_file(found[name], files) for name in named}
                except ValueError as error:
                    return Failure("scorer_failed", f"In the score command's answer `{named[0]}` {error}")
                line = json.dumps(found)
            return _answer(line, found)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    printed = f"nothing but {clean(last)[:QUOTED_CHARACTERS]!r} at the end" if last else "nothing"
    return Failure("scorer_failed", f"The score command printed {printed}. {WANTED}, {OTHERS}")


def _from_file(name: str, files: Callable[[str], bytes] | None) -> dict[str, Any]:
    """The object in a file of units. Raises ValueError with the rest of a sentence."""
    shown = clean(name)[:60]
    if files is None:
        raise ValueError("names a file, and none can be written here.")
    try:
        found = json.loads(files(name))
    except OSError as error:
        raise ValueError(
            f"names the file {shown!r}, which cannot be read ({error.strerror or error}). Write it into the folder "
            "$AUTORESEARCH_UNITS, and answer its name there."
        ) from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"names the file {shown!r}, which is no JSON object of the kind {{id: contribution}}.")
    return found


def _answer(line: str, found: dict[str, Any]) -> Answer:
    key = next((key for key in KINDS if key in found), None)
    if key is None:
        names = ", ".join(f"`{clean(str(name))[:40]}`" for name in list(found)[:6]) or "nothing"
        return Failure("scorer_failed", f"The score command's answer has {names} but no `score`. {WANTED}, {OTHERS}")
    name, value = _no_number(found)
    if name:
        return Failure("not_a_number", f"`{name}` {NO_NUMBER.format(value=value)}")
    try:
        answer: Answer = _ADAPTERS[key].validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where, words = clean(place(problem))[:60], sentence(problem) + given(problem)
        if problem["type"] == "extra_forbidden" and key == "score":
            words += "; further numbers belong into `secondary`"
        return Failure("scorer_failed", f"In the score command's answer `{where}` {words}. {WANTED}.")
    if isinstance(answer, Score) and answer.interval is not None and answer.interval[0] > answer.interval[1]:
        return Failure("scorer_failed", "The score command's interval is upside down: the smaller number comes first.")
    return _added_up(answer) if isinstance(answer, Score) else answer


def _added_up(answer: Score) -> Score | Failure:
    """The answer, where what its examples contribute comes to its scores."""
    pairs = (("units", answer.units, answer.score), ("incumbent_units", answer.incumbent_units, answer.incumbent))
    for name, units, score in pairs:
        said = add_up(units, score) if units else ""
        if said:
            return Failure("scorer_failed", f"In the score command's answer `{name}` {said}")
    return answer


def _no_number(found: dict[str, Any]) -> tuple[str, str]:
    """The first measured value that is NaN, infinite or as good as that, also as a word; ("", "") when none is."""
    measured = [(name, found.get(name)) for name in ("score", "incumbent")]
    for key in UNITS:
        units = found.get(key)
        measured += [(f"{key}.{name}", one) for name, one in units.items()] if isinstance(units, dict) else []
    secondary = found.get("secondary")
    measured += [(f"secondary.{name}", one) for name, one in secondary.items()] if isinstance(secondary, dict) else []
    for name, one in measured:
        if isinstance(one, float) and not abs(one) < LARGEST_SCORE:
            words = {math.inf: "infinite", -math.inf: "minus infinity"}.get(one, f"{one:.3g}")
            return clean(name)[:60], "not a number (NaN)" if math.isnan(one) else words
        if isinstance(one, str) and re.fullmatch(r"(?i)[+-]?(nan|inf(inity)?)", one.strip()):
            return clean(name)[:60], f"{one.strip()!r}"
    return "", ""


# ---- single examples ----


def wrong_names(units: Mapping[str, float]) -> str:
    """What is wrong with the names or the number of the examples; "" if nothing is."""
    if len(units) > MOST_UNITS:
        return f"must be at most {MOST_UNITS:,} examples; add up what belongs together"
    if any(not name or len(name) > LONGEST_NAME or clean_line(name, LONGEST_NAME) != name for name in units):
        return f"must have names of at most {LONGEST_NAME} plain characters"
    return ""


def add_up(units: Mapping[str, float], score: float | None) -> str:
    """Why contributions are not those of a score, as the rest of a sentence; "" where it is their sum or their mean.

    Numbers may be rounded as they are printed: half a step of the last digit of each is allowed.
    """
    if score is None:
        return "are given without the score they add up to."
    total, count = math.fsum(units.values()), len(units)
    size = max(abs(score), math.fsum(abs(value) for value in units.values()) / count)
    own, each = _half_a_step(score), max(map(_half_a_step, units.values()))
    if abs(total / count - score) <= own + each + DUST * size:
        return ""
    if abs(total - score) <= own + count * each + DUST * size * count:
        return ""
    return (
        f"add up to {total:.6g}, and their mean is {total / count:.6g}, but the score is {score:.6g}. It must be the "
        "sum or the mean of what the examples contribute; leave `units` out where it is neither."
    )


def _half_a_step(number: float) -> float:
    """Half of the last decimal that a number is printed with."""
    exponent = Decimal(repr(number)).as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    return float(0.5 * 10.0 ** -max(decimals, LEAST_DECIMALS))
