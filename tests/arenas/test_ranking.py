"""The ranking arena: labels and personal data stay with the scorer, unfair gains are bounded, and a campaign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research
from tests.arenas.scorers import Scorer, module, stepped

ARENA = ROOT / "arenas" / "ranking"
HONEST = (ARENA / "rank.py").read_text()
GOOD = (
    "a skill counts where it was used",
    "the same for what is nice to have",
    "long experience with what is needed",
    "languages say little about the opening",
    "who has led a team",
    "who lives there",
)
UNFAIR = "hold breaks against them"


def instead(body: str) -> str:
    """A ranking whose `score` does something else."""
    return f"{HONEST}\n\nhonest = score\n\n\ndef score(rubric, query, candidates):\n    {body}\n"


CHEATS = {
    "too few numbers": ("bad_output", instead("return [1.0]")),
    "NaN": ("bad_output", instead("return [float('nan')] * len(candidates)")),
    "texts": ("bad_output", instead("return ['9'] * len(candidates)")),
    "truths": ("bad_output", instead("return [True] * len(candidates)")),
    "its own score": ("bad_output", instead("return {'score': 1.0}")),
    "the labels, read": ("host_died", instead("open({drawer!r} + '/cases.json').read()")),
    "personal data in its last words": ("host_died", instead("raise ValueError(candidates)")),
    "a rubric like a book": ("bad_output", HONEST),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_is_no_ranking_is_refused_and_nothing_of_a_candidate_is_told(cheat: str, tmp_path: Path) -> None:
    scorer = Scorer("ranking", tmp_path)
    reason, program = CHEATS[cheat]
    files = {"rank.py": program.replace("{drawer!r}", repr(str(scorer.drawer)))}
    if "book" in cheat:
        files["rubric.txt"] = "1 | word\n" * 1000
    done = scorer.done(files)
    said = json.loads(done.stdout)
    assert said["rejected"] == reason
    assert "years" not in done.stdout + done.stderr


def test_equal_numbers_for_all_are_laid_out_worst_first(tmp_path: Path) -> None:
    scorer = Scorer("ranking", tmp_path)
    assert scorer.ask({"rank.py": instead("return [0.0] * len(candidates)")})["score"] < scorer.ask()["score"]
    score = module("ranking", "score")
    assert score.ndcg([3, 0, 1], [9.0, 1.0, 2.0]) == 1.0
    assert score.ndcg([3, 0], [1.0, 1.0]) == score.ndcg([3, 0], [1.0, 2.0]) < 1.0


def test_a_gain_that_stands_a_group_behind_breaks_the_bound(tmp_path: Path) -> None:
    scorer = Scorer("ranking", tmp_path)
    fair = scorer.ask({"rubric.txt": stepped("ranking", "rubric.txt", *GOOD)})
    unfair = scorer.ask({"rubric.txt": stepped("ranking", "rubric.txt", UNFAIR)})
    assert fair["score"] > scorer.ask()["score"] + 0.1
    assert fair["secondary"]["group_gap"] < 0.12 < unfair["secondary"]["group_gap"]


def test_who_is_held_back_at_the_top_and_lifted_at_the_bottom_is_still_seen_less() -> None:
    """Mean places are then equal, and the score only looks at the top."""
    score = module("ranking", "score")
    said, groups = [4.0, 3.0, 2.0, 1.0], ["A", "B", "B", "A"]
    stood = [score.Stood(*one) for one in zip(groups, score.percentiles(said), score.exposures(said), strict=True)]
    found = score.gaps(stood)
    assert found["group_gap"] == 0.0
    assert found["exposure_gap"] > 0.15
    assert score.exposures([1.0, 1.0]) == [1.0, 1.0]


def test_cases_of_one_group_pass_no_bound(tmp_path: Path) -> None:
    """The lab takes a bounded value that is missing for broken."""
    people = [{"id": str(at), "text": f"sql for {at} years", "label": at % 4} for at in range(4)]
    scorer = Scorer("ranking", tmp_path)
    (scorer.drawer / "cases.json").write_text(json.dumps([{"query": "Must: sql. Leeds.", "candidates": people}] * 6))
    assert not {"group_gap", "exposure_gap"} & set(scorer.ask()["secondary"])


def test_five_hundred_people_are_drawn_once_and_asked_in_folds(tmp_path: Path) -> None:
    scorer = Scorer("ranking", tmp_path)
    one = scorer.ask()
    cases = (scorer.drawer / "cases.json").read_bytes()
    assert sum(len(query["candidates"]) for query in json.loads(cases)) == 500
    other, exam = scorer.ask(AUTORESEARCH_DRAW="beef"), scorer.ask(AUTORESEARCH_SPLIT="test")
    assert (scorer.drawer / "cases.json").read_bytes() == cases
    assert scorer.ask() == one != other
    assert (one["secondary"]["queries"], exam["secondary"]["queries"]) == (23.0, 15.0)


def test_the_program_sees_no_name_no_address_and_no_number(tmp_path: Path) -> None:
    score = module("ranking", "score")
    text = "Ada Ash, ada.ash12@example.org, +44 7700 900123. 5 years with sql. Ada led a team."
    told = score.anonymous({"text": text, "names": ["Ada", "Ash"]})
    assert told == "[name] [name], [mail], [phone]. 5 years with sql. [name] led a team."
    odd = "Jose\u0301 M. Jr. (jose_m on pages), 020.7946.0958 or 020 7946\u20110958, asks Ada  Ash"
    told = score.anonymous({"text": odd, "names": ["Jos\u00e9", "M. Jr.", "Ada Ash"]})
    assert told == "[name] [name] (jose_m on pages), [phone] or [phone], asks [name]"
    assert score.anonymous({"text": "see ada_ash", "names": ["Ada", "Ash"]}) == "see [name]_[name]"
    watched = instead(
        "assert not any('@' in one or '+44' in one for one in candidates)\n    return honest(rubric, query, candidates)"
    )
    assert "score" in Scorer("ranking", tmp_path).ask({"rank.py": watched})


TELLTALE = instead(
    "if 'tableau' in query:\n        raise ValueError(candidates)\n    return honest(rubric, query, candidates)"
)


@pytest.mark.slow
def test_eight_experiments_rank_better_and_nobody_is_named_anywhere(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("ranking", lab, experiments=12)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > first + 0.05, words
    rubric = (lab / "rubric.txt").read_text()
    assert "after a break" not in rubric
    found, decision = attempt(lab, {"rank.py": TELLTALE})
    assert (found.reason, decision.decision) == ("host_died", "reverted")

    state = lab / ".git" / "autoresearch"
    cases = json.loads((state / "handover" / "ranking" / "cases.json").read_text())
    mails = {one["text"].split(", ")[1].encode() for query in cases for one in query["candidates"]}
    places = [path for path in lab.rglob("*") if path.is_file() and "handover" not in path.parts]
    assert len(places) > 50
    assert not [path for path in places if any(mail in path.read_bytes() for mail in mails)]
