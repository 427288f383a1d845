"""What is wrong with data that somebody wrote, in words for people: the library that checks it is not quoted. Pure.

`sentence` tells one problem, `first` the first of an error's. Neither a word of the library nor its web address
reaches a user: its messages are about its own types, and change with its versions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

SHOWN_CHARACTERS = 80  # of a value that is quoted back
SAID = {
    "missing": "is missing",
    "string_type": "must be text; put it between quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed here; what is allowed is {pattern}",
    "string_unicode": "must be text in UTF-8",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "list_type": "must be a list, such as [one, two]",
    "tuple_type": "must be a list, such as [one, two]",
    "set_type": "must be a list, such as [one, two]",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "dict_type": "must be `name: value` pairs",
    "model_type": "must be `name: value` pairs",
    "model_attributes_type": "must be `name: value` pairs",
    "json_invalid": "is not valid JSON",
    "json_type": "must be JSON text",
    "unexpected_keyword_argument": "is not known here",
    "extra_forbidden": "is not known here",
    "invalid_key": "is no name; a decimal has a point, and a number of thousands no comma",
}


def sentence(problem: ErrorDetails) -> str:
    """What is wrong with one value, without its name and without a full stop."""
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error") or problem["msg"].partition(", ")[2])  # a check of our own said it
    words = SAID.get(kind, "is not what belongs here")
    return words.format_map(_Plain(context))


def given(problem: ErrorDetails) -> str:
    """The value that was given, short, in brackets; "" where it would tell nothing."""
    value = problem.get("input")
    if problem["type"] in ("missing", "extra_forbidden", "json_invalid") or isinstance(value, dict | list | tuple):
        return ""
    shown = repr(value)
    return f" (it is {shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + '…'})"


def place(problem: ErrorDetails) -> str:
    """Where the value stands, as a dotted name."""
    return ".".join(str(step) for step in problem["loc"] if not is_union_branch(step))


def is_union_branch(step: Any) -> bool:
    """Whether a step of a place is the library's own name for one of several allowed types."""
    return isinstance(step, str) and (
        step.startswith(("literal[", "constrained-", "function-", "tagged-", "nullable["))
        or step in ("float", "int", "str", "bool", "is-instance")
    )


def first(error: ValidationError) -> str:
    """The first problem of an error: name, what is wrong, and what was given."""
    problem = error.errors(include_url=False)[0]
    name = place(problem)
    return f"{f'`{name}` ' if name else ''}{sentence(problem)}{given(problem)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean ...?` for a name that is nearly a known one; "" where none is near."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, 1, 0.6) or (
        [one for one in names if len(name) > 2 and one.startswith(name.lower())]
    )
    return f" Did you mean `{near[0]}`?" if near else ""


class _Plain(dict[str, Any]):
    """What a message speaks of; a number without its needless decimals, and a gap where the library says nothing."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({name: f"{one:g}" if isinstance(one, float) else one for name, one in values.items()})

    def __missing__(self, key: str) -> str:
        return "…"
