"""init: it looks, proposes an arena in words and files, writes only what is agreed to, and says three commands."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.arena.program import parse_program
from mcp_server.cli import cli
from mcp_server.nouns.errors import NotNow
from mcp_server.setup.proposing import measure
from mcp_server.setup.proposing.arena import propose, without_launcher
from mcp_server.setup.proposing.looking import Number, columns, look
from tests.labs import git


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    return folder


def init(folder: Path, *options: str) -> dict[str, object]:
    done = CliRunner().invoke(cli, ["-C", str(folder), "init", "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


EVALUATED = {
    "train.py": "import json\nRATE = 0.25\njson.dump(RATE, open('model.json', 'w'))\n",
    "evaluate.py": "import json\nacc = 1 - json.load(open('model.json'))\nprint(f'accuracy: {acc}')\n",
    "tests/test_rate.py": "def test_rate():\n    import train\n",
}


def test_a_trainer_with_an_evaluation_is_measured_by_what_it_prints(tmp_path: Path) -> None:
    reply = init(repository(tmp_path, EVALUATED), "--yes")
    assert reply["written"] == ["program.md", "measure.py"]
    arena = parse_program((tmp_path / "program.md").read_text()).arena
    assert (arena.metric.name, arena.metric.direction) == ("accuracy", "maximize")
    assert arena.editable == ("train.py",)
    assert set(arena.frozen) == {"measure.py", "evaluate.py", "tests/"}
    assert "pytest" in arena.checks[0]
    done = subprocess.run([sys.executable, "measure.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("---\naccuracy: 0.75\n")
    assert not (tmp_path / "model.json").exists()  # it ran in a copy


@pytest.mark.parametrize("begun", [False, True])
def test_without_a_commit_the_first_step_brings_all_that_is_measured_into_git(tmp_path: Path, begun: bool) -> None:
    if begun:
        git(tmp_path, "init", "-q")
    for name, text in EVALUATED.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    first = init(tmp_path, "--yes")["next"][0]  # type: ignore[index]
    named = "git config --global user.name User && git config --global user.email user@example.com"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    subprocess.run(["bash", "-c", f"{named} && {first}"], cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert {"train.py", "program.md", "measure.py"} <= set(git(tmp_path, "ls-files").split())


@pytest.mark.parametrize("begun", [False, True])
def test_the_first_commit_takes_no_environment_and_no_checkpoint(tmp_path: Path, begun: bool) -> None:
    if begun:
        git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("/env/\n*.log")  # no line end
    for name, text in EVALUATED.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for place in ("env", "my env", ".venv"):
        (tmp_path / place / "lib").mkdir(parents=True)
        (tmp_path / place / "pyvenv.cfg").write_text("home = /usr/bin\n")
        for number in range(40):  # more than the repository has
            (tmp_path / place / "lib" / f"module{number}.py").write_text("x = 1\n")
    for name in ("rl/env/train.py", "rl/big", "out/model.json"):  # named as what is large or somebody else's elsewhere
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    for name in ("out/a.pt", "out/b.pt", "big"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(60_000_000)
    reply = init(tmp_path, "--yes")
    assert parse_program((tmp_path / "program.md").read_text()).arena.editable == ("train.py",)
    kept_out = ["/.venv/", "/my env/", "/big", "/out/*.pt"]
    assert f"Kept out of git: {', '.join(kept_out)}. " in str(reply["words"])
    named = "git config --global user.name User && git config --global user.email user@example.com"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / ".home")}
    (tmp_path / ".home").mkdir()
    first = reply["next"][0]  # type: ignore[index]
    subprocess.run(["bash", "-c", f"{named} && {first}"], cwd=tmp_path, env=environ, check=True, capture_output=True)
    known = set(git(tmp_path, "ls-files").split())
    assert {"train.py", "program.md", ".gitignore", "rl/env/train.py", "rl/big", "out/model.json"} <= known
    assert not {"big", "out/a.pt", "out/b.pt"} & known
    assert not [one for one in known if one.endswith("pyvenv.cfg")]


def test_what_is_shown_and_not_agreed_to_is_not_written(tmp_path: Path) -> None:
    reply = init(repository(tmp_path, EVALUATED))
    assert not (tmp_path / "program.md").exists()
    assert "written" not in reply
    assert len(reply["next"]) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "metric", "command", "editable"),
    [
        (
            {"main.py": "x = 1\n", "metrics.json": '{"val_loss": 0.4, "epoch": 3}'},
            "val_loss",
            "python main.py",
            "main.py",
        ),
        ({"src/a.py": "x = 1\n", "tests/test_a.py": "import pytest\n"}, "cpu_seconds", "python -m pytest -q", "src/"),
        ({"Cargo.toml": "", "src/lib.rs": "", "benches/b.rs": ""}, "cpu_seconds", "cargo bench --offline", "src/"),
        ({"go.mod": "", "a.go": "", "a_test.go": "func BenchmarkA()"}, "cpu_seconds", "go test -run", "a.go"),
        (
            {"package.json": '{"scripts": {"test": "x", "bench": "y"}}', "lib/a.js": ""},
            "cpu_seconds",
            "npm run",
            "lib/",
        ),
        (
            {"Makefile": "eval:\n\ttrue\n", "lib/a.c": "", "results.tsv": "step\tmse\n1\t0.5\n"},
            "mse",
            "make eval",
            "lib/",
        ),
    ],
)
def test_it_finds_its_way_in_repositories_of_other_kinds(
    tmp_path: Path, files: dict[str, str], metric: str, command: str, editable: str
) -> None:
    reply = init(repository(tmp_path, files))
    written: dict[str, str] = reply["files"]  # type: ignore[assignment]
    arena = parse_program(written["program.md"]).arena
    assert (arena.metric.name, arena.editable) == (metric, (editable,))
    assert f'COMMAND = "{command}' in written["measure.py"]
    compile(written["measure.py"], "measure.py", "exec")


def test_a_repository_without_anything_to_measure_is_told_so(tmp_path: Path) -> None:
    reply = init(repository(tmp_path, {"README.md": "words\n"}))
    assert "files" not in reply
    assert "needs one number" in str(reply["words"])


def test_a_repository_of_another_tool_is_sent_to_adopt(tmp_path: Path) -> None:
    files = {"train.py": 'print(f"val_bpb: {1}")\n', "prepare.py": "x = 1\n", "program.md": "grep '^val_bpb:'\n"}
    reply = init(repository(tmp_path, files))
    assert reply["next"][0] == f"cd {tmp_path} && autoresearch adopt"  # type: ignore[index]


def test_a_lab_is_sent_on(tmp_path: Path) -> None:
    init(repository(tmp_path, EVALUATED), "--yes")
    assert "written" not in init(tmp_path, "--yes")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("loss: 0.5\nloss: 0.25", 0.25),
        ("loss=1e-3 x", 1e-3),
        ('{"loss": 2}', 2.0),
        ("val_loss: 3", None),
        ("Final loss: 0.93.", 0.93),
        ("loss: 12,345", 12345.0),
        ("loss: 0.5,0.7", 0.5),
        ("loss: 3.2ms", 3.2),
        ("loss: 0.93s.", 0.93),
        ("loss: 1.2.3", None),
        ("loss: nanometres", None),
    ],
)
def test_a_printed_number_is_found_in_usual_writings(text: str, value: float | None) -> None:
    assert measure.printed(text, "loss") == value


def test_a_training_that_diverged_has_not_the_number_from_before() -> None:
    for said in ("loss: 0.5\nloss: nan\n", "loss: 0.5\nloss=-inf", "loss: 0.5\nloss: NaN"):
        assert not math.isfinite(measure.printed(said, "loss") or 0.0)
    for said in ('{"loss": null}', '{"loss": 0.5}\n{"loss": null}\n', "step,loss\n1,0.5\n2,nan\n", '{"loss": NaN}'):
        assert math.isnan(measure.written(said, "loss") or 0.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": {"loss": 1.5}}', 1.5),
        ('{"loss": 1}\n{"loss": 0.5}\n', 0.5),
        ("step,loss\n1,3\n2,0.5\n", 0.5),
        ("step\tloss\n1\t3\n", 3.0),
        ("step,loss,acc\n1,0.5,\n2,,0.9\n", 0.5),
        ('name,"loss"\n"a,b",0.5\n', 0.5),
        ("step,loss\n1,\n", None),
        ("step,other\n1,3\n", None),
    ],
)
def test_a_written_number_is_found_in_usual_files(text: str, value: float | None) -> None:
    assert measure.written(text, "loss") == value


def test_names_say_which_way_is_better() -> None:
    directions = {name: Number(name).direction for name in ("val_loss", "accuracy", "latency_ms", "auc", "error_rate")}
    assert [name for name, way in directions.items() if way == "maximize"] == ["accuracy", "auc"]
    assert columns("step,acc\n1,0.5\n", ".csv") == ["step", "acc"]
    assert columns('step,loss,"a,cc",words\n1,0.5,,x\n2,,0.9,\n\n', ".csv") == ["step", "loss", "a,cc"]
    assert columns('step,acc\n1,"' + "x" * 200_000, ".csv") == []
    assert columns("", ".csv") == columns("step,acc\n", ".csv") == []
    assert all(Number(name).telling for name in ("nll", "ndcg10", "nrmse", "val_loss"))
    assert not any(Number(name).telling for name in ("n", "n_bytes", "id", "step_time", "num_bytes"))
    names = {"Top-1 acc.": "Top-1_acc", "eval/loss": "eval/loss", "val loss (mean)": "val_loss_mean", "1_acc": "acc"}
    assert {name: Number(name).metric for name in names} == names


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('print(f"step {i} | val loss: {x:.4f}")', "val loss"),
        ('print(f"epoch {e}: train_loss {a:.4f} val_acc {b:.4f} time {t:.1f}s")', "val_acc"),
        ('log.info("iter %d loss %.3f lr %.2e", i, a, b)', "loss"),
        ('print("Epoch {}/{}, Test accuracy={:.2%}".format(e, n, a))', "Test accuracy"),
        ('sys.stdout.write("acc: %5.2f\\n" % a)', "acc"),
        ('print(f"elapsed {t} s, train loss {x}")', "train loss"),
        ('print(f"took {t:.1f} time={t}")', "time"),
        ('print("loss")', None),
        ('raise ValueError(f"loss: {x}")', None),
        ("print(f'at loss: {x}'", None),
    ],
)
def test_a_number_is_found_wherever_in_a_line_it_is_printed(tmp_path: Path, line: str, name: str | None) -> None:
    (tmp_path / "train.py").write_text(f"x = 1\n{line}\n")
    proposed = propose(look(tmp_path, ["train.py"]))
    assert proposed is not None
    assert f'NAME = "{name or "cpu_seconds"}"' in proposed.files["measure.py"]


def test_the_number_is_one_of_the_command_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text('print(f"val_loss: {1}")\n')
    (tmp_path / "opt.py").write_text('print(f"score: {1}")\n')
    proposed = propose(look(tmp_path, ["opt.py", "train.py"], "python opt.py"), run="python opt.py")
    assert proposed is not None
    assert parse_program(proposed.files["program.md"]).arena.metric.name == "score"


def test_a_number_may_be_named_as_it_is_printed_or_as_the_arena_names_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text('print(f"val loss: {1}")\n')
    for metric in ("val loss", "val_loss"):
        proposed = propose(look(tmp_path, ["train.py"]), metric=metric)
        assert proposed is not None
        assert 'NAME = "val loss"' in proposed.files["measure.py"]


def test_looking_at_nothing_finds_nothing(tmp_path: Path) -> None:
    assert look(tmp_path, []).language == ""


def test_who_knows_the_metric_and_its_direction_says_them(tmp_path: Path) -> None:
    prints = "print(f'baseline_accuracy: {1}')\nprint(f'score: {2}')\nprint(f'quality: {3}')\n"
    folder = repository(tmp_path, {"evaluate.py": prints, "train.py": "x = 1\n"})
    guessed = init(folder)
    assert "score (higher is better, a guess: --direction says otherwise)" in str(guessed["words"])
    said = init(folder, "--direction", "lower")
    assert "score (lower is better, as asked)" in str(said["words"])
    asked = CliRunner().invoke(cli, ["-C", str(folder), "init", "--metric", "quality"])
    assert asked.exit_code == 1
    assert "autoresearch init --metric quality --direction" in " ".join(asked.output.split())
    written: dict[str, str] = init(folder, "--metric", "quality", "--direction", "max")["files"]  # type: ignore[assignment]
    metric = parse_program(written["program.md"]).arena.metric
    assert (metric.name, metric.direction) == ("quality", "maximize")


def test_who_knows_the_command_that_makes_the_number_says_it(tmp_path: Path) -> None:
    files = {"a.py": "pass\n" * 9, "opt.py": "X = 3.0\nprint('score:', (X - 1) ** 2)\n"}
    asked = ("--metric", "score", "--direction", "minimize")
    reply = init(repository(tmp_path, files), *asked)
    assert "init --run COMMAND" in str(reply["words"])  # nothing in the repository says what to measure
    assert init(tmp_path, "--run", "python opt.py", *asked, "--yes")["written"]
    arena = parse_program((tmp_path / "program.md").read_text()).arena
    assert (arena.metric.name, arena.editable) == ("score", ("opt.py",))
    done = subprocess.run([sys.executable, "measure.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("---\nscore: 4.0\n")


def test_a_number_whose_name_no_arena_can_have_is_measured_under_one_that_it_can(tmp_path: Path) -> None:
    writes = "import json, pathlib\npathlib.Path('out').mkdir(exist_ok=True)\n"
    writes += "pathlib.Path('out/m.json').write_text(json.dumps({'Val Loss (mean)': 0.25}))\n"
    folder = repository(tmp_path / "a dir", {"main.py": writes, "out/m.json": '{"Val Loss (mean)": 0.5}'})
    (folder / "sub").mkdir()
    first = init(folder / "sub", "--yes")["next"][0]  # type: ignore[index]
    assert parse_program((folder / "program.md").read_text()).arena.metric.name == "Val_Loss_mean"
    done = subprocess.run([sys.executable, "measure.py"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("---\nVal_Loss_mean: 0.25\n")
    named = "git config --local user.name User && git config --local user.email user@example.com"
    subprocess.run(["bash", "-c", f"{named} && {first}"], cwd=folder / "sub", check=True, capture_output=True)
    assert "program.md" in git(folder, "ls-files").split()


@pytest.mark.parametrize(
    ("command", "editable"),
    [
        ("python domain.py --main.py", "domain.py"),
        ("env X=1 python ./domain.py", "domain.py"),
        ("python -m lib.fit", "lib/"),
        ("python 'lib/fit.py' && python x.py", "lib/"),
        ("make all", "main.py"),
        ("echo 'not closed", "main.py"),
    ],
)
def test_the_file_that_a_command_starts_is_the_one_to_change(tmp_path: Path, command: str, editable: str) -> None:
    for name in ("main.py", "domain.py", "lib/fit.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("pass\n")
    seen = replace(look(tmp_path, ["main.py", "domain.py", "lib/fit.py"]), sources=("main.py", "domain.py", "lib/"))
    proposed = propose(replace(seen, trainers=("main.py",)), "score", "minimize", run=command)
    assert proposed is not None
    assert parse_program(proposed.files["program.md"]).arena.editable == (editable,)


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ("uv run train.py --lr 1", "python train.py --lr 1"),
        ("uv run python train.py", "python train.py"),
        ("poetry run pytest -q && uv run -- src/eval.py", "pytest -q && python src/eval.py"),
        ("uv run --with numpy train.py", "uv run --with numpy train.py"),
        ("./uv run x", "./uv run x"),
    ],
)
def test_who_starts_an_environment_leaves_that_to_the_lab(run: str, command: str) -> None:
    assert without_launcher(run) == command


def test_python_and_python3_are_the_one_that_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("python", "python3"):
        monkeypatch.setattr(measure, "COMMAND", f"bash -c '{name} -c \"import sys; print(sys.executable)\"'")
        assert measure.once()[1].strip() == sys.executable


def test_what_is_asked_for_is_asked_with_the_words_that_were_given(tmp_path: Path) -> None:
    with pytest.raises(NotNow, match=r"init --run 'python a.py' --metric 'my quality' --direction minimize"):
        propose(look(tmp_path, []), "my quality", run="python a.py")


def test_a_memo_that_stands_in_program_md_stays_below_the_arena(tmp_path: Path) -> None:
    memo = "# What we are after\n\nBe careful.\n"
    folder = repository(tmp_path, {"fit.py": "x = 1\n", "evaluate.py": "print(f'accuracy: {1}')\n", "program.md": memo})
    init(folder, "--yes")
    text = (folder / "program.md").read_text()
    assert parse_program(text).arena.metric.name == "accuracy"
    assert text.endswith(memo)


def test_the_line_ends_of_a_memo_are_those_of_the_arena_above_it(tmp_path: Path) -> None:
    folder = repository(tmp_path, {"fit.py": "x = 1\n", "evaluate.py": "print(f'accuracy: {1}')\n"})
    (folder / "program.md").write_bytes(b"# Goal\r\n\r\nBe careful.\r\n")
    init(folder, "--yes")
    text = (folder / "program.md").read_bytes()
    assert text.endswith(b"# Goal\r\n\r\nBe careful.\r\n")
    assert text.count(b"\n") == text.count(b"\r\n")
