"""Money and quotas in a real lab: told by clients, read by the user's command, limited by program.md and the user."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from mcp.client import Client

from mcp_server.campaign.money import spending
from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError, NotNow
from mcp_server.nouns.rows import Spent
from mcp_server.personal import money
from mcp_server.personal.file import personal_file
from mcp_server.personal.money import Quota, Spend, ask, quotas_of, spend_of
from mcp_server.server import build_server
from mcp_server.views.findings import gather
from mcp_server.views.report import markdown
from tests.labs import attempt, begun, decide, edit, make_lab, told


def typed(lab: Lab, *words: str, fails: bool = False) -> str:
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), *words])
    assert (done.exit_code != 0) is fails, done.output
    return done.output


class Clock:
    """A lab's clock that a test moves."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved


# --- told -------------------------------------------------------------------------------------------------------------


def test_what_clients_tell_ends_a_campaign_and_stands_on_every_face(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", more="stop: {cost: 1.0}\n"))
    assert lab.lab_status().money is not None  # the limit is told before anything is spent
    edit(lab, KNOB=2.0)
    typed(lab, "run", "two", "--cost", "0.4", "--tokens", "1000")
    typed(lab, "decide")
    typed(lab, "money", "2", "--cost", "0.5")  # the last word counts, and what it does not name stays
    sums = json.loads(typed(lab, "money", "--json"))
    assert (sums["cost_usd"], sums["tokens"], sums["told_by"], sums["attempts"]) == (0.5, 1000, 1, 1)
    assert "0.50 USD, 1,000 tokens (told for 1 of 1 attempts); ends at 1.00 USD" in sums["words"]
    assert sums["words"] in " ".join(typed(lab, "status").split())
    edit(lab, KNOB=2.5)
    typed(lab, "run", "half", "--no-wait")  # nobody says what it cost: unknown, and not nothing
    decide(lab, 3)
    assert json.loads(typed(lab, "money", "--json"))["told_by"] == 1
    typed(lab, "money", "3", "--cost", "0.6")
    assert lab.lab_status().stop == "1.10 of 1.00 USD are spent"
    edit(lab, KNOB=2.7)
    assert "1.10 of 1.00 USD are spent" in typed(lab, "run", "more", fails=True)
    assert "1.10 USD, 1,000 tokens" in markdown(gather(lab), chart=False)
    arms = json.loads(typed(lab, "compare", "--json"))["arms"]
    assert [(arm["cost_usd"], arm["tokens"]) for arm in arms] == [(1.1, 1000)]
    assert "billion" in typed(lab, "run", "x", "--cost", "1e300", fails=True)
    assert "0 or more" in typed(lab, "money", "--tokens", "-5", fails=True)


def test_an_agent_may_lower_the_limit_and_only_a_person_raises_it(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", more="stop: {cost: 5}\n"))
    program = lab.paths.program
    program.write_text(program.read_text().replace("cost: 5", "cost: 500"))
    status = lab.lab_status()
    assert status.money is not None
    assert status.money.stop_cost == 5
    assert any("stop.cost" in words for words in status.problems)
    program.write_text(program.read_text().replace("cost: 500", "cost: 4"))
    status = lab.lab_status()
    assert status.money is not None
    assert status.money.stop_cost == 4


def test_a_client_of_the_server_tells_in_what_travels_beside_a_call(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    edit(lab, KNOB=2.0)

    async def talk() -> None:
        async with Client(build_server(lab.paths.tree)) as client:
            begun_with: Any = {"autoresearch/cost_usd": 0.1, "autoresearch/tokens": "many"}
            await client.call_tool("run_experiment", {"description": "two", "wait_seconds": 60}, meta=begun_with)
            ended_with: Any = {"autoresearch/cost_usd": 0.3, "autoresearch/tokens": 4000}
            await client.call_tool("commit_or_revert", {}, meta=ended_with)

    anyio.run(talk)
    with lab.reading() as (bench, campaign, _):
        proposer = bench.ledger.experiment(campaign.tag, 2).proposer
    assert (proposer.cost_usd, proposer.tokens) == (0.3, 4000)


# --- read -------------------------------------------------------------------------------------------------------------


def test_a_command_of_the_users_says_what_was_spent_and_its_failure_touches_no_run(tmp_path: Path) -> None:
    clock, said = Clock(), tmp_path / "spent"
    begun(make_lab(tmp_path / "lab", more="stop: {cost: 2, tokens: 9000}\n")).close()
    told(f"spend: \"sh -c 'echo . >> {said}.asked; cat {said}'\"\n")
    with contextlib.closing(Lab(tmp_path / "lab", clock)) as lab:
        status = lab.lab_status()
        assert any("`spend`" in words and "No such file" in words for words in status.problems)
        assert attempt(lab, "two", KNOB=2.0).decision == "kept"  # whatever became of the command
        assert any("Nobody has told cost" in words for words in lab.lab_status().problems)
        said.write_text('{"cost": 1.5, "tokens": 800}')
        assert lab.lab_status().money.cost_usd is None  # type: ignore[union-attr]
        assert len(Path(f"{said}.asked").read_text().splitlines()) == 1  # and it was asked once in this minute
        clock.moved += timedelta(seconds=61)
        status = lab.lab_status()
        assert status.money is not None
        assert (status.money.cost_usd, status.money.tokens, status.stop) == (1.5, 800, "")
        said.write_text("2.25")
        clock.moved += timedelta(seconds=61)
        edit(lab, KNOB=2.5)
        with pytest.raises(NotNow, match=re.escape("2.25 of 2.00 USD are spent")):
            lab.run_experiment("half")  # asked before anything begins
        said.unlink()
        clock.moved += timedelta(seconds=61)
        status = lab.lab_status()
        assert status.stop  # what it said before goes on to count
        assert any("What it said before counts" in words for words in status.problems)
        arms = json.loads(typed(lab, "compare", "--json"))["arms"]
        assert arms[0]["tokens"] == 800


def test_the_command_gets_words_and_no_shell_and_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"campaign": "a; exit 1", "began": "2026-05-01T12:00:00+00:00", "lab": "/lab"}
    command = """sh -c 'test "$1" = "$SPEND_CAMPAIGN" && echo 7' sh {campaign}"""
    assert ask(Spend(command=command), given) == Spent(7.0)
    for broken, why in (("false", "status 1"), ("sh -c 'echo why >&2; exit 3'", "why"), ("echo lots", "neither"),
                        ("no-such-program", "No such file")):  # fmt: skip
        with pytest.raises(OSError, match=why):
            ask(Spend(command=broken), given)
    monkeypatch.setattr(money, "SPEND_SECONDS", 0.3)
    left = tmp_path / "left"
    with pytest.raises(OSError, match="took longer"):
        ask(Spend(command=f"sh -c 'sleep 60 & echo $! > {left}; wait'"), given)
    ends = time.monotonic() + 120
    while Path(f"/proc/{int(left.read_text())}").exists() and time.monotonic() < ends:
        with contextlib.suppress(OSError):
            if " Z " in Path(f"/proc/{int(left.read_text())}/stat").read_text():
                break
        time.sleep(0.05)
    assert time.monotonic() < ends  # what it had started is ended too


# --- a subscription's window ------------------------------------------------------------------------------------------


def test_a_window_that_is_used_up_postpones_proposals_and_says_until_when(tmp_path: Path) -> None:
    clock = Clock()
    begun(make_lab(tmp_path / "lab")).close()
    told("quota: [{experiments: 2, hours: 5}, {cost: 10, hours: 100}]\n")
    with contextlib.closing(Lab(tmp_path / "lab", clock)) as lab:
        attempt(lab, "two", KNOB=2.0)
        assert lab.lab_status().paused == ""  # one of two; the baseline is nobody's proposal
        clock.moved += timedelta(hours=1)
        edit(lab, KNOB=2.5)
        running = lab.run_experiment("half").experiment
        reply = decide(lab, running)  # what was begun goes on, and is decided
        assert reply.decision == "kept"
        assert "The user's quota of 2 experiments in 5 h is used up; next_eligible 20" in reply.next
        assert "next_eligible" in lab.recall("knob").next
        status = lab.lab_status()
        assert status.money is not None
        assert status.money.next_eligible[:16] in status.next
        left = datetime.fromisoformat(status.money.next_eligible) - clock()
        assert timedelta(hours=3.9) < left <= timedelta(hours=4)
        assert "2 of 2 experiments in 5 h" in status.money.words
        assert "next_eligible" in typed(lab, "money")
        edit(lab, KNOB=2.7)
        with pytest.raises(NotNow, match=r"next_eligible 20.*Nothing new begins until then"):
            lab.run_experiment("more")
        clock.moved += timedelta(hours=4)
        number = lab.run_experiment("more").experiment
        decide(lab, number)
        spending.tell(lab, number, Spent(10.5))
        assert "quota of 10 USD in 100 h" in lab.lab_status().paused


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("quota: {experiments: 2}\n", "hours"),
        ("quota: {hours: 5}\n", "at least one of"),
        ("quota: {experiments: 0, hours: 5}\n", "experiments"),
        ("quota: {experiment: 2, hours: 5}\n", "experiment"),
        ("quota: {cost: 2, hours: 5}\nspend: x\nquota: {experiments: 9, hours: 5}\n", "line 3: `quota` is given twice"),
        ("quota: {tokens: 2000000, hours: 5:30}\n", "hours"),
        ("qouta: {experiments: 2, hours: 5}\n", "unknown key `qouta`"),
    ],
)
def test_a_quota_that_cannot_be_read_allows_nothing(tmp_path: Path, text: str, why: str) -> None:
    told(text)
    with pytest.raises(ArenaError, match=why):
        quotas_of(tmp_path)


def test_a_lab_with_a_broken_quota_says_what_to_mend(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    told("quota: {experiments: 2}\n")
    edit(lab, KNOB=2.0)
    with pytest.raises(NotNow, match="quota cannot be read"):
        lab.run_experiment("two")
    assert any("quota" in words and str(personal_file()) in words for words in lab.lab_status().problems)
    told("quota: {experiments: 2, hours: 5}\nspend: 'true'\n")
    os.utime(personal_file(), (1, 1))
    assert quotas_of(tmp_path) == [Quota(experiments=2, hours=5)]
    assert spend_of(tmp_path) == Spend(command="true")
    assert lab.run_experiment("two").experiment == 2
