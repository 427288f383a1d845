"""Histories that git holds: a branch whose commits carry scores in their messages, and journals in a bundle."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.arena.metrics import COMPARED, better_by_name, plain_name
from mcp_server.histories.rows import Raw, Record, Unreadable
from mcp_server.histories.words import SCORE_WORDS
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_line
from mcp_server.repo.command import GitCommand, last_words
from mcp_server.repo.git import Commit, Repository

MOST_COMMITS = 5000
# `val_bpb: 0.9932`, `val_bpb=0.9932`, `Score: 0.9932 bits/byte (val_bpb)`, `loss 3.1 -> 2.9`
_NAMED = re.compile(
    r"(?<![\w./-])(?<!best )([A-Za-z][\w/%.]{1,39})(\s{0,9}[:=(]\s{0,9}|\s{1,9}(?:is\s{1,9}|now\s{1,9})?)"
    r"(?:[+\-]?\d{0,18}\.?\d{1,18}\s{0,9}(?:->|→|to)\s{0,9})?"
    r"([+\-]?\d{0,18}\.\d{1,18}(?:e[+\-]?\d{1,3})?|[+\-]?\d{1,18})(?![\w.])",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"^[\w-]+-by:.*$|^Claude-Session:.*$|https?://\S+", re.IGNORECASE | re.MULTILINE)
_OWN_SCORE = re.compile(r"^Score: (none|[+\-]?[\d.]+(?:e[+\-]?\d+)?)(?: [^(]*)?\(([^)]+)\)\s*$", re.MULTILINE)
_OWN_STATE = re.compile(r"^State: (\w+)\s*$", re.MULTILINE)
_BACK = re.compile(
    r"^\s*(?:revert|rollback|roll back|undo)\b|\b(?:reverted|discard(?:ed)?|reject(?:ed)?|no-op)\b", re.IGNORECASE
)
_CRASH = re.compile(r"\bcrash(?:ed)?\b|\boom\b", re.IGNORECASE)
_NO_METRIC = frozenset(
    {
        *("experiment", "exp", "run", "iteration", "iter", "step", "steps", "seed", "seeds", "round", "version", "v"),
        *("to", "from", "by", "of", "at", "in", "with", "and", "the", "is", "depth", "phase", "part", "day", "gain"),
    }
)


def read(repository: Repository, tip: str, name: str) -> Raw:
    """The commits of a branch that carry a score, oldest first. What is on the branch was kept, as its author says."""
    commits = [one for one in reversed(repository.commits(tip, limit=MOST_COMMITS)) if len(one.parents) < 2]
    metric, share = _metric(commits)
    if not metric:
        raise NotNow(
            f"No commit of {clean_line(name, 80)} carries a score in its message, like `val_bpb: 0.9932`. Name a log "
            "instead, or another branch."
        )
    records, unreadable = [], []
    for place, commit in enumerate(commits, 1):
        score, status = _told(commit.message, metric)
        title = clean_line(commit.message.partition("\n")[0], 300)
        if score is None and status != "crash":
            unreadable.append(Unreadable(place, f"commit {commit.oid[:10]} says no {metric}", title[:60]))
            continue
        cells = {
            "commit": commit.oid,
            "parent": commit.parents[0] if commit.parents else "",
            metric: "" if score is None else score,
            "status": status,
            "description": title,
            "at": datetime.fromtimestamp(commit.author_epoch, UTC).isoformat(timespec="seconds"),
        }
        records.append(Record(place, cells))
    columns = ("commit", "parent", metric, "status", "description", "at")
    notes = (f"{metric} is read from {share} of {len(commits)} commit messages; lines are places of commits",)
    return Raw(name, "branch", columns, tuple(records), tuple(unreadable), {"metric": metric}, notes)


def _metric(commits: list[Commit]) -> tuple[str, int]:
    """The name that most messages give a number, one that is known for a score before any other; and how many do."""
    known: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for commit in commits:
        own = _OWN_SCORE.search(commit.message)
        if own:
            known[own[2]] += 1
            continue
        for name, between in dict.fromkeys((name, between) for name, between, _ in _mentions(commit.message)):
            if name.lower() in _NO_METRIC or name.isupper() or COMPARED.search(plain_name(name)):
                continue
            if better_by_name(name) or SCORE_WORDS & set(plain_name(name).split("_")):
                known[name] += 1
            elif between in (":", "="):
                others[name] += 1
    best = (known or others).most_common(1)
    return best[0] if best else ("", 0)


def _mentions(message: str) -> Iterator[tuple[str, str, str]]:
    """(name, what stands between, number) of what a message tells: in its title, or on a line of its own below.

    A text that speaks of a score in passing tells of none: most such commits are no attempts.
    """
    title, _, body = _SIGNED.sub("", message).partition("\n")
    found = [match.groups() for match in _NAMED.finditer(title)]
    alone = [match.groups() for line in body.splitlines() if (match := _NAMED.match(line.strip(" \t-*`")))]
    for name, between, value in [*found, *(one for one in alone if one[1].strip() in (":", "="))]:
        yield name, between.strip(), value


def _told(message: str, metric: str) -> tuple[str | None, str]:
    own, state = _OWN_SCORE.search(message), _OWN_STATE.search(message)
    if own is not None and own[2] == metric:
        status = state[1] if state else "keep"
        return (None if own[1] == "none" else own[1]), "crash" if own[1] == "none" else status
    title = message.partition("\n")[0]
    values = [value for name, _, value in _mentions(message) if name == metric]
    status = "discard" if _BACK.search(title) else "keep"
    if not values:
        return None, "crash" if _CRASH.search(title) else status
    return values[-1], status


def pages_of_bundle(path: Path) -> dict[str, str]:
    """The pages of all journals in a git bundle, by commit, oldest first. Raises NotNow. Nothing of it is run."""
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "bare"
        git = GitCommand(Path(folder), inside, inside, 2.0)
        at = f"--git-dir={inside}"
        _do(git, "init", "-q", "--bare", str(inside))
        refs = _do(git, at, "bundle", "unbundle", str(path.resolve())).splitlines()
        tips = [line.split(" ", 1)[0] for line in refs]
        asked = ("rev-list", "--reverse", "--first-parent", f"--max-count={MOST_COMMITS}", "--end-of-options")
        pages = {}
        for oid in _do(git, at, *asked, *tips).split():
            answer = git.once([at, "show", f"{oid}:records.jsonl"], where=())
            if answer.code == 0:
                pages[oid] = answer.out.decode("utf-8", "replace")
    if not pages:
        raise NotNow(f"{path} is a git bundle without journals. Name a bundle that `community bundle` wrote.")
    return pages


def _do(git: GitCommand, *arguments: str) -> str:
    answer = git.once(arguments, where=())
    if answer.code:
        raise NotNow(f"The bundle cannot be read: {last_words(answer.error)}. Fetch it again.")
    return answer.out.decode("utf-8", "replace")
