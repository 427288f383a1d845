"""What people are told when something is wrong: the right thing, in words that name a command or a key that works.

Each case was reported by a user, or found by trying what users do; the smallest form of it stands here.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_server.arena.program import load_program
from mcp_server.cli import cli
from mcp_server.judging.noise import EQUAL_RUNS
from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError, AutoresearchError
from mcp_server.nouns.records import RunResult
from tests.labs import attempt, begin, begun, finish, git, make_lab
from tests.people.grounds import PROGRAM, SCORE, TRAIN, baseline, ground

PLAIN = PROGRAM.format(run="python train.py", more="")


def typed(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *words], prog_name="autoresearch")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAIN + "memo\n",
        (PLAIN + "memo\n").replace("\n", "\r\n"),
        "\n\n" + PLAIN + "memo\n",
        "```yaml\n" + PLAIN + "```\nmemo\n",
        "```markdown\n" + PLAIN + "memo\n```\n",
        "~~~\n" + PLAIN.removeprefix("---\n").removesuffix("---\n") + "~~~\nmemo\n",
    ],
    ids=["byte-order mark", "CRLF", "blank lines", "arena in a fence", "all in a fence", "fence without dashes"],
)
def test_what_editors_put_round_a_program_means_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "program.md").write_bytes(text.encode())
    program = load_program(tmp_path / "program.md")
    assert (program.arena.goal, program.memo) == ("a small number", "memo")


def test_a_mistake_in_such_a_program_is_named_with_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "program.md").write_text("\ufeff\n```yaml\n" + PLAIN.replace("devices: cpu", "devices: tpu") + "```\n")
    with pytest.raises(ArenaError, match="line 11: `devices`"):
        load_program(tmp_path / "program.md")


@pytest.mark.parametrize(("place", "command"), [
    ("sub/program.md", "git mv sub/program.md program.md"),
    ("deep/er/program.md", "git mv deep/er/program.md program.md"),
    ("PROGRAM.md", "git mv PROGRAM.md program.md"),
])  # fmt: skip
def test_a_program_that_lies_elsewhere_is_named_with_the_command_that_moves_it(
    tmp_path: Path, place: str, command: str
) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(PLAIN)
    with pytest.raises(ArenaError) as caught:
        load_program(tmp_path / "program.md")
    assert command in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("editabel: [a.py]\n", "Did you mean `editable`?"),
        ("files: [a.py]\n", "Did you mean `editable`?"),
        ("seconds: 300\n", "Did you mean `budget: {seconds: …}`?"),
        ("keep: {confrim: never}\n", "Did you mean `confirm`?"),
        ("time_budget: 5\n", "Did you mean `budget`?"),
        ("keep: {min_delta: small}\n", "must be a number, or 'auto' (it is 'small')"),
        ("stop: {experiments: many}\n", "must be a whole number (it is 'many')"),
        ("readable: data\n", "must be a list"),
        ("require_sandbox: perhaps\n", "must be true or false"),
    ],
)
def test_a_key_that_is_wrong_says_what_may_have_been_meant(tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "program.md").write_text(PROGRAM.format(run="python train.py", more=lines))
    with pytest.raises(ArenaError) as caught:
        load_program(tmp_path / "program.md")
    text = str(caught.value)
    assert "line 10" in text
    assert said in text
    assert not re.search(r"pydantic|https?:|Input should|valid (string|integer|tuple|dictionary)|type=", text)


def test_a_training_that_diverged_is_told_to_mend_itself_and_not_its_scorer(tmp_path: Path) -> None:
    found = baseline(ground(tmp_path / "lab", train=TRAIN.replace("X = 3.0", "X = float('nan')")))
    assert found.reason == "not_a_number"
    assert "training" in found.detail
    assert "scorer" in found.detail
    assert "not the scorer's" in found.detail


def test_a_scorer_that_was_wrong_at_the_baseline_asks_for_another_campaign_which_then_works(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", **{"score.py": "print('0.98')\n"})
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    found = finish(lab, 1)
    assert '{"score": 0.98, "secondary": {' in found.detail
    (folder / "score.py").write_text(SCORE)
    with pytest.raises(AutoresearchError) as caught:
        lab.run_experiment("mended the scorer")
    assert "another campaign" in str(caught.value)
    assert "start_campaign('first-2')" in str(caught.value)
    assert "Put it back" not in str(caught.value)
    git(folder, "commit", "-q", "-am", "mend the scorer")
    lab.start_campaign("first-2", calibrate=0)
    assert finish(lab, 1).score == 3.0
    lab.close()


def test_the_score_of_an_old_keep_is_compared_with_what_it_was_judged_against(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    attempt(lab, KNOB=2.0)
    attempt(lab, KNOB=3.0)
    old = lab.read_score(2)
    assert (old.incumbent, old.incumbent_score, old.change) == (1, 4.0, 3.0)
    lab.close()


@pytest.mark.usefixtures("played")
def test_without_noise_the_honest_gain_is_never_above_the_claimed_one(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab, calibrate=EQUAL_RUNS)  # so many equal runs show that there is no noise
    attempt(lab, KNOB=2.0)
    attempt(lab, KNOB=2.9)
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.claimed_gain is not None
    assert totals.honest_gain is not None
    assert 0 < totals.honest_gain <= totals.claimed_gain
    lab.close()


def test_a_number_of_a_hundred_digits_is_never_written_out(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", train=TRAIN.replace("X = 3.0", "X = 9e99"))
    assert baseline(folder).score == 9e99
    (folder / "train.py").write_text(TRAIN.replace("X = 3.0", "X = 2e99"))
    lab = Lab(folder)
    number = lab.run_experiment("a smaller one").experiment
    finish(lab, number)
    lab.commit_or_revert(number)
    lab.close()
    said = [typed(folder, *words.split()) for words in ("score 1", "score 2", "status", "history", "show 2", "report")]
    pages = [*(one.output for one in said), *(path.read_text(errors="replace") for path in folder.glob("*.tsv"))]
    pages += [path.read_text(errors="replace") for path in folder.rglob("report*.md")]
    pages.append(git(folder, "log", "--all", "--format=%B"))
    assert all(one.exit_code == 0 for one in said), [one.output[-300:] for one in said]
    assert not any(re.search(r"[\d,]{40}", page) for page in pages)


def test_a_train_py_that_is_a_link_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab")
    (folder / "model.py").write_text(TRAIN)
    (folder / "train.py").unlink()
    os.symlink("model.py", folder / "train.py")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a link")
    with pytest.raises(AutoresearchError) as caught:
        Lab(folder).start_campaign("first")
    assert "train.py" in str(caught.value)
    assert "model.py" in str(caught.value)
    assert "editable: [model.py]" in str(caught.value)


def test_new_in_a_clone_of_the_reference_names_the_command_that_takes_it_over(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", **{"program.md": "# autoresearch\n", "prepare.py": ""})
    said = typed(folder, "new", "lm", ".")
    assert said.exit_code == 1
    assert "autoresearch adopt" in said.output
    assert "autoresearch adopt" in typed(folder, "status").output


def test_doctor_tries_the_commands_of_the_arena_and_says_whose_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.setup.doctor.TORCH", "raise ImportError")  # it takes two seconds
    folder = ground(tmp_path / "lab", "python train.py --data data/x.bin", more="readable: [~/nowhere-at-all]\n")
    (folder / "data").mkdir()
    (folder / "data" / "x.bin").write_text("1")
    findings = {one["name"]: one for one in json.loads(typed(folder, "doctor", "--json").output)["findings"]}
    assert "the server's Python" in findings["run"]["found"]
    assert "readable: [data]" in findings["run"]["fix"]
    assert "~/nowhere-at-all" in findings["run"]["fix"]


def test_a_run_whose_papers_are_damaged_is_told_without_the_words_of_a_library(tmp_path: Path) -> None:
    for text in ("{", '{"state": "splendid"}', '{"state": "scored", "score": "high"}', "[]"):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(ValueError, match=r"^result\.json cannot be read: ") as caught:
            RunResult.read(tmp_path / "result.json")
        assert not re.search(r"pydantic|https?:|Input should|type=", str(caught.value))
