"""What a campaign has cost: gathered from what clients told and from what the user's own command says.

The command is asked before a proposal and by who looks, at most once a minute, with the lab's lock free. Where it fails
that is said, and nothing else comes of it: what is known goes on to count.
"""

from __future__ import annotations

import contextlib
from datetime import datetime

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Books, Readable
from mcp_server.campaign.find import experiment_at
from mcp_server.campaign.money import window
from mcp_server.campaign.money.accounts import larger, read_in_all
from mcp_server.ledger.live.spending import Reading
from mcp_server.nouns.errors import ArenaError, AutoresearchError
from mcp_server.nouns.replies import MoneyReply
from mcp_server.nouns.rows import Campaign, Spent
from mcp_server.nouns.text import clean_line
from mcp_server.personal.file import personal_file
from mcp_server.personal.money import Spend, ask, spend_of

LOOK_SECONDS = 60.0


def spent_in(bench: Books, tag: str) -> Spent:
    """The larger of both accounts, for they are of the same money."""
    return larger(bench.ledger.told_spent(tag).spent, read_in_all(bench.ledger.readings(tag)))


def due(asked_at: str | None, now: datetime) -> bool:
    """Whether the command may be asked again; at once when the clock was set back since. Pure."""
    return asked_at is None or not 0 <= (now - datetime.fromisoformat(asked_at)).total_seconds() < LOOK_SECONDS


def look(lab: Readable) -> None:
    """Ask the user's command what was spent, where there is one and it is due. Never raises for what it says."""
    if not personal_file().exists() or not lab.paths.ledger.exists():
        return
    try:
        spend = spend_of(lab.paths.state.parent, lab.paths.tree)
    except ArenaError:
        return  # `of` says it
    with contextlib.suppress(AutoresearchError):
        if spend is not None:
            _ask(lab, spend)


def _ask(lab: Readable, spend: Spend) -> None:
    with lab.reading() as (bench, campaign, _):
        last = bench.ledger.last_reading(campaign.tag)
        if not due(last[0] if last else None, bench.now()):
            return
        given = {"campaign": campaign.tag, "began": campaign.began_at, "lab": str(bench.paths.tree)}
    spent, problem = Spent(), ""
    try:
        spent = ask(spend, given)
    except (OSError, ValueError) as error:
        problem = clean_line(str(error), 300) or "it failed"
    with lab.reading_all() as bench:
        bench.ledger.add_reading(Reading(campaign.tag, bench.stamp(), spent, spend.counter, problem))


def tell(lab: Readable, experiment: int | None, spent: Spent, session: str = "") -> int | None:
    """What an experiment has cost so far, as its client tells; the last word counts. Its number. Raises
    AutoresearchError."""
    if not spent:
        return None
    with lab.reading() as (bench, campaign, _):
        found = experiment_at(bench, campaign, experiment, session)
        bench.ledger.note_proposer(campaign.tag, found.number, found.proposer.after(spent))
        return found.number


def of(bench: Books, campaign: Campaign, arena: Arena) -> MoneyReply:
    """All that is known of a campaign's money, and what limits it."""
    ledger, tag = bench.ledger, campaign.tag
    told, last = ledger.told_spent(tag), ledger.last_reading(tag)
    read, stop = read_in_all(ledger.readings(tag)), arena.stop
    spent = larger(told.spent, read)
    reply = MoneyReply(
        cost_usd=spent.cost_usd,
        tokens=spent.tokens,
        told_by=told.telling,
        attempts=told.attempts,
        read_at=last[0] if last is not None else "",
        stop_cost=stop.cost,
        stop_tokens=stop.tokens,
    )
    if last is not None and last[4]:
        reply.problems.append(f"`spend` in {personal_file()} said nothing: {last[4]}. What it said before counts.")
    for asked in (spend_of, None):
        try:
            if asked is not None:
                asked(bench.paths.state.parent, bench.paths.tree)
            else:
                reply.quota, shut = window.standing(bench), window.used_up(bench)
                reply.next_eligible = shut[1].isoformat(timespec="seconds") if shut else ""
        except ArenaError as error:
            reply.problems.append(str(error))
    reply.problems = list(dict.fromkeys(reply.problems))
    for name, limit, known in (("cost", stop.cost, spent.cost_usd), ("tokens", stop.tokens, spent.tokens)):
        if limit is not None and known is None and told.attempts:
            reply.problems.append(
                f"Nobody has told {name} so far, so `stop.{name}` ends nothing: `spend:` in {personal_file()} names a "
                "command that says it (docs/money.md)."
            )
    reply.words = words(reply, bool(read))
    return reply


def words(reply: MoneyReply, read: bool) -> str:
    """In one line; "" where there is nothing to say. Pure."""
    known = Spent(reply.cost_usd, reply.tokens).words()
    if known:
        known += f" (told for {reply.told_by} of {reply.attempts} attempts{', and read by `spend`' if read else ''})"
    limits = Spent(reply.stop_cost, reply.stop_tokens).words()
    ends = f"ends at {limits}" if limits else ""
    return "; ".join(part for part in (known, ends, *reply.quota) if part)
