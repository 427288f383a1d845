"""What a supervisor is told, where it is not plain from the arena."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labs import begin, finish, git, make_lab


@pytest.mark.parametrize("pattern", ["src/", "src", "src/**/*.py"])
def test_editable_files_named_by_a_folder_or_a_pattern_are_run(tmp_path: Path, pattern: str) -> None:
    lab = make_lab(tmp_path / "lab")
    tree = lab.paths.tree
    (tree / "src").mkdir()
    git(tree, "mv", "train.py", "src/train.py")
    program = (tree / "program.md").read_text()
    program = program.replace("editable: [train.py]", f'editable: ["{pattern}"]')
    (tree / "program.md").write_text(program.replace("python train.py", "python src/train.py"))
    git(tree, "commit", "-q", "-a", "-m", "move")
    assert begin(lab).score == 4.0  # the supervisor took the pattern for a file and died
    (tree / "src" / "train.py").write_text((tree / "src" / "train.py").read_text().replace("KNOB = 1.0", "KNOB = 2.0"))
    assert finish(lab, lab.run_experiment("KNOB 1 -> 2").experiment).score == 1.0
    lab.close()
