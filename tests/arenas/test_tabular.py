"""The tabular arena: cheats against its scorer, and a campaign within its bounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research

ARENA = ROOT / "arenas" / "tabular"
HONEST = (ARENA / "model.py").read_text()


def has_walls() -> bool:
    program = f"import sys; sys.path.insert(0, {str(ARENA)!r}); import confined; sys.exit(not confined.has_walls())"
    return subprocess.run([sys.executable, "-B", "-c", program]).returncode == 0


walled = pytest.mark.skipif(not has_walls(), reason="the kernel has no Landlock")


def answer(folder: Path, model: str, program: str = "import score; score.main()", **more: str) -> dict[str, Any]:
    """What the scorer says of a model.py."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(model)
    environment = {
        **os.environ,
        **{"AUTORESEARCH_SNAPSHOT": str(folder), "AUTORESEARCH_SEED": "1", "AUTORESEARCH_DRAW": "c0ffee"},
        **{"TMPDIR": str(folder), "HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ARENA)},
        **more,
    }
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, cwd=ARENA, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def instead(fit: str = "", predict: str = "") -> str:
    """The honest model with lines put before what its functions do."""
    lines = HONEST.splitlines(keepends=True)
    for name, code in (("def fit(", fit), ("def predict(", predict)):
        at = next(i for i, line in enumerate(lines) if line.startswith(name))
        lines.insert(at + 2, "".join(f"    {line}\n" for line in code.splitlines()))
    return "".join(lines)


LOOKUP = """\
from sklearn.datasets import load_digits
known = load_digits()
near = ((images[:, None] - known.data) ** 2).sum(axis=2).argmin(axis=1)
return np.eye(10)[known.target[near]]
"""
REFUSED = {
    "claims more than is possible": ("unnormalised", instead(predict="return np.ones((len(images), 10))")),
    "answers NaN": ("bad_output", instead(predict="return np.full((len(images), 10), np.nan)")),
    "lets one row stand for all": ("bad_output", instead(predict="return np.full((1, 10), 0.1)")),
    "negative probabilities": (
        "bad_output",
        instead(predict="said = np.full((len(images), 10), -0.1)\nsaid[:, 0] = 1.9\nreturn said"),
    ),
    "leaves a process behind": (
        "host_died",
        instead(fit="import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n    os._exit(0)"),
    ),
    "ends itself": ("host_died", instead(fit="import os\nos._exit(0)")),
}
WALLED = {
    "looks the answers up in the data set": ("host_died", instead(predict=LOOKUP)),
    "writes labels down for the next process": (
        "host_died",
        instead(fit="import os\nopen(os.path.expanduser('~/labels'), 'wb').write(labels.tobytes())"),
    ),
    "reads what lies beside the scorer": ("host_died", instead(predict=f"open({str(ARENA / 'data.py')!r}).read()")),
    "reads the draw in the sandbox's command line": (
        "host_died",
        instead(predict="open('/proc/1/cmdline', 'rb').read()"),
    ),
    "leaves labels in shared memory": (
        "host_died",
        instead(fit="import ctypes\nif ctypes.CDLL(None).shmget(7, 4096, 0o1666) < 0:\n    raise OSError"),
    ),
}
# Ways in which a training could leave a word for a later process where it can write no file. Each must be refused:
# `fit` ends the process when one is open.
LEAVING = {
    "in a file's times": "os.utime(os.path.dirname(__file__), (1, labels[0]))",
    "in a file's mode": "os.chmod(os.path.dirname(__file__), 0o700 + int(labels[0]))",
    "in an attribute": "os.setxattr(os.path.dirname(__file__), 'user.a', b'1')",
    "in a limit of its parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
    "in the parent's priority": "os.setpriority(os.PRIO_PROCESS, os.getppid(), int(labels[0]))",
    "in the parent's processors": "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))",
    "in what the page cache holds": "os.posix_fadvise(os.open(__file__, 0), 0, 0, os.POSIX_FADV_DONTNEED)",
}
QUICK = ("looks the answers up in the data set", "reads what lies beside the scorer")


def some(cheats: Any) -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in cheats]


@pytest.mark.parametrize("cheat", some(REFUSED))
def test_what_is_no_honest_answer_is_refused(cheat: str, tmp_path: Path) -> None:
    reason, program = REFUSED[cheat]
    assert answer(tmp_path / "work", program).get("rejected") == reason


@walled
@pytest.mark.parametrize("cheat", some(WALLED))
def test_behind_the_walls_there_is_nothing_to_read_and_nowhere_to_write(cheat: str, tmp_path: Path) -> None:
    reason, program = WALLED[cheat]
    said = answer(tmp_path / "work", program)
    assert said.get("rejected") == reason
    assert said["detail"] == "The program ended before it had answered."  # its last words could tell what it saw


@walled
def test_a_training_has_no_way_to_leave_a_word_for_a_later_process(tmp_path: Path) -> None:
    tries = "".join(f"try:\n    {way}\nexcept OSError:\n    pass\nelse:\n    os._exit(3)\n" for way in LEAVING.values())
    said = answer(tmp_path / "work", instead(fit=f"import os, resource\n{tries}"))
    assert "score" in said, said


TELLTALE = """
import builtins, hashlib
def seen(images):
    return [hashlib.sha256(image.tobytes()).digest() for image in images]
def fit(images, labels, seed):
    import os
    with open(os.environ["TMPDIR"] + "/told", "ab") as file:
        for one, label in zip(seen(images), labels):
            file.write(one + bytes([int(label)]))
    return honest_fit(images, labels, seed)
def predict(model, images):
    import os
    with open(os.environ["TMPDIR"] + "/told", "rb") as file:
        text = file.read()
    known = {text[i : i + 32]: text[i + 32] for i in range(0, len(text), 33)}
    found = [known.get(one) for one in seen(images)]
    said = honest_predict(model, images)
    for row, label in enumerate(found):
        if label is not None:
            said[row] = np.eye(10)[label]
    return said
"""


@walled
@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory here")
def test_a_model_cannot_read_what_its_run_left_in_shared_memory(tmp_path: Path) -> None:
    """A run may read the data set, and below T2 all processes of a machine share that folder."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="autoresearch-test-") as left:
        said = answer(tmp_path / "work", instead(predict=f"open({left.name!r}, 'rb').read()"))
    assert said.get("rejected") == "host_died"


@pytest.mark.slow
def test_even_with_the_walls_down_no_training_holds_a_label_that_is_asked(tmp_path: Path) -> None:
    """Were anything left over after all: every training tells all it was given, every prediction looks it up."""
    told = HONEST.replace("def fit(", "def honest_fit(").replace("def predict(", "def honest_predict(") + TELLTALE
    down = "import score; score.has_walls = bool; score.main()"
    honest = answer(tmp_path / "honest", HONEST, program=down)
    cheat = answer(tmp_path / "cheat", told, program=down)
    assert (tmp_path / "cheat" / "told").stat().st_size > 33 * 500
    assert cheat["score"] == honest["score"]


@pytest.mark.slow
def test_without_the_walls_looking_up_would_pay_so_they_are_bounded_from_below(tmp_path: Path) -> None:
    lookup = WALLED["looks the answers up in the data set"][1]
    said = answer(tmp_path / "work", lookup, program="import score; score.has_walls = bool; score.main()")
    assert said["score"] < 0.01
    assert said["secondary"]["walls"] == 0.0  # and program.md asks for 1


@pytest.mark.slow
def test_two_experiments_on_one_seed_meet_the_same_questions(tmp_path: Path) -> None:
    one, same = answer(tmp_path / "work", HONEST), answer(tmp_path / "work", HONEST + "\n# the same\n")
    other = answer(tmp_path / "work", HONEST, AUTORESEARCH_DRAW="beef")
    exam = answer(tmp_path / "work", HONEST, AUTORESEARCH_SPLIT="test")
    assert one["score"] == same["score"]
    assert len({said["score"] for said in (one, other, exam)}) == 3
    assert 0.1 < exam["score"] < 1.5
    assert 1 < one["secondary"]["size_kb"] < 100
    assert one["secondary"]["latency_ms"] > 0


@pytest.mark.slow
@walled
def test_eight_experiments_lower_the_loss_and_what_breaks_a_bound_or_cheats_is_not_kept(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("tabular", lab, calibrate=2)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) < first - 0.05, words
    source = (lab / "model.py").read_text()

    found, decision = attempt(lab, {"model.py": WALLED["looks the answers up in the data set"][1]})
    assert (found.status, found.reason, decision.decision) == ("rejected", "host_died", "reverted")
    lines = ["FEATURES = 600" if line.startswith("FEATURES =") else line for line in source.splitlines()]
    found, decision = attempt(lab, {"model.py": "\n".join(lines) + "\n"})
    assert decision.decision == "reverted"
    assert "size_kb" in decision.reason
    assert (lab / "model.py").read_text() == source
