"""A community of any size in a moment: invented labs' records straight in the database of a lab, by a seeded story."""

from __future__ import annotations

import random
from pathlib import Path

from mcp_server.edits.moves import moved
from mcp_server.ledger import posts
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.exchanged import Attempt, Ended, Post

NAMES = ("north", "south", "east", "west", "harbour", "hill", "mill", "bridge")
CONSTANTS = (
    ("MATRIX_LR", 0.04, (0.03, 0.05, 0.06, 0.08)),
    ("WARMUP_RATIO", 0.0, (0.02, 0.05, 0.1)),
    ("WEIGHT_DECAY", 0.2, (0.05, 0.1, 0.3)),
    ("DEPTH", 8, (6, 9, 10)),
    ("WINDOW_PATTERN", "'SSSL'", ("'SL'", "'L'")),
    ("TOTAL_BATCH", 262144, (131072, 524288)),
    ("EMBED_LR", 0.6, (0.4, 0.8)),
    ("SOFTCAP", 15.0, (10.0, 20.0, 30.0)),
    ("ADAM_BETA2", 0.95, (0.9, 0.99)),
    ("INIT_SCALE", 1.0, (0.7, 1.3)),
)
MACHINES = ("NVIDIA H100", "NVIDIA H200")
HOSTILE = '<img src=x onerror="document.body.dataset.pwned=1"><b>bold</b> {{7*7}}'


def lab_id(place: int) -> str:
    return f"{place + 1:x}" * 32


def settle(path: Path, contract: str, labs: int, each: int, *, seed: int = 1, own: int | None = None) -> Foreign:
    """Fill the database with `each` attempts of `labs` labs; an open one. own: which of them is this lab."""
    foreign, draw = Foreign(path), random.Random(seed)
    with foreign.writing():
        kept: dict[int, int | None] = {}
        stories: list[list[Attempt]] = [[] for _ in range(labs)]
        for n in range(1, each + 1):
            for lab in range(labs):
                one = _attempt(draw, lab, n, contract, kept.get(lab), labs, kept)
                if one.status == "kept":
                    kept[lab] = n
                stories[lab].append(one)
        for lab, story in enumerate(stories):
            foreign.take(
                lab_id(lab),
                f"{lab:040x}",
                [(one, moved(one.knobs)) for one in story],
                [],
                name=NAMES[lab % len(NAMES)],
                own=lab == own,
                at="2026-03-02T08:00:00+00:00",
            )
        foreign.note(f"constants {contract}", '["MATRIX_LR", "ROPE_BASE", "DROPOUT"]')
    return foreign


def tell_of_a_paper(foreign: Foreign) -> None:
    """The second lab publishes a paper about its second attempt, and the third one reviews it."""
    about, contract = f"{lab_id(1)}/2", foreign.all_contracts()[0]
    plain = {"contract": contract, "at": "2026-03-02T09:00:00Z"}
    said = f"Paper sha256:{'ab' * 32} “What the rate is worth”; its records are named here."
    verdict = f"Review of {lab_id(1)[:8]}/p1: {lab_id(1)[:8]}/2 refuted (repeat: gain -0.0001, #3 here)."
    with foreign.writing():
        posts.take(foreign, lab_id(1), [Post(p=1, mark="1" * 16, text=said, about=(about,), **plain)])
        posts.take(foreign, lab_id(2), [Post(p=1, mark="2" * 16, text=verdict, reply_to=f"{lab_id(1)}/p1", **plain)])


def _attempt(
    draw: random.Random, lab: int, n: int, contract: str, base: int | None, labs: int, kept: dict[int, int | None]
) -> Attempt:
    name, before, values = CONSTANTS[draw.randrange(len(CONSTANTS))]
    after = draw.choice(values)
    luck = draw.random()
    hope = {"MATRIX_LR": 0.12, "WARMUP_RATIO": 0.1, "SOFTCAP": 0.0, "TOTAL_BATCH": 0.0}.get(name, 0.03)
    others = [other for other in kept if other != lab and kept[other]]
    adopted = f"{lab_id(other := draw.choice(others))}/{kept[other]}" if others and luck > 0.97 else ""
    wins = n == 1 or (draw.random() < 0.7 if adopted else luck > 1 - hope)
    status: Ended = "crashed" if luck < 0.05 else "kept" if wins else "discarded"
    baseline = n == 1
    gain = round(abs(draw.gauss(0.0018, 0.0007)) if status == "kept" else draw.gauss(-0.0012, 0.0009), 6)
    scored = status != "crashed"
    number = n % 60
    text = HOSTILE if (lab, n) == (1, 7) else f"{name.lower().replace('_', ' ')}, {before} to {after}"
    return Attempt(
        n=n,
        mark=f"{draw.getrandbits(64):016x}",
        contract=contract,
        code=f"{draw.getrandbits(128):032x}",
        edit=f"{draw.getrandbits(128):032x}",
        role="baseline" if baseline else "replication" if adopted else "attempt",
        status=status,
        label="baseline" if baseline else "provisional" if status == "kept" else "",
        reason="out_of_memory" if not scored else "",
        knobs=() if baseline else ((name, str(before), str(after)),),
        base=None if baseline else base,
        score=round(0.99 - gain, 6) if scored else None,
        against=0.99 if scored and not baseline else None,
        gain=gain if scored and not baseline else None,
        low=gain - 0.0008 if scored and not baseline else None,
        high=gain + 0.0008 if scored and not baseline else None,
        widths=round(gain / 0.0004, 1) if scored and not baseline else None,
        machine=MACHINES[lab % 2],
        at=f"2026-03-{1 + n // 1440:02}T{n // 60 % 24:02}:{number:02}:00Z",
        text="the unchanged code" if baseline else text,
        lesson=f"{name} does little at this size." if n % 25 == 0 else "",
        of=adopted,
    )
