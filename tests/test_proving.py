"""The proof of an arena: what follows from which evidence, how attacks are made, and that it only reads."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.arena.program import Arena, parse_program
from mcp_server.cli import cli
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.records import RunResult, RunState, Tier
from mcp_server.proving import attacks, harms, intruder
from mcp_server.proving.answers import constant_answer, fitted
from mcp_server.proving.evidence import Aim, Evidence, Severity, Trial, Tried
from mcp_server.proving.ground import read_source
from mcp_server.proving.scan import Watched, check_files, program_files, scan, suspects, told, watched
from mcp_server.proving.verdict import Readiness, Verdict, weigh
from tests.labs import PROGRAM, git, make_lab

SOURCE = (
    b'"""A program."""\nfrom __future__ import annotations\n\nRATE = 0.5\nSTEPS = 20\n\n\ndef go():\n    return RATE\n'
)


def arena(more: str = "keep: {min_delta: 0.1}\n") -> Arena:
    return parse_program(PROGRAM.format(more=more)).arena


def trial(score: float | None, seed: int = 1, *flags: str, state: RunState = RunState.SCORED) -> Trial:
    state = RunState.CRASHED if score is None and state is RunState.SCORED else state
    result = RunResult(
        state=state, score=score, flags=flags, tier=Tier.T2, train_seconds=1.0, artifact_sha256="0", artifact_bytes=3
    )
    return Trial("x", seed, result, 1.0)


def weighed(
    *tried: Tried, scores: tuple[float, ...] = (4.0, 4.0, 4.0), more: str = "keep: {min_delta: 0.1}\n"
) -> Verdict:
    baseline = tuple(trial(score, max(1, turn)) for turn, score in enumerate(scores))
    return weigh(Evidence(arena(more), baseline, tried))


def codes(verdict: Verdict, severity: Severity = Severity.BLOCKS) -> set[str]:
    return {finding.code for finding in verdict.findings if finding.severity is severity}


REFUSED = Tried(Aim.IDLE, "emptied", trial(None))
HARMED = Tried(Aim.HARM, "KNOB 1 -> -10", trial(169.0))

# --- the verdict ------------------------------------------------------------------------------------------------------


def test_an_arena_that_refuses_nothing_and_sees_harm_is_ready() -> None:
    verdict = weighed(REFUSED, HARMED)
    assert (verdict.readiness, verdict.repeats, verdict.reasons) == (Readiness.READY, 1, [])


def test_noise_as_large_as_the_smallest_change_asks_for_repeats_and_larger_noise_is_refused() -> None:
    some = weighed(REFUSED, HARMED, scores=(4.0, 4.2, 3.7, 4.25))
    assert some.readiness is Readiness.REPEATS
    assert some.repeats > 1
    loud = weighed(REFUSED, HARMED, scores=(4.0, 5.0, 3.0, 4.4))
    assert codes(loud) >= {"noise_hides"}


def test_more_noise_never_asks_for_fewer_repeats() -> None:
    asked = [weighed(REFUSED, HARMED, scores=(4.0, 4.0 + s, 4.0 - s)).scale for s in (0.0, 0.05, 0.1, 0.2, 0.4)]
    repeats = [scale.repeats for scale in asked if scale is not None]
    assert repeats == sorted(repeats)


@pytest.mark.parametrize("way", ["printed", "left", "forged", "spoken"])
def test_a_planted_score_that_comes_back_names_the_way_it_took(way: str) -> None:
    plants = attacks.planted(4.0, "minimize")
    verdict = weighed(REFUSED, HARMED, Tried(Aim.SPY, "claims", trial(plants[way]), plants))
    assert codes(verdict) == {f"believes_{way}"}


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0, 4.0, -3.0])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_planted_scores_are_wonderful_and_all_different(score: float, direction: str) -> None:
    values = list(attacks.planted(score, direction).values())
    assert len(set(values)) == len(values)
    assert all(value < score if direction == "minimize" else value > score for value in values)


def test_doing_nothing_may_not_win_nor_tie_unless_the_baseline_is_the_floor() -> None:
    assert codes(weighed(Tried(Aim.IDLE, "emptied", trial(0.0)), HARMED)) == {"idle_wins"}
    assert codes(weighed(Tried(Aim.IDLE, "emptied", trial(4.0)), HARMED)) == {"idle_ties"}
    assert codes(weighed(Tried(Aim.IDLE, "emptied", trial(4.0)))) == {"score_ignores_attempt"}
    built = weighed(Tried(Aim.IDLE, "emptied", trial(4.0)), Tried(Aim.BETTER, "better", trial(1.0)))
    assert codes(built) == set()


def test_a_wonderful_score_that_fails_the_checks_pays_nothing() -> None:
    more = "keep: {min_delta: 0.1}\nchecks: [python check.py]\n"
    caught = weighed(Tried(Aim.IDLE, "emptied", trial(0.0, 1, "checks_failed")), HARMED, more=more)
    assert caught.readiness is Readiness.READY
    passed = weighed(Tried(Aim.IDLE, "emptied", trial(0.0)), HARMED, more=more)
    assert codes(passed) == {"checks_pass_anything"}


def test_better_and_worse_versions_must_show() -> None:
    better, worse = Tried(Aim.BETTER, "better", trial(4.0)), Tried(Aim.WORSE, "worse", trial(4.0))
    assert codes(weighed(REFUSED, better, worse)) == {"improvement_unseen", "harm_unseen"}
    better, worse = Tried(Aim.BETTER, "better", trial(9.0)), Tried(Aim.WORSE, "worse", trial(1.0))
    assert codes(weighed(REFUSED, better, worse)) == {"upside_down"}


def test_a_harm_that_goes_the_right_way_within_noise_is_a_warning() -> None:
    loud = (4.0, 4.1, 3.9, 4.05)
    verdict = weighed(REFUSED, Tried(Aim.WORSE, "worse", trial(4.15)), scores=loud)
    assert (codes(verdict), codes(verdict, Severity.WARNS) & {"harm_in_noise"}) == (set(), {"harm_in_noise"})
    assert codes(weighed(REFUSED, Tried(Aim.WORSE, "worse", trial(3.95)), scores=loud)) == {"harm_unseen"}


def test_an_arena_without_a_score_or_that_fails_its_own_checks_is_not_ready() -> None:
    assert codes(weigh(Evidence(arena(), (trial(None),)))) == {"no_score"}
    waiting = trial(None, state=RunState.PENDING)
    assert codes(weigh(Evidence(arena(), (waiting,)))) == {"pending"}
    assert "checks_fail_unchanged" in codes(weigh(Evidence(arena(), (trial(4.0, 1, "checks_failed"),))))


# --- what is seen without attacking -----------------------------------------------------------------------------------


def test_a_judge_that_is_editable_blocks_and_one_that_is_not_frozen_warns() -> None:
    files = ("program.md", "train.py", "score.py", "data.csv")
    wide = arena().model_copy(update={"editable": ("*.py",), "frozen": ()})
    found = {finding.code: finding.severity for finding in scan(wide, files, (), Watched(frozenset({"data.csv"})))}
    assert found == {"scorer_editable": Severity.BLOCKS, "not_frozen": Severity.WARNS}


def test_what_a_check_only_looks_at_is_no_judge() -> None:
    files = ["solve.py", "check.py", "tests/test_solve.py", "tests/data.csv"]
    assert check_files("ruff check solve.py", files) == []
    assert check_files("python check.py solve.py", files) == ["check.py"]
    assert check_files("python -m pytest -q tests", files) == ["tests/test_solve.py"]
    assert program_files("python -m tests.test_solve", files) == ["tests/test_solve.py"]


def test_files_that_only_the_scorer_opens_are_suspects_and_their_names_tell_which_are_answers() -> None:
    seen = watched('autoresearch-proof: {"trusted": ["labels.csv", "items.json", "score.py", "x.bin"], "started": 0}')
    assert suspects(seen, ["items.json"], arena()) == (["labels.csv"], ["x.bin"])
    assert told("autoresearch-proof: nonsense\nautoresearch-proof: [1]\nother") == {}


# --- attacks and harms ------------------------------------------------------------------------------------------------


def test_the_intruder_comes_before_the_first_statement_and_the_file_stays_valid() -> None:
    changed = attacks.intruded({"a.py": SOURCE, "notes.txt": b"x"}, {"run": ["stop"]})
    assert changed["notes.txt"] == b"x"
    tree = ast.parse(changed["a.py"])
    assert ast.get_docstring(tree) == "A program."
    assert isinstance(tree.body[2], ast.Expr)
    compile(changed["a.py"], "a.py", "exec")


def test_every_order_is_a_deed_of_the_intruder() -> None:
    deeds = ("spy", "voice", "clock", "write", "stop")
    assert all(callable(getattr(intruder, deed)) for deed in deeds)


def test_emptied_code_still_defines_what_others_import_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(attacks.emptied({"a.py": SOURCE + b"\n\nprint(go())\n"})["a.py"])
    done = subprocess.run(
        [sys.executable, "-c", "from a import go, RATE; print(go(), RATE)"], cwd=tmp_path, capture_output=True
    )
    assert done.stdout == b"None 0.5\n"


def test_answers_are_fitted_by_key_by_place_and_out_of_source() -> None:
    labels = "".join(f"q{i},{i % 2}\n" for i in range(10)).encode()
    guesses = "".join(f"q{i},0\n" for i in reversed(range(10))).encode()
    made = next(fitted("guesses.csv", guesses, "labels.csv", b"id,label\n" + labels))
    assert made.decode().split() == [f"q{i},{i % 2}" for i in reversed(range(10))]
    assert next(fitted("g.json", b"[0,0,0,0,0,0,0,0,0,0]", "labels.csv", labels)) == b"[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]\n"
    assert next(fitted("g.json", str([0] * 8).encode(), "score.py", b"ANSWERS = [1, 2, 3, 4, 5, 6, 7, 8]")) == (
        b"[1, 2, 3, 4, 5, 6, 7, 8]\n"
    )


def test_a_constant_answer_takes_the_commonest_and_parameters_are_no_answers() -> None:
    assert constant_answer("a.json", b"[1, 0, 0, 0, 0, 0, 0, 0]") == b"[0, 0, 0, 0, 0, 0, 0, 0]\n"
    assert constant_answer("a.json", b"[1, 0, 2]") is None
    assert constant_answer("a.json", b"[0, 0, 0, 0, 0, 0, 0, 0]") is None


def test_harms_take_work_away_first_and_text_loses_most_of_itself() -> None:
    said = [what for what, _ in harms.harmed({"a.py": SOURCE})]
    assert said[0] == "STEPS 20 -> 2"
    assert harms.harmed({"letter.txt": b"one two three four five six seven eight"})[0][1] == {"letter.txt": b"one two"}


def test_versions_are_values_files_folders_or_patches_and_a_slip_is_explained(tmp_path: Path) -> None:
    sources = {"src/a.py": SOURCE}
    told = harms.as_told(sources, "RATE=0.9,STEPS=5", tmp_path)
    assert isinstance(told, dict)
    assert b"RATE = 0.9\nSTEPS = 5\n" in told["src/a.py"]
    (tmp_path / "a.py").write_bytes(b"RATE = 7\n")
    assert harms.as_told(sources, "a.py", tmp_path) == {"src/a.py": b"RATE = 7\n"}
    (tmp_path / "x.patch").touch()
    assert harms.as_told(sources, "x.patch", tmp_path) == tmp_path / "x.patch"
    for wrong in ("DEPTH=3", "nothing.py"):
        with pytest.raises(NotNow):
            harms.as_told(sources, wrong, tmp_path)


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_an_environment_that_git_was_not_told_to_ignore_is_not_copied(tmp_path: Path, known: bool) -> None:
    make_lab(tmp_path / "lab").close()
    for name in (".venv/pyvenv.cfg", ".venv/lib/torch.py", "new.py"):
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / name).write_text("")
    if not known:
        shutil.rmtree(tmp_path / "lab" / ".git")
    source = read_source(tmp_path / "lab")
    assert "new.py" in source.untracked
    assert {"new.py", "train.py"} <= set(source.files)
    assert not any(name.startswith(".venv/") for name in (*source.files, *source.untracked))


def test_a_proof_reads_the_users_repository_and_changes_nothing(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    tree = lab.paths.tree
    (tree / "train.py").write_text((tree / "train.py").read_text().replace("KNOB = 1.0", "KNOB = 2.0"))
    (tmp_path / "better.patch").write_text(
        "--- a/train.py\n+++ b/train.py\n@@ -1,4 +1,4 @@\n # A stand-in for a trainer: its constants are its weights.\n"
        " import json, os, pathlib, sys, time\n-KNOB = 2.0\n+KNOB = 2.9\n SECONDS = 0.0\n"
    )
    before = {path: path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}
    patch = str(tmp_path / "better.patch")
    arguments = ["-C", str(tree), "check-arena", "--repeats", "2", "--better", patch, "--worse", "KNOB=9"]
    done = CliRunner().invoke(cli, arguments, prog_name="autoresearch")
    assert done.exit_code == 0, done.output
    assert "\nready\n" in done.output
    assert "1/10 unchanged code, run 1 of 2" in done.output  # progress, on stderr
    assert {path: path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()} == before
    assert git(tree, "branch", "--list") == "* main\n"


def test_every_finding_is_explained_to_the_designer() -> None:
    root = Path(__file__).resolve().parent.parent
    page = (root / "skills" / "arena" / "references" / "findings.md").read_text()
    codes = {f"believes_{way}" for way in attacks.WAYS}
    for source in (root / "mcp_server" / "proving").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                codes |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    assert len(codes) > 30
    assert {code for code in codes if f"`{code}`" not in page} == set()
