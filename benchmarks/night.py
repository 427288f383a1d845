"""A night, recorded: the shipped arena unattended on this machine, disturbed on the way, examined at the end.

`python -m benchmarks.night [--experiments 83] [--seconds 60] [--hours 4] [--out docs/nights/DATE]`. A lab from the
shipped template; `autoresearch ralph` starts the built-in researcher for every iteration. On the way the loop is
killed with everything it started, and begun again, and for a sixth of the night another program is busy. At the end
`exam` measures the honest gain on fresh seeds and the untouched split. What is kept: report, chart, `results.tsv`, and
`night.md` with what happened when. Begun again with the same --lab it goes on; after --hours it goes to the exam with
the experiments there are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.neighbours import Neighbours
from mcp_server.arena.program import parse_program
from mcp_server.researcher.demo import stop_runs
from mcp_server.setup.newlab import LANGUAGE_MODEL, template, write_lab

EXPERIMENTS, SECONDS = 83, 60.0  # as many as the reference's first night, a fifth of its budget
KILLED_AT, BUSY_FROM, BUSY_UNTIL = 0.3, 0.5, 0.67  # of the experiments
TAG = "night"
ROOT = Path(__file__).resolve().parents[1]
LOOK_SECONDS = 15.0  # each look is a start of Python beside the runs


@dataclass
class Night:
    """The lab of a night, and what happened in it."""

    lab: Path
    experiments: int
    researcher: str
    until: float  # the monotonic clock, when no further experiment is waited for

    def command(self, *words: str) -> str:
        """What a command of the lab prints. Raises CalledProcessError."""
        asked = [sys.executable, "-m", "mcp_server.cli", *words]
        return subprocess.run(asked, cwd=self.lab, env=_around(), capture_output=True, text=True, check=True).stdout

    def done(self) -> int:
        """Experiments that are decided, the baseline apart."""
        rows = json.loads(self.command("history", "--json", "--limit", "1000"))["experiments"]
        return sum(row["kind"] != "baseline" and row["status"] not in ("queued", "running", "scored") for row in rows)

    def say(self, words: str) -> None:
        event = f"{datetime.now(UTC):%H:%M} {words}"
        print(event, flush=True)
        with self.diary.open("a") as diary:
            diary.write(f"- {event}\n")

    @property
    def diary(self) -> Path:
        """What happened so far, kept where a night that goes on finds it."""
        return self.lab / ".git" / "night.md"

    def loop(self) -> subprocess.Popen[bytes]:
        """The loop of fresh agents, in a process group of its own: what a terminal that is closed takes with it."""
        asked = [sys.executable, "-m", "mcp_server.cli", "ralph", "--plain", "--tag", TAG, "--iterations", "1000"]
        agent = [sys.executable, "-m", "mcp_server.researcher", "--researcher", self.researcher]
        with open(self.lab / ".git" / "night.log", "ab") as log:
            return subprocess.Popen(
                [*asked, "--stall", "1000", "--", *agent],
                cwd=self.lab, env=_around(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def spend(self) -> None:
        """Loop until every experiment is decided, with what disturbs it; a night that is over begins nothing more."""
        if self.done() >= self.experiments or time.monotonic() > self.until:
            return
        loop, killed = self.loop(), False
        with ExitStack() as company:
            beside = False
            try:
                while (done := self.done()) < self.experiments and loop.poll() is None:
                    if time.monotonic() > self.until:
                        self.say(f"experiment {done}: the hours are over")
                        break
                    share = done / self.experiments
                    if share >= KILLED_AT and not killed:
                        killed = True
                        os.killpg(loop.pid, signal.SIGKILL)
                        loop.wait()
                        self.say(f"experiment {done}: the loop was killed with all it had started, and begun again")
                        loop = self.loop()
                    if share >= BUSY_FROM and not beside and share < BUSY_UNTIL:
                        company.enter_context(Neighbours(seed=1, most=1))
                        beside = True
                        self.say(f"experiment {done}: another program is busy from here on, now and then")
                    if share >= BUSY_UNTIL and beside:
                        company.close()
                        beside = False
                        self.say(f"experiment {done}: the machine is the night's alone again")
                    time.sleep(LOOK_SECONDS)
                if loop.poll() not in (None, 0, 3):
                    self.say(f"the loop ended by itself with {loop.returncode}: {self.lab / '.git' / 'night.log'}")
            finally:
                if loop.poll() is None:
                    os.killpg(loop.pid, signal.SIGINT)
                    loop.wait()
                stop_runs(self.lab)


def _around() -> dict[str, str]:
    return {**os.environ, "AUTORESEARCH_LABS": "off", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}


def lay_out(lab: Path, seconds: float, name: str) -> None:
    """A lab from the template, with another budget."""
    chosen = template(name)
    text = chosen.files["program.md"].read_text("utf-8")
    text = re.sub(r"(?m)^(budget:.*?\bseconds:\s*)[\d.]+", rf"\g<1>{seconds:g}", text, count=1)
    assert parse_program(text).arena.budget.seconds == seconds
    write_lab(chosen, lab, {"program.md": text.encode()}, own_repository=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a run")
    parser.add_argument("--hours", type=float, default=24.0, help="when they are over, the exam begins")
    parser.add_argument("--researcher", choices=("seeded", "tpe"), default="seeded")
    parser.add_argument("--template", default=LANGUAGE_MODEL)
    parser.add_argument("--lab", type=Path, default=Path("night-lab"), help="its folder; one that is there goes on")
    parser.add_argument("--out", type=Path, help="default: docs/nights/ and the date")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    night = Night(options.lab.resolve(), options.experiments, options.researcher, began + options.hours * 3600)
    if not night.lab.exists():
        lay_out(night.lab, options.seconds, options.template)
        night.command("start", TAG)
    night.say(f"{options.experiments} experiments of {options.seconds:g} s by the {options.researcher} researcher")
    night.spend()
    night.say(f"{night.done()} experiments are decided; the exam begins")
    try:
        night.command("exam")
    except subprocess.CalledProcessError as error:
        night.say(f"no exam: {error.stderr.strip()[-300:]}")
    out = options.out or ROOT / "docs" / "nights" / f"{datetime.now(UTC):%Y-%m-%d}"
    out.mkdir(parents=True, exist_ok=True)
    night.command("report", "--out", str(out.resolve()))
    shutil.copyfile(night.lab / "results.tsv", out / "results.tsv")
    night.say(f"over, after {(time.monotonic() - began) / 3600:.1f} hours")
    asked = f"python -m benchmarks.night {' '.join(arguments or sys.argv[1:])}"
    (out / "night.md").write_text(f"# What happened\n\n{night.diary.read_text()}\n`{asked}`\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
