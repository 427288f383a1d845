"""The trackers that the user's own file mirrors labs into, as `track:` names them.

track:
  - {mlflow: 'http://127.0.0.1:5000', project: night}
  - {tensorboard: ~/tensorboard, labs: [~/work/night]}
  - {wandb: ~/wandb, mode: online}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mcp_server.exporting.targets import TARGETS
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import nearest, sentence
from mcp_server.personal.file import meant, personal_file, read_section


class Tracker(BaseModel):
    """One place that the attempts of labs are mirrored into."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str
    where: str
    project: str | None = None
    labs: tuple[str, ...] = ()
    mode: Literal["offline", "online"] = "offline"  # of W&B


def trackers_of(tree: Path, *repository: Path) -> list[Tracker]:
    """The trackers for the lab at `tree`. Raises ArenaError with what to mend in the user's file."""
    found = read_section("track", tree, *repository)
    some = found if isinstance(found, list) else [] if found is None else [found]
    return [one for one in (_parsed(place, given) for place, given in enumerate(some, 1)) if meant(one.labs, tree)]


def _parsed(place: int, given: Any) -> Tracker:
    said = f"{personal_file()}: track {place}"
    example = json.dumps({"mlflow": "http://127.0.0.1:5000", "project": "night"})
    named = [key for key in given if key in TARGETS] if isinstance(given, dict) else []
    if len(named) != 1:
        near = next((nearest(str(key), TARGETS) for key in given), "") if isinstance(given, dict) else ""
        raise ArenaError(f"{said}: give exactly one of {', '.join(TARGETS)}.{near} A tracker is {example}.")
    where = str(given[named[0]])
    if "://" not in where:
        where = str(Path(where).expanduser())
        if not Path(where).is_absolute():
            raise ArenaError(f"{said}: {where!r} is no address and no whole path; begin it with / or ~.")
    more = {key: value for key, value in given.items() if key != named[0]}
    try:
        return Tracker(target=named[0], where=where, **more)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ArenaError(f"{said}, `{problem['loc'][0]}`: {sentence(problem)}. A tracker is {example}.") from None
    except TypeError:
        raise ArenaError(f"{said}: `target` and `where` are no keys. A tracker is {example}.") from None
