"""The pictures that an arena's `view` command made of attempts: cleaned before they were laid beside the run."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.campaign.bench import Bench, Readable
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.rows import Run

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """`suffix`: png or svg. `content`: None where there is none. `words`: what was left out, or why there is none."""

    suffix: str = ""
    content: bytes | None = None
    words: str = ""

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.suffix]

    def name(self, experiment: int) -> str:
        """Of a file beside others."""
        return f"view-{experiment}.{self.suffix}"


def picture_of(bench: Bench, runs: Sequence[Run]) -> Picture:
    """The picture of the first of an attempt's runs that has one."""
    words = ""
    for run in runs:
        told = run.result
        if told is None or not (told.view or told.view_words):
            continue
        words = told.view_words
        if told.view not in ("view.png", "view.svg"):
            continue
        try:
            with open(os.open(bench.folder(run).picture(told.view), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                return Picture(told.view.rpartition(".")[2], file.read(), words)
        except OSError:
            words = "Its picture is not there any more."
    return Picture(words=words)


def picture(lab: Readable, number: int) -> Picture:
    """Of an experiment of the lab's campaign. Raises UnknownExperiment, NotNow where it has none."""
    with lab.reading() as (bench, campaign, _):
        runs = bench.ledger.runs(campaign.tag, bench.ledger.experiment(campaign.tag, number).number)
        found = picture_of(bench, runs)
    if found.content is None:
        raise NotNow(found.words or f"Experiment {number} has no picture. `view: COMMAND` in program.md makes them.")
    return found


def as_data(suffix: str, content: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:{MEDIA_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"
