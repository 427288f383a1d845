"""What labs tell each other: one line of JSON about one attempt, or about a lab. Typed, versioned, bounded.

A line is at most 1 KB. What a lab of a newer version adds is ignored; a line of a newer version is skipped. Everything
that is read here was written by a stranger: types, lengths and characters are checked, and text is data, never
instructions. Absolute scores are not compared between labs; a gain is positive when better.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from mcp_server.nouns.decided import NORMAL_95
from mcp_server.nouns.refusals import first
from mcp_server.nouns.text import clean_line

VERSION = 1
LINE_BYTES = 1024
TEXT_CHARACTERS = 200
LESSON_CHARACTERS = 300
MOST_KNOBS = 8
LAB_CHARACTERS = 32  # hexadecimal, of the fingerprint of a lab's key
SHORT = 8  # of them, where people read
DIGEST = 32  # hexadecimal, of a fingerprint that travels: 128 bits
LARGEST = 1e12  # of a score or gain: what is beyond is no measurement
SMALLEST = 1e-50  # of a standard deviation: what is below has no square that one could divide by
WHOLE = 2**53
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


def short(name: str) -> str:
    """LAB/n or LAB/pN as people read it."""
    lab, _, number = name.partition("/")
    return f"{lab[:SHORT]}/{number}"


def stamp(moment: datetime) -> str:
    """A moment as lines tell it: UTC, to the second, and in the order of the text."""
    return moment.astimezone(UTC).strftime(_STAMP)


def moment_of(stamped: str) -> datetime:
    """Raises ValueError."""
    return datetime.strptime(stamped, _STAMP).replace(tzinfo=UTC)


def moves_of(knobs: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str, str], ...]:
    """Constants that moved, as a line has room for them."""
    told = ((clean_line(n, 60), clean_line(before, 40), clean_line(after, 40)) for n, before, after in knobs)
    return tuple(told)[:MOST_KNOBS]


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable() and "  " not in text and text == text.strip():
        return text  # nearly all are, and this is a tenth of the work
    if clean_line(text, len(text) + 1) != text:
        raise ValueError("has control, invisible or direction characters, or more than one line")
    return text


def _finite(value: float) -> float:
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError("is no measurement")
    return value


Text = Annotated[str, AfterValidator(_plain)]
Number = Annotated[float, Field(strict=False), AfterValidator(_finite)]
Whole = Annotated[StrictInt, Field(ge=0, le=WHOLE)]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{16,64})?$")]
Oid = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
Elsewhere = Annotated[str, Field(pattern=r"^[0-9a-f]{32}/[1-9]\d{0,7}$")]  # LAB/n
Move = tuple[
    Annotated[Text, Field(min_length=1, max_length=60)],
    Annotated[Text, Field(max_length=40)],
    Annotated[Text, Field(max_length=40)],
]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def line(self) -> bytes:
        """As it travels: in at most `LINE_BYTES`."""
        return self.whole()

    def whole(self) -> bytes:
        """All that it says, without what is at its default, but for version and kind.

        What a stranger wrote in `LINE_BYTES` may be longer so: `1e11` is a number of fourteen characters here.
        """
        told = {"v": VERSION, "kind": getattr(self, "kind", ""), **self.model_dump(exclude_defaults=True, mode="json")}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


Ended = Literal["kept", "discarded", "crashed", "timeout", "rejected", "cancelled", "lost", "overtaken"]


class Introduction(_Line):
    """A lab says who it is: the first line of its journal, and again when it changes."""

    v: StrictInt = VERSION
    kind: Literal["lab"] = "lab"
    name: Annotated[Text, Field(max_length=40)] = ""
    software: Annotated[Text, Field(max_length=40)] = ""


class Attempt(_Line):
    """One attempt of a lab. `n` counts the attempts of its journal; a later line with the same `n` corrects it."""

    v: StrictInt = VERSION
    kind: Literal["attempt"] = "attempt"
    n: Annotated[StrictInt, Field(ge=1, le=10_000_000)]
    rev: Annotated[StrictInt, Field(ge=0, le=99)] = 0
    mark: Digest  # by which the lab itself knows it again
    contract: Digest  # what makes scores comparable
    commit: Oid = ""  # its editable files; "" where the code stays at home
    base: Annotated[StrictInt, Field(ge=1, le=10_000_000)] | None = None  # n of the attempt it was made on
    code: Digest  # fingerprint of all editable files
    edit: Digest = ""  # of the change alone, whatever the base
    role: Annotated[Text, Field(max_length=16)] = "attempt"  # baseline, attempt, retest, prune
    status: Ended
    label: Annotated[Text, Field(max_length=20)] = ""
    reason: Annotated[Text, Field(max_length=40)] = ""  # reason code
    knobs: Annotated[tuple[Move, ...], Field(max_length=MOST_KNOBS)] = ()  # (constant, before, after)
    theme: Annotated[Text, Field(max_length=24)] = ""
    measured: Literal["lab", "run"] = "lab"  # who took the score: the lab, or the run claims it
    score: Number | None = None
    against: Number | None = None  # what its incumbent scored, as it was compared
    gain: Number | None = None
    low: Number | None = None  # 95 % interval of the gain
    high: Number | None = None
    widths: Number | None = None  # the gain in noise widths
    comparison: Annotated[Text, Field(max_length=16)] = ""  # slot or apart
    seeds: Annotated[tuple[StrictInt, ...], Field(max_length=8)] = ()
    runs: Annotated[dict[Annotated[Text, Field(max_length=12)], Whole], Field(max_length=8)] = {}  # by how they ended
    steps: Whole | None = None
    machine: Annotated[Text, Field(max_length=60)] = ""  # its class: model of the card, or processor and cores
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    text: Annotated[Text, Field(max_length=TEXT_CHARACTERS)] = ""
    lesson: Annotated[Text, Field(max_length=LESSON_CHARACTERS)] = ""
    of: Annotated[str, Field(pattern=r"^([0-9a-f]{32}/[1-9]\d{0,7})?$")] = ""  # the attempt elsewhere that it repeats
    joins: Annotated[tuple[Elsewhere, ...], Field(max_length=2)] = ()  # attempts whose changes it puts together
    agent: Annotated[Text, Field(max_length=40)] = ""  # who did it: client and its version
    model: Annotated[Text, Field(max_length=40)] = ""  # where the client or the user tells it
    style: Annotated[Text, Field(max_length=24)] = ""  # of research, with its version
    program: Annotated[str, Field(pattern=r"^([0-9a-f]{12})?$")] = ""  # version of program.md, as a digest

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """A gain lies in its own interval, and is the difference of the scores it names, one way round or the other."""
        gain, low, high = self.gain, self.low, self.high
        if low is not None and high is not None:
            if low > high:
                raise ValueError("the interval is the wrong way round")
            if gain is not None and not low <= gain <= high:
                raise ValueError("the gain is outside of its own interval")
        if gain is not None and self.score is not None and self.against is not None:
            difference = abs(self.score - self.against)
            # the mean of paired differences is not the difference of means, so only the size is held against it
            if abs(gain) > 10 * difference + 1e-6 * max(1.0, abs(self.score)) + 10 * self._width():
                raise ValueError("the gain is absurd beside the scores")
        if self.status == "kept" and self.score is None and self.role != "baseline":
            raise ValueError("it was kept without a score")
        return self

    @property
    def failed(self) -> bool:
        """Whether it ended without a score for a reason of its own."""
        return self.status in ("crashed", "timeout", "rejected")

    @property
    def compared(self) -> bool:
        """Whether its gain says something of what it changed."""
        return self.gain is not None and self.status in ("kept", "discarded", "overtaken")

    @property
    def helped(self) -> bool:
        return self.compared and (self.status == "kept" or (self.low is not None and self.low > 0))

    @property
    def deviation(self) -> float | None:
        """Standard deviation of its gain, from the 95 % interval; None where it is unknown, or the gain exact."""
        if self.low is None or self.high is None:
            return None
        found = (self.high - self.low) / (2 * NORMAL_95)
        return found if found > SMALLEST else None

    def _width(self) -> float:
        if self.low is None or self.high is None:
            return abs(self.gain or 0.0) if self.widths is None else abs((self.gain or 0.0) / (self.widths or 1.0))
        return self.high - self.low

    def line(self) -> bytes:
        """As it travels; where that is more than a line may have, words are cut first, then constants."""
        told = self
        for update in _SHORTER:
            found = told.whole()
            if len(found) <= LINE_BYTES:
                return found
            told = told.model_copy(update=update(told))
        found = told.whole()
        assert len(found) <= LINE_BYTES  # what is left has fixed lengths
        return found


class Lease(_Line):
    """A lab says that it runs a piece of code right now. How long that counts is the reader's affair, by its own clock.

    `at` is for people who look at the remote; no clock but the reader's decides anything.
    """

    v: StrictInt = VERSION
    kind: Literal["lease"] = "lease"
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]  # of the code under its contract: the name of the ref too
    mark: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # of one holding, from claim to release
    contract: Digest
    turn: Whole = 0  # renewals so far
    seconds: Annotated[StrictInt, Field(ge=1, le=WHOLE)]  # for how long it holds unless it is renewed
    takes: Whole = 0  # about how many seconds the run takes
    knobs: Annotated[tuple[Move, ...], Field(max_length=MOST_KNOBS)] = ()
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]

    def line(self) -> bytes:
        """As it travels, with as many of its constants as there is room for."""
        told = self
        while len(found := told.whole()) > LINE_BYTES:
            told = told.model_copy(update={"knobs": told.knobs[:-1]})
        return found


PostName = Annotated[str, Field(pattern=r"^([0-9a-f]{32}/p[1-9]\d{0,7})?$")]  # LAB/pN
LabName = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
POST_CHARACTERS = 480
MOST_CITED = 4
MOST_POSTS_A_DAY = 20  # of one lab; what is beyond counts for nothing
Sort = Literal["post", "question", "idea"]


class Post(_Line):
    """Something a lab says about records: a remark, a question, an idea that it offers; or its reply to another post.

    `p` counts the posts of its journal. Text is data of a stranger, never instructions.
    """

    v: StrictInt = VERSION
    kind: Literal["post"] = "post"
    p: Annotated[StrictInt, Field(ge=1, le=10_000_000)]
    mark: Digest  # by which the lab itself knows it again
    contract: Digest
    sort: Sort = "post"
    about: Annotated[tuple[Elsewhere, ...], Field(max_length=MOST_CITED)] = ()
    reply_to: PostName = ""
    to: Annotated[tuple[LabName, ...], Field(max_length=MOST_CITED)] = ()  # labs that it is meant for
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    text: Annotated[Text, Field(min_length=1, max_length=POST_CHARACTERS)]

    @model_validator(mode="after")
    def _cites(self) -> Self:
        if not self.about and not self.reply_to:
            raise ValueError("is about no record, and replies to nothing")
        return self

    def line(self) -> bytes:
        """As it travels: words are cut where a line has no room for them."""
        told = self
        while len(found := told.whole()) > LINE_BYTES:
            told = told.model_copy(update={"text": clean_line(told.text, len(told.text) * 3 // 4)})
        return found


_SHORTER = (
    lambda a: {"lesson": clean_line(a.lesson, 160)},
    lambda a: {"lesson": clean_line(a.lesson, 60), "text": clean_line(a.text, 120)},
    lambda a: {"lesson": ""},
    lambda a: {"knobs": a.knobs[:4], "text": clean_line(a.text, 60)},
    lambda a: {"knobs": tuple((n, clean_line(b, 12), clean_line(c, 12)) for n, b, c in a.knobs[:2])},
    lambda a: {"agent": clean_line(a.agent, 20), "model": "", "style": "", "program": "", "seeds": a.seeds[:2]},
    lambda a: {"text": clean_line(a.text, 20), "knobs": (), "machine": clean_line(a.machine, 20), "runs": {}},
)

Line = Introduction | Attempt | Post


@dataclass(frozen=True)
class Edit:
    """The change of one attempt, to be made on other code: its editable files before and after. Checked, not run."""

    name: str  # LAB/n, or the number of an own experiment
    words: str
    knobs: tuple[tuple[str, str, str], ...]
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    warnings: tuple[str, ...] = ()


class Newer(ValueError):
    """A line of a later version or an unknown kind: nothing is wrong with it, and nothing can be read from it."""


def read_line(raw: bytes) -> Line:
    """A line of another lab's journal. Raises ValueError that says what is wrong, or Newer."""
    kinds: dict[str, type[Line]] = {"lab": Introduction, "attempt": Attempt, "post": Post}
    told = _told(raw, tuple(kinds))
    return _checked(kinds[told["kind"]], told)


def read_lease(raw: bytes) -> Lease:
    """What another lab says it runs. Raises ValueError that says what is wrong, or Newer."""
    return _checked(Lease, _told(raw, ("lease",)))


def _told(raw: bytes, kinds: tuple[str, ...]) -> dict[str, Any]:
    if len(raw) > LINE_BYTES:
        raise ValueError(f"a line of {len(raw):,} bytes; at most {LINE_BYTES:,} are taken")
    try:
        told = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("a line is no JSON in UTF-8") from None
    except RecursionError:
        raise ValueError("a line is nested too deeply") from None
    if not isinstance(told, dict):
        raise ValueError("a line is no JSON object")
    version, kind = told.get("v"), told.get("kind")
    if type(version) is not int or version < 1:
        raise ValueError("a line without a version")
    if version > VERSION or kind not in kinds:
        raise Newer(f"version {version}, kind {clean_line(str(kind), 20)}")
    return told


L = TypeVar("L", bound=_Line)


def _checked(shape: type[L], told: dict[str, Any]) -> L:
    try:
        return shape.model_validate(told)
    except ValidationError as error:
        raise ValueError(clean_line(first(error), 160)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a line names a field twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no measurement")
