"""Where git stands against what the ledger kept: a campaign's branch that people moved, files that are behind.

Agents commit, reset, stash, switch and delete branches. Each state is said before a slot is spent on it, with a command
that mends it and loses nothing of theirs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.edits.constants import knob_changes
from mcp_server.edits.fingerprint import fingerprint
from mcp_server.edits.takeback import behind
from mcp_server.nouns.errors import AutoresearchError, GitError, NotNow
from mcp_server.nouns.rows import Campaign
from mcp_server.repo.patterns import Patterns

LOOKED_BACK = 12  # kept experiments that a candidate may have been made from
INSIST = "--anyway (the tool: insist=true)"


@dataclass(frozen=True)
class Astray:
    """A sentence about the branch with the command that mends it; `stuck` where no keep could follow it as it is."""

    said: str
    stuck: bool


def branch(
    bench: Bench, campaign: Campaign, arena: Arena, candidate: Mapping[str, bytes] | None = None
) -> Astray | None:
    """How the branch stands, if a keep could not simply follow it. `candidate`: what is about to be measured.

    A tip whose editable files are the incumbent's or those of any attempt of the campaign takes a keep; so does one
    that has the candidate's own files, as when an agent commits before it runs.
    """
    expected, tip = incumbent_commit(bench.ledger, campaign), bench.workspace.branch(campaign.tag)
    if tip == expected:
        return None
    short = expected[:12]
    if tip is None:
        return Astray(
            f"The branch {campaign.branch} is gone; the ledger knows where it was. "
            f"`git branch {campaign.branch} {short}` puts it back.",
            True,
        )
    # both as the rules name files now: since the incumbent was measured a person may have made others editable
    marks, held = (fingerprint(bench.workspace.committed(arena.editable, one)) for one in (tip, expected))
    if marks == held:
        return None
    back = _back(bench, campaign, expected, tip, bench.workspace.nothing_changed(arena.editable, tip))
    known = bench.ledger.twins(marks, campaign.tag)
    if known and bench.workspace.git.is_ancestor(tip, expected):
        return Astray(
            f"{campaign.branch} stands at {tip[:12]}, behind the incumbent, and has the files of experiment "
            f"{known[-1].number}. `{back}` brings it forward.",
            False,
        )
    if known or (candidate is not None and marks == fingerprint(candidate)):
        return None
    return Astray(
        f"{campaign.branch} was moved to {tip[:12]}, whose editable files no experiment measured, so no keep could "
        f"follow. `{back}` takes it back to the incumbent and leaves the files on disk as they are; or bring that "
        "commit's files here and measure them with run_experiment.",
        True,
    )


def measured(bench: Bench, campaign: Campaign, files: Mapping[str, bytes]) -> bool:
    """Whether an experiment of this campaign has these files, so that a keep on top of them buries nothing unknown."""
    return bool(bench.ledger.twins(fingerprint(files), campaign.tag))


def _back(bench: Bench, campaign: Campaign, expected: str, tip: str, clean: bool) -> str:
    """A command that takes the branch to the incumbent; what it leaves stays reachable, files on disk stay as they are.

    clean: the editable files on disk are the tip's, and may be brought along.
    """
    here = bench.workspace.branch_at_head() == campaign.branch
    forward = bench.workspace.git.is_ancestor(tip, expected)
    if here and forward and clean:
        return f"git merge --ff-only {expected[:12]}"
    place = None if here else bench.workspace.tree_on(campaign.branch)
    saved = "" if forward else f"git branch -f set-aside-{tip[:7]} {tip[:12]} && "
    if here or place:
        return f"{saved}git {'' if here else f'-C {shlex.quote(str(place))} '}reset -q {expected[:12]}"
    return f"{saved}git branch -f {campaign.branch} {expected[:12]}"


def work_tree(bench: Bench, campaign: Campaign, arena: Arena, sources: Mapping[str, bytes]) -> str:
    """A sentence where the editable files have older text wherever something was kept since; "" where they do not.

    One constant set back on purpose, beside another change, looks the same as an edit that was begun before the keep:
    whoever means it insists.
    """
    kept = bench.ledger.kept(campaign.tag, last=LOOKED_BACK)
    if len(kept) < 2 or kept[-1].fingerprint == fingerprint(sources):
        return ""
    try:
        files = [(one.number, bench.workspace.committed(arena.editable, one.snapshot)) for one in kept]
    except GitError:
        return ""  # some of it is gone: nothing to compare with
    base = behind(files, sources)
    if base is None:
        return ""
    incumbent = files[-1][1]
    taken = {change.name for change in knob_changes(dict(files)[base], incumbent)}
    names = [
        f"{change.name} {change.before} -> {change.after}"
        for change in knob_changes(incumbent, sources)
        if change.name in taken
    ]
    command = _restore(bench, arena, incumbent_commit(bench.ledger, campaign), incumbent, sources, dict(files)[base])
    return (
        f"The editable files here were made from experiment {base}'s and take back what was kept since"
        f"{': ' + ', '.join(names[:3]) if names else ''} (the incumbent is experiment {kept[-1].number}). "
        f"`{command}` brings the incumbent's files here."
    )


def _restore(
    bench: Bench,
    arena: Arena,
    commit: str,
    incumbent: Mapping[str, bytes],
    sources: Mapping[str, bytes],
    base: Mapping[str, bytes],
) -> str:
    """A command that lays the incumbent's files here; a file with edits of its own is copied first."""
    patterns = Patterns.of(arena.editable)
    differing = sorted(path for path in incumbent if sources.get(path) != incumbent[path])
    parts = []
    for path in differing:
        if path in sources and sources[path] != base.get(path):
            mine = f"{path}.mine"
            if patterns.match(mine):  # it would be taken for one more editable file
                mine = str(bench.paths.state / mine.replace("/", "-"))
            parts.append(f"cp {shlex.quote(path)} {shlex.quote(mine)}")
    parts.append(f"git restore --source {commit[:12]} -- {shlex.join(differing)}")
    return " && ".join(parts)


def refuse(bench: Bench, campaign: Campaign, arena: Arena, sources: Mapping[str, bytes]) -> None:
    """Raises NotNow where a run would be spent for nothing: no keep could follow it, or it takes back what was kept."""
    found = branch(bench, campaign, arena, sources)
    if found is not None and found.stuck:
        raise NotNow(f"{found.said} Nothing was run; {INSIST} runs it all the same.")
    said = work_tree(bench, campaign, arena, sources)
    if said:
        raise NotNow(f"{said} Make the edit again on top of them, or insist with {INSIST}. Nothing was run.")


def remarks(bench: Bench, campaign: Campaign, arena: Arena) -> list[str]:
    """What a status says of the branch and of the files here. Never raises: a status answers in every state."""
    try:
        sources = bench.workspace.read_editable(arena.editable, incumbent_commit(bench.ledger, campaign))
        return _remarks(bench, campaign, arena, sources)
    except AutoresearchError as error:
        return [str(error)]


def _remarks(bench: Bench, campaign: Campaign, arena: Arena, sources: Mapping[str, bytes]) -> list[str]:
    found = branch(bench, campaign, arena, sources)
    if found is not None:
        return [found.said]  # its command may bring the files along
    said = work_tree(bench, campaign, arena, sources)
    return [said] if said else []
