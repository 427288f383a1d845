"""The backtest arena: no look at tomorrow, nothing that only survivors pay for, a bar that rises with every attempt."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research
from tests.arenas.scorers import Scorer, module

ARENA = ROOT / "arenas" / "backtest"
HONEST = (ARENA / "strategy.py").read_text()
SMALL = {"rules.json": {"periods": 4, "assets": 8, "first_days": 120, "final_share": 0.4}}


def instead(body: str) -> str:
    """A strategy whose `allocate` does something else; `honest` is what it did."""
    return f"{HONEST}\n\nhonest = allocate\n\n\ndef allocate(prices):\n    {body}\n"


CHEATS = {
    "weights like a lottery ticket": ("guard_broken", instead("return [1000.0 if price else 0.0 for price in prices]")),
    "what is not listed": ("guard_broken", instead("return [0.1] * len(prices)")),
    "NaN": ("bad_output", instead("return [float('nan')] * len(prices)")),
    "too few numbers": ("bad_output", instead("return [1.0]")),
    "a Sharpe ratio of its own": ("bad_output", instead("return {'score': 9.0}")),
    "cash": ("idle", instead("return [0.0] * len(prices)")),
    "nine times of everything, borrowed": ("ruined", instead("return [9.0 if price else 0.0 for price in prices]")),
    "the prices, read": ("host_died", instead("open({drawer!r} + '/prices.csv').read()")),
    "the draw, read from the parent": (
        "host_died", instead("open('/proc/' + str(__import__('os').getppid()) + '/environ').read()"),
    ),
    "asking for the next day's price": ("host_died", instead("return honest(past[len(past) + 1])")),
}  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_breaks_a_guard_or_looks_ahead_is_refused(cheat: str, tmp_path: Path) -> None:
    scorer = Scorer("backtest", tmp_path, SMALL)
    reason, program = CHEATS[cheat]
    said = scorer.ask({"strategy.py": program.replace("{drawer!r}", repr(str(scorer.drawer)))}, AUTORESEARCH_DRAW="4")
    assert said.get("rejected") == reason, said


def test_history_ends_before_the_embargo_and_the_final_part_is_met_in_the_exam_alone() -> None:
    score = module("backtest", "score")
    market = [[100.0 + day, 50.0] for day in range(1000)]
    asked: list[tuple[str, int, float]] = []

    class Witness:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> Witness:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def ask(self, function: str, rows: list[Any]) -> list[float]:
            last = rows[-1] if function == "fit" else rows
            asked.append((function, len(rows), last[0]))
            return [0.5, 0.5]

    score.Program = Witness
    score.walked(market, [(300, 363), (363, 426)])
    fits = [(length, price - 100.0) for function, length, price in asked if function == "fit"]
    assert fits == [(300 - 21, 278.0), (363 - 21, 341.0)]  # the last known day lies 21 days and more before the period
    fed = [price - 100.0 for function, _, price in asked if function == "allocate"]
    assert fed == [*range(279, 363), *range(342, 426)]  # one day after the other, never one of tomorrow
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_SPLIT", "val")
        usual, final = score.periods(1000, random.Random(1))
        patch.setenv("AUTORESEARCH_SPLIT", "test")
        exam, _ = score.periods(1000, random.Random(1))
    assert max(last for _, last in usual) <= final <= min(first for first, _ in exam)


def test_orders_are_filled_at_the_next_price_and_what_is_delisted_is_lost() -> None:
    portfolio = module("backtest", "portfolio")
    rules = {"cost": 0.0, "slippage": 0.0, "delisting_return": -0.5, "borrowing_a_year": 0.0}
    books = portfolio.Portfolio(rules, 2)
    books.day([100.0, 10.0], [110.0, 10.0], [1.0, 0.0])  # bought at 110: the rise of this day is not had
    assert books.equity == pytest.approx(1.0)
    books.day([110.0, 10.0], [121.0, 10.0], [1.0, 0.0])
    assert books.equity == pytest.approx(1.1)
    books.day([121.0, 10.0], [None, 10.0], [0.0, 0.0])
    assert books.equity == pytest.approx(0.55)
    dear = portfolio.Portfolio(rules | {"cost": 0.01, "slippage": 0.02}, 1)
    dear.day([1.0], [1.0], [0.5])
    assert dear.equity == pytest.approx(1 - 0.5 * (0.01 + 0.02 * 0.5))
    assert portfolio.drawdown([0.1, -0.5, 0.2]) == pytest.approx(0.5)
    assert portfolio.equal_parts([10.0, 20.0, None], [11.0, None, 5.0], rules) == pytest.approx((0.1 - 0.5) / 2)


def test_the_best_of_many_attempts_without_skill_is_not_believed() -> None:
    deflated = module("backtest", "deflated")
    draw = random.Random(7)
    mined = [[draw.gauss(0.0, 0.01) for _ in range(750)] for _ in range(200)]
    lucky = max(mined, key=deflated.sharpe)
    assert deflated.deflated(lucky, 1) > 0.98  # alone it looks like skill
    assert deflated.deflated(lucky, 200) < 0.75
    skilled = [one + 0.0015 for one in lucky]
    assert deflated.deflated(skilled, 200) > 0.99
    # Bailey and López de Prado (2014), their numerical example: SR 2.5 a year, N 100, V 1/2, T 1250
    year = 250**0.5
    assert deflated.best_of_luck(100, (0.5 / 250) ** 0.5) * year == pytest.approx(0.1132 * year, abs=0.01)


def test_every_different_attempt_of_the_lab_is_counted_and_lowers_what_is_believed(tmp_path: Path) -> None:
    scorer = Scorer("backtest", tmp_path, SMALL)
    first = scorer.ask()["secondary"]
    assert (first["attempts"], scorer.ask(AUTORESEARCH_RUN="second-1-1")["secondary"]["attempts"]) == (1.0, 1.0)
    for days in (2, 20, 60):
        scorer.ask({"strategy.py": HONEST.replace("LOOKBACK_DAYS = 5", f"LOOKBACK_DAYS = {days}")})
    again = scorer.ask()["secondary"]
    assert again["attempts"] == 4.0
    assert again["deflated_sharpe"] < first["deflated_sharpe"]
    exam = scorer.ask({"strategy.py": instead("return honest(prices)")}, AUTORESEARCH_SPLIT="test")
    assert exam["secondary"]["attempts"] == 4.0
    assert "kept for the exam" in (scorer.drawer / "first-2-1-val.svg").read_text()


QUITS = instead("if len(past) > 130 and past[-1][0] < past[0][0]:\n        raise SystemExit\n    return honest(prices)")


def test_a_strategy_that_ends_itself_where_it_does_badly_has_been_tried_as_well(tmp_path: Path) -> None:
    """Else a hundred could be tried, of which only the lucky ones are counted."""
    scorer = Scorer("backtest", tmp_path, SMALL)
    told = [scorer.ask({"strategy.py": QUITS + f"# {at}\n"}, AUTORESEARCH_DRAW=str(at)) for at in range(4)]
    assert {one.get("rejected") for one in told} >= {"host_died"}
    assert scorer.ask()["secondary"]["attempts"] == 5.0


def test_a_score_has_too_few_digits_to_write_prices_into(tmp_path: Path) -> None:
    """What is held on one day alone moves the last digits by that day's prices, for who can read them."""
    scorer = Scorer("backtest", tmp_path, SMALL)
    told = scorer.ask(
        {"strategy.py": instead("return [one * (0.999 if len(past) == 200 else 1) for one in honest(prices)]")}
    )
    assert all(number == round(number, 3) for number in (told["score"], *told["interval"]))
    assert told["score"] == scorer.ask()["score"]


def test_an_asset_that_is_missing_for_a_while_is_not_taken_for_delisted(tmp_path: Path) -> None:
    scorer = Scorer("backtest", tmp_path, {"rules.json": {"prices": "csv"}})
    prices(scorer.drawer, gone=True)
    file = scorer.drawer / "prices.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:80], lines[80].replace(lines[80].split(",")[1], "", 1), *lines[81:]]) + "\n")
    assert "Repeat the last price" in scorer.done().stderr


def prices(folder: Path, gone: bool) -> None:
    draw, lines, levels = random.Random(3), ["date,ONE,TWO,THREE"], [10.0, 20.0, 30.0]
    for day in range(700):
        levels = [level * (1 + draw.gauss(0.0005, 0.01)) for level in levels]
        cells = [f"{level:.2f}" for level in levels]
        if gone and day > 300:
            cells[2] = ""
        lines.append(",".join([f"{2000 + day // 250}-{1 + day % 250:03}", *cells]))
    (folder / "prices.csv").write_text("\n".join(lines) + "\n")


def test_prices_of_the_users_own_are_walked_and_a_list_of_survivors_is_refused(tmp_path: Path) -> None:
    scorer = Scorer("backtest", tmp_path, {"rules.json": {"prices": "csv"}})
    assert "prices.csv" in scorer.done().stderr
    prices(scorer.drawer, gone=False)
    assert "delisted" in scorer.done().stderr
    prices(scorer.drawer, gone=True)
    one, other = scorer.ask(), scorer.ask(AUTORESEARCH_DRAW="beef")
    assert one["secondary"]["periods"] >= 3
    assert one["score"] != other["score"]  # the periods begin elsewhere
    text = (scorer.drawer / "prices.csv").read_text()
    (scorer.drawer / "prices.csv").write_text(text.replace("\n2000-005,", "\n2000-001,"))
    assert "must rise" in scorer.done().stderr


@pytest.mark.slow
def test_eight_experiments_raise_the_ratio_and_cheats_are_not_kept(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("backtest", lab, experiments=14)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > first + 0.2, words
    source = (lab / "strategy.py").read_text()
    for cheat in ("what is not listed", "weights like a lottery ticket"):
        found, decision = attempt(lab, {"strategy.py": CHEATS[cheat][1].replace(HONEST, source)})
        assert (found.reason, decision.decision) == (CHEATS[cheat][0], "reverted")
    leveraged = instead("return [3 * share for share in honest(prices)]").replace(HONEST, source)
    found, decision = attempt(lab, {"strategy.py": leveraged})
    assert decision.decision == "reverted"
    assert "leverage" in decision.reason
    attempts = list((lab / ".git" / "autoresearch" / "handover" / "backtest" / "attempts").glob("*.json"))
    assert len(attempts) >= 8
