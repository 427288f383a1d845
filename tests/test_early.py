"""Work before the start of the budget, and data that no step learns from: edits that are never kept for their score."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.edits.luck import protocol_changes

TRAIN = (Path(__file__).parents[1] / "train.py").read_text()
SMALL = """
import itertools
import prepare
import torch

def learn(model, batches, optimizer):
    loss = model(next(batches))
    loss.backward()
    optimizer.step()

def look_up(model):
    return torch.bincount(torch.cat(prepare.stretch(0, 1)))

def main():
    model = build_model()
    batches = prepare.batches(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    budget = prepare.Budget("cpu")
    budget.start(model)
    table = look_up(model)
    while budget.fraction() < 1:
        learn(model, batches, optimizer)
        budget.step(64, 0.5)
    prepare.finish(model, budget, 1, 1.0)

if __name__ == "__main__":
    main()
"""
START, LOOP = "    budget.start(model)\n", "    while budget.fraction() < 1:\n"


def edited(source: str, before: str, after: str) -> tuple[str, ...]:
    assert before in source
    return protocol_changes({"train.py": source}, {"train.py": source.replace(before, after, 1)})


CONSUMED = {
    "a batch, named": "    warm = next(batches)\n",
    "a batch, unpacked": "    x, y = next(batches)\n",
    "a batch of an iterator": "    source = iter(batches)\n    first = next(source)\n",
    "a batch by its method": "    first = batches.__next__()\n",
    "a batch by a walrus": "    print((first := next(batches)))\n",
    "some batches": "    few = [next(batches) for _ in range(3)]\n",
    "a loop that breaks": "    for first in batches:\n        break\n",
    "a loop that counts": "    for n in range(5):\n        x = next(batches)\n",
    "a zip": "    few = list(zip(range(3), batches))\n",
    "by another name": "    other = batches\n    first = next(other)\n",
    "a loader of its own": "    for x in prepare.batches(4):\n        break\n",
}


@pytest.mark.parametrize("what", CONSUMED)
@pytest.mark.parametrize(("source", "place"), [(SMALL, START), (SMALL, LOOP), (TRAIN, START)])
def test_taking_data_that_no_step_learns_from_is_seen(source: str, place: str, what: str) -> None:
    found = edited(source, place, CONSUMED[what] + place)
    assert any(line.startswith("data order") for line in found), found


EARLY = {
    "a step": "    learn(model, batches, optimizer)\n",
    "steps in a loop": "    for _ in range(100):\n        learn(model, batches, optimizer)\n",
    "a step written out": "    model(torch.zeros(2, 8)).sum().backward()\n    optimizer.step()\n",
    "a gradient": "    torch.autograd.grad(model(torch.zeros(2, 8)).sum(), list(model.parameters()))\n",
    "in a thread's function": "    def work():\n        pass\n    for _ in range(3):\n        optimizer.step()\n",
}


@pytest.mark.parametrize("what", EARLY)
def test_learning_before_the_start_is_seen(what: str) -> None:
    found = edited(SMALL, START, EARLY[what] + START)
    assert any("before the start" in line for line in found), found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    table = look_up(model)\n", ""),  # and put before the start, below
        (START, ""),
    ],
)
def test_work_that_changes_sides_of_the_start_is_seen(before: str, after: str) -> None:
    moved = SMALL.replace(before, after, 1)
    moved = moved.replace(START, before + START, 1) if START in moved else moved.replace(LOOP, START + LOOP, 1)
    found = protocol_changes({"train.py": SMALL}, {"train.py": moved})
    assert any("look_up moved before the start" in line for line in found), found


def test_the_shipped_files_reading_moved_before_the_start_is_seen() -> None:
    line = "    practice = read_halves(model)\n"
    moved = TRAIN.replace(line, "", 1).replace(START, line + START, 1)
    found = protocol_changes({"train.py": TRAIN}, {"train.py": moved})
    assert any("read_halves moved before the start" in one for one in found), found


def test_a_start_that_is_taken_away_is_seen() -> None:
    assert "budget: nothing says any more that training starts" in edited(SMALL, START, "")


def test_learning_at_the_top_of_the_file_is_seen() -> None:
    found = edited(SMALL, "def main():", "early = build_model()\nearly(torch.zeros(1)).backward()\n\ndef main():")
    assert any("before the start" in line for line in found), found


HONEST = {
    "another rate": ("lr=0.1", "lr=0.2"),
    "a clipped gradient": (
        "    optimizer.step()\n",
        "    torch.nn.utils.clip_grad_norm_([], 1.0)\n    optimizer.step()\n",
    ),
    "two batches a step": (
        "    loss = model(next(batches))\n",
        "    loss = model(next(batches)) + model(next(batches))\n",
    ),
    "a compiled model": ("    batches = prepare", "    model = torch.compile(model)\n    batches = prepare"),
    "a second optimizer": (
        "    budget = prepare",
        "    second = torch.optim.SGD(model.parameters())\n    budget = prepare",
    ),
    "an average of weights": (
        "        budget.step(64, 0.5)\n",
        "        average(model)\n        budget.step(64, 0.5)\n",
    ),
    "reading after the start": (
        "    table = look_up(model)\n",
        "    table = look_up(model)\n    other = look_up(model)\n",
    ),
    "a step with two losses": ("    loss.backward()\n", "    loss.backward()\n    loss.mean().backward()\n"),
}


@pytest.mark.parametrize("what", HONEST)
def test_an_honest_edit_touches_nothing(what: str) -> None:
    assert edited(SMALL, *HONEST[what]) == ()
