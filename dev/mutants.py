"""Do the tests notice a rule that was changed? Small mistakes, one at a time, in a copy; the fast tests for it run.

`make mutants` (python -m dev.mutants) prints a table and fails when fewer than nine of ten are noticed. Only rules are
mutated: judging, what an edit means, what a campaign allows. A mutant names its text, not its file, so that it finds
its place wherever the module moves; one whose text is gone is stale, and counts as not noticed. `python -m dev.mutants
drift rename` runs those whose description or file has one of the words.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "mcp_server"
ENOUGH = 0.9  # of the mutants are noticed
HANGS_SECONDS = 180  # a test that a mutant makes hang has noticed it


@dataclass(frozen=True)
class Mutant:
    """One mistake. tests: names of test modules, without folder and ending."""

    mistake: str
    old: str
    new: str
    tests: tuple[str, ...]

    def place(self, package: Path) -> Path | None:
        """The file in which the text stands, if it stands once in the whole package."""
        files = [(file, file.read_text(encoding="utf-8").count(self.old)) for file in sorted(package.rglob("*.py"))]
        found = [file for file, count in files if count]
        return found[0] if sum(count for _, count in files) == 1 else None


def mutant(mistake: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(mistake, old, new, tests)


DECIDE, JUDGED = "test_decide", "test_judgement"
MUTANTS = (
    # ---- judging: the verdict ----
    mutant("a night is proven at a fifth of the evidence", "PROVEN = 50.0", "PROVEN = 10.0", "test_night"),
    mutant("what was proven once is forgotten", "self.proven or total +", "total +", "test_night"),
    mutant(
        "nothing needs to be proven", "enough and case.proven and case.measured", "enough and case.measured", DECIDE
    ),
    mutant("no look is asked for before a keep", "SURE = 0.88", "SURE = 0.0", DECIDE),
    mutant("a hopeless candidate is looked at again", "DROP = 0.4", "DROP = -9.0", DECIDE),
    mutant("a repeat that fails is asked for for ever", "MOST_FAILURES = 3", "MOST_FAILURES = 300", DECIDE),
    mutant("a look that was called off costs nothing", "BAD_LOOK = 2.0", "BAD_LOOK = 0.0", DECIDE),
    mutant("one look confirms", "sure = self.count > 1 and", "sure = self.count > 0 and", DECIDE),
    mutant(
        "a broken bound outweighs only a loss",
        'if evidence.broken and verdict.code != "touches_luck":',
        "if evidence.broken and verdict.decision is Decision.DISCARD:",
        DECIDE,
    ),
    mutant("a bound is exclusive", "value > bound.max", "value >= bound.max", DECIDE),
    mutant(
        "a keep is taken back if it was good",
        "turned = replace(case.look, gain=-case.look.gain)",
        "turned = replace(case.look, gain=case.look.gain)",
        DECIDE,
    ),
    mutant(
        "half a width may be lost for less code, however wide",
        "if lost > min(0.5 * case.belief.width, LEAST_LOSS * case.typical):",
        "if lost > 0.5 * case.belief.width:",
        "test_shorter",
    ),
    mutant("what simplifications lost is not summed up", "self.spent + max(lost, 0.0)", "self.spent", "test_night"),
    mutant(
        "the machine has a say within a slot",
        "if case.comparison is Comparison.APART and evidence.equal < UNMOVED_RUNS:",
        "if evidence.equal < UNMOVED_RUNS:",
        DECIDE,
    ),
    mutant(
        "all candidates share the baseline's bad luck",
        "gain=look.gain - middle * math.sqrt(share)",
        "gain=look.gain",
        "test_noise_rules",
        "test_simulated",
    ),
    mutant(
        "repeats are ordered that no run is left for",
        "return tuple(orders) if given.runs_left >= len(orders) else ()",
        "return tuple(orders)",
        "test_noise_rules",
    ),
    # ---- judging: belief, noise, the machine ----
    mutant("every second improvement is a wonder", "OTHER = 1.0 / 20.0", "OTHER = 1.0 / 2.0", "test_belief", DECIDE),
    mutant(
        "harms are taken for gains", "[[1.0], [1.0], [-1.0], [-1.0]]", "[[1.0], [1.0], [1.0], [1.0]]", "test_belief"
    ),
    mutant(
        "an interval has one side",
        "np.interp(CONFIDENCE, 1.0 - outside, at)",
        "np.interp(CONFIDENCE / 2, 1.0 - outside, at)",
        "test_belief",
        DECIDE,
    ),
    mutant(
        "a lucky night sets the scale",
        "return now if now.typical > LEAST_LARGER * effects.typical else effects",
        "return now",
        "test_belief",
        JUDGED,
    ),
    mutant("a reading of speed is a guess", "SPEED_RESOLUTION = 0.001", "SPEED_RESOLUTION = 0.90", "test_drift"),
    mutant("a probe that scatters is believed", "COARSE = 0.005", "COARSE = 0.5", "test_noise_rules"),
    mutant("a faster machine explains a tenth", "EFFECTS_PER_SPEED = 40.0", "EFFECTS_PER_SPEED = 4.0", "test_drift"),
    mutant("readings miss ten times as much", "READINGS_APART = 4.0", "READINGS_APART = 40.0", "test_drift"),
    mutant(
        "a slightly slower machine voids a loss",
        "abs(helped) >= max(4.0 * width, effect / 2.0)",
        "abs(helped) >= min(4.0 * width, effect / 2.0)",
        "test_drift",
    ),
    mutant(
        "a repeat that is no number agrees",
        "return not (abs(again - earlier) <=",
        "return (abs(again - earlier) >",
        "test_drift",
    ),
    mutant("two equal runs prove that there is no noise", "EQUAL_RUNS = 12", "EQUAL_RUNS = 2", "test_noise", DECIDE),
    mutant("a mean costs no degree of freedom", "degrees += len(group) - 1", "degrees += len(group)", "test_noise"),
    mutant(
        "a shared seed makes differences wider",
        "1.0 / other - 2.0 * correlation",
        "1.0 / other + 2.0 * correlation",
        "test_noise",
    ),
    mutant(
        "seeds that do not help still correlate",
        "return min(max(1.0 - 0.5 * apart * apart, 0.0), 0.9999)",
        "return min(max(1.0 - 0.1 * apart * apart, 0.0), 0.9999)",
        "test_noise_rules",
    ),
    # ---- judging: looks, exam, totals ----
    mutant("a machine may fail as often as it likes", "MOST_EXCUSED = 3", "MOST_EXCUSED = 30", "test_second_chances"),
    mutant(
        "who says the disk is full is excused",
        'result.reason == "disk_full" and result.crash is None',
        'result.reason == "disk_full"',
        "test_second_chances",
    ),
    mutant(
        "an anchor is a look",
        "NO_LOOK = (Purpose.EXAM, Purpose.ANCHOR)",
        "NO_LOOK = (Purpose.EXAM,)",
        "test_second_chances",
    ),
    mutant(
        "the loss of a repeat can be watched",
        "return run.purpose == Purpose.FIRST",
        "return True",
        "test_second_chances",
    ),
    mutant(
        "an exam's interval is that of one difference",
        "stdev(differences) / math.sqrt(len(differences))",
        "stdev(differences)",
        "test_examination",
    ),
    mutant(
        "an unproven night is believed",
        "max(claimed_by_step, 0.0)) if proven else 0.0",
        "max(claimed_by_step, 0.0))",
        "test_totals",
    ),
    mutant(
        "a simplification is a false keep",
        "for keep in keeps if not _simpler(keep)))",
        "for keep in keeps))",
        "test_totals",
    ),
    mutant(
        "the oldest doubt is tested first",
        "for keep in doubtful), reverse=True))",
        "for keep in doubtful)))",
        "test_totals",
    ),
    # ---- edits: what a change means ----
    mutant(
        "code hidden in a string is short",
        "total += max(1, tokens(text)) if isinstance(text, str) else 1",
        "total += 1",
        "test_fingerprint",
    ),
    mutant(
        "statements in another order are no change",
        'return "" if same else hashlib.sha256(f"moved {fingerprint(after)}".encode()).hexdigest()',
        'return ""',
        "test_fingerprint",
    ),
    mutant(
        "a docstring that is read is dropped",
        "if self.keep_docstrings or not node.body:",
        "if not node.body:",
        "test_fingerprint",
    ),
    mutant("a SEED in capitals is none", 'r"(^|_)seeds?$", re.IGNORECASE)', 'r"(^|_)seeds?$")', "test_luck"),
    mutant(
        "a draw that is thrown away is free",
        "if last in _DRAWS - _ORDERING:",
        "if last in _DRAWS & _ORDERING:",
        "test_luck",
    ),
    mutant("a batch that is thrown away is free", 'elif last == "next":', 'elif last == "skip":', "test_luck"),
    mutant(
        "the clock may be set",
        'frozenset({"prepare", "time", "random"})',
        'frozenset({"prepare", "random"})',
        "test_luck",
    ),
    mutant(
        "a rename deals no new luck",
        "if only_renamed(old, new):",
        "if only_renamed(old, old) and old is new:",
        "test_fingerprint",
    ),
    mutant("two names become one by renaming", " and self._old_of.setdefault(new, old) == old", "", "test_renaming"),
    mutant(
        "a key never moves with its name", "for strings in (True, False))", "for strings in (False,))", "test_renaming"
    ),
    mutant("work is followed one call deep", "_DEEPEST = 12", "_DEEPEST = 1", "test_early"),
    mutant(
        "work may move before the start",
        "(names_now - names_was) & (left_was - left_now)",
        "(names_now - names_now) & left_was",
        "test_early",
    ),
    mutant("words count as much as constants", "_vote(votes, knob, 2)", "_vote(votes, knob, 1)", "test_themes"),
    mutant("a pair of words says no more", "weight * (2 if (first, second) in _PAIRS else 1)", "weight", "test_themes"),
    mutant(
        "a new call's constants are knobs",
        "len(was) + len(now) == 1 and old_calls[owners[name]] == new_calls[owners[name]]",
        "len(was) + len(now) == 1",
        "test_noise_rules",
    ),
    mutant(
        "lessons are the same when they share a third", "NEAR_DUPLICATE = 0.8", "NEAR_DUPLICATE = 0.3", "test_lessons"
    ),
    mutant(
        "a lesson turned round is the same",
        "(a.exact, a.turning) != (b.exact, b.turning)",
        "a.exact != b.exact",
        "test_lessons",
    ),
    # ---- campaign: what is allowed, when it ends, what counts ----
    mutant("anybody may widen what is editable", "return set(after) <= set(before)", "return True", "test_keys"),
    mutant(
        "a limit may be taken away",
        "(after is not None and after <= before)",
        "(after is None or after <= before)",
        "test_keys",
    ),
    mutant("a lower bound may be lowered", "after.min >= before.min", "after.min <= before.min", "test_keys"),
    mutant("the metric may be exchanged", '"metric": FIXED,', '"metric": FREE,', "test_keys"),
    mutant(
        "one experiment too many", 'counts["all"] >= stop.experiments', 'counts["all"] > stop.experiments', "test_stop"
    ),
    mutant(
        "a target has to be passed",
        "arena.loss(best) <= arena.loss(target)",
        "arena.loss(best) < arena.loss(target)",
        "test_stop",
    ),
    mutant("a dry spell lasts one longer", "since_keep >= stop.stale", "since_keep > stop.stale", "test_stop"),
    mutant("hours are days", "if hours >= stop.hours:", "if hours >= 24 * stop.hours:", "test_stop"),
    mutant(
        "a status counts the anchor's runs",
        "mine = [run for run in runs if run.purpose not in (Purpose.ANCHOR, Purpose.EXAM)]",
        "mine = list(runs)",
        "test_attempt",
    ),
    mutant(
        "a rejected code's other score counts",
        "rejected = [run for run in finished if run.state is RunState.REJECTED]",
        "rejected = finished[:0]",
        "test_attempt",
    ),
    mutant(
        "scores of all machines are one",
        "run.score is not None and machine in (None, run.machine)",
        "run.score is not None",
        "test_attempt",
    ),
    mutant(
        "a slot beside another incumbent counts",
        "found.incumbent != incumbent",
        "found.incumbent is None",
        "test_attempt",
    ),
    mutant("a typical gain is ten times as large", "TYPICAL_PER_SD = 0.0015,", "TYPICAL_PER_SD = 0.015,", JUDGED),
    mutant("the anchor itself does not count", "run.ticket >= anchors[-1]", "run.ticket > anchors[-1]", JUDGED),
    mutant(
        "a keep is tested on the seeds it was chosen by",
        "held = {seed: held[seed] for seed in held.keys() & candidate.keys()}",
        "held = dict(held)",
        JUDGED,
    ),
    mutant(
        "longer is shorter",
        "saved=incumbent.nodes - experiment.nodes",
        "saved=experiment.nodes - incumbent.nodes",
        "test_noise_rules",
    ),
    mutant(
        "what was called off is forgotten", "return max(0, sum(looks(runs).values()) - counted)", "return 0", JUDGED
    ),
    mutant(
        "a failed check forbids nothing",
        'if "checks_failed" in result.flags:',
        'if "checks" in result.flags:',
        "test_noise_rules",
    ),
    mutant(
        "a busy machine is asked every half minute",
        "FIRST_WAIT_SECONDS * 2.0**tries",
        "FIRST_WAIT_SECONDS",
        "test_baseline_rules",
    ),
    mutant("a supervisor may die once more", "lost < MOST_LOST", "lost <= MOST_LOST", "test_baseline_rules"),
    mutant(
        "a paired baseline repeats itself too", "*repeats[1 if paired else 0 :]]", "*repeats]", "test_baseline_rules"
    ),
    mutant(
        "two trainers fit on the cores of one",
        "machine.cores >= 2 * work.threads",
        "machine.cores >= work.threads",
        "test_pairing",
    ),
    mutant("the dead stand in the way", "and one.session in living", "and one.session", "test_in_the_way"),
)


def copied(folder: Path) -> Path:
    """The files that git knows, and the new ones it does not ignore, in a folder of their own."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


def first_failure(folder: Path, names: Sequence[str], seconds: float | None = HANGS_SECONDS) -> str:
    """The first test that fails in the copy; "" when all pass. Raises LookupError for a test module that is gone."""
    files = []
    for name in names:
        found = sorted((folder / "tests").rglob(f"{name}.py"))
        if not found:
            raise LookupError(f"there is no tests/**/{name}.py")
        files += [str(file.relative_to(folder)) for file in found]
    command = [sys.executable, "-m", "pytest", "--quick", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *files]
    # bytecode of a mutant must not outlive it
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "a test that never ends"
    if done.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) \S*?([\w.]+\.py(?:::\S+)?)", done.stdout, re.M)
    return failed[1] if failed else done.stdout.strip().rpartition("\n")[2] or f"exit status {done.returncode}"


def noticed(folder: Path, one: Mutant) -> str:
    """What notices a mutant in the copy; "" when nothing does."""
    place = one.place(folder / PACKAGE)
    if place is None:
        return ""
    text, stamp = place.read_text(encoding="utf-8"), place.stat()
    place.write_text(text.replace(one.old, one.new), encoding="utf-8")
    try:
        return first_failure(folder, one.tests)
    finally:
        place.write_text(text, encoding="utf-8")
        os.utime(place, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def rows(folder: Path, chosen: Sequence[Mutant]) -> Iterator[tuple[bool, str]]:
    """Whether each mutant was noticed, and its line of the table."""
    for one in chosen:
        place = one.place(folder / PACKAGE)
        where = str(place.relative_to(folder / PACKAGE)) if place else "?"
        by = noticed(folder, one)
        said = by or ("LIVES" if place else f"STALE: this does not stand once in {PACKAGE}: {one.old}")
        yield bool(by), f"{where:28} {one.mistake:52} {said}"


def main(words: Sequence[str]) -> int:
    chosen = [
        one
        for one in MUTANTS
        if not words or any(word in f"{one.mistake} {one.place(ROOT / PACKAGE)} {one.tests}" for word in words)
    ]
    with tempfile.TemporaryDirectory(prefix="autoresearch-mutants-") as place:
        folder = copied(Path(place))
        broken = first_failure(folder, sorted({name for one in chosen for name in one.tests}), seconds=None)
        if broken:
            print(f"The tests fail without any mutant: {broken}", file=sys.stderr)
            return 2
        died = 0
        for found, line in rows(folder, chosen):
            died += found
            print(line, flush=True)
    print(f"{died} of {len(chosen)} mutants are noticed")
    return 0 if died >= ENOUGH * len(chosen) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
