"""A review asks for runs, they are run, and verdicts are worked out from them and from nothing else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_server.arena.program import parse_program
from mcp_server.community.board import reading
from mcp_server.community.claims.reviews import verdicts_in
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.exchanged import POST_CHARACTERS
from mcp_server.reviewing.bench import changed_program
from mcp_server.reviewing.running import _scorer
from mcp_server.reviewing.sheet import Claimed, Outcome, Request, Review, Sheet, as_post, read, written
from mcp_server.reviewing.verdict import Effect, Verdict, judge
from tests.community.past import Past
from tests.community.test_adoption import FAR, South, command, hear, north_with
from tests.community.test_adoption import remote as remote
from tests.labs import make_lab
from tests.papers.test_papers import Exchange

CLAIM = Claimed(name="a1b2c3d4/2", words="raise it", gain=1.0, low=0.8, high=1.2)
REVIEW = Review(id="0123456789abcdef", paper="f" * 64, post="a1b2c3d4/p1", claims=(CLAIM,))


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([], Verdict.UNEXAMINED),
        ([Effect("repeat", 0.9, 0.7, 1.1)], Verdict.SUPPORTED),
        ([Effect("repeat", 0.0, -0.1, 0.1)], Verdict.REFUTED),
        ([Effect("repeat", 0.2, 0.15, 0.25)], Verdict.WEAKENED),
        ([Effect("repeat", 0.3, -0.7, 1.3)], Verdict.UNEXAMINED),
        ([Effect("repeat", 0.0)], Verdict.REFUTED),
        ([Effect("repeat", 0.9)], Verdict.SUPPORTED),
        ([Effect("repeat", 0.9, 0.7, 1.1), Effect("scorer", 0.0, -0.1, 0.1)], Verdict.REFUTED),
        ([Effect("scorer", 0.0)], Verdict.REFUTED),
        ([Effect("scorer", 0.9, 0.7, 1.1)], Verdict.SUPPORTED),
        ([Effect("scorer", 0.3, -0.7, 1.3)], Verdict.UNEXAMINED),
        ([Effect("repeat", 0.9, 0.7, 1.1), Effect("budget", -0.2, -0.3, -0.1)], Verdict.WEAKENED),
        ([Effect("ablate", -0.2, -0.3, -0.1)], Verdict.WEAKENED),
        ([Effect("ablate", 0.8, 0.7, 0.9)], Verdict.SUPPORTED),
        ([Effect("repeat", 0.0, -0.1, 0.1), Effect("seeds", 0.02, -0.1, 0.14), Effect("budget", 1.0, 0.9, 1.1)],
         Verdict.REFUTED),
    ],
)  # fmt: skip
def test_a_verdict_follows_from_the_runs(effects: list[Effect], verdict: Verdict) -> None:
    assert judge(1.0, effects) is verdict


def test_what_the_journal_is_told_has_every_verdict_however_much_was_run() -> None:
    """Six long outcomes of the first claim pushed the refutation of the fourth one out of the post."""
    claims = tuple(CLAIM.model_copy(update={"name": f"a1b2c3d4/{n}"}) for n in (2, 3, 4, 50))
    long = [Request(kind="seeds", value=str(seed)) for seed in range(1, 7)]
    ran = tuple(Outcome(request=one, gain=0.9, low=0.7, high=1.1, where="on a bench of its own") for one in long)
    wanted = Outcome(request=Request(kind="machine", value="H200"), why="not run: no such machine here")
    none = Outcome(request=Request(kind="scorer", value="x.py"), gain=0.0, where="on a bench of its own")
    told = {"a1b2c3d4/2": ran, "a1b2c3d4/3": (wanted,), "a1b2c3d4/50": (none,)}
    text = as_post(REVIEW.model_copy(update={"claims": claims, "outcomes": told}))
    assert verdicts_in(text, REVIEW.post) == {
        "a1b2c3d4/2": "supported", "a1b2c3d4/3": "unexamined", "a1b2c3d4/4": "unexamined", "a1b2c3d4/50": "refuted",
    }  # fmt: skip
    assert "a1b2c3d4/3 on H200" in text
    assert len(text) == POST_CHARACTERS


def test_a_sheet_is_read_as_it_was_written_and_typed_outcomes_are_gone() -> None:
    sheet = Sheet(
        requests={CLAIM.name: (Request(kind="repeat"), Request(kind="seeds", value="7"))},
        statements={CLAIM.name: "The baseline looks weak.\n\n- why?"},
    )
    outcome = Outcome(request=Request(kind="repeat"), gain=0.0, low=-0.1, high=0.1, where="#3 here")
    done = REVIEW.model_copy(update={"outcomes": {CLAIM.name: (outcome,)}})
    text = written(done, sheet)
    assert read(text, done.claims) == sheet
    assert "**refuted**" in text
    forged = text.replace("**refuted**", "**supported**").replace("gain 0,", "gain +9.0,")
    assert written(done, read(forged, done.claims)) == text


@pytest.mark.parametrize("line", ["- [x] steal", "- [x] budget", "- [x] budget -3", "- [x] seeds 1.5", "- [x] machine",
                                  "- [x] scorer", "- [x] repeat 4", "- [x] budget inf"])  # fmt: skip
def test_a_request_that_is_no_run_is_refused_with_its_line(line: str) -> None:
    text = written(REVIEW, Sheet()).replace("- [ ] repeat → on a fresh pair", line)
    with pytest.raises(NotNow, match=r"[Ll]ine \d+"):
        read(text, REVIEW.claims)


ARENA = """\
goal: 'be quick ---

  and good'
metric: {name: loss, direction: minimize}
editable: [train.py]
frozen: [score.py]
run: python train.py
score: python score.py
budget: {seconds: 20, grace_seconds: 3}
"""


@pytest.mark.parametrize(
    "text",
    [
        f"---\n{ARENA}---\nBe quick.\n",
        f"\ufeff\n---  \n{ARENA}---\nBe quick.".replace("\n", "\r\n"),
        f"```yaml\n{ARENA}```\nBe quick.\n",
    ],
)
def test_another_budget_is_set_in_every_form_a_program_may_have(text: str) -> None:
    before, after = parse_program(text), parse_program(changed_program(text, 9.0))
    assert (after.arena.budget.seconds, after.arena.budget.grace_seconds, after.memo) == (9.0, 3.0, "Be quick.")
    assert after.arena.model_copy(update={"budget": before.arena.budget}) == before.arena


@pytest.mark.parametrize("frozen", ["frozen: [score.py]", "frozen: score.py", ""])
def test_a_scorer_of_the_reviewers_own_is_frozen_and_scores_alone(frozen: str) -> None:
    text = f"---\n{ARENA}---\nBe quick.\n".replace("frozen: [score.py]", frozen)
    after = parse_program(changed_program(text, None, "checks/own score.py")).arena
    assert after.frozen[-1] == "checks/own score.py"
    assert after.score == "python 'checks/own score.py'"


@pytest.mark.parametrize("name", ["../far.py", ".git/config", "absent.py", "/etc/passwd"])
def test_a_scorer_is_a_file_of_the_work_tree(tmp_path: Path, name: str) -> None:
    lab = make_lab(tmp_path / "lab")
    (tmp_path / "far.py").write_text("print(1)")
    with pytest.raises(NotNow, match="no file"):
        _scorer(lab, name)
    lab.close()


def exchange(*labs: Past) -> None:
    for lab in labs:
        lab.places.last.unlink(missing_ok=True)
        with Exchange(lab.workspace, lambda: datetime.now(UTC), patience=10.0) as one:
            one.run()


@pytest.mark.slow  # five campaigns are begun
def test_an_honest_claim_is_supported_and_luck_refuted_with_no_person_in_between(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    north.attempt("kept", "raise the knob", gain=3.0, score=1.0, KNOB=2.0)
    north.attempt("kept", "warm up", gain=0.5, score=0.5, WARMUP=0.1)
    hear(south, north)
    made = command(north, "paper", "--out", str(tmp_path / "paper"), "--publish")
    assert made.exit_code == 0, made.output
    exchange(north, south)
    tree = south.lab.paths.tree
    sheet = tree / "review.md"
    opened = command(south, "review", str(tmp_path / "paper" / "paper.md"), "--json")
    assert opened.exit_code == 0, opened.output
    assert set(json.loads(opened.output)["verdicts"].values()) == {"unexamined"}
    honest, luck = sorted(json.loads(opened.output)["verdicts"])
    text = re.sub(
        r"- \[ \] (repeat|ablate|seeds|machine)", r"- [x] \1", sheet.read_text().replace("budget 60", "budget 9")
    )
    head, tail = text.split(f"## Claim {luck}")
    head = head.replace("- [ ] budget", "- [x] budget")
    tail = re.sub(r"- \[x\] (ablate|seeds|machine)", r"- [ ] \1", tail)
    sheet.write_text(f"{head}## Claim {luck}{tail}".replace("Statement:", "Statement:\n\nA weak baseline?", 1))
    run = command(south, "review", "review.md", "--run", "--most", "20", "--json")
    assert run.exit_code == 0, run.output
    reply = json.loads(run.stdout)
    assert reply["verdicts"] == {honest: "supported", luck: "refuted"}
    kinds = [one.partition(":")[0] for one in reply["outcomes"][honest]]
    assert kinds == ["repeat", "ablate", "seeds 7", "budget 9", "machine H200"]
    assert "not run: no such machine" in reply["outcomes"][honest][-1]
    assert all("gain +3" in one for one in reply["outcomes"][honest][:4])
    assert "A weak baseline?" in sheet.read_text()
    again = command(south, "review", "review.md", "--run", "--publish", "--json")
    assert json.loads(again.stdout)["outcomes"] == reply["outcomes"], "what was run is not run twice"
    exchange(south, north)
    heard = [one for one in reading.read(north.places).posts if one.text.startswith("Review of")]
    assert f"{honest} supported" in heard[0].text
    assert f"{luck} refuted" in heard[0].text
    assert heard[0].for_us
    claims = json.loads(command(south, "community", "claims", "--json").output)["claims"]
    assert {one["claim"]: one["status"] for one in claims} == {honest: "replicated", luck: "refuted"}
    assert command(north, "community", "reply", heard[0].post, "We ran it once; you are right.").exit_code == 0


def test_a_lab_reviews_its_own_paper_within_a_budget_and_no_changed_one(tmp_path: Path, remote: Path) -> None:
    south = South(tmp_path / "south", remote, train=FAR)
    tree = south.lab.paths.tree
    (tree / "train.py").write_text(FAR.replace("KNOB = 1.0", "KNOB = 2.0"))
    for words in (["run", "raise the knob"], ["decide"], ["paper"]):
        assert command(south, *words).exit_code == 0
    assert command(south, "review", "paper/paper.md").exit_code == 0
    sheet = tree / "review.md"
    sheet.write_text(sheet.read_text().replace("- [ ] repeat", "- [x] repeat").replace("- [ ] seeds", "- [x] seeds"))
    reply = json.loads(command(south, "review", "review.md", "--run", "--most", "1", "--json").stdout)
    assert (reply["verdicts"], reply["left"]) == ({"#2": "supported"}, 1)
    paper = tree / "paper" / "paper.md"
    paper.write_text(paper.read_text().replace("| +3.0000 |", "| +4.0000 |"))
    refused = command(south, "review", "paper/paper.md", "--out", "other.md")
    assert refused.exit_code == 1
    assert "refused and not reviewed" in refused.output
    assert not (tree / "other.md").exists()
