"""How a campaign is born: checked before anything is written, then an intent that catching up carries out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from mcp_server.arena.corpus import prepared_corpus
from mcp_server.arena.program import Program
from mcp_server.campaign.beginning.contract import worse_beginning
from mcp_server.campaign.beginning.readable import readable_folders
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.find import check_files, join
from mcp_server.campaign.upkeep import recovery
from mcp_server.nouns.replies import CampaignReply
from mcp_server.nouns.rows import Campaign, Draws
from mcp_server.programs.check import foreseen
from mcp_server.secrecy.guard import before_campaign


def start(
    bench: Bench,
    make_room: Callable[[Bench, str], list[str]],
    program: Program,
    tag: str,
    from_ref: str,
    calibrate: int,
    draws: Draws | None = None,
) -> CampaignReply:
    """Begin a campaign that there is none of yet; `make_room` sees to the places of its views.

    draws: shared with other campaigns, so that they can be compared; else the campaign's own.

    Raises AutoresearchError, with nothing changed.
    """
    arena, workspace = program.arena, bench.workspace
    workspace.guard()
    workspace.refuse_foreign(tag)
    pinned = workspace.resolve(from_ref)
    check_files(bench, arena, pinned)
    corpus = prepared_corpus() if arena.scores_language_models else None
    readable_folders(arena.readable, bench.paths, str(corpus.folder) if corpus else None)
    warnings = before_campaign(corpus.folder, arena.readable, workspace, pinned) if corpus else []
    at = bench.stamp()
    bench.ledger.note_program(program.digest, program.text, at)
    campaign = Campaign(
        tag=tag,
        pinned=pinned,
        began_at=at,
        # unpredictable for an editor of train.py, the same for whoever repeats the campaign by its name
        seed=draws.seed if draws else int.from_bytes(hashlib.sha256(f"{tag}\0{pinned}".encode()).digest()[:3]),
        calibrate=calibrate,
        corpus=str(corpus.folder) if corpus else None,
        fingerprint=corpus.fingerprint if corpus else None,
        secret=draws.secret if draws else secrets.token_hex(32),
        program=program.digest,
        ready=False,
    )
    workspace.begin(tag, pinned, arena.editable)
    bench.ledger.intend_campaign(campaign, str(bench.paths.tree))
    workspace.ignore()
    warnings += make_room(bench, tag)
    warnings += recovery.catch_up(bench).problems
    sources = workspace.committed(arena.editable, pinned)
    warnings += foreseen(arena, bench.paths.tree, bench.paths.common.parent, sources, workspace.git.entries(pinned))
    worse = worse_beginning(bench, campaign, arena, sources)
    reply = join(bench, campaign, [*warnings, *([worse] if worse else [])])
    reply.next += f" Then edit {', '.join(arena.editable)} and call run_experiment."
    return reply
