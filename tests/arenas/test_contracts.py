"""The contracts arena: what counts as found, cheats against its scorer, contracts of the user's own, and a campaign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research
from tests.arenas.scorers import Scorer, module, stepped

HONEST = (ROOT / "arenas" / "contracts" / "checklist.py").read_text()
GENERATOR = ROOT / "arenas" / "contracts" / "clauses.py"
GOOD = (
    "look for what a renewal does, not for one word",
    "who may end the contract, and who may not",
    "data that leave the house",
    "a duty to buy from one party",
)


def instead(body: str) -> str:
    """A checklist whose review does something else."""
    return f"{HONEST}\n\nhonest = review\n\n\ndef review(text):\n    {body}\n"


CHEATS = {
    "every flag on a clause of its own making": ("bad_output", instead("return dict.fromkeys(RISKY, 'x' * 40)")),
    "the whole contract as a quotation": ("bad_output", instead("return dict.fromkeys(RISKY, text)")),
    "a flag that is none": ("bad_output", instead("return {'score': text[:40]}")),
    "no dictionary": ("bad_output", instead("return 1.0")),
    "NaN": ("bad_output", instead("return {'data_resale': float('nan')}")),
    "the generator, imported": ("host_died", HONEST + "\n\nfrom clauses import FLAGS\n"),
    "the generator, read": ("host_died", instead("open(__file__.replace('checklist', 'clauses')).read()")),
    "the generator, where Python finds it": ("host_died", instead(f"open({str(GENERATOR)!r}).read()")),
    "the scorer's own copy": ("host_died", instead("open('clauses.py').read()")),
    "ending the process": ("host_died", instead("import os; os._exit(0)")),
    "a process left behind": ("host_died", instead("import os; os.fork()")),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_is_no_finding_is_refused(cheat: str, tmp_path: Path) -> None:
    reason, program = CHEATS[cheat]
    assert Scorer("contracts", tmp_path).ask({"checklist.py": program}).get("rejected") == reason


def test_flagging_everything_somewhere_is_worse_than_the_first_checklist_and_breaks_a_bound(tmp_path: Path) -> None:
    scorer = Scorer("contracts", tmp_path)
    honest = scorer.ask()
    everything = scorer.ask({"checklist.py": instead("return dict.fromkeys(RISKY, clauses(text)[0][:380])")})
    assert everything["score"] < honest["score"]
    assert everything["secondary"]["alarms_each"] > 2


def test_better_patterns_score_higher_and_the_exam_has_phrasings_that_were_never_met(tmp_path: Path) -> None:
    scorer, better = Scorer("contracts", tmp_path), {"checklist.py": stepped("contracts", "checklist.py", *GOOD)}
    first, found = scorer.ask(), scorer.ask(better)
    assert found["score"] > first["score"] + 0.2
    assert found["interval"][0] < found["score"] < found["interval"][1]
    assert scorer.ask(better) == found
    assert scorer.ask(better, AUTORESEARCH_SPLIT="test")["secondary"]["recall"] < found["secondary"]["recall"]


def test_a_miss_costs_four_alarms_and_the_wrong_clause_is_both() -> None:
    score = module("contracts", "score")
    assert score.f_measure(0, 0, 0) == score.f_measure(3, 0, 0) == 1.0
    assert score.f_measure(5, 1, 0) == score.f_measure(5, 0, 4) < 1.0
    one = score.Contract("c", "", {"data_resale": "The Supplier may sell usage data of the Customer."})
    assert score.counted(one, {"data_resale": "may sell usage data of"}) == (1, 0, 0)
    assert score.counted(one, {"data_resale": "The Supplier keeps insurance."}) == (0, 1, 1)


def test_contracts_of_the_users_own_are_asked_instead_and_the_last_are_kept_for_the_exam(tmp_path: Path) -> None:
    scorer = Scorer("contracts", tmp_path)
    clause = "The Supplier may sell usage data of the Customer."
    own = [{"text": f"Contract {at}. {clause}", "flags": {"data_resale": clause}} for at in range(7)]
    own += [{"text": "Nothing of the kind is written in here.", "flags": {}} for _ in range(3)]
    (scorer.drawer / "contracts.json").write_text(json.dumps(own))
    simple = (
        "def review(text):\n    return {'data_resale': 'sell usage data of the Customer'} if 'usage' in text else {}\n"
    )
    assert scorer.ask({"checklist.py": simple})["score"] == 1.0
    exam = scorer.ask({"checklist.py": "def review(text):\n    return {}\n"}, AUTORESEARCH_SPLIT="test")
    assert exam["score"] == 1.0  # the last three have no flag


MODEL = """\
import json, re, sys
prompt, text = sys.stdin.read().split("<contract>")
found = re.search(r"[^.]*\\bdata\\b[^.]*\\.", text) if "data_resale" in prompt else None
print("Here you are:", json.dumps({"data_resale": found[0].strip()} if found else {}))
"""
JUDGE = "import json, sys; sys.stdin.read(); print(json.dumps({'score': 50, 'cost': 0.01}))\n"


def test_a_model_may_review_and_a_judge_may_have_a_say(tmp_path: Path) -> None:
    for name, text in (("model.py", MODEL), ("judge.py", JUDGE)):
        (tmp_path / name).write_text(text)
    model = {"command": ["python", str(tmp_path / "model.py")], "seconds": 20}
    judge = {"command": ["python", str(tmp_path / "judge.py")], "repeats": 2, "share": 0.2, "seconds": 20}
    scorer = Scorer(
        "contracts", tmp_path / "arena", {"rules.json": {"reviewer": model, "judge": judge, "contracts": 12}}
    )
    found = scorer.ask()
    assert 0.0 < found["secondary"]["recall"] < 0.5
    assert (found["secondary"]["judge_calls"], found["secondary"]["judge_cost"]) == (2.0, 0.02)
    silent = scorer.ask({"checklist.md": "Say nothing."})
    assert silent["secondary"]["recall"] == 0.0


@pytest.mark.slow
def test_eight_experiments_find_more_and_cheats_are_refused(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("contracts", lab, experiments=12)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > first + 0.15, words
    source = (lab / "checklist.py").read_text()
    for cheat in ("the generator, imported", "the whole contract as a quotation"):
        found, decision = attempt(lab, {"checklist.py": CHEATS[cheat][1].replace(HONEST, source)})
        assert (found.reason, decision.decision) == (CHEATS[cheat][0], "reverted")
    assert (lab / "checklist.py").read_text() == source
