"""How a person changes the rules of a running campaign: what would change is shown, then exactly that is put in force.

Recorded in the ledger with its time and the digests of both versions, and told wherever gains are told.
"""

from __future__ import annotations

from mcp_server.arena.program import Arena, Program, load_program
from mcp_server.campaign.beginning.keys import RULES, Change, Holder, changes
from mcp_server.campaign.beginning.readable import readable_folders
from mcp_server.campaign.bench import Bench
from mcp_server.nouns.errors import ArenaError, NotNow
from mcp_server.nouns.replies import AmendReply
from mcp_server.nouns.rows import Amendment, Campaign
from mcp_server.nouns.text import minute


def program_in_force(bench: Bench, campaign: Campaign) -> tuple[Program, str]:
    """The program in force and why the file is not: only what an edit may set applies by being written."""
    in_force = bench.program(campaign.program)
    try:
        written = load_program(bench.paths.program)
        if written.digest == in_force.digest:
            return in_force, ""
        found = _comparable(in_force.arena, written.arena)
        persons = [change for change in found if change.holder is Holder.PERSON]
        if persons:
            raise ArenaError(
                f"program.md changes {'; '.join(change.words for change in persons)}. While a campaign runs only a "
                "person may do that, with `autoresearch amend`."
            )
        _refuse_outdated(bench, campaign, written, found)
    except ArenaError as error:
        return in_force, f"{error} Until then the last valid version ({in_force.digest}) stays in force."
    bench.ledger.note_program(written.digest, written.text, bench.stamp())
    bench.ledger.set_program(campaign.tag, written.digest)
    return written, ""


def _comparable(before: Arena, after: Arena) -> list[Change]:
    """What differs. Raises ArenaError when scores of the campaign could not be compared any more."""
    found = changes(before, after)
    fixed = [change.key for change in found if change.holder is Holder.NOBODY]
    if fixed:
        raise ArenaError(
            f"program.md changes {', '.join(fixed)}, which would make scores of this campaign incomparable. "
            "Put it back, or begin a new campaign with start_campaign."
        )
    return found


def _refuse_outdated(bench: Bench, campaign: Campaign, written: Program, found: list[Change]) -> None:
    """A second work tree still has the text from before an amendment; that is no edit. Raises ArenaError."""
    if any(RULES[change.key].holder is Holder.PERSON for change in found):
        for amendment in bench.ledger.amendments(campaign.tag):
            if amendment.before == written.digest:
                raise ArenaError(
                    f"program.md is as it was before it was amended at {minute(amendment.at)} (then: "
                    f"{'; '.join(amendment.changes)}). Copy it from the work tree where that was done, or go back "
                    "with `autoresearch amend`."
                )


def amend(bench: Bench, campaign: Campaign, digest: str | None) -> AmendReply:
    """What program.md would change; with the digest that was shown, put it in force. Raises ArenaError, NotNow."""
    before, written = bench.program(campaign.program), load_program(bench.paths.program)
    found = _comparable(before.arena, written.arena)
    readable_folders(written.arena.readable, bench.paths, campaign.corpus)
    if written.digest == before.digest or not found:
        raise NotNow(
            f"program.md changes no rule of {campaign.tag}: there is nothing to amend. Edit it first; "
            "`autoresearch status` shows what is in force."
        )
    words = [change.words for change in found]
    reply = AmendReply(campaign=campaign.tag, before=before.digest, after=written.digest, changes=words)
    if digest is None:
        return reply
    if digest != written.digest:
        raise NotNow("program.md was edited since its changes were shown. Nothing was put in force; look at it again.")
    at = bench.stamp()
    bench.ledger.note_program(written.digest, written.text, at)
    last = bench.ledger.next_number(campaign.tag) - 1
    bench.ledger.amend(Amendment(campaign.tag, at, before.digest, written.digest, tuple(words), last))
    reply.applied = True
    reply.next = f"In force from experiment {last + 1} on, and told in status, history, report and the next keep."
    return reply


def told(amendment: Amendment) -> str:
    """One line: when the rules changed, where in the campaign, and how."""
    return f"{minute(amendment.at)}, after experiment {amendment.experiment}: {'; '.join(amendment.changes)}"
