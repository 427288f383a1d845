"""A paper as Markdown: question, method, results, failures, ablations, replications, limits, how to repeat it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from mcp_server.nouns.numbers import duration
from mcp_server.nouns.text import fenced, minute, plain, table
from mcp_server.views.paper.material import Material
from mcp_server.views.paper.placeholders import Values
from mcp_server.views.paper.values import MOST_ROWS, ablations, replications, rows, telling

CAPTIONS = {
    "progress.svg": "Every scored attempt in order, far ones at the edge. Green: kept. The line is the best so far.",
    "ablations.svg": "What was lost without each kept change, on seeds that it was not chosen by.",
    "replications.svg": "Each kept change by its own verdict, and below it everybody else who measured the same edit.",
    "curves.svg": "Training loss of the baseline and of kept changes. It is the trainer's word and decides nothing.",
}


_COMPARED = {"slot": "in one slot with the incumbent", "apart": "apart from it", "mixed": "both ways"}


def written(of: Material, values: Values, discussion: str, drawn: Collection[str]) -> str:
    """The paper without its seal. discussion: filled already, or "". drawn: names of the figures beside it."""
    sections = [
        f"# {_title(of)}",
        _abstract(of, values),
        _method(of),
        _results(of, values, drawn),
        _failures(of),
        _section("Ablations", ablations(of), "ablations.svg", drawn, "No kept change was taken back again"),
        _section("Replications", replications(of), "replications.svg", drawn, "Nobody measured a kept change again"),
        _discussion(discussion),
        _limits(of),
        _again(of),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _title(of: Material) -> str:
    if of.scope.question:
        return plain(of.scope.question, 200)
    if of.scope.kept is not None:
        return f"#{of.scope.kept}: {plain(of.told[of.scope.kept].experiment.description, 200)}"
    return f"{plain(of.found.campaign.tag)}: {plain(of.found.arena.goal, 200)}"


def _abstract(of: Material, values: Values) -> str:
    said = values.words
    about, n = "", of.scope.kept
    if of.scope.question:
        about = "This paper is about those that share a word with the question."
    elif n is not None:
        about = "This paper is about one kept change, and what failed on the same theme."
    parts = [
        f"Campaign {plain(of.found.campaign.tag)} decided {said['experiments']} attempts and kept {said['kept']}.",
        about,
        f"#{n} gained {said[f'gain:{n}']}." if n is not None and f"gain:{n}" in said else "",
        _believable(said),
        "Every number here was written by autoresearch from the ledger; #n names the record that it comes from. "
        "Questions and descriptions are the words of whoever asked and proposed.",
    ]
    return "## Question\n\n" + f"{plain(of.found.arena.goal)}\n\n" + " ".join(part for part in parts if part)


def _believable(words: Mapping[str, str]) -> str:
    if "exam_gain" in words:
        edges = f", 95 % interval {words['exam_interval']}" if "exam_interval" in words else ""
        return f"On the untouched split and fresh seeds the campaign gained {words['exam_gain']}{edges}."
    if "honest_gain" in words:
        gain = words["honest_gain"]
        return f"Allowing for luck in the choice, a gain of {gain} is believable; no closing exam was made."
    return ""


def _method(of: Material) -> str:
    found, arena, campaign = of.found, of.found.arena, of.found.campaign
    better = "higher is better" if arena.metric.direction == "maximize" else "lower is better"
    unit = f", {plain(arena.metric.unit)}" if arena.metric.unit else ""
    pairs = Counter(one.experiment.verdict.comparison for one in of.course if one.experiment.verdict.comparison)
    rows = [
        ("contract", of.contract),
        ("measured" if not arena.claimed else "claimed by the run", f"{plain(arena.metric.name)}{unit}, {better}"),
        ("edited", ", ".join(map(plain, arena.editable))),
        ("run, score", f"{plain(str(arena.run))}; {plain(str(arena.score))}"),
        ("budget of a run", f"{arena.budget.seconds:g} s of {'processor' if found.clock == 'cpu' else 'wall'} time"),
        ("machines", "; ".join(plain(one.identity) for one in found.devices)),
        ("shut in by", ", ".join(found.tiers)),
        ("seeds", _listed(of.seeds)),
        ("seeds of the exam", _listed(of.exam_seeds)),
        ("compared", ", ".join(f"{count} {_COMPARED.get(name, name)}" for name, count in sorted(pairs.items()))),
        ("began", f"{minute(campaign.began_at)} from commit {campaign.pinned[:12]}, program {campaign.program[:12]}"),
        ("corpus", plain(campaign.fingerprint or "")[:12]),
        ("rules changed", "; ".join(map(plain, found.rules))),
        ("proposed by", ", ".join(map(plain, of.agents))),
        ("computed", f"{duration(found.run_seconds)} of runs in {duration(found.seconds)}"),
    ]
    said = (
        "Each attempt is one commit, run for the same budget and compared with the incumbent of its time on the same "
        "seeds. The referee keeps what is likely enough to be truly better; neither it nor the score can be edited."
    )
    return f"## Method\n\n{said}\n\n{table(('what', 'how'), (row for row in rows if row[1]))}"


def _listed(seeds: tuple[int, ...]) -> str:
    more = f" and {len(seeds) - 12} more" if len(seeds) > 12 else ""
    return ", ".join(map(str, seeds[:12])) + more


def _results(of: Material, values: Values, drawn: Collection[str]) -> str:
    names = {
        "baseline": "baseline", "best": "best", "claimed_gain": "claimed gain",
        "honest_gain": "honest gain, allowing for luck", "exam_gain": "gain by closing exam",
        "exam_interval": "its 95 % interval", "false_keeps": "keeps that are luck, expected",
        "noise": "noise of one run",
    }  # fmt: skip
    told = [(words, values.words[name]) for name, words in names.items() if name in values.words]
    parts = [
        "## Results",
        table(("quantity of the campaign", "value"), told),
        _figure("progress.svg", drawn),
        "### Kept changes",
        rows(of.found.kept) or "None.",
        _figure("curves.svg", drawn),
    ]
    return "\n\n".join(part for part in parts if part)


def _figure(name: str, drawn: Collection[str]) -> str:
    return f"![{CAPTIONS[name]}]({name})\n\n*{CAPTIONS[name]}*" if name in drawn else ""


def _failures(of: Material) -> str:
    failed = of.found.failed
    if not failed:
        return "## What did not work\n\nNothing was tried and not kept: nobody knows what this search overlooked."
    helped = sum((one.gain or 0.0) > 0 for one in failed)
    doubtful = sum(bool(one.doubt) for one in failed)
    said = (
        f"{len(failed):,} were tried and not kept, {doubtful:,} of them because nothing could be told from the noise; "
        f"{helped:,} came out better, but not surely."
    )
    more = f"\n\nThe {MOST_ROWS} farthest from the noise are listed." if len(failed) > MOST_ROWS else ""
    return f"## What did not work\n\n{said}{more}\n\n{rows(telling(failed))}"


def _section(title: str, table: str, figure: str, drawn: Collection[str], nothing: str) -> str:
    how = {
        "Ablations": "`autoresearch prune` does",
        "Replications": "another lab's `autoresearch replicate` does",
    }[title]
    body = "\n\n".join(part for part in (table, _figure(figure, drawn)) if part)
    return f"## {title}\n\n{body or f'{nothing}; {how}.'}"


def _discussion(filled: str) -> str:
    if not filled:
        return ""
    return f"## Discussion\n\n*An agent's or a person's words; the numbers in them are the ledger's.*\n\n{filled}"


def _limits(of: Material) -> str:
    return "## Limits\n\n" + "\n".join(f"- {one}" for one in _each_limit(of))


def _each_limit(of: Material) -> Iterator[str]:
    found = of.found
    if found.arena.claimed:
        yield "Every score is the word of the run that printed it; nobody measured it."
    if found.totals.exam_gain is None:
        yield "No closing exam was made: the gains were chosen on the data and seeds that they are told on."
    machines = len({one.model for one in found.devices})
    if machines < 2:
        yield "One class of machine: an effect of its speed or arithmetic would look the same."
    yield f"One budget, {found.arena.budget.seconds:g} s a run: what is better here may lose over a longer one."
    looks = [one.experiment.verdict.looks for one in found.kept if one.experiment.verdict.looks]
    if looks and min(looks) < 2:
        alone = ", ".join(f"#{one.number}" for one in found.kept if one.experiment.verdict.looks == 1)
        yield f"Kept after a single look: {alone}."
    provisional = ", ".join(f"#{one.number}" for one in found.kept if one.label == "provisional")
    if provisional:
        yield f"Provisional when this was written: {provisional}."
    bare = [one.number for one in found.kept if one.number not in of.ablations]
    if bare:
        yield f"Never taken back to see what is lost: {', '.join(f'#{n}' for n in bare[:20])}."
    lonely = [one.number for one in found.kept if one.number not in of.replications]
    if lonely:
        yield f"Measured by nobody else: {', '.join(f'#{n}' for n in lonely[:20])}."
    if found.left:
        yield f"{found.left} attempts were not decided when this was written."
    yield "A gain is over the incumbent of its time: gains of a campaign do not simply add up."


def _again(of: Material) -> str:
    """Two commands: the code it was measured against, and the change on it."""
    campaign, arena, n = of.found.campaign, of.found.arena, of.scope.kept
    keeps = [one for one in of.course if one.experiment.decision == "keep"]
    one = of.told[n] if n is not None else keeps[-1] if keeps else of.baseline
    commit = one.experiment.commit_sha or one.experiment.snapshot  # a keep's is on the branch, which a clone has
    begin = f"{commit}^" if n is not None else campaign.pinned
    files = shlex.join(arena.editable)
    commands = [
        f"autoresearch start {campaign.tag[:30]}-again --from {begin} --wait",
        f'git restore --source {commit} -- {files} && autoresearch run "#{one.number} again"',
    ]
    return (
        "## How to repeat it\n\nIn a clone of the lab, the code it was measured against and then the change on it:\n\n"
        + (fenced("\n".join(commands), "sh") + "\n\n`autoresearch decide --wait` says what came of it.")
    )
