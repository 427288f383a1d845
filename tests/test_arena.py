"""program.md is a contract: what is wrong is said with its line and what is allowed."""

from __future__ import annotations

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
    assert program.arena.needs_corpus
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
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_is_allowed(lines: str, line: int, said: str) -> None:
    text = refused(GOOD % lines)
    assert f"line {line}" in text
    assert said in text


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
