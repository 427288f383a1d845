"""The file of a review: claims as a checklist, ticked requests, statements; and what came of them. Pure.

Only ticks, their words and the statements are read from the file. Claims, outcomes and verdicts are written from what
the lab remembers, so that one that was typed there is gone the next time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydantic import Field

from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.exchanged import POST_CHARACTERS
from mcp_server.nouns.records import Record
from mcp_server.nouns.text import clean_block, clean_line, plain
from mcp_server.reviewing.verdict import Effect, Verdict, judge
from mcp_server.views.paper.values import signed, span

TITLE = "# Review "
STATEMENT_CHARACTERS = 2000
MOST_REQUESTS = 10  # of one claim
NOT_RUN = "not run: "
KINDS = {
    "repeat": "on a fresh pair",
    "ablate": "its author's best code without this change, against that code",
    "seeds": "on another seed set: the number is its first seed",
    "budget": "with so many seconds a run",
    "scorer": "scored by a program of your own in this work tree, on data the authors' scorer has not",
    "machine": "on that class of machine; asked on the board where this lab has none",
}
_HEAD = re.compile(r"\A# Review ([0-9a-f]{16})\b")
_CLAIM = re.compile(r"^## Claim (\S+)")
_REQUEST = re.compile(r"^- \[([ xX])\] (\w+)(?: ([^→]*))?(?:→.*)?$")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)


class Request(Record):
    """One run that a reviewer asks for."""

    kind: str
    value: str = ""

    def words(self) -> str:
        return f"{self.kind} {self.value}".strip()


class Outcome(Record):
    """What came of it: a gain with its interval, or why there is none."""

    request: Request
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    where: str = ""  # the records
    why: str = ""  # nothing was measured


class Claimed(Record):
    """One claim of the paper: LAB/n of another lab, or #n of this one."""

    name: str
    words: str
    gain: float
    low: float | None = None
    high: float | None = None


class Review(Record):
    """All that a lab remembers of a review."""

    id: str
    paper: str  # sha256 of it, or "" where only its journal's entry is known
    post: str = ""  # LAB/pN
    campaign: str = ""  # of this lab, where the paper is its own
    title: str = ""
    claims: tuple[Claimed, ...]
    outcomes: dict[str, tuple[Outcome, ...]] = Field(default_factory=dict)

    def verdict(self, claim: Claimed) -> Verdict:
        told = self.outcomes.get(claim.name, ())
        return judge(
            claim.gain, [Effect(one.request.kind, one.gain, one.low, one.high) for one in told if one.gain is not None]
        )

    def done(self, claim: str) -> list[Request]:
        """Requests that were run; one that could not be is asked for again."""
        return [one.request for one in self.outcomes.get(claim, ()) if not one.why.startswith(NOT_RUN)]


class Sheet(Record):
    """What a reviewer wrote, by claim."""

    requests: dict[str, tuple[Request, ...]] = Field(default_factory=dict)
    statements: dict[str, str] = Field(default_factory=dict)


def written(review: Review, sheet: Sheet) -> str:
    """The file."""
    said = (
        "Tick a run to ask for it, set its value, add lines of the same form; write below *Statement*. "
        "`autoresearch review FILE --run` runs them. Verdicts come from runs alone."
    )
    about = [f"paper sha256:{review.paper}" if review.paper else "", review.post, plain(review.title, 200)]
    parts = [f"{TITLE}{review.id}", ": ".join(part for part in about if part), said]
    for claim in review.claims:
        edges = None if claim.low is None or claim.high is None else (claim.low, claim.high)
        interval = f", 95 % interval {span(edges)}" if edges else ""
        parts.append(f"## Claim {claim.name}")
        parts.append(f"{plain(claim.words, 200)}: {signed(claim.gain)}{interval}. **{review.verdict(claim)}**")
        parts.append("\n".join(_lines(review, sheet, claim.name)))
        parts.append(f"Statement:\n\n{sheet.statements.get(claim.name, '')}".rstrip())
    return "\n\n".join(parts) + "\n"


def _lines(review: Review, sheet: Sheet, claim: str) -> Iterable[str]:
    """Requests with what came of them, then what might be asked for."""
    done = {one.request: one for one in review.outcomes.get(claim, ())}
    asked = dict.fromkeys([*done, *sheet.requests.get(claim, ())])
    for request in asked:
        yield f"- [x] {request.words()}" + (f" → {told(done[request])}" if request in done else "")
    for kind, words in KINDS.items():
        if kind not in {one.kind for one in asked}:
            value = {"seeds": " 7", "budget": " 60", "scorer": " review_score.py", "machine": " H200"}.get(kind, "")
            yield f"- [ ] {kind}{value} → {words}"


def told(one: Outcome) -> str:
    """An outcome in words."""
    if one.gain is None:
        return one.why
    edges = None if one.low is None or one.high is None else (one.low, one.high)
    return f"gain {signed(one.gain)}" + (f", 95 % interval {span(edges)}" if edges else "") + f", {one.where}"


def as_post(review: Review) -> str:
    """What the journal is told. Verdicts and questions first: what is cut for want of room is how they came about."""
    parts = [", ".join(f"{claim.name} {review.verdict(claim)}" for claim in review.claims)]
    some = [(claim.name, one) for claim in review.claims for one in review.outcomes.get(claim.name, ())]
    wanted = [f"{name} on {one.request.value}" for name, one in some if _is_asked(one)]
    parts += [f"Who has the machine? {', '.join(wanted)}"] if wanted else []
    for claim in review.claims:
        runs = [
            f"{one.request.words()}: {told(one)}" for name, one in some if name == claim.name and one.gain is not None
        ]
        parts += [f"{claim.name}: {'; '.join(runs)}"] if runs else []
    return clean_line(f"Review of {review.post}: {'. '.join(parts)}.", POST_CHARACTERS)


def asks(review: Review) -> bool:
    """Whether a machine is asked for that this lab has not."""
    return any(_is_asked(one) for some in review.outcomes.values() for one in some)


def _is_asked(one: Outcome) -> bool:
    return one.request.kind == "machine" and one.gain is None


def id_of(text: str) -> str:
    """Which review a file is; "" for none."""
    found = _HEAD.match(text)
    return found[1] if found else ""


def read(text: str, claims: Sequence[Claimed]) -> Sheet:
    """What the reviewer wrote. Raises NotNow with the line that cannot be read."""
    names, claim, stating = {one.name for one in claims}, "", False
    requests: dict[str, list[Request]] = {}
    statements: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _CLAIM.match(line)
        if found:
            claim, stating = found[1], False
            if claim not in names:
                raise NotNow(f"Line {number}: the paper claims no {claim}. Leave the headings as they were written.")
        elif claim and line.strip() == "Statement:":
            stating = True
        elif claim and stating:
            statements.setdefault(claim, []).append(line)
        elif claim and line.startswith("- ["):
            request = _request(number, line)
            if request is not None and request not in requests.setdefault(claim, []):
                requests[claim].append(request)
    crowded = next((name for name, some in requests.items() if len(some) > MOST_REQUESTS), "")
    if crowded:
        raise NotNow(f"More than {MOST_REQUESTS} runs are asked for {crowded}. Choose those that could refute it.")
    said = {name: clean_block("\n".join(some), STATEMENT_CHARACTERS).strip() for name, some in statements.items()}
    return Sheet(requests={name: tuple(some) for name, some in requests.items()}, statements=said)


def _request(number: int, line: str) -> Request | None:
    """A ticked line. Raises NotNow where it asks for nothing that can be run."""
    found = _REQUEST.match(line)
    if found is None or found[2] not in KINDS:
        raise NotNow(f"Line {number} asks for no run: “{clean_line(line, 60)}”. Runs are {', '.join(KINDS)}.")
    if found[1] == " ":
        return None
    kind, value = found[2], clean_line(found[3] or "", 60)
    if kind in ("repeat", "ablate") and value:
        raise NotNow(f"Line {number}: `{kind}` takes no value.")
    if kind in ("seeds", "budget") and (_NUMBER.fullmatch(value) is None or float(value) <= 0):
        raise NotNow(f"Line {number}: `{kind}` needs a number above zero, such as `{kind} 60`.")
    if kind == "seeds" and "." in value:
        raise NotNow(f"Line {number}: a seed is a whole number.")
    if kind == "scorer" and not value:
        raise NotNow(
            f"Line {number}: `scorer` needs the path of a program in this work tree, `scorer review_score.py`."
        )
    if kind == "machine" and not value:
        raise NotNow(f"Line {number}: `machine` needs a word of the class, such as `machine H200`.")
    return Request(kind=kind, value=value)
