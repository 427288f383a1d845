"""What becomes of a proposal when another was kept since: nothing is taken back, nothing unmeasured is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.campaign.reins.hands import Reins
from mcp_server.campaign.transfers.rebasing import rebase
from mcp_server.lab import Lab
from mcp_server.nouns.replies import DecisionReply
from tests.labs import TRAIN, begun, decide, edit, finish, git, make_lab

# two constants that add up, on neighbouring lines as constants stand
TWO = TRAIN.replace("KNOB = 1.0\n", "KNOB = 1.0\nBONUS = 0.0\n").replace('"knob": KNOB,', '"knob": KNOB + BONUS,')


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Lab, Lab]:
    """Two agents of one campaign, each in a work tree of its own, on the same incumbent."""
    lab = begun(make_lab(tmp_path / "lab", train=TWO))
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"), "autoresearch/first")
    other = Lab(tmp_path / "second")
    other.start_campaign("first")
    return lab, other


def propose(lab: Lab, **constants: float) -> int:
    edit(lab, **constants)
    return lab.run_experiment(f"move {', '.join(constants)}").experiment


def kept_text(lab: Lab) -> str:
    return git(lab.paths.tree, "show", "autoresearch/first:train.py")


def race(pair: tuple[Lab, Lab], first: dict[str, float], second: dict[str, float]) -> tuple[DecisionReply, int]:
    """Both propose, the first one's is kept, the second one's is judged; and the number of the kept one."""
    lab, other = pair
    late, early = propose(other, **second), propose(lab, **first)
    finish(lab, early)
    finish(other, late)
    assert lab.commit_or_revert(early).decision == "kept"
    return other.commit_or_revert(late), early


def test_a_change_that_gained_where_it_began_is_measured_on_top_of_what_was_kept_since(pair: tuple[Lab, Lab]) -> None:
    reply, early = race(pair, {"KNOB": 2.0}, {"BONUS": 0.5})
    assert (reply.decision, reply.change) == ("rebased", 1.75)
    assert reply.carried_on is not None
    assert f"read_score({reply.carried_on})" in reply.next
    last = decide(pair[1], reply.carried_on)
    assert (last.decision, last.change, last.incumbent) == ("kept", 0.75, reply.carried_on)
    assert "KNOB = 2.0\nBONUS = 0.5\n" in kept_text(pair[0])
    with pair[0].reading() as (bench, campaign, _):
        carried = bench.ledger.experiment(campaign.tag, reply.carried_on)
        assert (carried.base, carried.joins) == (early, (str(reply.experiment),))
        seeds = [{run.seed for run in bench.ledger.runs(campaign.tag, n)} for n in (reply.experiment, carried.number)]
        assert not seeds[0] & seeds[1]  # the luck it was chosen for is not seen again


def test_a_veto_meets_the_change_also_where_it_goes_on(pair: tuple[Lab, Lab]) -> None:
    lab, other = pair
    late, early = propose(other, BONUS=0.5), propose(lab, KNOB=2.0)
    Reins(lab).veto(late, "it reads the clock")
    finish(lab, early)
    finish(other, late)
    assert lab.commit_or_revert(early).decision == "kept"  # the veto is on another
    carried = other.commit_or_revert(late).carried_on
    assert carried is not None
    last = decide(other, carried)
    assert (last.decision, last.incumbent) == ("reverted", early)
    assert last.reason.startswith("A person vetoed this keep (it reads the clock).")


def test_a_change_that_did_not_gain_where_it_began_costs_no_further_run(pair: tuple[Lab, Lab]) -> None:
    reply, early = race(pair, {"KNOB": 2.0}, {"BONUS": -0.5})
    assert (reply.decision, reply.carried_on) == ("reverted", None)
    assert f"Experiment {early} was kept meanwhile" in reply.reason


def test_of_two_values_for_one_constant_the_later_is_compared_with_the_kept_one(pair: tuple[Lab, Lab]) -> None:
    reply, early = race(pair, {"KNOB": 2.0}, {"KNOB": 2.5})
    assert (reply.decision, reply.change) == ("kept", 0.75)
    assert f"Experiment {early} was kept meanwhile" in reply.reason
    assert "KNOB = 2.5" in kept_text(pair[0])


def test_where_both_changed_one_line_the_rest_of_what_was_kept_stays_and_it_is_said(pair: tuple[Lab, Lab]) -> None:
    reply, _ = race(pair, {"KNOB": 2.0, "BONUS": 0.25}, {"KNOB": 2.5})
    assert reply.decision == "rebased"
    assert "the same lines" in reply.reason
    assert "KNOB = 2.0" in reply.reason
    assert reply.carried_on is not None
    assert decide(pair[1], reply.carried_on).decision == "kept"
    assert "KNOB = 2.5\nBONUS = 0.25\n" in kept_text(pair[0])


def test_what_was_proposed_with_the_kept_change_in_it_is_judged_as_it_is(pair: tuple[Lab, Lab]) -> None:
    reply, _ = race(pair, {"KNOB": 2.0}, {"KNOB": 2.0, "BONUS": 0.5})
    assert (reply.decision, reply.change) == ("kept", 0.75)


def test_the_work_tree_of_the_proposer_keeps_its_next_idea(pair: tuple[Lab, Lab]) -> None:
    lab, other = pair
    late, early = propose(other, BONUS=0.5), propose(lab, KNOB=2.0)
    edit(other, SECONDS=0.125)
    finish(lab, early)
    finish(other, late)
    lab.commit_or_revert(early)
    carried = other.commit_or_revert(late).carried_on
    assert carried is not None
    decide(other, carried)
    assert "SECONDS = 0.125" in (other.paths.tree / "train.py").read_text()


def test_files_put_back_for_the_next_idea_follow_a_keep(pair: tuple[Lab, Lab]) -> None:
    lab, _ = pair
    number = propose(lab, KNOB=2.0)
    git(lab.paths.tree, "restore", "train.py")
    finish(lab, number)
    assert lab.commit_or_revert(number).decision == "kept"
    assert "KNOB = 2.0" in (lab.paths.tree / "train.py").read_text()


def test_a_rebase_that_was_cut_short_is_found_and_not_made_twice(pair: tuple[Lab, Lab]) -> None:
    lab, other = pair
    late, early = propose(other, BONUS=0.5), propose(lab, KNOB=2.0)
    finish(lab, early)
    finish(other, late)
    lab.commit_or_revert(early)
    with other.reading() as (bench, campaign, arena):
        made = rebase(bench, campaign, arena, bench.ledger.experiment(campaign.tag, late))
    assert other.commit_or_revert(late).carried_on == made.number
