"""An allocation as a lab: what the batch script asks Slurm for, how it ends, and that the next one goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.nouns.errors import NotNow
from mcp_server.setup.slurm import Allocation, complaint, script, seconds_of
from tests.labs import git, make_lab, until

# tells the test what it was called with; as `ralph` it works until it is told to stop, or as long as the test says
PLAYED = """\
#!/usr/bin/env bash
echo "$(basename "$0") $*" >> {log}
case "$(basename "$0") $*" in
    sbatch*) echo "777;cluster" ;;
    *doctor*) exit ${{DOCTOR:-0}} ;;
    *ralph*)
        trap 'echo stopped >> {log}; exit 130' TERM
        echo working >> {log}
        for _ in $(seq "${{WORK:-600}}"); do sleep 0.05; done
        exit "${{LOOP:-3}}" ;;
    srun*) exec sleep 600 ;;  # what ends it ends all of it
esac
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A folder of played programs, and `log`, which they write."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sbatch", "scancel", "srun", "ray", "autoresearch"):
        (programs / name).write_text(PLAYED.format(log=tmp_path / "log"))
        (programs / name).chmod(0o755)
    (programs / "awk").write_text("#!/bin/sh\necho 0,8\n")  # as one in German writes it
    (programs / "awk").chmod(0o755)
    (tmp_path / "the lab").mkdir()
    return tmp_path


def allocation(folder: Path, **given: object) -> Allocation:
    asked = {
        "lab": folder / "the lab", "script": folder / "it's.sbatch", "command": ("agent", "it's {prompt}"),
        "time": "1:00:00", "turn_seconds": 600.0, "stop_seconds": 120, "tag": "night", **given,
    }  # fmt: skip
    return Allocation(**asked)  # type: ignore[arg-type]


def submit(folder: Path, asked: Allocation, **variables: str) -> subprocess.Popen[bytes]:
    asked.script.write_text(script(asked))
    path = f"{folder / 'programs'}:{os.environ['PATH']}"
    told = {**os.environ, "PATH": path, "HOME": str(folder), "SLURM_JOB_ID": "42", "SLURM_JOB_NUM_NODES": "3"}
    return subprocess.Popen(["bash", asked.script], env={**told, **variables}, start_new_session=True)


def said(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("90:30", 5430), ("24:00:00", 86_400), ("2-12", 216_000), ("1-00:30:00", 88_200)],
)
def test_times_are_read_as_slurm_writes_them(time: str, seconds: int) -> None:
    assert seconds_of(time) == seconds


@pytest.mark.parametrize("time", ["", "a day", "1:2:3:4", "-1", "24h"])
def test_another_form_of_time_is_refused(time: str) -> None:
    with pytest.raises(NotNow, match="none of Slurm's forms"):
        seconds_of(time)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"time": "10"}, "leaves no room for a turn"),
        ({"stop_seconds": 10}, "up to a minute late"),
        ({"nodes": 2}, "as many agents as nodes"),
    ],
)
def test_what_could_not_live_in_an_allocation_is_refused(given: dict[str, object], why: str, tmp_path: Path) -> None:
    assert why in complaint(allocation(tmp_path, **given))
    assert complaint(allocation(tmp_path)) == ""


@pytest.mark.parametrize(
    "given", [{}, {"nodes": 3, "agents": 4, "gpus": 8}, {"community": "git@host:labs; rm -rf /", "memory": "64G"}]
)
def test_the_script_is_sound_bash_and_asks_for_a_signal_in_time(given: dict[str, object], tmp_path: Path) -> None:
    asked = allocation(tmp_path, options=("--partition=long",), **given)
    text = script(asked)
    assert text.startswith("#!/usr/bin/env bash\n#SBATCH ")
    assert {"#SBATCH --signal=B:USR1@120", "#SBATCH --partition=long", "#SBATCH --time=1:00:00"} <= {*text.splitlines()}
    checks = [["bash", "-n", "-"], *([["shellcheck", "-s", "bash", "-"]] if shutil.which("shellcheck") else [])]
    for check in checks:
        subprocess.run(check, input=text, text=True, check=True)


def test_slurms_signal_stops_the_loop_and_the_next_allocation_is_in_the_queue(slurm: Path) -> None:
    asked = allocation(slurm, community="/shared/labs")
    with submit(slurm, asked) as job:
        until(lambda: "working" in said(slurm))
        job.send_signal(signal.SIGUSR1)
        assert job.wait(60) == 0
    told = said(slurm)
    assert f"sbatch --parsable --dependency=afterany:42 {asked.script}" in told
    assert told.index("working") < told.index("stopped") < told.index("autoresearch community sync")
    assert not any(line.startswith("scancel") for line in told)
    loop = next(line for line in told if " ralph " in line)
    assert "--tag night --hours 0.8" in loop  # an hour, less one turn and the end
    assert loop.endswith("-- agent it's {prompt}")


@pytest.mark.parametrize("status", ["0", "1", "3"])
def test_a_loop_that_ends_by_itself_ends_the_chain(status: str, slurm: Path) -> None:
    with submit(slurm, allocation(slurm), WORK="1", LOOP=status) as job:
        assert job.wait(60) == int(status)
    assert "scancel 777" in said(slurm)


def test_who_cancels_the_job_ends_the_chain_with_everything_settled(slurm: Path) -> None:
    with submit(slurm, allocation(slurm)) as job:
        until(lambda: "working" in said(slurm))
        job.terminate()
        assert job.wait(60) == 130
    assert "stopped" in said(slurm)
    assert "scancel 777" in said(slurm)


def test_an_allocation_that_is_used_up_goes_on(slurm: Path) -> None:
    soon = str(int(time.time()) + 722)  # two seconds more than a turn and the end
    with submit(slurm, allocation(slurm), WORK="60", SLURM_JOB_END_TIME=soon) as job:
        assert job.wait(60) == 0
    assert not any(line.startswith("scancel") for line in said(slurm))


def test_a_node_that_cannot_run_the_lab_submits_nothing(slurm: Path) -> None:
    with submit(slurm, allocation(slurm), DOCTOR="1") as job:
        assert job.wait(60) == 1
    assert said(slurm) == ["autoresearch doctor"]


def test_an_allocation_with_too_little_left_begins_nothing(slurm: Path) -> None:
    with submit(slurm, allocation(slurm), SLURM_JOB_END_TIME=str(int(time.time()) + 30)) as job:
        assert job.wait(60) == 1
    assert not any("ralph" in line or line.startswith("sbatch") for line in said(slurm))


def test_several_nodes_are_a_cluster_behind_a_token_and_several_agents_have_trees(slurm: Path) -> None:
    with submit(slurm, allocation(slurm, nodes=3, agents=2), WORK="1") as job:
        job.wait(60)
    told = said(slurm)
    host = subprocess.check_output(["hostname"], text=True).strip()
    assert "ray start --head --port=6379" in told
    assert f"srun --nodes=2 --ntasks=2 --exclude={host} ray start --address={host}:6379 --block" in told
    assert told.index("ray stop") > told.index("working")
    token = slurm / ".ray" / "auth_token"
    assert len(token.read_text().strip()) == 64
    assert token.stat().st_mode & 0o077 == 0
    tree = slurm / "the lab-2"
    assert f"autoresearch start night --tree {tree}" in told
    assert sum(f"-C {place} ralph" in line for line in told for place in (tree, slurm / "the lab")) == 2


def test_the_command_writes_the_script_for_this_lab(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    words = ["-C", str(lab.paths.tree), "slurm", "--gpus", "2", "--option", "--partition=long", "--", "agent", "-x"]
    answer = CliRunner().invoke(cli, words)
    assert answer.exit_code == 0, answer.output
    text = (lab.paths.tree / "autoresearch.sbatch").read_text()
    assert "#SBATCH --gpus-per-node=2" in text
    assert "agent=(agent -x)" in text
    (lab.paths.tree / "autoresearch.sbatch").write_text("the user's own")
    assert "kept as autoresearch.sbatch.before-autoresearch" in CliRunner().invoke(cli, words).output
    refused = CliRunner().invoke(cli, [*words[:3], "--option", "x\nrm -rf /", "--", "agent"])
    assert refused.exit_code == 1
    assert "no option of sbatch" in refused.output


AGENT = """\
import pathlib, re, time
train = pathlib.Path("train.py")
knob = float(re.search("KNOB = (.*)", train.read_text())[1])
train.write_text(train.read_text().replace(f"KNOB = {knob}", f"KNOB = {knob + 0.5}"))
"""


@pytest.mark.slow
def test_a_real_lab_is_stopped_in_mid_run_and_reaches_its_target_in_the_next_allocation(slurm: Path) -> None:
    """Everything is real but Slurm: the first allocation is stopped in a run, the second one goes on to the target."""
    lab = make_lab(slurm / "real", more="stop: {target: 0.1}\nkeep: {confirm: never, pairing: sequential}\n")
    train = lab.paths.tree / "train.py"
    train.write_text(train.read_text().replace("SECONDS = 0.0", "SECONDS = 2.0"))
    git(lab.paths.tree, "commit", "-qam", "slower")
    (slurm / "agent.py").write_text(AGENT)
    shutil.rmtree(slurm / "the lab")
    (slurm / "programs" / "autoresearch").unlink()
    command = (sys.executable, str(slurm / "agent.py"))
    own = (sys.executable, "-m", "mcp_server.cli")
    asked = allocation(slurm, lab=lab.paths.tree, command=command, autoresearch=own, tag="night")
    package = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONSAFEPATH": "1"}
    with submit(slurm, asked, **package) as job:
        until(lambda: lab.paths.ledger.exists() and any(one.experiment > 1 for one in lab.lab_status().running))
        job.send_signal(signal.SIGUSR1)
        assert job.wait(120) == 0
    status = lab.lab_status()
    assert (status.running, status.waiting_for_decision) == ([], [])
    assert git(lab.paths.tree, "status", "--porcelain", "train.py") == ""
    with submit(slurm, asked, **package) as job:
        assert job.wait(240) == 0
    found = lab.lab_status()
    assert found.incumbent is not None
    assert found.incumbent.score == 0.0
    assert said(slurm)[-1] == "scancel 777"  # the target is reached: nothing goes on
