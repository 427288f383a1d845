"""How people start their training: uv, a venv, conda, an activated shell, a script. Each runs, or says what it lacks.

Sources: `uv run train.py` is how https://github.com/karpathy/autoresearch starts; the others were reported by users.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError, WorkspaceError
from mcp_server.programs.lacks import needs_cuda
from tests.labs import finish, git
from tests.people.grounds import SCORE, TRAIN, baseline, conda, ground, uv, venv

ELSEWHERE = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")


@pytest.fixture(autouse=True)
def _no_environment_of_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


def test_without_an_environment_of_ones_own_python_is_the_servers(tmp_path: Path) -> None:
    found = baseline(ground(tmp_path / "lab"))
    assert found.score == 3.0
    assert "the server's Python" in found.python


@pytest.mark.parametrize("run", ["python train.py", "python3 train.py", ".venv/bin/python train.py"])
def test_the_repositorys_venv_runs_it_whether_it_is_named_or_not(tmp_path: Path, run: str) -> None:
    folder = ground(tmp_path / "lab", run)
    venv(folder / ".venv")
    found = baseline(folder)
    assert found.score == 103.0
    assert str(folder / ".venv") in found.python


def test_an_activated_environment_runs_it_and_every_later_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ground(tmp_path / "lab")
    monkeypatch.setenv("VIRTUAL_ENV", str(venv(tmp_path / "mine")))
    assert baseline(folder).score == 103.0
    monkeypatch.delenv("VIRTUAL_ENV")  # the next call comes from a client that knows nothing of it
    (folder / "train.py").write_text(TRAIN.replace("X = 3.0", "X = 2.0"))
    lab = Lab(folder)
    number = lab.run_experiment("a smaller one").experiment
    assert finish(lab, number).score == 102.0
    lab.close()


@pytest.mark.parametrize("run", ["python train.py", "conda run -n mine python train.py"])
def test_a_conda_environment_runs_it_activated_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    prefix = conda(tmp_path / "conda" / "envs" / "mine")
    monkeypatch.setenv("CONDA_PREFIX" if run.startswith("python") else "MAMBA_ROOT_PREFIX", str(
        prefix if run.startswith("python") else prefix.parent.parent))  # fmt: skip
    assert baseline(ground(tmp_path / "lab", run)).score == 103.0


def test_uv_run_takes_the_environment_that_uv_sync_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = uv()
    monkeypatch.setenv("PATH", f"{Path(program).parent}:/usr/bin:/bin")
    project = '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = []\n'
    folder = ground(tmp_path / "lab", "uv run train.py", **{"pyproject.toml": project})
    subprocess.run([program, "sync", "--offline", "--quiet"], cwd=folder, check=True)
    packages = next((folder / ".venv").glob("lib/python3*/site-packages"))
    (packages / "only_here.py").write_text("WORTH = 100.0\n")
    assert baseline(folder).score == 103.0


def test_uv_run_before_uv_sync_says_what_to_do_and_begins_nothing(tmp_path: Path) -> None:
    project = '[project]\nname = "mine"\nversion = "0"\ndependencies = ["torch==2.9.1", "kernels"]\n'
    folder = ground(tmp_path / "lab", "uv run train.py", **{"pyproject.toml": project})
    with pytest.raises(WorkspaceError, match=r"uv sync.*torch==2\.9\.1, kernels"):
        Lab(folder).start_campaign("first")
    assert not (folder / ".git" / "refs" / "heads" / "autoresearch").exists()


def test_a_shell_script_finds_the_same_python(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", "bash -c 'X=1 && python train.py > $AUTORESEARCH_OUT/run.log 2>&1'")
    venv(folder / ".venv")
    assert baseline(folder).score == 103.0


@pytest.mark.parametrize(
    ("run", "works"),
    [
        ("python3 train.py > run.log 2>&1", "bash -c 'python3 train.py > run.log 2>&1'"),
        ("X=1 python train.py && echo done", "bash -c 'X=1 python train.py && echo done'"),
        ("cd src; python train.py", "bash -c 'cd src; python train.py'"),
        ("python train.py | tee log", "bash -c 'python train.py | tee log'"),
        ("python train.py --out $HOME/x", "bash -c 'python train.py --out $HOME/x'"),
        ("CUDA_VISIBLE_DEVICES=1 python train.py", "env CUDA_VISIBLE_DEVICES=1 python train.py"),
    ],
)
def test_shell_syntax_is_named_at_its_line_with_the_command_that_works(tmp_path: Path, run: str, works: str) -> None:
    folder = ground(tmp_path / "lab", f'"{run}"')
    with pytest.raises(ArenaError) as caught:
        Lab(folder).start_campaign("first")
    assert "program.md, line 6: `run`: no shell reads this" in str(caught.value)
    assert works in str(caught.value)


READS_DATA = TRAIN.replace("X = 3.0", "X = float(open('data/x.txt').read())")


def test_an_ignored_data_folder_is_named_with_the_key_that_lets_it_in(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", train=READS_DATA)
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("7")
    found = baseline(folder)
    assert (found.status, found.reason) == ("crashed", "not_shown")
    assert "readable: [data]" in found.detail


@pytest.mark.parametrize("entry", ["data", "data/", "./data", "data/x.txt"])
def test_readable_lays_a_folder_where_the_code_looks(tmp_path: Path, entry: str) -> None:
    folder = ground(tmp_path / "lab", train=READS_DATA, more=f"readable: [{entry}]\n")
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("7")
    assert baseline(folder).score == 7.0


def test_what_lies_in_the_home_is_found_in_the_runs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".cache" / "set").mkdir(parents=True)
    (home / ".cache" / "set" / "x.txt").write_text("8")
    monkeypatch.setenv("HOME", str(home))
    train = TRAIN.replace("X = 3.0", "X = float(open(os.path.expanduser('~/.cache/set/x.txt')).read())")
    folder = ground(tmp_path / "lab", train=train)
    found = baseline(folder)
    assert found.reason == "not_shown"
    assert "readable: [~/.cache/set]" in found.detail
    assert baseline(ground(tmp_path / "again", train=train, more="readable: [~/.cache/set]\n")).score == 8.0


def test_a_file_outside_and_a_script_that_was_not_committed_are_named(tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "x.txt"
    outside.parent.mkdir()
    outside.write_text("9")
    found = baseline(
        ground(tmp_path / "lab", train=TRAIN.replace("X = 3.0", f"X = float(open({str(outside)!r}).read())"))
    )
    assert found.reason == "not_shown"
    assert f"readable: [{outside.parent}]" in found.detail
    folder = ground(tmp_path / "again", "python other.py")
    (folder / "other.py").write_text(TRAIN)
    with pytest.raises(WorkspaceError, match=r"other\.py is in the work tree but not in the commit.*git add other\.py"):
        Lab(folder).start_campaign("first")


def test_a_program_outside_is_named_with_the_key_and_works_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "trainer").write_text("#!/bin/sh\nexec python train.py\n")
    (tools / "trainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(WorkspaceError) as caught:
        Lab(ground(tmp_path / "lab", "trainer")).start_campaign("first")
    assert f"readable: [{tools}]" in str(caught.value)
    assert baseline(ground(tmp_path / "again", "trainer", more=f"readable: [{tools}]\n")).score == 3.0
    with pytest.raises(WorkspaceError, match="no program 'torchrum' on this machine"):
        Lab(ground(tmp_path / "third", "torchrum train.py")).start_campaign("first")


def test_a_missing_package_is_told_with_the_python_that_lacks_it(tmp_path: Path) -> None:
    found = baseline(ground(tmp_path / "lab", train="import kernels_that_nobody_has\n" + TRAIN))
    assert "lacks the package 'kernels_that_nobody_has' in" in found.detail
    assert "the server's Python" in found.detail


def test_a_scorer_that_misses_its_data_is_told_the_same(tmp_path: Path) -> None:
    folder = ground(tmp_path / "lab", **{"score.py": "open('data/labels.txt')\n" + SCORE})
    (folder / "data").mkdir()
    (folder / "data" / "labels.txt").write_text("1")
    found = baseline(folder)
    assert found.reason == "scorer_failed"
    assert "readable: [data]" in found.detail


def test_what_the_first_run_will_ask_for_in_vain_is_said_when_the_campaign_begins(tmp_path: Path) -> None:
    helper = "import json\n"
    train = f"import helper, nowhere_to_be_found, os.path\n{TRAIN}"
    folder = ground(tmp_path / "lab", train=train)
    (folder / "src").mkdir()
    (folder / "src" / "helper.py").write_text(helper)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    git(folder, "commit", "-qm", "helper")
    lab = Lab(folder)
    warnings = " ".join(lab.start_campaign("first", calibrate=0).warnings)
    assert "lacks the packages nowhere_to_be_found." in warnings
    assert finish(lab, 1).status == "crashed"
    lab.close()


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ('device = torch.device("cuda")\ntorch.cuda.synchronize()\n', True),
        ("model.cuda()\n", True),
        ('device = "cuda" if torch.cuda.is_available() else "cpu"\nmodel.cuda()\n', False),
        ("if args.device.startswith('cuda'):\n    torch.cuda.synchronize()\n", False),  # karpathy/makemore
        ("p.add_argument('--device', default='cpu')\nx.to('cuda')\n", False),
        ('def bytes(device="cpu"): ...\nmodel.to("cuda")\n', True),  # a default of one function is no choice
        ('if device == "cuda":\n    torch.cuda.empty_cache()\n', False),
        ("loss.backward()\n", False),
    ],
)
def test_only_code_that_cannot_do_without_a_gpu_asks_for_one(code: str, needs: bool) -> None:
    assert needs_cuda(code) is needs
