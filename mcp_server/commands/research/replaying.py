"""replay: a campaign's own past under other rules of keeping."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.judging.further import rules
from mcp_server.nouns.errors import NotNow
from mcp_server.views.counterfactual import REFEREE, CounterfactualReply, counterfactual

MOST_LISTED = 12


@click.command()
@click.option(
    "--rule",
    "names",
    multiple=True,
    metavar="RULE",
    help="greedy, margin[:WIDTHS], twice, repeat:N, bootstrap[:N]; may be given again.  [default: all of them]",
)
@asking.replying
def replay(place: Place, names: tuple[str, ...], as_json: bool) -> None:
    """What other rules would have kept of this campaign, what of that is refuted, and the hours lost.

    Nothing is run: each rule is asked about the looks that the ledger has, in their order. A keep is refuted by repeats
    where looks that the rule had not seen, or all of them together, are no gain, and by the exam where that is sure
    that the kept ones gain nothing. Hours are lost on a refuted keep and on what was tried on top of it.

    \b
    Examples:
      autoresearch replay
      autoresearch replay --rule greedy --rule margin:2
      autoresearch replay --rule bootstrap:3 --json
    """
    chosen = {}
    for name in names or rules.ALL:
        rule = rules.named(name)
        if name == REFEREE:
            continue  # it is always there
        if rule is None:
            raise NotNow(
                f"There is no rule {name[:40]!r}. Rules are greedy, margin or margin:2 (standard deviations of one "
                "difference), twice, repeat:3, and bootstrap or bootstrap:5 (looks)."
            )
        chosen[name] = rule
    reply = counterfactual(asking.lab_at(place), chosen)
    asking.answer(reply, as_json, *shown(reply))


def shown(reply: CounterfactualReply) -> list[Any]:
    """A line a rule, then what each would have kept that is refuted or was not kept here."""
    if not reply.attempts:
        return [asking.problems(["No attempt of this campaign was measured and decided yet."])]
    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = ("rule", "keeps", "refuted", "not repeated", "unknown", "missed", "claims", "hours of runs", "hours lost")
    for head in heads:
        table.add_column(head, justify="left" if head == "rule" else "right", no_wrap=True)
    for one in reply.rules:
        table.add_row(
            one.rule,
            str(len(one.kept)),
            str(one.refuted),
            str(one.unrepeated),
            str(one.unknown),
            str(len(one.missed)),
            terminal.number(one.claimed_gain, sign=True),
            f"{one.run_hours:.2f}",
            f"{one.lost_hours:.2f}",
        )
    said = [("campaign", f"{reply.campaign}, {reply.attempts} attempts measured and decided")]
    for one in reply.rules:
        telling = [keep for keep in one.kept if keep.refuted or keep.was != "kept"][:MOST_LISTED]
        said += [
            (
                f"{one.rule} {keep.experiment}",
                f"{keep.description}: {terminal.number(keep.gain, sign=True)}, over {keep.looks} looks "
                f"{terminal.number(keep.all_looks, sign=True)}; {keep.was} here"
                + (f", refuted by {'the exam' if keep.refuted == 'exam' else keep.refuted}" if keep.refuted else ""),
            )
            for keep in telling
            if one.rule != REFEREE or keep.refuted
        ]
    if reply.exam_gain is not None:
        edges = " to ".join(terminal.number(edge, sign=True) for edge in reply.exam_interval)
        said.append(("exam", f"{terminal.number(reply.exam_gain, sign=True)} ({edges}) of the kept ones together"))
    return [table, terminal.facts(said), asking.problems(reply.notes), asking.hint(reply.next)]
