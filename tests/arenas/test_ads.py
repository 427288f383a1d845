"""The ads arena: the brand's rules before anything is shown, Thompson sampling, and delayed's own machinery."""

from __future__ import annotations

import copy
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_server.setup.newlab import template, write_lab
from tests.arenas.campaigns import ROOT, attempt, best, campaigned
from tests.arenas.scorers import module

ARENA = ROOT / "arenas" / "ads"
RULES: dict[str, Any] = json.loads((ARENA / "field.json").read_text())
CONTROL: dict[str, Any] = json.loads((ARENA / "control.json").read_text())
ONE: dict[str, str] = CONTROL["creatives"][0]
FAIR = {
    "headline": "Warm bread this morning",
    "body": "Your bread is in the oven while you are at home.",
    "call": "Order yours",
}
BEST = FAIR | {"headline": "The best bread"}


def deployed(folder: Path, plan: Any, **rules: Any) -> dict[str, Any]:
    """What `deploy.py` answers about a plan, in a hand-over folder of its own."""
    trusted, handover, artifact = folder / "trusted", folder / "handover", folder / "artifact"
    for place in (trusted, handover, artifact):
        place.mkdir(parents=True, exist_ok=True)
    for path in ARENA.iterdir():
        if path.suffix in (".py", ".json"):
            (trusted / path.name).write_bytes(path.read_bytes())
    (trusted / "field.json").write_text(json.dumps({**RULES, **rules}))
    (artifact / "plan.json").write_text(json.dumps(plan))
    env = {
        **os.environ,
        **{"AUTORESEARCH_HANDOVER": str(handover), "AUTORESEARCH_RUN": "first-2-1"},
        **{"AUTORESEARCH_ARTIFACT": str(artifact), "AUTORESEARCH_TIER": "T2"},
    }
    done = subprocess.run(
        [sys.executable, "-B", "deploy.py"], cwd=trusted, env=env, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


CHEATS = {
    "a claim that nobody checked": {"creatives": [BEST]},
    "a claim in other letters": {"creatives": [FAIR | {"headline": "The bеst bread"}]},
    "free": {"creatives": [FAIR | {"body": "Your bread is free today."}]},
    "a number": {"creatives": [FAIR | {"body": "Save 50 today."}]},
    "a word that is none of the brand's": {"creatives": [FAIR | {"body": "Miracle bread for you."}]},
    "a claim with an underscore at it": {"creatives": [FAIR | {"headline": "The best_ bread"}]},
    "shouting behind underscores": {"creatives": [FAIR | {"call": "ORDER_ NOW_"}]},
    "shouting, nearly": {"creatives": [FAIR | {"call": "ORDEr NoW"}]},
    "shouting with question marks": {"creatives": [FAIR | {"headline": "Hungry???"}]},
    "a drawing": {"creatives": [FAIR | {"headline": "Warm bread <>"}]},
    "a creative without a word": {"creatives": [{"headline": "...", "body": "!", "call": "-"}]},
    "a part without a word": {"creatives": [FAIR | {"call": "..."}]},
    "a short word again and again": {"creatives": [FAIR | {"body": "Hot hot hot hot bread for you."}]},
    "the same twice, with a comma": {"creatives": [FAIR, FAIR | {"headline": "Warm bread, this morning"}]},
    "shouting": {"creatives": [FAIR | {"call": "ORDER NOW"}]},
    "one word again and again": {"creatives": [FAIR | {"body": "Bread, bread, bread and bread for you."}]},
    "the same twice": {"creatives": [FAIR, FAIR]},
    "a dozen": {"creatives": [FAIR | {"headline": f"Warm bread {at}"} for at in range(12)]},
    "none": {"creatives": []},
    "an empty part": {"creatives": [FAIR | {"call": " "}]},
    "a book": {"creatives": [FAIR | {"body": "bread " * 100}]},
    "a sample of its own": {"creatives": [FAIR], "messages": 3},
    "a price of its own": {"creatives": [FAIR | {"spend": -100}]},
    "no texts": {"creatives": [1.0]},
}  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_breaks_the_rules_is_refused_before_anybody_sees_it(cheat: str, tmp_path: Path) -> None:
    assert deployed(tmp_path, CHEATS[cheat])["rejected"] == "guard_broken"
    assert not list((tmp_path / "handover" / "book").iterdir())


def test_several_creatives_go_out_as_one_order_beside_the_control(tmp_path: Path) -> None:
    plan = {"creatives": [FAIR, FAIR | {"headline": "Hungry this morning?"}]}
    assert deployed(tmp_path, plan)["pending"] is True
    order = json.loads((tmp_path / "handover" / "outbox" / "first-2-1.json").read_text())
    assert [order["arms"][arm]["messages"] for arm in ("candidate", "control")] == [12000, 12000]
    assert order["spend"] == pytest.approx(2 * 12000 * 0.01)
    (tmp_path / "handover" / "book" / "first-2-1.json").unlink()  # as if it were the next one
    limits = {**RULES["limits"], "spend_total": 100}
    assert deployed(tmp_path, plan, limits=limits)["rejected"] == "budget_spent"


def test_thompson_sampling_finds_the_better_creative_and_still_looks_at_the_other() -> None:
    choose = module("ads", "thompson").choose
    draw, shown, came = random.Random(1), [0, 0, 0], [0, 0, 0]
    for _ in range(3000):
        at = choose(shown, came, draw)
        shown[at] += 1
        came[at] += draw.random() < (0.05, 0.10, 0.04)[at]
    assert shown[1] > 2000
    assert min(shown) > 10


def world(audience: Any) -> dict[str, Any]:
    likes = {"short headline": 0.2, "about you": 0.15, "benefit": 0.2, "soon": 0.2, "doing": 0.25, "question": 0.2}
    found = {"seed": 1, "began": 0.0, "phase": 0.1, "likes": likes | {"long body": 0.15}, "control": 0.0}
    return found | {"control": audience.appeal(found, ONE)}


def test_the_score_is_of_all_that_was_shown_and_the_season_is_not_in_it() -> None:
    deploy, audience = module("ads", "deploy"), module("ads", "audience")
    here, plan = world(audience), {"creatives": [FAIR, ONE]}
    fewer = {**RULES, "messages_each_arm": 6000}
    scores, rates = [], []
    for turn in range(12):
        order = deploy.ordered(f"first-{turn}-1", plan, CONTROL, fewer, now=0.0)
        outcome = {arm: audience.shown(here, order, arm, turn * 40.0) for arm in order["arms"]}
        found = deploy.settled(order, outcome, fewer, now=100.0)
        scores.append(found["score"])
        rates.append(found["secondary"]["control_percent"])
        assert found["secondary"]["variant_1_percent"] > found["secondary"]["variant_2_percent"]
    assert max(rates) / min(rates) > 1.3
    truth = audience.appeal(here, FAIR)
    assert 0.7 * truth < statistics.fmean(scores) < truth  # what the worse one was shown is in the score


def test_a_file_of_outcomes_that_cannot_be_is_waited_out() -> None:
    deploy, audience = module("ads", "deploy"), module("ads", "audience")
    order = deploy.ordered("first-1-1", CONTROL, CONTROL, RULES, now=0.0)
    outcome = {arm: audience.shown(world(audience), order, arm, 0.0) for arm in order["arms"]}
    assert deploy.implausible(outcome, order) == ""
    for wrong in ("many", [1], [{"delivered": "all"}]):
        odd = copy.deepcopy(outcome)
        odd["candidate"]["variants"] = wrong
        assert deploy.implausible(odd, order)


@pytest.mark.slow
def test_eight_experiments_find_better_words_and_what_breaks_a_rule_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    rules = {**RULES, "hours_per_second": 60.0}
    write_lab(template("ads"), folder, {"field.json": json.dumps(rules).encode()}, own_repository=True)
    handover = folder / ".git" / "autoresearch" / "handover" / "ads"
    handover.mkdir(parents=True)
    (handover / "world.json").write_text(json.dumps(world(module("ads", "audience")) | {"began": time.time()}))
    outcome, words = campaigned(folder, experiments=10)
    assert len(outcome.rows) - 1 >= 8, words
    assert best(outcome) > 0.2, words
    before = len(list((handover / "book").glob("*.json")))
    text = (folder / "creatives.py").read_text()
    miracle = text.replace("CREATIVES = [", f"CREATIVES = [\n    {BEST!r},", 1)
    found, decision = attempt(folder, {"creatives.py": miracle})
    assert (found.reason, decision.decision) == ("guard_broken", "reverted")
    assert len(list((handover / "book").glob("*.json"))) == before
    assert (folder / "creatives.py").read_text() == text
