"""Brings the code of an attempt elsewhere, checked against its record and against our own arena. Nothing is written.

What comes back is data: it is merged, compiled without being run, and executed nowhere but in the sandbox of an own
run, beside our own frozen files.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcp_server.arena.program import Arena
from mcp_server.community.secretscan import in_files
from mcp_server.community.wire.journal import CODE_BYTES, MOST_FILES
from mcp_server.community.wire.store import Store
from mcp_server.edits.fingerprint import change, fingerprint
from mcp_server.ledger.foreign import Foreign, Known
from mcp_server.nouns.errors import CommunityError, GitError
from mcp_server.nouns.exchanged import DIGEST, SHORT, Attempt, Edit
from mcp_server.nouns.text import clean_line
from mcp_server.repo.git import FILE_MODES
from mcp_server.repo.patterns import Patterns


def bring(store: Store, foreign: Foreign, known: Known, contract: str, arena: Arena) -> Edit:
    """The change of one attempt. Raises CommunityError with its name and why it cannot be used."""
    one, name = known.attempt, f"{known.lab[:SHORT]}/{known.attempt.n}"
    if one.contract != contract:
        raise CommunityError(
            f"{name} was measured under another contract (other frozen files, metric, budget or corpus), so its edit "
            "means something else here. Choose one that `autoresearch community claims` lists."
        )
    base = foreign.attempt(known.lab, one.base) if one.base is not None else None
    if base is None:
        raise CommunityError(
            f"{name} stands on nothing that is known here, so there is no edit to take over. "
            f"start_campaign(tag, from_ref='{name}') begins from its code."
        )
    before = files_of(store, base.attempt, f"{known.lab[:SHORT]}/{base.attempt.n}", arena)
    after = files_of(store, one, name, arena)
    if one.edit and change(before, after)[:DIGEST] != one.edit:
        raise CommunityError(f"{name}: its edit is not the one that its record tells of. It was not taken over.")
    return Edit(f"{known.lab}/{one.n}", one.text, one.knobs, before, after)


def files_of(store: Store, one: Attempt, name: str, arena: Arena) -> Mapping[str, bytes]:
    """The files of an attempt's commit, all of them editable here and what the record says. Raises CommunityError."""
    if not one.commit:
        raise CommunityError(f"The code of {name} stayed at home in its lab; only its record is known.")
    try:
        entries = store.entries(one.commit)
        if len(entries) > MOST_FILES:
            raise CommunityError(f"{name} has {len(entries)} files; at most {MOST_FILES} are taken over.")
        chosen = Patterns.of(arena.editable)
        for path, entry in entries.items():
            said = clean_line(path.encode("utf-8", "replace").decode(), 80)
            if entry.mode not in FILE_MODES:
                raise CommunityError(
                    f"{name}: {said} is no plain file, but a link or a submodule. Nothing was written."
                )
            if not chosen.match(path):
                frozen = "frozen" if Patterns.of(arena.frozen).match(path) else "not editable"
                raise CommunityError(f"{name} touches {said}, which is {frozen} here. Nothing was written.")
        for (path, _), size in zip(
            entries.items(), store.sizes([entry.oid for entry in entries.values()]), strict=True
        ):
            if size is None or size[1] > CODE_BYTES:
                raise CommunityError(f"{name}: {clean_line(path, 80)} is missing or larger than {CODE_BYTES:,} bytes.")
        contents = store.blobs(entry.oid for entry in entries.values())
    except GitError as error:
        raise CommunityError(f"The code of {name} cannot be read: {error}") from None
    files = {path: contents[entry.oid] for path, entry in entries.items()}
    _refuse(files, one, name)
    return files


def _refuse(files: Mapping[str, bytes], one: Attempt, name: str) -> None:
    for path, content in files.items():
        if b"\0" in content:
            raise CommunityError(f"{name}: {clean_line(path, 80)} is binary. Nothing was written.")
    if fingerprint(files)[:DIGEST] != one.code:
        raise CommunityError(f"{name}: its code is not the code that its record tells of. It was not taken over.")
    found = in_files(files)
    if found:
        raise CommunityError(f"{name}: {found[0].words()}. Nothing was written; tell that lab.")
