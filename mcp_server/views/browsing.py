"""What faces show beyond the verbs' replies: logs, diffs, tables and texts, each cleaned and bounded."""

from __future__ import annotations

from pathlib import Path

from mcp_server.campaign.bench import Readable
from mcp_server.community.board import reading as board
from mcp_server.community.elsewhere import Elsewhere
from mcp_server.community.settings import Places
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import fence
from mcp_server.repo.drawn import place_of
from mcp_server.views import publishing

LOG_BYTES = 4096
DIFF_BYTES = 40_000

BOARD_POSTS = 60  # that an agent is told at once: strangers wrote them


def program_text(lab: Readable) -> str:
    """program.md as it is in force."""
    with lab.reading() as (bench, campaign, _):
        return bench.program(campaign.program).text


def log_text(lab: Readable, number: int) -> str:
    """The end of the log of an experiment's last run: data, fenced."""
    with lab.reading() as (bench, campaign, _):
        run = bench.ledger.runs(campaign.tag, bench.ledger.experiment(campaign.tag, number).number)[-1]
        log = bench.folder(run).log
    try:
        return fence(log.read_text(encoding="utf-8", errors="replace"), limit_bytes=LOG_BYTES)
    except FileNotFoundError:
        raise NotNow(f"Experiment {number} has no log yet. read_score({number}) says where it is.") from None


def diff_text(lab: Readable, number: int) -> str:
    """What an experiment changed against the incumbent of its time."""
    with lab.reading() as (bench, campaign, arena):
        experiment = bench.ledger.experiment(campaign.tag, number)
        return lab.workspace.diff(f"{experiment.snapshot}^", experiment.snapshot, arena.editable, limit=DIFF_BYTES)


def results_text(lab: Readable) -> str:
    """The table of decided experiments, as results.tsv has it."""
    with lab.reading() as (bench, campaign, arena):
        return publishing.results_text(bench.ledger, campaign, arena)


def learnings_text(lab: Readable) -> str:
    """learnings.md as it would be written now."""
    with lab.reading() as (bench, campaign, arena):
        told = Elsewhere(lab.paths.state, lab.workspace).told(campaign, arena)
        return publishing.learnings_text(bench.ledger, campaign.tag, told)


def board_text(lab: Readable) -> str:
    """The board's threads as JSON; what is shown counts as read."""
    return board.read(Places.of(lab.paths.state), most=BOARD_POSTS).model_dump_json(indent=1)


def chart_bytes(lab: Readable) -> bytes:
    """progress.png as it was drawn last."""
    try:
        return place_of(lab.paths, lab.paths.chart.name).read_bytes()
    except FileNotFoundError:
        raise NotNow("No chart has been drawn yet. The first decided experiment draws it.") from None


def loop_text() -> str:
    """One iteration of the loop, for clients without skills: the text of the skill."""
    package = Path(__file__).parents[1]
    folder = package / "skills" if (package / "skills").is_dir() else package.parent / "skills"
    return (folder / "autoresearch" / "SKILL.md").read_text(encoding="utf-8").split("---", 2)[-1].strip()
