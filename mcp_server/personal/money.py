"""Money as the user's own file speaks of it: a command that says what was spent, and what a subscription allows.

    spend: my-usage --since {began}                # prints what the campaign has cost so far: 1.25
    spend: {command: my-usage --json, counter: true}   # prints a total of everything; what it grows by counts
    quota: {experiments: 40, hours: 5}
    quota:
      - {tokens: 2000000, hours: 5}
      - {cost: 30, hours: 168}

The command runs outside of the walls, so no agent may choose it: `program.md` and everything else in the repository is
where agents write.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import sentence
from mcp_server.nouns.rows import Spent
from mcp_server.nouns.text import clean_line
from mcp_server.personal.file import personal_file, read_section
from mcp_server.personal.telling import printed

SPEND_SECONDS = 20.0
SPEND_BYTES = 64_000
LIMITS = ("cost", "tokens", "experiments")
LONGEST_HOURS = 24 * 366
M = TypeVar("M", bound=BaseModel)


class Spend(BaseModel):
    """The command that says what was spent so far, by the campaign or, for a counter, by everybody who counts there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(min_length=1)
    counter: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"command": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _words(self) -> Spend:
        if not shlex.split(self.command):
            raise ValueError("names no command")
        return self


class Quota(BaseModel):
    """At most so much in any stretch of so many hours: US dollars, tokens, experiments; at least one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost: float | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)
    experiments: int | None = Field(default=None, gt=0)
    hours: float = Field(gt=0, le=LONGEST_HOURS)

    @model_validator(mode="after")
    def _some(self) -> Quota:
        if all(getattr(self, name) is None for name in LIMITS):
            raise ValueError(f"give at least one of {', '.join(LIMITS)}")
        return self

    def limits(self) -> dict[str, float]:
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}


def spend_of(*repository: Path) -> Spend | None:
    """Raises ArenaError with what to mend."""
    found = read_section("spend", *repository)
    return None if found is None else _checked(Spend, "spend", found, "spend: my-usage --since {began}")


def quotas_of(*repository: Path) -> list[Quota]:
    """Raises ArenaError with what to mend."""
    found = read_section("quota", *repository)
    some = [] if found is None else found if isinstance(found, list) else [found]
    return [_checked(Quota, "quota", one, "quota: {experiments: 40, hours: 5}") for one in some]


def _checked(shape: type[M], key: str, found: Any, example: str) -> M:
    try:
        return shape.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in problem["loc"])
        said = f"{personal_file()}: {key}{f', `{where}`' if where else ''}: {sentence(problem)}"
        raise ArenaError(f"{said}. It is written like `{example}`.") from None


def ask(spend: Spend, given: Mapping[str, str]) -> Spent:
    """Run the command and read what it prints. Raises OSError with what went wrong.

    given: `campaign`, `began`, `lab`; put in for `{campaign}` and so on as whole words, and as SPEND_CAMPAIGN
    and so on in its environment. No shell reads them. It runs in the user's home folder.
    """
    words = shlex.split(spend.command)
    for name, value in given.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    env = {**os.environ, **{f"SPEND_{name.upper()}": value for name, value in given.items()}}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(
            words, cwd=Path.home(), env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=complaint,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(SPEND_SECONDS)
        except subprocess.TimeoutExpired:
            raise OSError(f"it took longer than {SPEND_SECONDS:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it left behind
            process.wait()
        if status:
            complaint.seek(max(0, complaint.seek(0, os.SEEK_END) - 300))
            said = clean_line(complaint.read().decode(errors="replace"), 200)
            raise OSError(f"it ended with status {status}{f': {said}' if said else ''}")
        out.seek(0)
        try:
            return printed(out.read(SPEND_BYTES).decode(errors="replace"))
        except ValueError as error:
            raise OSError(str(error)) from None
