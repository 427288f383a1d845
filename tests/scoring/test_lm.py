"""The scorer as a supervisor starts it: one answer on stdout, whatever the model does."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.runner.machine.descendants import tree
from mcp_server.runner.sandbox import probe
from mcp_server.scoring.corpus import read_split
from tests.scoring.tiny import HONEST, Run, scored, sealed_run, write_corpus

TIER = probe().tier.value
PROJECT = Path(__file__).resolve().parents[2]


def until(true: Callable[[], bool]) -> None:
    """Wait; the suite's own time limit ends it."""
    while not true():
        time.sleep(0.02)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "tiny")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Run:
    return sealed_run(tmp_path_factory.mktemp("honest"), corpus)


TEXTS = ("sealed/val.bin", "sealed/test_pool.bin", "public/train_00000.bin")
LOOKS_FOR_TEXT = f"""
import os, pathlib
for name in {TEXTS}:
    try:
        pathlib.Path(os.environ["AUTORESEARCH_DATA"], name).read_bytes()
    except (FileNotFoundError, PermissionError):
        continue
    raise SystemExit("there is " + name)
"""


@pytest.fixture(scope="module")
def heard(honest: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The answer about an honest model, and what was said on the way to it.

    A scoring takes three processes with torch in two of them, so this one is looked at by several tests: its code looks
    for the corpus's text before anything else, and beside it lies a folder named like this package.
    """
    folder = tmp_path_factory.mktemp("heard")
    run = edited(honest, folder, HONEST if TIER == "T0" else LOOKS_FOR_TEXT + HONEST)
    (run.snapshot / "mcp_server" / "scoring").mkdir(parents=True)
    for place in ("mcp_server", "mcp_server/scoring"):
        (run.snapshot / place / "__init__.py").write_text("raise RuntimeError('not this one')\n")
    with (folder / "marks").open("wb") as file:
        pipe = file.fileno()
        answer = scored(run, pass_fds=(pipe,), AUTORESEARCH_TIER=TIER, AUTORESEARCH_MARKS=str(pipe))
    return answer, folder / "marks"


@pytest.fixture
def answer(heard: tuple[dict[str, Any], Path]) -> dict[str, Any]:
    assert "score" in heard[0], heard[0]
    return heard[0]


@pytest.fixture(scope="module")
def exam(honest: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same model on the other split, by a lab that has tolerances of its own and suspects every score."""
    table = tmp_path_factory.mktemp("exam") / "tolerances.json"
    table.write_text(json.dumps({"entries": {"cpu/float32": {"largest": 0.25, "mean": 0.125}}}))
    return scored(
        honest,
        AUTORESEARCH_TIER=TIER,
        AUTORESEARCH_SPLIT="test",
        AUTORESEARCH_SECRET="of the campaign",
        AUTORESEARCH_SUSPECT_BELOW="100",
        AUTORESEARCH_TOLERANCES=str(table),
    )


def edited(run: Run, folder: Path, source: str) -> Run:
    """`run` with another train.py and the same weights."""
    other = Run(folder / "work", run.artifact, run.data)
    other.snapshot.mkdir()
    (other.snapshot / "train.py").write_text(source)
    return other


def test_an_honest_model_is_scored_with_a_correction_of_zero(answer: dict[str, Any]) -> None:
    audit, (low, high) = answer["audit"], answer["interval"]
    assert abs(audit["correction"]) < 1e-6
    assert audit["largest_difference"] < audit["tolerance"] / 100
    assert (audit["positions"], audit["full"]) == (256, False)
    assert low <= answer["score"] <= high < low + 1e-6
    # an untrained model is about as good as guessing: log2 of the vocabulary, over the mean bytes of a token
    assert answer["score"] == pytest.approx(math.log2(64) / 2.5, rel=0.1)


@pytest.mark.parametrize("tier", ["T1", "T0"])
def test_the_score_is_the_same_at_every_tier(honest: Run, answer: dict[str, Any], tier: str) -> None:
    if tier == "T1" and TIER == "T0":
        pytest.skip("this machine offers no T1")
    assert scored(honest, AUTORESEARCH_TIER=tier)["score"] == pytest.approx(answer["score"], abs=1e-6)


def warm_scorer(run: Run) -> subprocess.Popen[str]:
    """The scorer as it is started beside a training run."""
    return subprocess.Popen(
        [sys.executable, "-m", "mcp_server.scoring.lm"],
        env={**run.environment(AUTORESEARCH_TIER=TIER, AUTORESEARCH_WARM="1"), "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_scorer_started_before_there_is_anything_to_score_reads_code_and_weights_when_told(
    honest: Run, answer: dict[str, Any], tmp_path: Path
) -> None:
    run = Run(tmp_path / "work", tmp_path / "artifact", honest.data)
    run.snapshot.mkdir()
    (run.snapshot / "train.py").write_text("raise SystemExit('read before there was an artifact')")
    with warm_scorer(run) as scorer:
        until(lambda: len(tree(scorer.pid)) > 2)  # hosts are there
        (run.snapshot / "train.py").write_text(HONEST)
        shutil.copytree(honest.artifact, run.artifact)
        said, _ = scorer.communicate("score\n")
    assert json.loads(said)["score"] == pytest.approx(answer["score"], abs=1e-6)


def test_a_scorer_whose_run_left_nothing_ends_without_an_answer(honest: Run) -> None:
    with warm_scorer(honest) as scorer:
        until(lambda: len(tree(scorer.pid)) > 2)
        hosts = tree(scorer.pid) - {scorer.pid}
        said, _ = scorer.communicate()  # closes its stdin
    assert (said, scorer.returncode) == ("", 0)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in hosts))


def test_a_suspiciously_good_score_is_audited_in_full(exam: dict[str, Any]) -> None:
    assert exam["audit"]["full"] is True
    assert exam["audit"]["positions"] == 4 * 256


def test_the_test_split_is_another_one(exam: dict[str, Any], answer: dict[str, Any]) -> None:
    assert exam["score"] != pytest.approx(answer["score"], abs=1e-5)


def test_a_lab_lays_its_own_tolerances_over_the_packages(exam: dict[str, Any], answer: dict[str, Any]) -> None:
    assert exam["audit"]["tolerance"] == 0.25
    assert answer["audit"]["tolerance"] < 0.25


def test_a_missing_artifact_is_a_rejection_that_says_what_to_write(honest: Run, tmp_path: Path) -> None:
    answer = scored(Run(honest.snapshot, tmp_path, honest.data), AUTORESEARCH_TIER=TIER)
    assert answer["rejected"] == "no_artifact"
    assert "model.safetensors" in answer["detail"]


def test_a_mistake_in_train_py_is_answered_with_its_traceback(honest: Run, tmp_path: Path) -> None:
    answer = scored(edited(honest, tmp_path, "import nonsuch_module\n"), AUTORESEARCH_TIER=TIER)
    assert answer["rejected"] == "host_died"
    assert "No module named 'nonsuch_module'" in answer["detail"]
    assert "train.py" in answer["detail"]
    assert len(answer["detail"]) < 4000


def test_a_host_that_vanishes_before_it_is_ready_leaves_its_words(honest: Run, tmp_path: Path) -> None:
    source = "import os\nprint('\\x1b[31mlast words')\nos.sys.stdout.flush()\nos._exit(3)\n"
    log = tmp_path / "score.log"
    answer = scored(edited(honest, tmp_path, source), AUTORESEARCH_TIER=TIER, AUTORESEARCH_SCORE_LOG=str(log))
    assert answer["rejected"] == "host_died"
    assert "exit code 3" in answer["detail"]
    assert "last words" in answer["detail"]
    assert "\x1b" not in answer["detail"]
    assert "last words" in log.read_text()


def test_a_host_that_never_gets_ready_is_given_up(honest: Run, tmp_path: Path) -> None:
    source = "import signal\nsignal.pause()\n"
    answer = scored(edited(honest, tmp_path, source), AUTORESEARCH_TIER=TIER, AUTORESEARCH_HOST_START_SECONDS="0.5")
    assert answer["rejected"] == "host_stalled"


def test_no_text_of_the_corpus_is_there_for_the_model(answer: dict[str, Any], corpus: Path) -> None:
    if TIER == "T0":
        pytest.skip("at T0 nothing is hidden")
    assert all((corpus / name).exists() for name in TEXTS)
    assert "score" in answer  # its code would have ended where it found any


def test_how_far_it_is_goes_to_the_supervisors_pipe(heard: tuple[dict[str, Any], Path]) -> None:
    fractions = [json.loads(line)["fraction"] for line in heard[1].read_text().splitlines()]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_missing_corpus_is_our_failure_and_no_rejection(honest: Run, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="prepare"):
        scored(Run(honest.snapshot, honest.artifact, tmp_path), AUTORESEARCH_TIER=TIER)


def test_a_snapshot_with_a_folder_named_like_this_package_is_scored_by_this_package(answer: dict[str, Any]) -> None:
    assert "score" in answer


def test_the_filler_of_the_audit_is_training_text(corpus: Path) -> None:
    split = read_split(corpus, "val")
    train = np.fromfile(corpus / "public" / "train_00000.bin", "<u2")
    assert (split.filler == train).all()
