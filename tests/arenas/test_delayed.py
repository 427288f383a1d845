"""The delayed arena: deployments that take 72 (short) hours, from one purse, through kills, beside a control."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.records import RunProgress, Status
from mcp_server.researcher.demo import stop_runs
from mcp_server.runner.sandbox import probe
from mcp_server.setup.newlab import template, write_lab
from tests.arenas.campaigns import ROOT, attempt, best, campaigned
from tests.arenas.scorers import module
from tests.labs import finish, until

ARENA = ROOT / "arenas" / "delayed"
RULES: dict[str, Any] = json.loads((ARENA / "field.json").read_text())
CONTROL: dict[str, Any] = json.loads((ARENA / "control.json").read_text())
FAST = 60.0  # hours in a second: a window of 1.2 s
WORLD = {"began": 0.0, "phase": 0.1, "seed": 1, "best": {
    "subject_words": 5, "body_words": 90, "send_hour": 9.5, "personal_lines": 3, "greeting": "warm",
}}  # fmt: skip


def outreach(folder: Path, speed: float = FAST, **limits: float) -> Path:
    """A lab from the template, with another clock and other ceilings; its hand-over folder."""
    rules = {**RULES, "hours_per_second": speed, "limits": {**RULES["limits"], **limits}}
    write_lab(template("delayed"), folder, {"field.json": json.dumps(rules).encode()}, own_repository=True)
    handover = folder / ".git" / "autoresearch" / "handover" / "outreach"
    handover.mkdir(parents=True)
    (handover / "world.json").write_text(json.dumps(WORLD | {"began": time.time()}))
    return handover


def written(folder: Path, **constants: object) -> None:
    """The letter with other constants."""
    path = folder / "letter.py"
    text = path.read_text()
    for name, value in constants.items():
        text = re.sub(rf"(?m)^{name} = \S+", f"{name} = {value!r}", text)
    path.write_text(text)


def orders(handover: Path, kind: str = "book") -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((handover / kind).glob("*.json"))}


def spent(handover: Path) -> float:
    return sum(order["spend"] for order in orders(handover).values())


# --- the scorer by itself ---------------------------------------------------------------------------------------------


class Desk:
    """`deploy.py` as the supervisor would ask it, for one run after another."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.handover, self.trusted, self.artifact = folder / "handover", folder / "trusted", folder / "artifact"
        for place in (self.handover, self.trusted, self.artifact):
            place.mkdir()
        for name in ("deploy.py", "inboxes.py", "control.json"):
            (self.trusted / name).write_bytes((ARENA / name).read_bytes())
        (self.trusted / "field.json").write_text(json.dumps({**RULES, "system": "files", **rules}))

    def ask(self, name: str, plan: Any = CONTROL, tier: str = "T2") -> dict[str, Any]:
        (self.artifact / "plan.json").write_text(json.dumps(plan))
        env = {
            **os.environ,
            "AUTORESEARCH_HANDOVER": str(self.handover),
            "AUTORESEARCH_RUN": name,
            "AUTORESEARCH_ARTIFACT": str(self.artifact),
            "AUTORESEARCH_TIER": tier,
        }
        command = [sys.executable, "deploy.py"]
        done = subprocess.run(command, cwd=self.trusted, env=env, capture_output=True, text=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def answer(self, name: str, candidate: int, control: int) -> None:
        """As a system of the user's own does."""
        arms = {"candidate": candidate, "control": control}
        said = {arm: {"delivered": 2900, "replies": replies, "complaints": 5} for arm, replies in arms.items()}
        (self.handover / "inbox" / f"{name}.json").write_text(json.dumps(said))


def test_an_order_goes_out_once_and_comes_home_through_files(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.ask("first-2-1")["pending"] is True
    (order,) = orders(desk.handover, "outbox").values()
    assert [order["arms"][arm]["messages"] for arm in ("candidate", "control")] == [3000, 3000]
    assert desk.ask("first-2-1")["pending"] is True
    assert orders(desk.handover, "outbox") == {"first-2-1": order}
    desk.answer("first-2-1", 580, 290)
    (desk.handover / "outbox" / "first-2-1.json").unlink()  # tidied away after the answer
    found = desk.ask("first-2-1")
    assert found["score"] == pytest.approx(0.69, abs=0.02)
    assert found["interval"][0] < found["score"] < found["interval"][1]
    assert orders(desk.handover, "outbox") == {}


@pytest.mark.parametrize(
    "loosened",
    [
        {"price": {"letter": 0.0, "personal_line": 0.0, "follow_up": 0.0}},
        {"limits": {**RULES["limits"], "spend_total": 1e9}},
        {"inboxes": 10**6, "limits": {**RULES["limits"], "spend_total": 1e9}},
        {"hours_per_second": 1e6},
        {"give_up_hours": 0.0},
        {"system": "simulator"},
    ],
    ids=lambda rules: ", ".join(rules),
)
def test_a_later_campaign_cannot_loosen_what_the_first_one_was_held_to(
    loosened: dict[str, Any], tmp_path: Path
) -> None:
    desk = Desk(tmp_path)
    assert desk.ask("first-2-1")["pending"] is True
    booked = orders(desk.handover)["first-2-1"]
    limits = json.loads((desk.handover / "limits.json").read_text())
    tight = {**limits, "limits": {**limits["limits"], "spend_total": 1.5 * booked["spend"]}}
    (desk.handover / "limits.json").write_text(json.dumps(tight))  # the human's, edited by hand
    (desk.trusted / "field.json").write_text(json.dumps({**RULES, "system": "files", **loosened}))
    assert desk.ask("second-2-1").get("rejected") == "budget_spent"
    assert desk.ask("first-2-1")["pending"] is True  # nobody but the real field answers what was really deployed
    assert json.loads((desk.handover / "limits.json").read_text()) == tight


def test_ceilings_of_an_earlier_version_are_kept_and_completed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    old = {**RULES["limits"], "spend_total": 1.0}
    (desk.handover / "limits.json").write_text(json.dumps(old))
    assert desk.ask("first-2-1").get("rejected") == "budget_spent"
    found = json.loads((desk.handover / "limits.json").read_text())
    assert (found["limits"], found["price"], found["system"]) == (old, RULES["price"], "files")


def test_an_order_that_was_booked_but_not_handed_over_is_handed_over_later(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("first-2-1")
    (desk.handover / "outbox" / "first-2-1.json").unlink()  # as after a kill between the two
    desk.ask("first-2-1")
    assert orders(desk.handover, "outbox") == orders(desk.handover)


GREEDY = {
    "too many reminders": CONTROL | {"follow_ups": 30},
    "not a number": CONTROL | {"send_hour": float("nan")},
    "a truth for a number": CONTROL | {"send_hour": True},
    "a greeting of its own": CONTROL | {"greeting": "threatening"},
    "a sample of its own": CONTROL | {"messages": 3},
    "a price of its own": CONTROL | {"spend": -100},
    "half a plan": {"body_words": 30},
    "a list": [1, 2],
}


@pytest.mark.parametrize("greed", GREEDY)
def test_a_plan_outside_the_guard_rails_is_refused_before_anything_leaves(greed: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.ask("first-2-1", GREEDY[greed])["rejected"] == "guard_broken"
    assert orders(desk.handover) == orders(desk.handover, "outbox") == {}


def test_the_purse_counts_every_order_of_every_campaign_and_a_new_campaign_cannot_refill_it(tmp_path: Path) -> None:
    each = 6000 * 0.025
    desk = Desk(tmp_path, limits={**RULES["limits"], "spend_total": 2.5 * each})
    assert "pending" in desk.ask("first-1-1")
    assert "pending" in desk.ask("second-1-1")
    assert desk.ask("second-2-1")["rejected"] == "budget_spent"
    # a campaign that begins from a commit with a fuller purse
    (desk.trusted / "field.json").write_text(json.dumps({**RULES, "system": "files"}))
    assert desk.ask("third-1-1")["rejected"] == "budget_spent"
    assert spent(desk.handover) == pytest.approx(2 * each)


def test_what_finds_no_room_in_the_field_waits_and_is_not_booked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, limits={**RULES["limits"], "messages_in_field": 25000})
    for name in ("first-1-1", "first-2-1", "first-3-1"):
        assert desk.ask(name)["pending"] is True
    assert set(orders(desk.handover)) == {"first-1-1", "first-2-1"}
    desk.answer("first-1-1", 290, 290)
    assert desk.ask("first-3-1")["pending"] is True
    assert set(orders(desk.handover)) == {"first-1-1", "first-2-1", "first-3-1"}


def test_answers_that_cannot_be_are_waited_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("first-2-1")
    for wrong in ('{"candidate": {"deliv', "[]", json.dumps({"candidate": {"delivered": 9**9, "replies": 1}})):
        (desk.handover / "inbox" / "first-2-1.json").write_text(wrong)
        assert desk.ask("first-2-1")["pending"] is True
    order = orders(desk.handover)["first-2-1"]
    order["deployed_at"] -= 1e9
    (desk.handover / "book" / "first-2-1.json").write_text(json.dumps(order))
    assert desk.ask("first-2-1")["rejected"] == "no_outcome"


def test_without_any_walls_nothing_real_is_deployed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.ask("first-2-1", tier="T0")["rejected"] == "no_walls"
    assert orders(desk.handover) == {}


def test_the_season_moves_the_rates_but_not_the_score(tmp_path: Path) -> None:
    deploy, inboxes = module("delayed", "deploy"), module("delayed", "inboxes")
    rates, scores = [], []
    for turn in range(28):
        order = deploy.ordered(f"first-{turn}-1", CONTROL, CONTROL, RULES, now=0.0)
        hour = turn * 18.0  # the three weeks of a season
        outcome = {arm: inboxes._sent(WORLD, order, arm, hour) for arm in order["arms"]}
        found = deploy.settled(order, outcome, RULES, now=100.0)
        scores.append(found["score"])
        rates.append(found["secondary"]["reply_percent"])
    assert max(rates) / min(rates) > 1.5
    assert abs(statistics.fmean(scores)) < 0.05
    assert statistics.stdev(scores) < 0.12  # binomial luck of 3000 letters an arm is 0.077


# --- in the lab -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_letters_are_out_at_once_and_survive_the_death_of_everybody(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    handover = outreach(folder, speed=6.0)  # a window of 12 s
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(folder)], stdout=subprocess.PIPE, text=True, env=environment()
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "deployed\n"
        client.kill()
        gone = servers(folder)
        assert gone
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
    assert set(orders(handover)) == {"first-1-1", "first-2-1", "first-3-1"}
    before = orders(handover)

    lab = Lab(folder)
    try:
        # and the supervisors of the next question too, in the middle of it or before
        died = set()
        while len(died) < 3:
            lab.lab_status()
            for number in {1, 2, 3} - died:
                if killed(lab, number):
                    died.add(number)
        scores = [finish(lab, number) for number in (1, 2, 3)]
        assert [score.status for score in scores] == [Status.KEPT, Status.SCORED, Status.SCORED]
        assert orders(handover) == before  # the same orders, each once, and nothing paid twice
        assert lab.commit_or_revert(2).decision in ("kept", "confirming")
        gains = [score.secondary["reply_percent"] / score.secondary["control_percent"] for score in scores]
        assert gains[1] > 1.2 > gains[2]
    finally:
        lab.close()
        stop_runs(folder)


CLIENT = """
import sys
from pathlib import Path
import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_server.researcher.loop import Session
from mcp_server.nouns.replies import CampaignReply, ExperimentReply, StatusReply
from tests.arenas.campaigns import Silence
from tests.arenas.test_delayed import environment, written
folder = Path(sys.argv[1])
server = StdioServerParameters(command=sys.executable, args=["-m", "mcp_server"], cwd=str(folder), env=environment())

async def deploy():
    async with Client(stdio_client(server)) as client:
        session = Session(client, Silence())
        await session.ask(CampaignReply, "start_campaign", tag="first", calibrate=0)
        for subject, hour in ((6, 10), (20, 18)):
            written(folder, SUBJECT_WORDS=subject, SEND_HOUR=hour)
            idea = f"{subject} words at {hour}"
            await session.ask(ExperimentReply, "run_experiment", description=idea, wait_seconds=0)
        states = []
        while states != ["pending"] * 3:
            found = await session.ask(StatusReply, "lab_status")
            states = [one.status for one in found.running]
        print("deployed", flush=True)
        await anyio.sleep_forever()

anyio.run(deploy)
"""


def servers(folder: Path) -> list[int]:
    """The MCP servers at work in a lab."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (place / "cwd").readlink() == folder and b"mcp_server" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def killed(lab: Lab, number: int) -> bool:
    """Kill the supervisor that asks about a run, if one lives; whether that was before it answered."""
    run = lab.paths.run("first", number, 1)
    if not is_locked(run.alive) or not run.begun.exists():
        return False
    with contextlib.suppress(OSError, ValueError, ProcessLookupError):
        pid = RunProgress.read(run.progress).pid
        if f"{run.folder}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            until(lambda: not is_locked(run.alive))
            return not run.result.exists()
    return False


@pytest.mark.skipif(probe().tier == "T0", reason="nothing is walled off here")
def test_a_run_can_neither_answer_for_the_world_nor_refill_the_purse(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    handover = outreach(folder)
    lab = Lab(folder)
    try:
        lab.start_campaign("first", calibrate=0)
        finish(lab, 1)
        letter = folder / "letter.py"
        letter.write_text(letter.read_text() + FORGER.replace("HANDOVER", repr(str(handover))))
        number = lab.run_experiment("answers itself").experiment
        found = finish(lab, number)
        assert found.score is not None
        assert found.score < 0.5  # the world's answer, not ours
        assert "forged" not in json.dumps(orders(handover, "inbox"))
        assert lab.commit_or_revert(number).decision != "kept"
        assert set(orders(handover)) == {"first-1-1", f"first-{number}-1"}
    finally:
        lab.close()
        stop_runs(folder)


FORGER = """
for place in (HANDOVER, os.environ.get("AUTORESEARCH_HANDOVER") or HANDOVER):
    try:
        os.makedirs(place + "/inbox", exist_ok=True)
        counts = {"delivered": 3000, "replies": 2999, "complaints": 0}
        for run in range(1, 9):
            answer = {"name": "forged", "candidate": counts, "control": {**counts, "replies": 1}}
            Path(place, "inbox", f"first-2-{run}.json").write_text(json.dumps(answer))
        for order in Path(place, "book").glob("*"):
            order.unlink()
    except OSError:
        pass
"""


@pytest.mark.slow
def test_eight_letters_and_more_win_replies_and_a_greedy_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    handover = outreach(folder)
    outcome, words = campaigned(folder, experiments=10, seed=1)
    assert len(outcome.rows) - 1 >= 8, words
    assert best(outcome) > 0.2, words
    assert all(row.score is None or row.score < 2.0 for row in outcome.rows.values())
    letter = folder / "letter.py"
    booked, source = orders(handover), letter.read_text()
    found, decision = attempt(folder, {"letter.py": re.sub(r"(?m)^FOLLOW_UPS = \S+", "FOLLOW_UPS = 40", source)})
    assert (found.status, found.reason, decision.decision) == ("rejected", "guard_broken", "reverted")
    assert orders(handover) == booked
    assert letter.read_text() == source
    assert spent(handover) <= RULES["limits"]["spend_total"]
