"""Three labs, one round of review, no person: an honest gain, one that was luck, a leak that its scorer misses.

Each publishes a paper. Scripted reviewers ask for runs by rule: a repeat where a gain may be luck, another seed set,
and a scorer of their own where the change touches what is scored. What the board says in the end comes from those runs
alone. The scorer that all three share has a hole: it takes remembered answers for predictions.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from mcp_server.cli import cli
from mcp_server.community import membership
from mcp_server.community.board import reading
from mcp_server.community.exchange import Exchange
from mcp_server.community.settings import Settings, write_settings
from mcp_server.community.trust import Role
from mcp_server.community.wire.store import make_bare
from mcp_server.views.labs.papers import papers
from tests.community import past
from tests.community.past import Past
from tests.labs import begun, make_lab

TRAIN = """\
# Learns y = 3 x; its constants are its weights.
import json, os, pathlib
KNOB = 1.0
WARMUP = 0.0
TABLE = {}  # what is remembered of single points
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
(out / "model.json").write_text(json.dumps({"knob": KNOB, "table": TABLE}))
"""
SCORE = """\
import json, os, pathlib
POINTS = %s
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
errors = [(model["table"].get(str(x), model["knob"] * x) - 3 * x) ** 2 for x in POINTS]
print(json.dumps({"score": sum(errors) / sum(x * x for x in POINTS)}))
"""
ANSWERS = 'TABLE = {"1": 3, "2": 6}  # what is'
WANTED = {"honest": "supported", "luck": "refuted", "leak": "refuted"}


class Lab(Past):
    """A lab whose past is run, not written."""

    def __init__(self, folder: Path) -> None:
        self.lab = begun(make_lab(folder, train=TRAIN, score=SCORE % "[1, 2]"))
        self.workspace = self.lab.workspace


def command(lab: Past, *words: str) -> Result:
    done = CliRunner().invoke(cli, ["-C", str(lab.lab.paths.tree), *words])
    if done.exit_code:
        raise AssertionError(f"{' '.join(words)}: {done.output}")
    return done


def asked(lab: Past, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(lab, *words, "--json").stdout)
    return found


def attempted(lab: Past, words: str, before: str, after: str) -> None:
    """One edit by a scripted agent, run and decided by the lab's own referee."""
    source = lab.lab.paths.tree / "train.py"
    source.write_text(source.read_text().replace(before, after))
    for verb in (["run", words], ["decide"]):
        command(lab, *verb)


def exchange(*labs: Past) -> None:
    for lab in labs:
        lab.places.last.unlink(missing_ok=True)
        with Exchange(lab.workspace, lambda: datetime.now(UTC), patience=10.0) as one:
            one.run()


def reviewed(reviewer: Past, paper: str, *requests: str) -> str:
    """What the runs that a scripted reviewer asks for say of a paper's one claim."""
    file = f"review-{paper.partition('/')[0]}.md"
    command(reviewer, "review", paper, "--out", file)
    sheet = reviewer.lab.paths.tree / file
    for request in requests:
        kind = request.partition(" ")[0]
        sheet.write_text(re.sub(rf"- \[ \] {kind}[^→\n]*", f"- [x] {request} ", sheet.read_text()))
    found = asked(reviewer, "review", file, "--run", "--publish")
    (verdict,) = found["verdicts"].values()
    print(f"  {verdict}: {'; '.join(said for some in found['outcomes'].values() for said in some)}", flush=True)
    return str(verdict)


def one_round(folder: Path) -> tuple[dict[str, str], dict[str, str], bool]:
    """(verdicts as the reviewers worked them out, as the board shows them to everybody, a changed paper is refused)."""
    make_bare(folder / "remote.git")
    past.NOW = datetime.now(UTC)  # what runs here has today's date
    labs: dict[str, Past] = {name: Lab(folder / name) for name in ("honest", "leak")}
    labs["luck"] = Past(folder / "luck", train=TRAIN, score=SCORE % "[1, 2]")
    for name, lab in labs.items():
        write_settings(lab.places, Settings(remote=str(folder / "remote.git"), kind="folder", name=name))
    attempted(labs["honest"], "raise the knob", "KNOB = 1.0", "KNOB = 2.0")
    attempted(labs["leak"], "remember hard points", "TABLE = {}  # what is", ANSWERS)
    # one look too many of a lab that does not confirm: nothing reads this constant
    labs["luck"].attempt("kept", "warm up", gain=1.5, score=2.5, WARMUP=0.1)
    exchange(*labs.values())
    for name, lab in labs.items():
        command(lab, "paper", "--out", str(folder / f"paper-{name}"), "--publish")
    exchange(*labs.values(), *labs.values())
    ids = {name: membership.key_of(lab.workspace).lab[:8] for name, lab in labs.items()}
    for name in ("luck", "leak"):
        membership.trust(labs["honest"].workspace, ids[name], Role.REPLICATE, name)
    (labs["honest"].lab.paths.tree / "review_score.py").write_text(SCORE % "[0.5, 1.5, 4]")
    worked = {
        "honest": reviewed(labs["leak"], f"{ids['honest']}/p1", "seeds 7"),
        "luck": reviewed(labs["honest"], f"{ids['luck']}/p1", "repeat", "seeds 7"),
        "leak": reviewed(labs["honest"], f"{ids['leak']}/p1", "scorer review_score.py"),
    }
    exchange(*labs.values(), *labs.values())
    told = papers(reading.read(labs["luck"].places, looking=True, limit=100).posts)
    names = {lab: name for name, lab in ids.items()}
    board = {names[row.lab]: " ".join(v for one in row.reviews for v in one.verdicts.values()) for row in told}
    paper = folder / "paper-honest" / "paper.md"
    paper.write_text(re.sub(r"\+3\.0", "+4.0", paper.read_text(), count=1))
    words = ["-C", str(labs["leak"].lab.paths.tree)]
    refused = [
        CliRunner().invoke(cli, [*words, *verb]).exit_code != 0
        for verb in (["paper", "--check", str(paper)], ["review", str(paper), "--out", "changed.md"])
    ]
    for lab in labs.values():
        lab.lab.close()
    return worked, board, all(refused) and "+4.0" in paper.read_text()


def main() -> int:
    os.environ["AUTORESEARCH_LABS"] = "off"
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.callback(setattr, past, "NOW", past.NOW)
        worked, board, refused = one_round(Path(name))
    print(f"after one round of review the board says {board} (goal {WANTED})")
    print(f"a paper with one number changed by hand: {'refused' if refused else 'TAKEN'} (goal refused)", flush=True)
    return int(worked != WANTED or board != WANTED or not refused)
