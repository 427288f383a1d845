"""Kept changes on today's main: measured again as pairs, refused when stale, proposed with text and pictures."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.pulls.claims import Checked, Claim, claim_of, claims
from mcp_server.pulls.pairs import Paired
from mcp_server.views.card import draw, headline
from mcp_server.views.chart.points import ChartCampaign, ChartPoint
from tests.labs import TRAIN, attempt, begun, git, make_lab

ROOT = Path(__file__).resolve().parents[2]
GH = """\
#!/bin/sh
printf '%s\\n' "$@" > "$GH_SAID"
echo https://host/me/lab/pull/7
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A campaign with one kept change, and a main that moved on beside it."""
    monkeypatch.setenv("AUTORESEARCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")
    made = make_lab(tmp_path / "lab")
    begun(made)
    made.commit_or_revert(1)
    assert attempt(made, "nearly three", KNOB=2.5).decision == "kept"
    yield made
    made.close()


def move_main(lab: Lab, name: str, text: str) -> str:
    """A commit on main, made without touching the lab's work tree."""
    tree = lab.paths.tree
    other = tree.parent / "main"
    git(tree, "worktree", "add", "-q", str(other), "main")
    (other / name).write_text(text)
    git(other, "add", "-A")
    git(other, "commit", "-qm", "main moved on")
    git(tree, "worktree", "remove", "--force", str(other))
    return git(tree, "rev-parse", "main").strip()


def run(lab: Lab, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), *words], catch_exceptions=False)
    return done.exit_code, done.stdout + done.stderr


def test_the_kept_stack_is_laid_on_todays_main_measured_there_and_proposed(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = move_main(lab, "NOTES.md", "news\n")
    remote = tmp_path / "remote.git"
    git(lab.paths.tree, "init", "-q", "--bare", str(remote))
    git(lab.paths.tree, "remote", "add", "origin", str(remote))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("GH_SAID", str(tmp_path / "said"))
    monkeypatch.delenv("AUTORESEARCH_CHART")
    done = CliRunner().invoke(
        cli,
        [
            "-C",
            str(lab.paths.tree),
            "finalize",
            "--onto",
            "main",
            "--pairs",
            "2",
            "--pr",
            "--json",
            "--out",
            str(tmp_path / "out"),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    reply = json.loads(done.stdout)
    assert reply["url"] == "https://host/me/lab/pull/7"
    assert reply["interval"][0] > 0
    assert git(lab.paths.tree, "rev-parse", f"{reply['branch']}^").strip() == tip == reply["onto_commit"]
    assert "KNOB = 2.5" in git(lab.paths.tree, "show", f"{reply['branch']}:train.py")
    assert git(lab.paths.tree, "show", f"{reply['branch']}:NOTES.md") == "news\n"
    assert git(remote, "rev-parse", reply["branch"]).strip() == reply["commit"]
    said = (tmp_path / "said").read_text().split("\n")
    assert said[:4] == ["pr", "create", "--base", "main"]
    body = (tmp_path / "out" / "body.md").read_text()
    assert "Measured again on `main`" in body
    assert [Path(one).name for one in reply["files"]] == ["body.md", "card.png", "card.svg", "progress.png"]
    message = git(lab.paths.tree, "log", "-1", "--format=%B", reply["branch"])
    assert claim_of(message) == pytest.approx((reply["gain"], *reply["interval"]), rel=1e-4)
    _as_the_workflows_do(lab, reply["branch"], tmp_path)


def _as_the_workflows_do(lab: Lab, branch: str, tmp_path: Path) -> None:
    """The commands of examples/ci, as they stand there, on this repository."""
    main = git(lab.paths.tree, "rev-parse", "main").strip()
    checkout = tmp_path / "checkout"
    git(lab.paths.tree, "clone", "-q", str(lab.paths.tree), str(checkout), "-b", branch)
    tools = tmp_path / "bin"
    (tools / "uvx").write_text('#!/bin/sh\nshift 3\nexec "$OURS" -m mcp_server.cli "$@"\n')
    (tools / "uvx").chmod(0o755)
    environ = {
        **os.environ,
        "OURS": sys.executable,
        "PYTHONPATH": str(ROOT),
        "BASE": main,
        "HEAD": branch,
        "AUTORESEARCH": "x",
    }
    for name, written, words in (
        ("repeat-claim.yml", "comment.md", "better: gain"),
        ("re-measure.yml", "decayed.md", "No kept gain has decayed"),
    ):
        jobs = yaml.safe_load((ROOT / "examples" / "ci" / name).read_text())["jobs"]
        steps = [step for job in jobs.values() for step in job["steps"] if step.get("name") == "Measure"]
        command = steps[0]["run"].replace("--pairs 5", "--pairs 2")
        assert "--pairs 2" in command
        done = subprocess.run(["bash", "-ec", command], cwd=checkout, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert words in (checkout / written).read_text()


def test_a_gain_that_main_took_away_is_refused_as_stale_with_its_numbers(lab: Lab) -> None:
    score = (lab.paths.tree / "score.py").read_text().replace('(model["knob"] - 3)', '(model["knob"] - 0)')
    move_main(lab, "score.py", score)
    code, said = run(lab, "finalize", "--onto", "main", "--pairs", "2")
    assert code == 1
    assert "Gone stale" in said
    assert "gain -5.2500" in said
    assert not git(lab.paths.tree, "for-each-ref", "refs/heads/autoresearch-final")


def test_the_same_lines_changed_on_main_are_told_and_nothing_is_run(lab: Lab) -> None:
    move_main(lab, "train.py", TRAIN.replace("KNOB = 1.0", "KNOB = 1.5"))
    code, said = run(lab, "finalize", "--onto", "main")
    assert (code, "changed the same lines" in said) == (1, True)


def test_without_gh_nothing_is_measured_in_vain(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "gh is not on the PATH" in run(lab, "finalize", "--onto", "main", "--pr")[1]


def test_the_site_is_pages_and_pictures_that_open_as_they_lie_there(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AUTORESEARCH_CHART")
    code, said = run(lab, "report", "--site", "--out", str(tmp_path / "site"))
    assert code == 0, said
    page = (tmp_path / "site" / "index.html").read_text()
    assert 'property="og:image" content="card.png"' in page
    assert "<script" not in page
    assert "nearly three" in (tmp_path / "site" / "results.csv").read_text()


def test_a_share_card_is_of_the_size_that_sites_show() -> None:
    points = (ChartPoint(1, 1.5, "baseline"), ChartPoint(2, 1.6, "discarded"), ChartPoint(3, 1.25, "confirmed"))
    campaign = ChartCampaign("night", points, metric="val_bpb", claimed_gain=0.25, honest_gain=0.2)
    card = draw(
        campaign, "a goal with $math$ & <tags> that is longer than one line of the card can hold, and then some more"
    )
    assert struct.unpack(">II", card["card.png"][16:24]) == (1200, 630)
    assert b"<svg" in card["card.svg"]
    assert headline(campaign) == "val_bpb: 1.5000 → 1.2500"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.5, 0.7, "holds"), (0.01, 0.05, "decayed"), (-0.1, 0.3, "unclear"), (-0.2, -0.1, "decayed")],
)
def test_decay_is_said_of_whole_intervals_only(low: float, high: float, verdict: str) -> None:
    claim = Claim("c" * 40, "p" * 40, "a change", 0.2, 0.1, 0.3)
    today = Paired("loss", "", (1.0,), (0.9,), (low + high) / 2, low, high)
    assert Checked(claim, today).verdict == verdict


NOTHING = ("much", "", "nan", "1\nAutoresearch-Interval: -inf to inf")


@pytest.mark.parametrize("message", ["nothing", *(f"Autoresearch-Gain: {one}" for one in NOTHING)])
def test_a_message_without_a_number_claims_nothing(message: str) -> None:
    assert claim_of(message) is None


def test_a_commits_title_is_anybodys_text(tmp_path: Path) -> None:
    """It was printed as it stands, terminal codes and all."""
    lab = make_lab(tmp_path / "lab")
    message = "\x1b]0;yours\x07\x1b[2Ja change\u202e\n\nAutoresearch-Gain: 0.5"
    git(lab.paths.tree, "commit", "--quiet", "--allow-empty", "-m", message)
    (found,) = claims(lab.workspace, lab.workspace.resolve("HEAD"))
    assert (found.title, found.gain) == ("a change", 0.5)
    lab.close()
