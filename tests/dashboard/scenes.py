"""`python -m tests.dashboard.scenes [FOLDER]`: pictures of the page of all labs, from real labs in different states.

One runs with an agent at it, one is over by its stop rule, one has a Pareto front, one is paused after crashes, one is
gone. Into a FOLDER go wide and narrow, light and dark, and a lab's own page with its front; without one, the picture of
the docs is made anew.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from mcp_server.campaign.reins.hands import Reins
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.rows import Spent
from mcp_server.personal.labs import introduce
from tests.dashboard.pages import CHROMIUM, QUIET, Agent, alone, serving
from tests.dashboard.screenshots import TELLS
from tests.dashboard.synthetic import campaign_of
from tests.labs import SCORE, TRAIN, attempt, begun, finish, git, make_lab, until

DOCS = Path(__file__).parents[2] / "docs" / "images" / "all-labs.png"
SIZES = (("wide", 1360, 1000), ("narrow", 390, 844))
WORTH = SCORE.replace("score = (model", "score = 2.6 - 0.01 * (model")  # more is better, and three is best
COST = """\
import json, os, pathlib
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
told = {"latency_ms": 4 + 3 * model["knob"] - model["spread"]}
print(json.dumps({"score": round(0.05 + (model["knob"] - 3) ** 2 / 100, 6), "secondary": told}))
"""
FRONT = "metrics: {error: {direction: minimize}, latency_ms: {direction: minimize}}\nkeep: {confirm: auto}\n"


def lab_in(folder: Path, goal: str, metric: str, more: str = "", score: str = SCORE) -> Lab:
    """A lab that measures something else than a model, with a scored baseline."""
    lab = make_lab(folder, more=more, score=score)
    text = lab.paths.program.read_text().replace("bring KNOB to three", goal)
    lab.paths.program.write_text(text.replace("{name: loss, direction: minimize, unit: squares}", metric))
    git(folder, "commit", "-qam", "the question")
    begun(lab)
    lab.commit_or_revert(1)
    return lab


def training(folder: Path) -> Lab:
    """A night of 126 experiments, and one more under way."""
    lab = campaign_of(folder, 126)
    with lab.reading() as (bench, campaign, _):
        for one in bench.ledger.experiments(campaign.tag, last=40):
            bench.ledger.note_proposer(campaign.tag, one.number, one.proposer.after(Spent(0.11, 41_000)))
    for words in ("rotary base 50,000", "drop the value gate in the first layer", "a longer warm-up"):
        Reins(lab).add_idea(words)
    (lab.paths.tree / "train.py").write_text(TRAIN + TELLS)
    return lab


def packing(folder: Path) -> Lab:
    lab = lab_in(
        folder,
        "pack 26 circles into the unit square, with the largest sum of radii",
        "{name: sum_of_radii, direction: maximize}",
        "stop: {experiments: 5}\n",
        WORTH,
    )
    for knob in (1.8, 0.5, 2.4, 2.8):
        attempt(lab, f"start from a hexagonal grid, jitter {knob}", KNOB=knob)
    return lab


def routing(folder: Path) -> Lab:
    metric = "{name: error, direction: minimize, unit: share}"
    lab = lab_in(folder, "a smaller router that is as right as today's", metric, FRONT, COST)
    for knob, spread in ((1.4, 1.6), (2.0, 0.4), (0.6, 0.2), (1.4, 3.2), (2.4, 1.0)):
        attempt(lab, f"width {knob}, cache {spread}", KNOB=knob, SPREAD=spread)
    return lab


def queries(folder: Path) -> Lab:
    metric = "{name: p95_ms, direction: minimize, unit: ms}"
    lab = lab_in(folder, "make the slowest tenth of the nightly queries faster", metric)
    attempt(lab, "an index on the date", KNOB=2.0)
    for turn in range(2):
        (lab.paths.tree / "train.py").write_text(f"raise SystemExit({turn + 1})\n")
        number = lab.run_experiment(f"materialise view {turn + 1}").experiment
        finish(lab, number)
        lab.commit_or_revert(number)
    Reins(lab).pause("until the database is back")
    return lab


def main(folder: Path | None) -> None:
    """Write the pictures into `folder`, or the one of the docs."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, alone(Path(scratch)), ExitStack() as ends:
        os.environ["HOME"] = scratch
        work = Path(scratch) / "work"
        made = [make(work / make.__name__) for make in (queries, routing, packing, training)]
        old = begun(make_lab(work / "last-spring"))
        for lab in (*made, old):
            introduce(lab.paths, utc_now())
            lab.close()
        shutil.rmtree(work / "last-spring")
        agent = Agent(work / "training", "claude-code")
        ends.callback(agent.end)
        number = agent.call("run_experiment", description="momentum that grows with the batch", wait_seconds=0)
        agent_at_rest = Agent(work / "routing", "codex-mcp-client")
        agent_at_rest.call("lab_status")
        ends.callback(agent_at_rest.end)
        lab = made[-1]
        ends.callback(lab.close)
        ends.callback(lambda: until(lambda: not lab.read_score(number["experiment"]).open))
        ends.callback(lambda: lab.cancel_experiment(number["experiment"]))
        with sync_playwright() as playwright, serving(Path(scratch)) as served:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
            if folder is None:
                shot(browser, served.link, DOCS, *SIZES[0][1:], "light")
                return
            for theme in ("light", "dark"):
                for name, width, height in SIZES:
                    shot(browser, served.link, folder / f"all-labs-{name}-{theme}.png", width, height, theme)
            page = browser.new_page(viewport={"width": 1360, "height": 1000})
            page.goto(served.link)
            page.click(".lab[data-key^='routing-'] h2 a")
            page.wait_for_selector("#front-table tbody tr")
            page.wait_for_selector("#chart .main-svg")
            page.screenshot(path=folder / "front.png", full_page=True)
            browser.close()


def shot(browser: Any, link: str, path: Path, width: int, height: int, theme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(300_000)
    page.goto(link)
    page.wait_for_selector(".lab[data-key^='training-'][data-state=running] progress")
    page.wait_for_selector("#gone li")
    until(lambda: len(page.query_selector_all(".lab")) == 4)
    page.screenshot(path=path, full_page=True)
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
