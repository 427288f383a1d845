"""What is written into commits: the title, the hypothesis, and trailers a script can read back.

Pure text; the same record always gives the same message, so that a commit made again after a crash is the same commit.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.rows import Campaign, Experiment

TITLE_LENGTH = 72
ORIGIN = "Autoresearch-Origin"


def opened(campaign: Campaign, experiment: Experiment) -> str:
    """Message of the snapshot that goes into the vault before anything ran."""
    return _message(campaign, experiment, [("State", "open")])


def decided(campaign: Campaign, experiment: Experiment, metric: str, unit: str, rules: Sequence[str] = ()) -> str:
    """Message of a settled attempt: on the branch when it was kept, in the vault when it was not.

    rules: what a person changed of the campaign's rules since the keep before.
    """
    verdict = experiment.verdict
    trailers = [
        ("State", {"keep": "kept", "revert": "discarded"}.get(experiment.decision or "", experiment.decision or ""))
    ]
    if experiment.label:
        trailers.append(("Label", experiment.label))
    score, change, widths = verdict.score, verdict.change, verdict.noise_widths
    trailers.append(("Score", "none" if score is None else f"{fixed(score)} {unit}".strip() + f" ({metric})"))
    if change is not None:
        trailers.append(
            (
                "Gain",
                f"{fixed(change, sign=True)}"
                + ("" if widths is None else f" ({fixed(widths, 1, sign=True)} noise widths)"),
            )
        )
    if verdict.seeds:
        trailers.append(("Seeds", " ".join(map(str, verdict.seeds))))
    trailers.append(("Reason", verdict.reason or "none given"))
    trailers += [("Rules-Changed", words) for words in rules]
    return _message(campaign, experiment, trailers)


def begun_from(origin: str) -> str:
    """Message of the commit that a campaign begins from when its code is another lab's. origin: LAB/n."""
    return f"The code of {origin}, from another lab\n\n{ORIGIN}: {origin}\n"


def origin_of(message: str) -> str:
    """LAB/n of the attempt elsewhere whose code this very commit is; "" for any other commit."""
    found = re.search(rf"^{ORIGIN}: ([0-9a-f]{{32}}/[1-9]\d{{0,7}})\s*\Z", message, re.MULTILINE)
    return found[1] if found else ""


def _message(campaign: Campaign, experiment: Experiment, trailers: Sequence[tuple[str, str]]) -> str:
    title = f"Experiment {experiment.number}: {experiment.description}"
    parts = [textwrap.shorten(title, TITLE_LENGTH, placeholder="...")]
    if len(title) > TITLE_LENGTH:
        parts.append(textwrap.fill(experiment.description, TITLE_LENGTH))
    if experiment.hypothesis:
        parts.append(textwrap.fill(experiment.hypothesis, TITLE_LENGTH))
    if experiment.knobs:
        parts.append("\n".join(f"- {name}: {before} -> {after}" for name, before, after in experiment.knobs[:20]))
    facts = [("Campaign", campaign.tag), ("Experiment", str(experiment.number)), *trailers]
    # one line each: a trailer that wraps would end the trailer block
    parts.append("\n".join(f"{name}: {' '.join(value.split())}" for name, value in facts))
    return "\n\n".join(parts) + "\n"
