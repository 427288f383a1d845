"""One export of a lab: the attempts as they are, to one target, one export of a lab at a time."""

from __future__ import annotations

from mcp_server.campaign.bench import Readable
from mcp_server.exporting import targets
from mcp_server.exporting.done import Done
from mcp_server.exporting.gathering import gathered
from mcp_server.nouns.files import locked


def sent(lab: Readable, target: str, where: str, project: str | None, *, every: bool) -> Done:
    """Gather and export; the project is called like the repository's folder unless told. Raises AutoresearchError."""
    if not lab.paths.ledger.exists():
        gathered(lab, every=every)  # says that there is no lab
    # two at once would both miss what the other is about to write
    with locked(lab.paths.state / "export.lock"):
        return targets.export(target, gathered(lab, every=every), where, project or lab.paths.common.parent.name)
