"""The environment of a campaign, chosen once and kept: whoever starts its next run, from whatever shell, uses the same.

It lies beside the campaign's runs and names the campaign it belongs to. A campaign that began before there was a choice
goes on with the server's Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import Answer, UserEnvironment
from mcp_server.nouns.rows import Campaign
from mcp_server.programs import environment
from mcp_server.programs.choose import chosen

FILE = "environment.json"


class Sealed(Answer):
    """What is written down."""

    tag: str
    pinned: str
    began_at: str
    environment: UserEnvironment


def words_of(paths: LabPaths, campaign: Campaign) -> str:
    """What `python` means in a campaign's runs; "" for one that began before there was a choice."""
    try:
        found: Sealed = Sealed.read(paths.state / "runs" / campaign.tag / FILE)
    except (OSError, ValueError):
        return ""
    return found.environment.words()


def sealed(
    paths: LabPaths, campaign: Campaign, arena: Arena, tree: Path, environ: Mapping[str, str] = os.environ
) -> UserEnvironment:
    """The campaign's environment; chosen now, and written, where none is yet. Raises OSError."""
    place = paths.state / "runs" / campaign.tag / FILE
    try:
        found: Sealed = Sealed.read(place)
        if (found.pinned, found.began_at) == (campaign.pinned, campaign.began_at):
            return found.environment
    except (OSError, ValueError):
        if paths.run(campaign.tag, 1, 1).spec.exists():
            return environment.server()  # it began before there was a choice
    now = chosen(arena, tree, paths.common.parent, environ, Path(sys.prefix))
    place.parent.mkdir(parents=True, exist_ok=True)
    Sealed(tag=campaign.tag, pinned=campaign.pinned, began_at=campaign.began_at, environment=now).write(place)
    return now
