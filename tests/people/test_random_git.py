"""A user who does with git whatever comes to mind, between random verbs; the lab keeps its promises all the while.

The supervisors are played; ledger, git, files and commands are real. What holds after every step: no score is another
code's, no file of the user's is lost, a keep is overtaken with a sentence that is true, and whatever the lab refuses
names a command that works, which is run here as a person would paste it.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.records import RunState
from tests.labs import git
from tests.people.played import Played, knob_in, named_commands, obey, small_lab

KNOBS = (-5.0, 0.0, 1.5, 2.0, 2.25, 2.5, 2.75, 2.9, 2.95, 2.99, 3.5, 4.0, 6.0)
SPREADS = (0.0, 0.25, 0.5, 0.75)
STEPS = int(os.environ.get("AUTORESEARCH_GIT_STEPS", "30"))


class Walk:
    """One lab, its user, and what the user may count on."""

    def __init__(self, folder: Path, played: Played, seed: int) -> None:
        self.folder, self.played, self.draw = folder, played, random.Random(seed)
        self.tree = folder / "lab"
        lab = small_lab(self.tree)
        self.tag = "first"
        self.user: set[bytes] = set()  # contents of files of the user's own, which must stay somewhere
        self.done: Counter[str] = Counter()
        self.trace: list[str] = []
        self.backups: list[Path] = []
        lab.close()

    @property
    def lab(self) -> Lab:
        return Lab(self.tree)

    @property
    def known(self) -> Lab:
        """The lab as somebody sees it who names the campaign."""
        return Lab(self.tree, campaign=self.tag)

    def git(self, *arguments: str) -> str:
        """As a person does: a command that git refuses is given up."""
        try:
            return git(self.tree, *arguments)
        except subprocess.CalledProcessError:
            self.give_up()
            return ""

    def give_up(self) -> None:
        for what in ("rebase", "merge", "cherry-pick"):
            subprocess.run(["git", what, "--abort"], cwd=self.tree, capture_output=True)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def edit(self) -> None:
        path = self.tree / "train.py"
        if not path.exists():
            self.git("checkout", "HEAD", "--", "train.py")
        lines = path.read_text().splitlines()
        name, values = self.draw.choice((("KNOB", KNOBS), ("KNOB", KNOBS), ("SPREAD", SPREADS)))
        value = self.draw.choice(values)
        path.write_text(
            "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in lines) + "\n"
        )

    def propose(self) -> None:
        self.edit()
        self.verb(lambda: self.lab.run_experiment("an idea"))

    def decide(self) -> None:
        with self.known.reading() as (bench, campaign, _):
            undecided = [one.number for one in bench.ledger.undecided(campaign.tag)]
        for number in undecided:
            reply = self.verb(lambda number=number: self.lab.commit_or_revert(number))
            if reply is not None and reply.decision == "overtaken":
                self.done["overtaken"] += 1
                gone = self.lab.workspace.branch(self.tag) is None
                assert ("is gone" in reply.reason) == gone, reply.reason
                assert gone or "no experiment measured" in reply.reason
                assert named_commands(reply.next)

    def status(self) -> None:
        for problem in self.lab.lab_status().problems:
            commands = named_commands(problem)
            if commands:
                self.obey(problem)

    def verb(self, act: Callable[[], object]):  # type: ignore[no-untyped-def]
        """A verb answers, or refuses with a sentence; a command that it names is obeyed, and it answers."""
        for _ in range(4):
            try:
                return act()
            except AutoresearchError as error:
                said = str(error)
                self.done["refused"] += 1
                if "Nothing changed" in said or not named_commands(said):
                    assert said.count(".") >= 1
                    return None
                self.obey(said)
        raise AssertionError(f"the commands named did not help: {said}")

    def obey(self, said: str) -> None:
        self.done["obeyed"] += 1
        self.trace.append(f"    {said}")
        command = obey(said, self.tree)
        for place in self.tree.glob("*.mine"):
            place.unlink()
        assert command

    # -- git -----------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.git("commit", "-qam", "by hand")

    def write_and_commit(self) -> None:
        content = f"note {self.draw.random()}\n"
        (self.tree / f"note-{self.draw.randrange(10**6)}.txt").write_text(content)
        self.user.add(content.encode())
        if self.draw.random() < 0.5:
            self.git("add", "-A")
            self.git("commit", "-qm", "a note")

    def amend(self) -> None:
        if self.git("rev-parse", "HEAD") != self.git("rev-parse", "main"):
            self.git("commit", "-qa", "--amend", "-m", "amended")

    def stash(self) -> None:
        self.git("stash", "push", "-q")

    def pop(self) -> None:
        if self.git("stash", "list"):
            self.git("checkout", "-q", "HEAD", "--", ".")
            self.git("stash", "pop", "-q")
            if self.git("ls-files", "--unmerged"):
                self.git("checkout", "-q", "HEAD", "--", ".")
                self.git("reset", "-q")

    def switch(self) -> None:
        """Commits on no branch are left behind under a name, so that notes stay findable in this test."""
        if self.git("branch", "--show-current") == "":
            self.git("branch", f"left-{len(self.trace)}")
        self.git("checkout", "-q", self.draw.choice(("main", "autoresearch/first", "autoresearch/first", "HEAD^0")))

    def reset(self) -> None:
        how = self.draw.choice(("--hard", "--soft", "--mixed"))
        if self.git("rev-list", "--count", "main..HEAD").strip() not in ("", "0"):
            self.git("branch", "-f", "before-reset", "HEAD")  # so that notes stay findable in this test
            self.hold_notes()
            self.git("reset", "-q", how, "HEAD~1")

    def hold_notes(self) -> None:
        """What the user throws away themselves is not the lab's to keep."""
        for name in list(self.tree.glob("note-*.txt")):
            self.user.discard(name.read_bytes())

    def rebase(self) -> None:
        self.git("stash", "push", "-q")
        self.git("rebase", "-q", "main")
        self.give_up()

    def delete_branch(self) -> None:
        self.git("checkout", "-q", "--detach")
        self.git("branch", "-qD", "autoresearch/first")

    def gc(self) -> None:
        """Now and then nothing but refs holds anything any more, but for stashes, which live in the log of theirs."""
        if self.draw.random() < 0.3:
            branches = self.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/autoresearch*/**").split()
            self.git("reflog", "expire", "--expire-unreachable=now", "HEAD", *branches)
        self.git("gc", "-q", "--prune=now")

    def worktree(self) -> None:
        other = self.folder / f"tree-{self.draw.randrange(10**9)}"
        self.git("worktree", "add", "-q", "--detach", str(other), self.draw.choice(("main", "HEAD")))
        if other.exists():
            self.verb(lambda: Lab(other).start_campaign("first"))
            (other / "train.py").write_text((self.tree / "train.py").read_text())
            self.verb(lambda: Lab(other).run_experiment("from another work tree", insist=True))
            self.git("worktree", "remove", "--force", str(other))

    def clone(self) -> None:
        other = self.folder / f"clone-{self.draw.randrange(10**9)}"
        git(self.folder, "clone", "-q", str(self.tree), str(other))
        lab = Lab(other)
        held, self.played.hold = self.played.hold, False
        lab.start_campaign("cloned", calibrate=0)
        assert lab.read_score(1).score == pytest.approx((knob_in(other) - 3) ** 2, abs=1e-6)
        self.played.hold = held
        lab.close()
        shutil.rmtree(other)

    def move(self) -> None:
        self.played.end(lost=True)  # a supervisor whose folder goes away dies of it
        place = self.folder / f"lab-{self.draw.randrange(10**9)}"
        os.rename(self.tree, place)
        self.tree = place

    def back_up(self) -> None:
        place = self.folder / f"backup-{len(self.backups)}.db"
        with closing(sqlite3.connect(self.lab.paths.ledger)) as here, closing(sqlite3.connect(place)) as there:
            here.backup(there)
        self.backups.append(place)

    def restore(self) -> None:
        if self.backups:
            self.decide()
            for old in self.lab.paths.state.glob("lab.db*"):
                old.unlink()
            shutil.copy(self.backups[-1], self.lab.paths.ledger)

    def hold(self) -> None:
        self.played.hold = not self.played.hold

    def land(self) -> None:
        self.played.end(lost=self.draw.random() < 0.3)

    # -- what holds ----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        acts = [self.propose] * 6 + [self.decide] * 5 + [self.status] * 3 + [self.commit] * 3
        acts += [self.write_and_commit, self.amend, self.stash, self.pop, self.switch, self.switch, self.reset]
        acts += [self.rebase, self.delete_branch, self.gc, self.worktree, self.clone, self.move, self.back_up]
        acts += [self.restore, self.hold, self.land, self.land]
        act = self.draw.choice(acts)
        self.trace.append(act.__name__)
        self.done[act.__name__] += 1
        act()
        self.check()

    def check(self) -> None:
        with self.known.reading() as (bench, campaign, _):
            ledger, tag = bench.ledger, campaign.tag
            for one in ledger.experiments(tag):
                for run in ledger.runs(tag, one.number):
                    if run.state is RunState.SCORED:
                        text = git(self.tree, "show", f"{one.snapshot}:train.py")
                        knob = float(text.partition("KNOB = ")[2].partition("\n")[0])
                        assert run.score == (knob - 3) ** 2, f"experiment {one.number} has another code's score"
            kept = [one.commit_sha or "" for one in ledger.kept(tag)]
        for commit in kept:
            git(self.tree, "cat-file", "-e", commit)
        here = {path.read_bytes() for path in self.tree.glob("note-*.txt")}
        for content in self.user - here:
            blob = subprocess.run(["git", "hash-object", "--stdin"], input=content, cwd=self.tree, capture_output=True)
            git(self.tree, "cat-file", "-e", blob.stdout.decode().strip())


def walk(folder: Path, played: Played, seed: int, steps: int) -> Counter[str]:
    found = Walk(folder, played, seed)
    for turn in range(steps):
        try:
            found.step()
        except BaseException as error:
            error.add_note(f"seed {seed}, step {turn}: " + "\n".join(found.trace[-25:]))
            raise
    # and after all of that, a good idea is still kept
    played.hold = False
    played.end()
    found.decide()
    found.status()
    return found.done


def test_whatever_a_user_does_with_git_the_lab_keeps_its_promises(tmp_path: Path, played: Played) -> None:
    seed = int(os.environ.get("AUTORESEARCH_GIT_SEED", "7"))  # a walk this short must meet a refusal
    done = walk(tmp_path, played, seed, STEPS)
    assert done["obeyed"] > 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_for_five_hundred_steps(tmp_path: Path, played: Played) -> None:
    done = walk(tmp_path, played, int(os.environ.get("AUTORESEARCH_GIT_SEED", "2")), 500)
    assert done["obeyed"] > 10
