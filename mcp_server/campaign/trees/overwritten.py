"""Frozen files that somebody overwrote: which, how they come back, and whether a client's hooks were asleep meanwhile.

What is measured never depends on them. An agent that edits them wastes its idea, though, and hooks that would have told
it so at once are skipped by Codex, without a word, until a person trusts them.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning import baseline
from mcp_server.campaign.bench import Bench
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.rows import Campaign
from mcp_server.repo.frozen import FrozenChange

CODEX = "codex-mcp-client"
NAMED = 5
RECENT_SECONDS = 12 * 3600.0  # a mark of a hook, where the client does not say which session calls
UNTRUSTED = (
    "No hook of this project ran in this session of Codex, so nothing refused such an edit: Codex skips hooks that "
    "nobody trusted. A person trusts them once with /hooks in `codex` (unattended: `codex exec "
    "--dangerously-bypass-hook-trust`)."
)
OF_A_PLUGIN = (
    "No hook of this plugin ran in this session of Codex, so nothing refused such an edit: Codex runs none of an "
    "installed plugin. A person adds them with `{command}` and trusts them once with /hooks in `codex`."
)
ADDS_HOOKS = (
    'cp -n "$(ls -t "${CODEX_HOME:-$HOME/.codex}"/plugins/cache/*/autoresearch/*/.codex-plugin/user_hooks.json '
    '| head -n 1)" "${CODEX_HOME:-$HOME/.codex}/hooks.json"'
)


@dataclass(frozen=True)
class Caller:
    """Which client asks. `session`: its own name for the conversation, "" where it tells none."""

    client: str = ""
    session: str = ""
    plugin: bool = False  # our server is one of a plugin of this client's


NOBODY = Caller()  # a person at a terminal, and our own pages


def differs(bench: Bench, campaign: Campaign, changed: Sequence[FrozenChange]) -> str:
    """Which frozen files are not the campaign's, and what to do about it."""
    names = ", ".join(one.path for one in changed[:NAMED])
    names += f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    back = f"Put it back with `git restore --source {campaign.pinned[:12]} -- {shlex.quote(changed[0].path)}`."
    if bench.ledger.incumbent(campaign.tag) is None:  # a wrong first version can only be mended in another campaign
        every = shlex.join(one.path for one in changed)
        back = (
            f"This campaign has no score yet that would be lost: commit {names} (`git commit -- {every}`) and begin "
            f"another campaign with start_campaign('{baseline.free_tag(bench, campaign)}'), which measures with it."
        )
    return f"Frozen: {names} differs from the campaign's first version, which is what is measured. {back}"


def remarks(bench: Bench, campaign: Campaign, arena: Arena, caller: Caller) -> list[str]:
    """What a status says of overwritten files. Never raises: a status answers in every state."""
    try:
        changed = bench.workspace.frozen_changes(campaign.pinned, arena.frozen)
        said = [differs(bench, campaign, changed)] if changed else []
    except AutoresearchError as error:
        return [str(error)]
    hooks = silent_hooks(caller, hooks_ran(bench.paths.state, caller.session)) if said else ""
    return [*said, *([hooks] if hooks else [])]


def silent_hooks(caller: Caller, ran: bool) -> str:
    """Why no hook refused an edit, in a client that skips hooks silently; "" where it is none, or where they ran."""
    if caller.client != CODEX or ran:
        return ""
    return OF_A_PLUGIN.format(command=ADDS_HOOKS) if caller.plugin else UNTRUSTED


def hooks_ran(state: Path, session: str) -> bool:
    """Whether `hooks/guard.py` left its mark in this conversation; lately, where the client names none."""
    folder = state / "hooked"
    if session:
        return (folder / hashlib.sha256(session.encode()).hexdigest()[:24]).exists()
    marks = [file.stat().st_mtime for file in folder.glob("*")]
    return bool(marks) and time.time() - max(marks) < RECENT_SECONDS
