"""How well `recall` finds what was tried: `python -m benchmarks.retrieval NOTES.json`.

NOTES.json: `{"notes": [{"run", "text", "constant", "direction"}]}`, notes of real logs with rule-made labels. Every
note is asked for as a question; what is searched are all others, those of other runs, or those before it. Told are the
shares of questions whose first answer is about the right constant, and about it in the right direction, of those
questions for which there is such an answer at all. The product's own ranking and word index are used, notes alone: no
constant, no edit, no outcome.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mcp_server.community.elsewhere import as_attempt
from mcp_server.edits.ways import way
from mcp_server.ledger.foreign import Foreign
from mcp_server.memory.recall import recall
from mcp_server.nouns import exchanged
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.text import clean_line

LAB = "0" * 32
SIGN = {"up": "+", "down": "-"}
Note = dict[str, Any]
# among which notes the answer to one is looked for
WAYS: dict[str, Callable[[list[Note], int, int], bool]] = {
    "all others": lambda notes, one, other: True,
    "the ones before": lambda notes, one, other: other < one,
    "other runs'": lambda notes, one, other: notes[one]["run"] != notes[other]["run"],
}


def index(folder: Path, notes: list[Note]) -> Foreign:
    """The notes as records of another lab, in the word index of the product."""
    found = Foreign(folder / "records.db")
    attempts = [
        exchanged.Attempt(
            n=place,
            mark=f"{place:016x}",
            contract="0" * 32,
            code=f"{place:032x}",
            status="discarded",
            at="2026-01-01T00:00:00Z",
            text=clean_line(note["text"], 200),
        )
        for place, note in enumerate(notes, 1)
    ]
    with found.writing():
        found.take(LAB, "0" * 40, [(one, ()) for one in attempts], [])
    return found


def first_answer(foreign: Foreign, attempts: Sequence[Attempt], asked: int, among: list[int]) -> int | None:
    """The place of the note that `recall` answers first."""
    text = attempts[asked].experiment.description
    hits = [
        ("experiment", attempts[0].campaign, known.attempt.n, near)
        for known, near in foreign.found(text, (), len(attempts))
        if near is not None and known.attempt.n - 1 in among
    ]
    found = recall(text, (), 1, [attempts[place] for place in among], (), hits)
    return found[0].key - 1 if found else None


def share(notes: list[Note], foreign: Foreign, may: Callable[[int, int], bool]) -> tuple[float, int, float, int]:
    """(right constant first, questions, right constant and direction first, questions)."""
    right = asked = both = asked_both = 0
    attempts = [as_attempt(known) for n in range(1, len(notes) + 1) if (known := foreign.attempt(LAB, n))]
    for place, note in enumerate(notes):
        among = [other for other in range(len(notes)) if other != place and may(place, other)]
        same = [notes[other] for other in among if notes[other]["constant"] == note["constant"]]
        if not same:
            continue
        answer = first_answer(foreign, attempts, place, among)
        found = notes[answer] if answer is not None else {"constant": None, "direction": None}
        asked += 1
        right += found["constant"] == note["constant"]
        if any(one["direction"] == note["direction"] for one in same):
            asked_both += 1
            both += (found["constant"], found["direction"]) == (note["constant"], note["direction"])
    return right / asked, asked, both / asked_both, asked_both


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    notes = json.loads(Path(sys.argv[1]).read_text())["notes"]
    with tempfile.TemporaryDirectory() as folder:
        foreign = index(Path(folder), notes)
        for name, may in WAYS.items():
            right, asked, both, asked_both = share(notes, foreign, partial(may, notes))
            print(f"{name:18} constant first {right:.3f} of {asked}; with its direction {both:.3f} of {asked_both}")
        foreign.close()
    told = sum(SIGN.get(str(way(note["text"]))) == note["direction"] for note in notes) / len(notes)
    print(f"direction read as labelled: {told:.3f} of {len(notes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
