"""The arguments of the tools: types, bounds and the words that a model reads about them.

The bounds stand in the descriptions too, because some clients drop them from the schema. Every byte here is in every
conversation, so the words are few.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mcp_server.nouns.text import complaint, tag_complaint

LONGEST_WAIT_SECONDS = 24 * 3600.0


def _speakable(name: str, limit: int, lines: bool = False) -> AfterValidator:
    def check(text: str) -> str:
        wrong = complaint(name, text, limit, lines)
        if wrong:
            raise ValueError(wrong)
        return text

    return AfterValidator(check)


def _tag(text: str) -> str:
    wrong = tag_complaint(text)
    if wrong:
        raise ValueError(wrong)
    return text


Number = Annotated[int, Field(ge=1, le=10**9, description="number of the experiment, 1 or more")]
MaybeNumber = Annotated[
    int | None, Field(ge=1, le=10**9, description="number of the experiment; the last this session began if left out")
]
About = Annotated[int | None, Field(ge=1, description="the experiment it is about")]
Insist = Annotated[bool, Field(description="run it also where it takes back what was kept, or others tried it")]
Wait = Annotated[
    float | None,
    Field(
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="seconds to wait for the score, 0 to 86400; chosen for the client if left out",
    ),
]
Description = Annotated[
    str,
    _speakable("description", 200),
    Field(description="one line, at most 200 characters: what this experiment changes; may be empty with source"),
]
Source = Annotated[
    str,
    _speakable("source", 200),
    Field(description="LAB/n: run that lab's edit on the incumbent, not the files; A + B: two edits together"),
]
Hypothesis = Annotated[
    str, _speakable("hypothesis", 600, lines=True), Field(description="why it should help, at most 600 characters")
]
Expected = Annotated[
    float | None, Field(description="expected gain in the metric's unit; positive is better", allow_inf_nan=False)
]
Decision = Annotated[
    Literal["auto", "keep", "revert"], Field(description="auto follows the referee; keep cannot overrule it")
]
Lesson = Annotated[
    str,
    _speakable("text", 2000, lines=True),
    Field(description="the lesson, at most 2000 characters: what happened and why"),
]
Learned = Annotated[
    str,
    _speakable("learned", 2000, lines=True),
    Field(description="the lesson of it, at most 2000 characters; remembered once it is decided"),
]
Tags = Annotated[list[Annotated[str, _speakable("tags", 32)]], Field(max_length=8, description="up to 8 short words")]
Cited = Annotated[
    list[Annotated[str, _speakable("about", 80)]],
    Field(max_length=4, description="records a post to other labs is about: LAB/n, or own numbers"),
]
ReplyTo = Annotated[str, _speakable("reply_to", 80), Field(description="the post that is answered, LAB/pN")]
Query = Annotated[str, _speakable("query", 2000, lines=True), Field(description="words, or a draft idea; may be empty")]
Knobs = Annotated[
    list[Annotated[str, _speakable("knobs", 80)]],
    Field(max_length=20, description="names of constants, such as MATRIX_LR"),
]
Limit = Annotated[int, Field(ge=1, le=50, description="at most this many lines, 1 to 50")]
Tag = Annotated[
    str,
    AfterValidator(_tag),
    Field(description="a short name: lower-case letters, digits, - _ . ; becomes branch autoresearch/TAG"),
]
FromRef = Annotated[
    str, _speakable("from_ref", 200), Field(description="commit or branch to begin from, or LAB/n of another lab")
]
Calibrate = Annotated[int, Field(ge=0, le=20, description="extra baseline runs that measure the noise, 0 to 20")]
Tree = Annotated[
    str,
    _speakable("tree", 1000),
    Field(
        description="a new folder, such as ../second: makes a work tree of its own there, where this session goes on"
    ),
]
