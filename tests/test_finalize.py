"""The campaign as commits to review: on real campaigns, in real git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.views.finalize import finalize
from tests.labs import TRAIN, attempt, begun, git, make_lab

APART = TRAIN.replace("SECONDS = 0.0", "\n\n\nSECONDS = 0.0").replace("SPREAD = 0.0", "\n\n\nOTHER = 0\nSPREAD = 0.0")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two kept changes of the same line and a discarded one."""
    folder = tmp_path_factory.mktemp("finalize")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
        patch.setenv("AUTORESEARCH_CHART", "off")
        made = _campaign(folder)
        yield made
        made.close()


def _campaign(folder: Path) -> Lab:
    made = make_lab(folder / "lab")
    begun(made)
    made.commit_or_revert(1)
    assert attempt(made, "halfway to three", KNOB=2.0).decision == "kept"
    made.append_learnings("two is nearer to three than one", 2)
    assert attempt(made, "the wrong way", KNOB=0.0).decision == "reverted"
    assert attempt(made, "nearly there", KNOB=2.5).decision == "kept"
    return made


@pytest.fixture
def lab(campaign: Lab) -> Iterator[Lab]:
    """The campaign without the branches of the test before."""
    yield campaign
    tree = campaign.paths.tree
    for name in git(tree, "for-each-ref", "--format=%(refname)", "refs/heads/autoresearch-final").split():
        git(tree, "update-ref", "-d", name)


def state(lab: Lab) -> tuple[str, ...]:
    """All that must not move: HEAD, the index, the files, and every ref but ours."""
    tree = lab.paths.tree
    refs = git(tree, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    kept = [ref for ref in refs if not ref.startswith("refs/heads/autoresearch-final")]
    return (git(tree, "symbolic-ref", "HEAD"), git(tree, "status", "--porcelain"), git(tree, "diff"), *kept)


def test_squash_makes_one_commit_on_the_starting_point_with_its_evidence(lab: Lab) -> None:
    before = state(lab)
    (made,) = finalize(lab, each=False).branches
    tree = lab.paths.tree
    assert made.branch == "autoresearch-final/first/all"
    assert git(tree, "rev-list", "--count", f"main..{made.branch}").strip() == "1"
    assert git(tree, "show", f"{made.branch}:train.py") == (tree / "train.py").read_text()
    assert git(tree, "diff", "--name-only", "main", made.branch).split() == ["train.py"]
    message = git(tree, "log", "-1", "--format=%B", made.branch)
    for words in ("loss 4 to 0.25: 2 kept changes", "Claimed gain: 3.75", "- 2: halfway to three", "- 4: nearly there"):
        assert words in message.replace("4.0000", "4").replace("0.2500", "0.25").replace("3.7500", "3.75")
    assert state(lab) == before


def test_a_second_call_changes_nothing_and_makes_the_same(lab: Lab) -> None:
    assert finalize(lab, each=False) == finalize(lab, each=False)


def test_a_branch_of_somebody_else_is_never_overwritten(lab: Lab) -> None:
    tree = lab.paths.tree
    for name, each in (("first/all", False), ("first/4", True)):
        git(tree, "branch", f"autoresearch-final/{name}", "main")
        with pytest.raises(WorkspaceError, match="in the way"):
            finalize(lab, each=each)
        assert git(tree, "rev-parse", f"autoresearch-final/{name}") == git(tree, "rev-parse", "main")


def test_one_commit_and_a_branch_for_each_change_live_side_by_side(lab: Lab) -> None:
    made = [*finalize(lab, each=False).branches, *finalize(lab, each=True).branches]
    assert [one.branch.removeprefix("autoresearch-final/first/") for one in made] == ["all", "2", "4"]


def test_a_change_of_the_same_line_is_built_on_what_came_before_it(lab: Lab) -> None:
    first, second = finalize(lab, each=True).branches
    tree = lab.paths.tree
    assert (first.branch, first.builds_on) == ("autoresearch-final/first/2", [])
    assert (second.branch, second.builds_on) == ("autoresearch-final/first/4", [2])
    assert "KNOB = 2.5" in git(tree, "show", f"{second.branch}:train.py")
    assert git(tree, "rev-list", "--count", f"main..{second.branch}").strip() == "2"
    message = git(tree, "log", "-1", "--format=%B", first.branch)
    assert "Learned: two is nearer to three than one" in message
    assert "cannot stand without" in git(tree, "log", "-1", "--format=%B", second.branch)


def test_changes_that_do_not_touch_each_other_stand_alone(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=APART)
    begun(lab)
    lab.commit_or_revert(1)
    assert attempt(lab, "one", KNOB=2.0).decision == "kept"
    path = lab.paths.tree / "train.py"
    path.write_text(path.read_text().replace("OTHER = 0", "OTHER = 1\nKNOB = 2.6"))
    assert attempt(lab, "two").decision == "kept"
    one, two = finalize(lab, each=True).branches
    tree = lab.paths.tree
    assert (one.builds_on, two.builds_on) == ([], [])
    alone = git(tree, "show", f"{two.branch}:train.py")
    assert "OTHER = 1" in alone
    assert "KNOB = 1.0" in alone
    assert git(tree, "rev-parse", f"{two.branch}^").strip() == git(tree, "rev-parse", "main").strip()


def test_a_campaign_that_kept_nothing_says_so(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    lab.commit_or_revert(1)
    with pytest.raises(NotNow, match="Nothing but the baseline"):
        finalize(lab, each=False)
