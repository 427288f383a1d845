"""The bidding arena: a purse that closes, conversions that come home late, policies side by side, and a campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research
from tests.arenas.scorers import Scorer, module

ARENA = ROOT / "arenas" / "bidding"
HONEST = (ARENA / "bidder.py").read_text()
SMALL = {"rules.json": {"worlds": 1, "days": 3, "auctions_a_day": 300, "budget_a_day": 6.0}}


def instead(body: str) -> str:
    """A policy whose `bids` does something else; `honest` is what it did."""
    return f"{HONEST}\n\nhonest = bids\n\n\ndef bids(seen):\n    {body}\n"


CHEATS = {
    "a bid without end": ("guard_broken", instead("return [1e9] * 4")),
    "a negative bid": ("guard_broken", instead("return [-1.0] * 4")),
    "NaN": ("bad_output", instead("return [float('nan')] * 4")),
    "too few": ("bad_output", instead("return [1.0]")),
    "its own value": ("bad_output", instead("return {'value': 99.0}")),
    "nothing": ("idle", instead("return [0.0] * 4")),
    "a fuller purse": ("idle", instead("seen['budget'] = 1e9; seen['spent'] = 0.0; return [0.0] * 4")),
    "the draw, read from the parent": (
        "host_died",
        instead("open('/proc/' + str(__import__('os').getppid()) + '/environ').read()"),
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_is_no_policy_is_refused(cheat: str, tmp_path: Path) -> None:
    reason, program = CHEATS[cheat]
    assert Scorer("bidding", tmp_path, SMALL).ask({"bidder.py": program}).get("rejected") == reason


def test_the_highest_bid_pays_the_next_one_and_the_purse_closes() -> None:
    auction = module("bidding", "auction")
    here = auction.World((1.0,) * 4, (1.0,) * 4, (2.0,) * 4, (0.1,) * 4, (0.0,) * 4)
    hours = [[(0, 0.4, 0.0, 0.0, 2), (0, 0.9, 0.0, 0.0, 0), (0, 0.5, 0.0, 0.0, 0)], *[[] for _ in range(23)]]
    today, bidder = auction.Auctions(0, hours), auction.Bidder(0.8)
    auction.hour_of(here, today, 0, [0.7] * 4, bidder)
    assert (bidder.won[0], bidder.spent, bidder.value) == (1, 0.4, 2.0)  # 0.9 is too dear, 0.5 more than is left
    auction.morning(bidder, 1)
    assert bidder.home[0] == 0  # it converts two days later
    auction.morning(bidder, 2)
    assert (bidder.home[0], bidder.spent) == (1, 0.0)


def test_candidate_control_and_incumbent_are_in_the_field_on_the_same_days(tmp_path: Path) -> None:
    scorer = Scorer("bidding", tmp_path, {"rules.json": {"worlds": 1, "days": 4}})
    control = (ARENA / "control.py").read_text()
    assert scorer.ask({"bidder.py": control})["score"] == 0.0
    cheaper = {"bidder.py": instead("return [0.6 * bid for bid in honest(seen)]")}
    found = scorer.ask(cheaper, AUTORESEARCH_INCUMBENT=str(ARENA))
    assert found["score"] > found["incumbent"] > 0.0
    assert found["incumbent"] == scorer.ask()["score"]
    greedy = scorer.ask({"bidder.py": instead("return [1.0] * 4")})
    assert greedy["secondary"]["noon_share"] > 0.98  # and program.md bounds it
    shy = scorer.ask({"bidder.py": instead("return [0.07] * 4")})
    assert shy["secondary"]["spent_share"] < 0.7


def test_days_of_one_platform_are_no_units_of_their_own() -> None:
    """A policy that fits a platform does so every day; taken for ten, the interval was less than half of what it is."""
    score = module("bidding", "score")
    days = score.RULES["days"]
    assert score.platforms([1.0] * days + [2.0] * days) == [1.0 * days, 2.0 * days]


@pytest.mark.slow
def test_eight_experiments_buy_more_for_the_same_money_and_cheats_are_refused(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("bidding", lab, experiments=12)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > first + 0.04, words
    source = (lab / "bidder.py").read_text()
    found, decision = attempt(lab, {"bidder.py": CHEATS["a bid without end"][1].replace(HONEST, source)})
    assert (found.reason, decision.decision) == ("guard_broken", "reverted")
    shy = instead("return [0.3 * bid for bid in honest(seen)]").replace(HONEST, source)
    found, decision = attempt(lab, {"bidder.py": shy})
    assert decision.decision == "reverted"
    assert (lab / "bidder.py").read_text() == source
