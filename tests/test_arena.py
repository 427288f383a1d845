"""program.md is a contract: what is wrong is said with its line and what is allowed."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from mcp_server.arena.program import load_program, parse_program
from mcp_server.nouns.errors import ArenaError

GOOD = """---
goal: lower is better
metric: {name: val_bpb, direction: minimize, unit: bits/byte}
editable: [train.py]
frozen: [prepare.py]
run: python train.py
score: python -m mcp_server.scoring.lm
%s
---
Prose for the agent.
"""


def refused(text: str) -> str:
    with pytest.raises(ArenaError) as caught:
        parse_program(text)
    return str(caught.value)


def test_the_shipped_program_is_valid_and_needs_a_corpus() -> None:
    program = load_program(Path(__file__).parent.parent / "program.md")
    assert program.arena.editable == ("train.py",)
    assert program.arena.scores_language_models
    assert program.memo.startswith("# Research memo")


def test_everything_unsaid_has_a_sane_default() -> None:
    arena = parse_program(GOOD % "").arena
    assert (arena.budget.seconds, arena.budget.clock, arena.devices) == (300, "auto", "auto")
    assert (arena.keep.confirm, arena.keep.simplicity, arena.stop.experiments) == ("auto", True, None)


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ("colour: red", 8, "unknown key `colour`. Allowed here: goal, metric"),
        ("budget: {seconds: 0}", 8, "`budget.seconds`: must be above 0"),
        ("budget:\n  seconds: 5\n  hours: 1", 10, "unknown key `budget.hours`. Allowed here: seconds, clock"),
        ("devices: tpu", 8, "must be auto, cpu, cpu:0,1,2"),
        ('checks:\n  - true\n  - "unclosed \'"', 9, "`checks.0`"),
        ("keep: {confirm: sometimes}", 8, "must be 'auto', 'always' or 'never'"),
        ("secondary:\n  latency: {max: 1, min: 2}", 9, "`secondary.latency`: min is above max"),
        (
            "secondary:\n  size: {max: 1}\n  latency: {most: 5}",
            10,
            "unknown key `secondary.latency.most`. Allowed here: min",
        ),
        ("secondary: {latency: {max: fast}}", 8, "`secondary.latency.max`: must be a number"),
        ("secondary: {latency: {}}", 8, "give min, max or both"),
        ("engine: {name: slurm}", 8, "must be 'local' or 'ray'"),
        ("engine: {address: 'head:6379'}", 8, "write name: ray"),
        ("engine: {name: ray, address: 'ray://head:10001'}", 8, "`engine.address`"),
        ("engine: {name: ray, resources: {GPU: 0.5}}", 8, "whole GPUs"),
        ("engine: {name: ray, resources: {GPU: 0}}", 8, "must be above 0"),
        ("goal: twice", 8, "`goal` is given twice"),
        ("stop: [1", 8, "not valid YAML"),
        ("stop: {target: no}", 8, "must be a number (it is 'no')"),
        ("stop: {target: false}", 8, "`stop.target`: must be a number, which true and false are not"),
        ("keep: {min_delta: true}", 8, "`keep.min_delta`: must be a number, which true and false are not"),
        ("stop: {hours: 8:30}", 8, "must be a number (it is '8:30')"),
        ("stop: {hours: 0,5}", 8, "a decimal has a point"),
        ("stop: {target: .nan}", 8, "must be a finite number"),
        ("secondary: {latency: {max: nan}}", 8, "must be a finite number"),
        ("budget: {memory_gb: .inf}", 8, "must be a finite number"),
        ("colour: &a [*a]", 8, "unknown key `colour`"),
        ("stop: &a {experiments: *a}", 8, "must be a whole number"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_is_allowed(lines: str, line: int, said: str) -> None:
    text = refused(GOOD % lines)
    assert f"line {line}" in text
    assert said in text


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("stop: {tokens: 5e6}", "stop.tokens", 5_000_000),
        ("stop: {experiments: 0100}", "stop.experiments", 100),
        ("stop: {experiments: 1_000}", "stop.experiments", 1000),
        ("keep: {min_delta: 1e-4}", "keep.min_delta", 1e-4),
        ("stop: {target: -.5}", "stop.target", -0.5),
        ("secondary: {x: {margin: 1e-3, direction: minimize}}", "secondary", {"x": 1e-3}),
        ("require_sandbox: yes", "require_sandbox", True),
        ("watch: off", "watch", False),
        ("style: no", "style", "no"),
        ("stop: {experiments: ~}", "stop.experiments", None),
    ],
)
def test_words_and_numbers_are_what_a_person_reads(line: str, key: str, value: object) -> None:
    found = attrgetter(key)(parse_program(GOOD % line).arena)
    assert ({name: one.margin for name, one in found.items()} if key == "secondary" else found) == value


def test_a_program_in_force_goes_on_as_it_was_taken_in() -> None:
    lines = "stop: {target: no, hours: 8:30, experiments: 0100}\nsecondary: {x: {max: .nan}}"
    arena = parse_program(GOOD % lines, in_force=True).arena
    assert (arena.stop.target, arena.stop.hours, arena.stop.experiments) == (0.0, 510.0, 64)
    assert arena.secondary["x"].max != arena.secondary["x"].max


def test_a_text_that_unfolds_without_end_is_refused_at_once() -> None:
    assert "nested too deeply" in refused(GOOD % f"colour: {'[' * 3000}")
    many = "\n".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]" for i in range(1, 40))
    assert "unknown key `x0`" in refused(GOOD % f"x0: &x0 [1]\n{many}")


@pytest.mark.parametrize(("more", "said"), [("handover: letters", "engine: local"), ("devices: 'cuda:0'", "GPU: 1")])
def test_what_no_node_of_a_cluster_can_give_is_refused_beside_that_engine(more: str, said: str) -> None:
    assert said in refused(GOOD % f"engine: {{name: ray}}\n{more}")


@pytest.mark.parametrize("path", ["../outside.py", "/etc/passwd", "~/x", ".git/config", "-rf", "a/../../b", "**"])
def test_an_editable_path_cannot_leave_the_repository(path: str) -> None:
    assert "editable" in refused((GOOD % "").replace("[train.py]", f"['{path}']"))


def test_a_file_cannot_be_editable_and_frozen_at_once() -> None:
    assert "cannot be editable and frozen" in refused((GOOD % "").replace("[prepare.py]", "[train.py]"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "line 1"), ("---\ngoal: x\n", "never ends"), ("---\n- a\n---\n", "key: value"), ("---\n---\n", "key: value")],
)
def test_front_matter_that_is_none_is_refused(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_missing_program_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ArenaError, match="autoresearch new"):
        load_program(tmp_path / "program.md")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "program.md").write_bytes(b"---\n\xff\xfe")
    with pytest.raises(ArenaError, match="UTF-8"):
        load_program(tmp_path / "program.md")


def test_every_problem_is_told_at_once() -> None:
    text = refused("---\ngoal: ''\ndevices: x\n---\n")
    assert text.count("\n") >= 4


def test_loss_is_smaller_for_the_better_score_in_both_directions() -> None:
    minimise = parse_program(GOOD % "").arena
    maximise = parse_program((GOOD % "").replace("minimize", "maximize")).arena
    assert minimise.loss(1.0) < minimise.loss(2.0)
    assert maximise.loss(2.0) < maximise.loss(1.0)
