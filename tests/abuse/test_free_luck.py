"""Case 34: a trainer that takes itself away when it draws badly. Whatever it says or does, that was a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_server.judging.looks import MOST_REPEATS, excused, looks
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.runner.sandbox import probe
from tests.labs import TRAIN, begin, finish, make_lab

pytestmark = pytest.mark.abuse

DRAWN = TRAIN.replace("time.sleep(SECONDS)", "if os.urandom(1)[0] < 256:  # a bad draw, this time always\n    DEED")
SUPERVISORS = """\
for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if b'mcp_server.runner' in open(f'/proc/{name}/cmdline', 'rb').read() or int(name) == os.getppid():
                    os.kill(int(name), 9)
            except OSError:
                pass
    sys.exit(1)"""
DEEDS = {
    "says that the disk is full": "raise OSError(28, 'No space left on device')",
    "kills itself": "os.kill(os.getpid(), 9)",
    "ends as the out-of-memory killer would end it": "os._exit(137)",
    "says that the card is full": "raise RuntimeError('CUDA error: out of memory')",
    "kills every supervisor that it can see": SUPERVISORS,
    "leaves no artifact": "sys.exit(0)",
}
QUICK = ("says that the disk is full",)


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in QUICK else (pytest.mark.slow,)) for what in DEEDS]
)
def test_a_run_that_takes_itself_away_is_a_look_and_not_run_without_end(
    what: str, tmp_path: Path, record_property: Any
) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab)
    (lab.paths.tree / "train.py").write_text(DRAWN.replace("DEED", DEEDS[what]))
    tried, said = 0, ""
    for _ in range(MOST_REPEATS + 2):
        try:
            reply = lab.run_experiment("lucky")
        except AutoresearchError as error:
            said = str(error)
            break
        said = " ".join(reply.warnings)
        finish(lab, reply.experiment)
        tried += 1
    with lab.reading() as (house, campaign, _):
        runs = [run for number in range(2, 2 + tried) for run in house.ledger.runs(campaign.tag, number)]
        kept = house.ledger.incumbent(campaign.tag)
    happened = f"{runs[0].state} {runs[0].result.reason if runs[0].result else ''}: {len(runs)} runs, {said[:60]}"
    record_property("abuse", [34, f"A bad draw {what}.", happened, str(probe().tier), "the best of n"])
    assert runs
    assert not [run for run in runs if excused(run)]
    assert sum(looks(runs).values()) == len(runs)
    assert len(runs) <= 1 + MOST_REPEATS
    assert kept is not None
    assert kept.number == 1
