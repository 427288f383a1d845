"""The user's own files stay theirs: what looks like a view and was not drawn by this lab, and the right to delete.

A reference user's night is an untracked results.tsv (its program.md says so); others track their progress.png, keep
notes in learnings.md, or link one of them to a shared folder.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.views.publishing import finish_drawing
from tests.labs import git, make_lab
from tests.people.played import Played, small_lab, tried

NIGHT = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\na1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n"
NOTES = "# My notes\n\nFirst I read the paper.\n\n- warmup helps\n\n```\nlr = 3e-4\n```\n"
THEIRS = {"results.tsv": NIGHT.encode(), "learnings.md": NOTES.encode(), "progress.png": b"\x89PNG my own plot"}


def said_about(lab: Lab, name: str) -> str:
    warnings = lab.start_campaign("first", calibrate=0).warnings
    return next(word for word in warnings if name in word)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("way", ["untracked", "ignored", "link"])
def test_a_file_that_we_did_not_draw_is_kept_beside(tmp_path: Path, played: Played, name: str, way: str) -> None:
    lab = make_lab(tmp_path / "lab")
    path = lab.paths.tree / name
    if way == "link":
        (tmp_path / "shared").write_bytes(THEIRS[name])
        path.symlink_to(tmp_path / "shared")
    else:
        path.write_bytes(THEIRS[name])
    if way == "ignored":
        (lab.paths.tree / ".gitignore").write_text(f"{name}\n")
    assert f"{name}.before-first" in said_about(lab, name)
    tried(lab, KNOB=9.0)
    lab.close()
    kept = lab.paths.tree / f"{name}.before-first"
    assert kept.read_bytes() == THEIRS[name]
    assert kept.is_symlink() == (way == "link")
    assert not path.is_symlink()
    with lab.reading() as (bench, _, _):
        assert bench.ledger.learnings() == []  # a foreign page is not turned round into lessons
    if name != "progress.png":
        assert path.read_bytes() != THEIRS[name]


@pytest.mark.parametrize("name", THEIRS)
def test_a_tracked_file_stays_in_its_place_and_the_view_is_drawn_elsewhere(
    tmp_path: Path, played: Played, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "progress.png":  # drawing takes a second of a processor
        monkeypatch.delenv("AUTORESEARCH_CHART")
    lab = make_lab(tmp_path / "lab")
    (lab.paths.tree / name).write_bytes(THEIRS[name])
    git(lab.paths.tree, "add", name)
    git(lab.paths.tree, "commit", "-q", "-m", "mine")
    elsewhere = Path(said_about(lab, name).rpartition(" at ")[2].rstrip("."))
    tried(lab, KNOB=9.0)
    status = lab.lab_status()
    lab.close()
    finish_drawing()
    assert (lab.paths.tree / name).read_bytes() == THEIRS[name]
    assert git(lab.paths.tree, "status", "--porcelain") == ""
    assert elsewhere.stat().st_size > 100
    assert status.chart in ("", str(elsewhere), str(lab.paths.chart))
    git(lab.paths.tree, "rm", "-q", "--cached", name)
    (lab.paths.tree / name).unlink()
    git(lab.paths.tree, "commit", "-q", "-m", "not mine any more")
    lab.lab_status()
    lab.close()
    assert (lab.paths.tree / name).stat().st_size > 100
    assert not elsewhere.exists()


def test_a_file_put_there_in_the_middle_of_a_campaign_is_kept_too_and_told(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    (lab.paths.tree / "results.tsv").write_text(NIGHT)
    assert any("results.tsv.before-first" in word for word in lab.lab_status().problems)
    (lab.paths.tree / "results.tsv").write_text(NIGHT + "more\n")
    assert any("results.tsv.before-first-2" in word for word in lab.lab_status().problems)
    assert (lab.paths.tree / "results.tsv.before-first").read_text() == NIGHT
    assert (lab.paths.tree / "results.tsv.before-first-2").read_text() == NIGHT + "more\n"
    assert (lab.paths.tree / "results.tsv").read_text().count("\n") == 2


def test_our_own_views_are_drawn_again_without_a_word(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    for knob in (2.0, 9.0, 8.0):
        tried(Lab(lab.paths.tree), KNOB=knob)
    lab.close()
    os.rename(tmp_path / "lab", tmp_path / "moved")  # and a moved lab knows its own
    lab = Lab(tmp_path / "moved")
    tried(lab, KNOB=7.0)
    assert lab.lab_status().problems == []
    assert not list(lab.paths.tree.glob("*.before-*"))
    assert (lab.paths.tree / "results.tsv").read_text().count("\n") == 6


def test_views_of_a_version_that_kept_no_record_are_ours(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    lab.close()
    shutil.rmtree(lab.paths.state / "views")
    lab.paths.learnings.write_text(lab.paths.learnings.read_text().partition("\n<!--autoresearch lab")[0])
    lab = Lab(lab.paths.tree)
    tried(lab, KNOB=2.0)
    assert lab.lab_status().problems == []
    assert not list(lab.paths.tree.glob("*.before-*"))


def test_lines_a_person_adds_to_our_page_become_lessons_and_nothing_else_of_theirs_is_lost(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    page = lab.paths.learnings.read_text()
    lab.paths.learnings.write_text(page + "- A warmup of ten steps helps at this size.\n")
    lab.lab_status()
    assert "A warmup of ten steps helps at this size." in lab.lab_status().learnings
    assert not list(lab.paths.tree.glob("learnings.md.before-*"))
    written = lab.paths.learnings.read_text() + "\n## A plan of my own\n\n```\nlr = 3e-4\n```\n"
    lab.paths.learnings.write_text(written)
    lab.lab_status()
    assert (lab.paths.tree / "learnings.md.before-first").read_text() == written
    assert "A plan of my own" not in lab.paths.learnings.read_text()


# --- deleting ---------------------------------------------------------------------------------------------------------


def an_ordinary_user() -> list[str]:
    """A prefix that runs a command as somebody who is not root; nothing where we are not root ourselves."""
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root without setpriv cannot become somebody else")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def test_an_ordinary_user_can_delete_a_lab_and_a_clone_that_held_one(tmp_path: Path) -> None:
    """As root it goes unseen: root may write into any folder. Sealed artifacts lay in folders without that right."""
    begun = tmp_path / "lab"
    lab = make_lab(begun)
    sealed = lab.paths.run("first", 1, 1)
    sealed.folder.mkdir(parents=True)
    (sealed.out / "deep").mkdir(parents=True)
    (sealed.out / "deep" / "weights").write_text("w")
    script = (
        "import sys; from pathlib import Path; from mcp_server.nouns.paths import RunPaths;"
        "from mcp_server.runner.seal "
        "import seal; run = RunPaths(Path(sys.argv[1])); seal(run.out, run.artifact, 1e9)"
    )
    # sealed first, for what is sealed belongs to whoever seals, and that is the user
    subprocess.run([sys.executable, "-c", script, str(sealed.folder)], check=True)
    user = an_ordinary_user()
    if user:
        for place in [begun, *begun.rglob("*")]:
            os.chown(place, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        for place in [tmp_path, *tmp_path.parents]:
            if place != Path(place.anchor) and not place.stat().st_mode & 0o001:
                place.chmod(place.stat().st_mode | 0o011)
    removed = subprocess.run(
        [*user, "rm", "-rf", *(str(place) for place in begun.iterdir())], capture_output=True, text=True
    )
    assert removed.stderr == ""
    assert list(begun.iterdir()) == []
