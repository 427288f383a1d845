"""The `view` command of a lab: what it can see, what becomes of its picture, and that it never touches a score."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.dashboard.experiment import experiment_view
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.views.pictures import picture
from tests.labs import attempt, begin, git, make_lab

VIEW = """\
import json, os, pathlib, socket, sys, time
artifact, place = (pathlib.Path(os.environ[f"AUTORESEARCH_{name}"]) for name in ("ARTIFACT", "VIEW"))
knob = json.loads((artifact / "model.json").read_text())["knob"]
if knob == 2.0:
    sys.exit("I cannot draw this")
if knob == 2.4:
    time.sleep(600)
if knob == 3.0:
    for number in range(100):
        (place / str(number)).write_bytes(bytes(10**6))
    time.sleep(600)
if knob == 1.5:
    (place / "view.txt").write_text(f"the knob stands at {knob}")
    sys.exit()
found = [name for name in ("DRAW", "SECRET", "UNITS", "HANDOVER") if f"AUTORESEARCH_{name}" in os.environ]
try:
    (artifact / "model.json").write_text("{}")
    found.append("the artifact can be written")
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", PORT), 2)
    found.append("the network is there")
except OSError:
    pass
said = f'<svg width="90" height="20"><script>evil()</script><text y="9">walls: {found or "hold"}</text></svg>'
(place / "view.svg").write_text(said)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = make_lab(tmp_path / "lab", more="view: python view.py\n")
    program = made.paths.program
    program.write_text(program.read_text().replace("grace_seconds: 1}", "grace_seconds: 1, score_seconds: 8}"))
    return made


def told(lab: Lab, number: int) -> tuple[str, str]:
    """The picture's text and what is said of it, as the page has them."""
    seen = experiment_view(lab, number)
    return (picture(lab, number).content or b"").decode() if seen.view else "", seen.view_words


def test_a_picture_is_made_within_walls_and_nothing_it_does_touches_the_score(lab: Lab, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (lab.paths.tree / "view.py").write_text(VIEW.replace("PORT", str(server.getsockname()[1])))
        git(lab.paths.tree, "add", ".")
        git(lab.paths.tree, "commit", "-qm", "a view")
        begin(lab)
        lab.commit_or_revert(1)
    shown, said = told(lab, 1)
    assert "walls: hold" in shown
    assert "evil" not in shown
    assert said == "Left out of the picture: script."
    kept = [attempt(lab, KNOB=knob) for knob in (1.5, 2.0, 2.4, 3.0)]
    assert [one.decision for one in kept] == ["kept"] * 4
    assert [lab.read_score(number).score for number in (2, 3, 4, 5)] == pytest.approx([2.25, 1.0, 0.36, 0.0])
    assert "the\u00a0knob\u00a0stands\u00a0at\u00a01.5" in told(lab, 2)[0]
    assert told(lab, 3) == ("", "No picture: the view command ended with status 1. I cannot draw this")
    assert told(lab, 4) == ("", "No picture: the view command took longer than 8 seconds.")
    assert told(lab, 5)[1].startswith("No picture: the view command was stopped. It wrote ")
    with pytest.raises(NotNow, match="took longer"):
        picture(lab, 4)
    # an agent is told nothing of it
    replies = [lab.read_score(1), lab.read_score(4), lab.lab_status()]
    assert "picture" not in json.dumps([reply.model_dump(mode="json") for reply in replies])
    report = tmp_path / "report"
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "report", "--out", str(report)])
    assert done.exit_code == 0, done.output
    assert "walls: hold" in (report / "view-1.svg").read_text()
    text = (report / "report.md").read_text()
    assert "![What experiment 1 made](view-1.svg) | ![What experiment 2 made](view-2.svg) |" in text
    assert "view-3" not in text
    assert (report / "report.html").read_text().count("data:image/svg+xml;base64,") == 2
    # another view needs a person, and scores stay comparable
    program = lab.paths.program
    program.write_text(program.read_text().replace("view: python view.py", "view: python score.py"))
    assert lab.amend().changes == ["view: python view.py -> python score.py"]
    lab.amend(lab.amend().after)
    assert attempt(lab, KNOB=2.9).score == pytest.approx(0.01)
    assert told(lab, 6) == ("", "No picture: it left none of view.svg, view.png, view.txt in $AUTORESEARCH_VIEW.")
