"""What a score command may answer, read from what it printed: one JSON object, checked to the last number. Pure.

A wrong answer is told with the one that is wanted. A number that is none is the training's doing, not the scorer's:
it is told apart, so that nobody mends a sound scorer.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mcp_server.nouns.records import Audit, HostUse
from mcp_server.nouns.refusals import given, place, sentence
from mcp_server.runner.process.logs import clean

LONGEST_WAIT = 30 * 24 * 3600.0  # the world may take a month
QUOTED_CHARACTERS = 120  # of what was printed instead of an answer
WANTED = 'Wanted is one line such as {"score": 0.98, "secondary": {"memory_gb": 1.5}}'
OTHERS = 'or {"pending": true, "retry_after_seconds": 3600}, or {"rejected": "a_code", "detail": "why"}.'
NO_NUMBER = (
    "is {value}: what the run left gives no number. That is the training's doing and not the scorer's: a loss that "
    "overflowed, a division by zero, a rate that is too high. Look at the run's log and mend the editable files."
)
# json.dumps(..., allow_nan=False) of a careful scorer
REFUSED_BY_JSON = "Out of range float values are not JSON compliant"


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _short_names(secondary: dict[str, float]) -> dict[str, float]:
    if len(secondary) > 64 or any(len(name) > 64 or clean(name) != name for name in secondary):
        raise ValueError("at most 64 metrics with names of at most 64 plain characters")
    return secondary


def _finite_audit(audit: Audit) -> Audit:
    for number in (audit.correction, audit.correction_sd, audit.largest_difference, audit.tolerance):
        _finite(number)
    return audit


Finite = Annotated[float, AfterValidator(_finite)]
FiniteAudit = Annotated[Audit, AfterValidator(_finite_audit)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Score(_Answer):
    """The artifact was measured; and the incumbent in the same slot, where it was laid beside the run.

    `claimed`: nobody measured it; it is the number that the run printed.
    """

    score: Finite
    incumbent: Finite | None = None
    interval: tuple[Finite, Finite] | None = None
    secondary: Annotated[dict[str, Finite], AfterValidator(_short_names)] = {}
    audit: FiniteAudit | None = None
    hosts: HostUse | None = None
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


def parse(stdout: str) -> Answer:
    """The last line of stdout that is one JSON object, if it is an answer."""
    for line in reversed(stdout.splitlines()):
        if not line.lstrip().startswith("{"):
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return _answer(line, found)
    last = next((line.strip() for line in reversed(stdout.splitlines()) if line.strip()), "")
    printed = f"nothing but {clean(last)[:QUOTED_CHARACTERS]!r} at the end" if last else "nothing"
    return Failure("scorer_failed", f"The score command printed {printed}. {WANTED}, {OTHERS}")


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
    return answer


def _no_number(found: dict[str, Any]) -> tuple[str, str]:
    """The first measured value that is NaN or infinite, written as a number or as a word; ("", "") when none is."""
    measured = [(name, found.get(name)) for name in ("score", "incumbent")]
    secondary = found.get("secondary")
    measured += [(f"secondary.{name}", one) for name, one in secondary.items()] if isinstance(secondary, dict) else []
    for name, one in measured:
        if isinstance(one, float) and not math.isfinite(one):
            return clean(name)[:60], {math.inf: "infinite", -math.inf: "minus infinity"}.get(one, "not a number (NaN)")
        if isinstance(one, str) and re.fullmatch(r"(?i)[+-]?(nan|inf(inity)?)", one.strip()):
            return clean(name)[:60], f"{one.strip()!r}"
    return "", ""
