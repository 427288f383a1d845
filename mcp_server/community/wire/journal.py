"""A lab's journal as git holds it: a signed chain of commits that only grows, each telling of at most 16 attempts.

A journal commit has one file, `records.jsonl`; its first parent is the commit before it, the others are the attempts it
tells of, so that code travels with its record. The signature of a tip covers everything below it, for each commit names
its parents by their hash. `read` is the only door: it trusts nothing, our own journal included.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from mcp_server.community.wire.keys import LabKey
from mcp_server.community.wire.signed import Refused, field_of, gives_orders, lab_of, refuse_unsigned
from mcp_server.community.wire.store import Store
from mcp_server.ledger.foreign import HELD_FOR_ITS_DATE
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.exchanged import LINE_BYTES, Attempt, Introduction, Line, Newer, Post, read_line, stamp
from mcp_server.nouns.text import clean_line
from mcp_server.repo.git import FILE_MODES, text

PAGE = "records.jsonl"
MOST_ATTEMPTS = 16  # that one commit tells of
MOST_LINES = 2 * MOST_ATTEMPTS + 1
MOST_COMMITS = 60_000  # that one journal may bring at once
PAGE_BYTES = MOST_LINES * (LINE_BYTES + 1)
COMMIT_BYTES = 8192
TREE_BYTES = 32 * 1024
CODE_BYTES = 2 * 2**20  # of one file
# what one journal may bring at once of what is held in memory: 60,000 commits of an honest one are a third of it
COMMITS_BYTES, FOLDERS_BYTES, RECORDS_BYTES = 128 * 2**20, 32 * 2**20, 64 * 2**20
MOST_HELD = 1000  # lines that are told to count for nothing
MOST_FILES = 200  # of one attempt
MOST_DEPTH = 8  # folders
PATH_CHARACTERS = 200
AHEAD = timedelta(days=2)  # a clock may be wrong by this
EARLIEST = "2020"
_NAME = re.compile(r"[\w][\w.+\-]*")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Forked(Refused):
    """It is the lab's own, and does not contain what the lab signed before."""


class Older(Refused):
    """It is a beginning of what is known already."""


@dataclass(frozen=True)
class Held:
    """One line of a journal that counts for nothing, and why."""

    n: int | None
    why: str


@dataclass
class Reading:
    """What is new in a journal, oldest first."""

    lab: str
    tip: str
    attempts: list[Attempt] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    introduction: Introduction | None = None
    held: list[Held] = field(default_factory=list)
    skipped: int = 0  # lines of newer versions

    def hold(self, n: int | None, why: str) -> None:
        if len(self.held) < MOST_HELD:
            self.held.append(Held(n, why))


# --- writing ----------------------------------------------------------------------------------------------------------


def append(store: Store, key: LabKey, tip: str | None, lines: Sequence[Line], epoch: int) -> str:
    """One more commit on a journal; the ref is the caller's to move. Raises GitError."""
    return appended(store, key, tip, lines, epoch)[0]


def appended(
    store: Store,
    key: LabKey,
    tip: str | None,
    lines: Sequence[Line],
    epoch: int,
    bases: Mapping[str, str | None] = MappingProxyType({}),
) -> tuple[str, dict[str, list[str]] | None]:
    """(as `append`, the parents of every new commit as `walk` would find them; None where that is not known).

    bases: what the attempts' commits that are told of stand on, where they were just made. Raises GitError.
    """
    page = b"".join(line.line() + b"\n" for line in lines)
    brought = [line.commit for line in lines if isinstance(line, Attempt) and line.commit and not line.rev]
    parents = [*([tip] if tip else []), *dict.fromkeys(brought)]
    if not tip:
        # the first parent must be the journal before this one, also where there is none: so the journal begins empty
        first = store.sign_commit(store.write_page(b"", PAGE), [], "journal", epoch, key)
        parents.insert(0, first)
    new = store.sign_commit(store.write_page(page, PAGE), parents, "journal", epoch, key)
    told = dict.fromkeys(brought)
    if not tip or not told.keys() <= bases.keys():
        return new, None
    # newest first: an attempt may stand on another that is told of beside it
    above = {oid: [base] if (base := bases[oid]) else [] for oid in reversed(told)}
    return new, {new: parents, **above}


# --- reading ----------------------------------------------------------------------------------------------------------


def read(
    store: Store,
    lab: str,
    tip: str,
    since: str | None = None,
    *,
    now: datetime,
    known: Callable[[int, int], bytes | None] = lambda n, rev: None,
    others: Sequence[str] = (),
    walked: Mapping[str, list[str]] | None = None,
) -> Reading:
    """What a journal says after `since`. `known`: the line taken earlier for (n, rev), if any.

    others: tips of other labs' journals that are here: what an attempt was made on need not come along. walked: the
    new commits of all journals, where `walk` found them already. Raises Refused, GitError.
    """
    commits = _below(tip, walked) if walked is not None else _commits(store, tip, since, others)
    chain, ends = _chain(commits, tip)
    if ends != since and (others or walked is not None):
        # part of it lies below another lab's journal as well, which takes nothing away from it here
        commits = _commits(store, tip, since, ())
        chain, ends = _chain(commits, tip)
    order = list(commits)
    if tip not in commits and not _is_commit(store, tip):
        raise Refused("its ref is no commit")
    content = _bodies(store, order)
    if tip in content:  # else it is known already, and was verified then
        refuse_unsigned(content[tip], lab)
    _refuse_broken(chain, ends, since)
    reading = Reading(lab, tip)
    pages: list[tuple[str, str]] = []  # (commit, page's blob)
    trees = _trees(store, {field_of(content[oid], b"tree") for oid in order})
    told: set[str] = set()
    for oid in chain:
        if lab_of(content[oid]) != lab:
            raise Refused("a commit of the journal is not signed with the lab's key")
        entries = trees[field_of(content[oid], b"tree")]
        if set(entries) != {PAGE} or entries[PAGE][0] != "100644":
            raise Refused(f"a journal's commit must hold {PAGE} and nothing else")
        brought = commits[oid][1:]
        if len(brought) > MOST_ATTEMPTS:
            raise Refused(f"a journal's commit brings {len(brought)} attempts; at most {MOST_ATTEMPTS} are taken")
        told.update(brought)
        pages.append((oid, entries[PAGE][1]))
    members = set(chain)
    attempts = [oid for oid in order if oid not in members]
    _check_code(store, attempts, commits, content, trees, told)
    texts = _pages(store, [blob for _, blob in pages])
    taken: dict[tuple[int, int], bytes] = {}
    for oid, blob in reversed(pages):
        _take(texts[blob], commits[oid][1:], reading, taken, known, now)
    return reading


def _is_commit(store: Store, oid: str) -> bool:
    found = store.sizes([oid])[0]
    return found is not None and found[0] == "commit"


def walk(store: Store, tips: Sequence[str], known: Sequence[str]) -> dict[str, list[str]] | None:
    """Parents of every commit that is new in any of several journals, newest first, by one git.

    None where they are better read one by one: too many for one, or one of them is damaged.
    """
    try:
        found = _parents(store, tips, known)
    except GitError:
        return None
    return found if len(found) <= MOST_COMMITS else None


def _below(tip: str, walked: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What of it one tip reaches, in the same order."""
    reached, found = {tip}, {}
    for oid, parents in walked.items():
        if oid in reached:
            found[oid] = parents
            reached.update(parents)
    return found


def _commits(store: Store, tip: str, since: str | None, others: Sequence[str]) -> dict[str, list[str]]:
    """Parents of every new commit of one journal, newest first."""
    found = _parents(store, [tip], [*([since] if since else []), *others])
    if len(found) > MOST_COMMITS:
        raise Refused(f"it brings more than {MOST_COMMITS:,} commits at once")
    return found


def _parents(store: Store, tips: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    bounds = "".join(f"{one}\n" for one in (*tips, *(f"^{one}" for one in known)))
    most = f"--max-count={MOST_COMMITS + 1}"
    out = store.do("rev-list", "--parents", "--topo-order", most, "--stdin", stdin=bounds.encode())
    rows = (line.split(" ") for line in out.decode().splitlines())
    return {row[0]: row[1:] for row in rows}


def _bodies(store: Store, oids: Sequence[str]) -> dict[str, bytes]:
    _refuse_large(store.sizes(oids), "a commit", "commit", COMMIT_BYTES, COMMITS_BYTES)
    return store.blobs(oids)


def _refuse_large(
    sizes: Sequence[tuple[str, int] | None], what: str, kind: str, most: int, together: float = math.inf
) -> None:
    """Raises Refused where one is missing, none of its kind or too large; or all of them together are."""
    total = 0
    for one in sizes:
        if one is None or one[0] != kind or one[1] > most:
            raise Refused(f"{what} is larger than {most:,} bytes, missing, or none")
        total += one[1]
    if total > together:
        raise Refused(f"it brings too much at once: {what} beside others, more than {together:,} bytes together")


def _chain(commits: Mapping[str, list[str]], tip: str) -> tuple[list[str], str | None]:
    """The journal's own commits, newest first, by first parents; and what the last stands on, None for nothing."""
    found: list[str] = []
    at: str | None = tip
    while at is not None and at in commits:
        found.append(at)
        at = next(iter(commits[at]), None)
    return found, at


def _refuse_broken(chain: Sequence[str], ends: str | None, since: str | None) -> None:
    """Raises Refused for a journal that does not go on from what is known of it, or has no beginning."""
    if since is not None and not chain:
        raise Older("an older journal of the lab; what is known of it stays")
    if since is not None and ends != since:
        raise Forked("the lab signed two histories")
    if not chain:
        raise Refused("it is no journal")
    if ends != since:
        raise Refused("its first commits are missing")


def _trees(store: Store, oids: set[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Every tree: (mode, object) by name, folders as they are."""
    wanted = sorted(oids)
    _refuse_large(store.sizes(wanted), "a folder", "tree", TREE_BYTES, FOLDERS_BYTES)
    return {oid: _tree(body) for oid, body in store.blobs(wanted).items()}


def _tree(body: bytes) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    at = 0
    while at < len(body):
        space, null = body.index(b" ", at), body.index(b"\0", at)
        name = text(body[space + 1 : null])
        if name in found:
            raise Refused("a folder names a file twice")
        found[name] = (body[at:space].decode("ascii", "replace"), body[null + 1 : null + 21].hex())
        at = null + 21
    return found


def _check_code(
    store: Store,
    attempts: Sequence[str],
    commits: Mapping[str, list[str]],
    content: Mapping[str, bytes],
    trees: dict[str, dict[str, tuple[str, str]]],
    told: set[str],
) -> None:
    """What attempts may hold: few plain files at plain paths. Nothing else may come along with a journal."""
    stray = [oid for oid in attempts if oid not in told]
    if stray:
        raise Refused(f"it brings {len(stray)} commits that its records do not tell of")
    if any(len(commits[oid]) > 1 for oid in attempts):
        raise Refused("an attempt has more than one base")
    roots = {field_of(content[oid], b"tree") for oid in attempts}
    blobs: set[str] = set()
    count = dict.fromkeys(roots, 0)
    todo: list[tuple[str, str, str, int]] = [(root, root, "", 0) for root in roots]  # (attempt's root, tree, at, depth)
    while todo:
        missing = {tree for _, tree, _, _ in todo if tree not in trees}
        if missing:
            trees.update(_trees(store, missing))
        below: list[tuple[str, str, str, int]] = []
        for root, tree, at, depth in todo:
            if depth > MOST_DEPTH:
                raise Refused(f"an attempt has folders more than {MOST_DEPTH} deep")
            _check_names(trees[tree], at)
            for name, (mode, oid) in trees[tree].items():
                if mode == "40000":
                    below.append((root, oid, f"{at}{name}/", depth + 1))
                elif mode in FILE_MODES:
                    blobs.add(oid)
                    count[root] += 1
                else:
                    kind = {"120000": "a link", "160000": "a submodule"}.get(mode, f"of mode {mode}")
                    raise Refused(f"{clean_line(at + name, 60)} is {kind}")
                if count[root] > MOST_FILES:
                    raise Refused(f"an attempt has more than {MOST_FILES} files")
            if len(below) > 200_000:
                raise Refused("its folders multiply without end")
        todo = below
    _refuse_large(store.sizes(sorted(blobs)), "a file", "blob", CODE_BYTES)  # never held in memory


def _check_names(tree: Mapping[str, tuple[str, str]], at: str) -> None:
    seen: set[str] = set()
    for name in tree:
        folded = unicodedata.normalize("NFKC", name).casefold()
        plain = _NAME.fullmatch(name) and not name.endswith(".") and unicodedata.normalize("NFC", name) == name
        if not plain or len(at) + len(name) > PATH_CHARACTERS or _RESERVED.fullmatch(name):
            wrong = "is no plain name of a file"
        elif folded in seen:
            wrong = "stands there twice but for the case"
        else:
            seen.add(folded)
            continue
        # cleaned only here: a stranger's folders may multiply to a million names
        said = clean_line(f"{at}{name}".encode("utf-8", "replace").decode(), 60)
        raise Refused(f"{said!r} {wrong}")


def plain_path(path: str) -> bool:
    """Whether a file of ours may travel: what others will refuse is better not sent."""
    try:
        parts = path.split("/")
        for place, name in enumerate(parts):
            _check_names({name: ("", "")}, "/".join(parts[:place]) + "/" if place else "")
        return len(parts) <= MOST_DEPTH
    except Refused:
        return False


def _pages(store: Store, oids: Sequence[str]) -> dict[str, bytes]:
    # each as often as it is read: one page may be that of sixty thousand commits
    _refuse_large(store.sizes(oids), "a page of records", "blob", PAGE_BYTES, RECORDS_BYTES)
    return store.blobs(sorted(set(oids)))


def _take(
    page: bytes,
    brought: Sequence[str],
    reading: Reading,
    taken: dict[tuple[int, int], bytes],
    known: Callable[[int, int], bytes | None],
    now: datetime,
) -> None:
    """The lines of one page. What is wrong with one line is held against that line."""
    lines = page.split(b"\n")
    if lines[-1] != b"" or len(lines) - 1 > MOST_LINES:
        raise Refused(f"a page has more than {MOST_LINES} lines, or its last one is cut")
    for raw_line in lines[:-1]:
        try:
            line = read_line(raw_line)
        except Newer:
            reading.skipped += 1
            continue
        except ValueError as error:
            reading.hold(None, str(error))
            continue
        if isinstance(line, Introduction):
            if not gives_orders(line.name):
                reading.introduction = line
            continue
        if isinstance(line, Post):
            number, key, why = None, (-line.p, 0), _against_post(line, now)  # beside the attempts' numbers
        else:
            number, key, why = line.n, (line.n, line.rev), _against(line, brought, now)
        before = taken.get(key) or known(*key)
        if not why and before is not None and before != raw_line:
            why = "its number was given before"
        if why:
            reading.hold(number, why)
        elif before is None:
            taken[key] = raw_line
            if isinstance(line, Post):
                reading.posts.append(line)
            else:
                reading.attempts.append(line)


def _against(line: Attempt, brought: Sequence[str], now: datetime) -> str:
    """What speaks against one record; "" when nothing does."""
    if line.commit and not line.rev and line.commit not in brought:
        return "it names a commit that it does not bring"
    if wrong := _wrong_date(line.at, now):
        return wrong
    if line.base is not None and line.base >= line.n:
        return "it was made on an attempt that came after it"
    words = (word for move in line.knobs for word in move)
    if gives_orders(" ".join((line.text, line.lesson, line.role, line.label, line.machine, *words))):
        return "its text reads like instructions to an agent"
    return ""


def _against_post(line: Post, now: datetime) -> str:
    """What speaks against a post; "" when nothing does."""
    if wrong := _wrong_date(line.at, now):
        return wrong
    return "its text reads like instructions to an agent" if gives_orders(line.text) else ""


def _wrong_date(at: str, now: datetime) -> str:
    latest = stamp(now + AHEAD)
    return "" if EARLIEST <= at <= latest else f"{HELD_FOR_ITS_DATE}{at[:10]}"
