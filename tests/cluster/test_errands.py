"""Runs on a played cluster with real agents, supervisors and trainers: every way in which they can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.campaign.reins.hands import Reins
from mcp_server.engines.ray import engine as handing
from mcp_server.engines.ray import errand, parcels
from mcp_server.engines.ray.clocks import Mark
from mcp_server.engines.ray.courier import Courier
from mcp_server.engines.ray.records import Desk, Heard, Key, Remote, Unreachable
from mcp_server.lab import Lab
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunProgress, RunResult, RunState
from mcp_server.nouns.replies import ScoreReply
from mcp_server.runner.machine.queue import hold
from tests.cluster.played import ADDRESS, NODE, PlayedCluster, courier
from tests.labs import SEQUENTIAL, TRAIN, begin, edit, finish, make_lab, until

ENGINE = f"engine: {{name: ray, address: '{ADDRESS}'}}\n"


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own courier is the only one; Ray counts as installed."""
    monkeypatch.setattr(handing, "rouse", lambda desk: None)
    monkeypatch.setattr(handing, "installed", lambda: True)


@pytest.fixture
def cluster(tmp_path: Path) -> PlayedCluster:
    found = PlayedCluster(tmp_path / "nodes")
    found.add()
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with closing(make_lab(tmp_path / "lab", more=ENGINE + SEQUENTIAL)) as found:
        yield found


def run_folder(lab: Lab, experiment: int) -> RunPaths:
    return lab.paths.run("first", experiment, 1)


def training(cluster: PlayedCluster, node: str = NODE) -> int:
    """The pid of the supervisor of the run on a node, once it trains."""

    def found() -> int:
        for place in (cluster.folder / node).glob("labs/*/autoresearch/runs/*/*/progress.json"):
            progress = RunProgress.model_validate_json(place.read_text())
            if progress.phase in ("training", "starting") and not (place.parent / "result.json").exists():
                return progress.pid
        return 0

    pid: int = until(found)
    return pid


def ended(lab: Lab, number: int) -> RunResult:
    finish(lab, number)
    result: RunResult = RunResult.read(run_folder(lab, number).result)
    return result


def test_a_run_on_a_node_has_the_score_it_has_here_and_brings_everything_back(
    lab: Lab, cluster: PlayedCluster, tmp_path: Path
) -> None:
    with courier(lab.paths.state, cluster), closing(make_lab(tmp_path / "here", more=SEQUENTIAL)) as here:
        found, same = begin(lab), begin(here)
        folder = run_folder(lab, 1)
        result = RunResult.read(folder.result)
        until(lambda: not list((cluster.folder / NODE).glob("labs/*/autoresearch/runs/*/*")))
    assert found.score == same.score == 4.0
    assert result.node == f"played/{NODE[:8]}"
    assert json.loads((folder.artifact / "model.json").read_text())["knob"] == 1.0
    assert (folder.sealed.exists(), folder.log.exists()) == (True, True)
    assert cluster.leases == {}
    assert RunResult.read(folder.sealed).artifact_sha256 == result.artifact_sha256


def test_the_end_of_a_run_is_heard_when_it_comes_and_few_questions_bring_it(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errand, "LOOK_SECONDS", 60.0)  # between two looks at one that goes on
    with courier(lab.paths.state, cluster):
        assert begin(lab).score == 4.0
        until(lambda: not cluster.leases)
    asked = [one for one in cluster.calls if one not in ("has", "shelve")]
    assert asked[:6] == ["version", "take", "begin", "look", "pack", "piece"]


def test_an_agent_has_the_priority_that_its_node_was_started_with() -> None:
    script = (
        "import os; from mcp_server.engines.ray.agent import _as_the_node_was_started as known; os.nice(15); known(); "
        "print(os.getpriority(os.PRIO_PROCESS, 0))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(told.stdout) == (os.getpriority(os.PRIO_PROCESS, 0) if may_rise() else 15)


def may_rise() -> bool:
    """Whether this user may put a process before others again."""
    script = "import os; os.nice(1); os.nice(-1)"
    return subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL).returncode == 0


def test_what_the_arena_lets_runs_read_lies_on_the_nodes_own_shelf_and_is_sent_once(
    cluster: PlayedCluster, tmp_path: Path
) -> None:
    train = TRAIN.replace(
        '"seed": int', '"found": os.path.realpath("data"), "text": open("data/a").read(), "seed": int'
    )
    lab = make_lab(tmp_path / "lab", more=ENGINE + SEQUENTIAL + "readable: [data]\n", train=train)
    (tmp_path / "lab" / "data").mkdir()
    (tmp_path / "lab" / "data" / "a").write_text("read me")
    with closing(lab), courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0)
        finish(lab, lab.run_experiment("another").experiment)
        left = [json.loads((run_folder(lab, number).artifact / "model.json").read_text()) for number in (1, 2)]
    assert [one["text"] for one in left] == ["read me", "read me"]
    assert all(Path(one["found"]).is_relative_to(cluster.folder / NODE / "shelves") for one in left)
    assert cluster.calls.count("shelve") == 1


def test_two_runs_that_bring_one_corpus_at_once_leave_it_whole(
    cluster: PlayedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both wrote into one file, and the slower one took back what the quicker had brought: zeros among the text."""
    monkeypatch.setattr(parcels, "PIECE_BYTES", 1000)
    corpus, agent = tmp_path / "corpus", cluster.agents[NODE]
    corpus.mkdir()
    (corpus / "text").write_bytes(bytes(range(1, 251)) * 100)
    shelf, packed = parcels.fingerprint(corpus), tmp_path / "packed.tar"
    size = parcels.pack([(corpus, parcels.ITEM)], packed)
    quick, slow = f"{shelf}-run-1", f"{shelf}-other-1"

    def bring(name: str, begin: int, end: int) -> None:
        for offset in range(begin, end, 1000):
            agent.take(name, offset, parcels.piece(packed, offset))

    bring(quick, 0, 20_000)
    bring(slow, 0, 5000)
    bring(quick, 20_000, size + 1)
    assert agent.shelve(shelf, quick) == ""
    bring(slow, 5000, size + 1)
    assert agent.shelve(shelf, slow) == ""
    lies = cluster.folder / NODE / "shelves" / shelf / parcels.ITEM / "text"
    assert lies.read_bytes() == (corpus / "text").read_bytes()
    assert list((cluster.folder / NODE / "parcels").iterdir()) == []


def test_a_run_whose_node_is_gone_is_made_again_once_and_then_lost(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=60.0)
        number = lab.run_experiment("slow").experiment
        training(cluster)
        cluster.add("second-node")
        cluster.lose(NODE)
        training(cluster, "second-node")
        assert Remote.read(run_folder(lab, number).remote).key.epoch == 2
        cluster.lose("second-node")
        result = ended(lab, number)
    assert (result.state, result.reason) == (RunState.LOST, "supervisor_lost")
    assert cluster.leases == {}


def test_a_supervisor_ends_with_its_agent_and_what_it_had_cannot_pass_for_a_cancelled_run(
    lab: Lab, cluster: PlayedCluster
) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=4.0)
        number = lab.run_experiment("killed agent").experiment
        first = training(cluster)
        cluster.lose(NODE)
        cluster.add()  # as Ray starts an agent again: the node is the same, and what it kept stopped
        until(lambda: not os.path.exists(f"/proc/{first}"))
        result = ended(lab, number)
    assert (result.state, result.score) == (RunState.SCORED, 1.0)
    assert Remote.read(run_folder(lab, number).remote).key.epoch == 2


def test_a_supervisor_that_is_killed_is_a_lost_run_and_the_second_try_counts_once(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted, real = [], errand.disagreement

    def doubts(first: Mark, last: Mark) -> str:
        doubted.append(last)
        return "the first node's clock"

    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=2.0)
        monkeypatch.setattr(errand, "disagreement", doubts)
        number = lab.run_experiment("killed").experiment
        pid = training(cluster)
        until(lambda: doubted)
        monkeypatch.setattr(errand, "disagreement", real)
        os.kill(pid, signal.SIGKILL)
        result = ended(lab, number)
    assert (result.state, result.score) == (RunState.SCORED, 1.0)
    assert result.tainted == ""  # what was wrong with a node says nothing of the next one
    with lab.reading() as (bench, campaign, _):
        assert len(bench.ledger.runs(campaign.tag, number)) == 1


def test_a_cancelled_run_ends_where_it_is(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=60.0)
        number = lab.run_experiment("cancelled").experiment
        training(cluster)
        lab.cancel_experiment(number)
        result = ended(lab, number)
    assert result.state is RunState.CANCELLED
    assert cluster.leases == {}


def test_a_run_that_waits_for_a_lease_can_be_cancelled_and_never_begins(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        cluster.leases["somebody else's"] = NODE
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("waiting").experiment
        until(lambda: len(cluster.leases) == 2)
        lab.cancel_experiment(number)
        result = ended(lab, number)
    assert result.state is RunState.CANCELLED
    assert list(cluster.leases) == ["somebody else's"]


def test_a_courier_that_died_is_followed_by_one_that_takes_up_what_it_left(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=3.0)
        number = lab.run_experiment("client lost").experiment
        training(cluster)
    assert lab.read_score(number).open
    with courier(lab.paths.state, cluster):
        result = ended(lab, number)
    assert (result.state, result.score) == (RunState.SCORED, 1.0)
    assert Remote.read(run_folder(lab, number).remote).key.epoch == 1


def test_a_paused_run_gives_its_place_back_and_begins_when_the_pause_is_over(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        cluster.leases["somebody else's"] = NODE
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("waits").experiment
        until(lambda: len(cluster.leases) == 2)
        Reins(lab).pause()
        until(lambda: list(cluster.leases) == ["somebody else's"])  # it had asked, and would have begun
        cluster.drop("somebody else's")
        time.sleep(0.5)
        assert cluster.leases == {}
        Reins(lab).resume()
        assert ended(lab, number).score == 1.0


def test_a_run_that_is_paused_while_it_is_sent_does_not_begin(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, agent = cluster.agents[NODE].take, cluster.agents[NODE]
    paused = hold(lab.paths.queue, "first")
    paused.parent.mkdir(parents=True)
    with courier(lab.paths.state, cluster):
        begin(lab)

        def take(name: str, offset: int, content: bytes) -> None:
            real(name, offset, content)
            paused.touch()  # as a verb in another process does it

        monkeypatch.setattr(agent, "take", take)
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("paused on its way").experiment
        until(lambda: "take" in cluster.calls[-3:] and not cluster.leases)
        assert not run_folder(lab, number).begun.exists()
        monkeypatch.setattr(agent, "take", real)
        paused.unlink()
        assert ended(lab, number).score == 1.0


def test_leases_are_asked_for_in_the_order_of_the_labs_queue(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        cluster.leases["somebody else's"] = NODE
        for turn in range(3):
            edit(lab, KNOB=2.0 + turn / 10)
            lab.run_experiment("queued")
        until(lambda: len(cluster.leases) == 2)
        cluster.drop("somebody else's")
        for number in (2, 3, 4):
            finish(lab, number)
    order = [Remote.read(run_folder(lab, number).remote).lease for number in (2, 3, 4)]
    assert cluster.granted[-3:] == order


def test_a_cluster_that_nobody_answers_for_long_loses_the_run_and_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(address: str) -> PlayedCluster:
        raise Unreachable("No Ray cluster answers at played:1.")

    lab.start_campaign("first", calibrate=0)
    Courier(Desk(lab.paths.state, ADDRESS), nobody).work()
    assert lab.read_score(1).open
    assert any("No Ray cluster answers" in one for one in lab.lab_status().problems)
    monkeypatch.setenv("AUTORESEARCH_CLUSTER_PATIENCE", "0.001")
    time.sleep(0.01)
    Courier(Desk(lab.paths.state, ADDRESS), nobody).work()
    result = RunResult.read(run_folder(lab, 1).result)
    assert (result.state, result.reason) == (RunState.LOST, "supervisor_lost")
    assert "No Ray cluster answers" in result.detail


def test_a_node_that_fails_at_a_step_for_long_ends_the_run_and_leaves_nothing_leased(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unreachable("OSError: No space left on device")

    monkeypatch.setattr(errand, "UNHEARD_SECONDS", 0.3)
    monkeypatch.setattr(cluster.agents[NODE], "take", full)
    with courier(lab.paths.state, cluster):
        lab.start_campaign("first", calibrate=0)
        until(lambda: run_folder(lab, 1).result.exists())
        until(lambda: not cluster.leases)
    result = RunResult.read(run_folder(lab, 1).result)
    assert (result.state, result.reason) == (RunState.LOST, "supervisor_lost")
    assert "No space left on device" in result.detail


def test_an_answer_of_an_older_epoch_is_heard_by_nobody(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, real = cluster.agents[NODE], cluster.agents[NODE].look
    old = {"n": 0}

    def late(key: Key, log_bytes: int = -1, wait_seconds: float = 0.0) -> Heard:
        old["n"] += 1
        if old["n"] < 5:
            return Heard(key=key.model_copy(update={"epoch": key.epoch - 1}), state="gone", clock=0.0)
        return real(key, log_bytes, wait_seconds)

    monkeypatch.setattr(agent, "look", late)
    with courier(lab.paths.state, cluster):
        assert begin(lab).score == 4.0
    assert Remote.read(run_folder(lab, 1).remote).key.epoch == 1


def test_a_node_with_another_version_is_refused_in_words(
    lab: Lab, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.agents[NODE], "version", lambda: "0.0.1")
    with courier(lab.paths.state, cluster):
        lab.start_campaign("first", calibrate=0)
        until(lambda: run_folder(lab, 1).result.exists())
    result = RunResult.read(run_folder(lab, 1).result)
    assert (result.state, result.reason) == (RunState.LOST, "cannot_start")
    assert "has autoresearch 0.0.1" in result.detail


def test_a_node_whose_clock_runs_slow_makes_a_run_that_decides_nothing(
    tmp_path: Path, cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = errand.node_clock
    monkeypatch.setattr(errand, "node_clock", lambda: 2 * real())  # here twice as much passes as there
    slow = TRAIN.replace("SECONDS = 0.0", "SECONDS = 2.0")
    lab = make_lab(tmp_path / "lab", more=ENGINE + SEQUENTIAL, train=slow)
    with closing(lab), courier(lab.paths.state, cluster):
        lab.start_campaign("first", calibrate=0)
        until(lambda: run_folder(lab, 1).result.exists())
    assert "cannot be vouched for" in RunResult.read(run_folder(lab, 1).result).tainted


def test_the_status_shows_each_node_and_what_it_does(lab: Lab, cluster: PlayedCluster) -> None:
    with courier(lab.paths.state, cluster):
        begin(lab)
        edit(lab, KNOB=2.0, SECONDS=60.0)
        number = lab.run_experiment("watched").experiment
        training(cluster)

        def shown() -> bool:
            devices = lab.lab_status().devices
            return bool(devices) and devices[0].state == "busy" and "training on cpu" in devices[0].experiment

        until(shown)
        assert lab.lab_status().devices[0].device == f"played/{NODE[:8]}"
        lab.cancel_experiment(number)
        finish(lab, number)
    assert lab.lab_status().devices[0].state == "free"


def test_without_the_extra_the_run_is_refused_with_what_to_install(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "installed", lambda: False)
    lab.start_campaign("first", calibrate=0)

    def lost() -> ScoreReply | None:
        found = lab.read_score(1)
        return None if found.open else found

    assert "[ray]" in str(until(lost))
