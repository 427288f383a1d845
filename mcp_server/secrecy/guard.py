"""What a lab asks before it trusts a corpus: can a run here, with this lab's files and rights, read the sealed text?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mcp_server.nouns.errors import CorpusError
from mcp_server.repo.workspace import Workspace
from mcp_server.secrecy.proof import Proof, prove, refusal, sealed_index


def search_for(
    corpus: Path,
    readable: Sequence[str] = (),
    workspace: Workspace | None = None,
    commit: str = "",
) -> Proof | None:
    """A proof for runs that may read `readable` and the files of `commit`; None for a corpus that has no text to find.

    Raises CorpusError and WorkspaceError.
    """
    if not len(sealed_index(corpus).hashes):
        return None
    read = [Path(place).expanduser().resolve() for place in readable]
    hide: list[Path] = []
    with ExitStack() as stack:
        if workspace is not None:
            hide.append(workspace.paths.state)
            snapshot = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autoresearch-snapshot-"))) / "work"
            workspace.materialise(commit, snapshot)
            read.append(snapshot)
        proof = prove(corpus, [path for path in read if path.exists()], hide)
        if workspace is None:
            return proof
        # named as the user knows them
        tree = workspace.paths.tree
        found = tuple(tree / path.relative_to(snapshot) if snapshot in path.parents else path for path in proof.found)
        return Proof(proof.tier, found, proof.words)


def before_campaign(corpus: Path, readable: Sequence[str], workspace: Workspace, commit: str) -> list[str]:
    """Warnings for the beginning of a campaign. Raises CorpusError where its runs could read the sealed text."""
    proof = search_for(corpus, readable, workspace, commit)
    if proof is None or proof.holds:
        return []
    if proof.found:
        raise CorpusError(refusal(corpus, proof))
    return [f"NOT SECRET: {proof.words}. No score of this campaign can be told from one that was looked up."]


def of_old_corpus(corpus: str | None) -> list[str]:
    """A warning for a campaign that goes on with a corpus made before anybody searched for its sealed text."""
    if corpus is None:
        return []
    try:
        meta = json.loads(Path(corpus, "public", "meta.json").read_text())
    except (OSError, ValueError):
        return []
    if meta.get("format") != 1 or meta.get("corpus") != "stdlib":
        return []
    return [
        "This campaign's corpus was made by an older version, from files of the standard library that every run could "
        "read: its scores do not show that nobody looked. It goes on as it is; for new work run `autoresearch prepare` "
        "and start another campaign."
    ]
