"""The status of claims and the standing of labs follow from the records alone; what to repeat follows from both."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.community.claims.choosing import (
    Bounds,
    Choice,
    Past,
    Repeat,
    Situation,
    asked_for,
    crowded,
    due,
    refusal,
)
from mcp_server.community.claims.pooling import pool
from mcp_server.community.claims.reviews import reviews_of
from mcp_server.community.claims.standing import Standing, standings
from mcp_server.community.claims.status import Claim, Status, claims
from mcp_server.community.claims.table import table
from mcp_server.community.trust import Role, Trust, write_trust
from mcp_server.community.wire.store import make_bare
from mcp_server.ledger import posts
from mcp_server.ledger.measured import Measured
from mcp_server.ledger.posts import Posted
from mcp_server.nouns.exchanged import Attempt, Post
from tests.community import past
from tests.community.test_adoption import command

A, B, C, D, LIAR = (letter * 32 for letter in "abcde")
H200, A100 = "NVIDIA H200", "NVIDIA A100"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def told(lab: str, n: int = 1, gain: float = 1.0, sd: float | None = 0.1, edit: str = "e1", **more: Any) -> Measured:
    kept = gain > 0
    one = Measured(lab, n, "cc" * 16, edit, H200, gain, sd, kept, kept, "attempt", "", True, "2026-01-01T00:00:00Z")
    return replace(one, **more)


def repeat(lab: str, of: str, gain: float, n: int = 5, **more: Any) -> Measured:
    return told(lab, n, gain, repeats=of, role="replication", **more)


def only(records: list[Measured], **how: Any) -> Claim:
    (found,) = claims(records, **how)
    return found


def test_a_gain_that_nobody_repeated_is_a_claim() -> None:
    assert only([told(A)]).status is Status.CLAIMED


def test_a_gain_that_another_lab_measured_too_is_replicated_and_says_by_how_many() -> None:
    one = only([told(A), repeat(B, f"{A}/1", 0.8), repeat(C, f"{A}/1", 1.2)])
    assert (one.status, one.replicated, one.tried) == (Status.REPLICATED, (B, C), (B, C))
    assert one.others is not None
    assert one.others.gain == pytest.approx(1.0)
    assert one.others.low is not None
    assert one.others.low > 0.5


def test_a_labs_own_repeats_count_for_nothing_on_whatever_machine() -> None:
    again = [told(A, n, 1.0, machine=machine) for n, machine in ((2, H200), (3, A100))]
    assert only([told(A), *again]).status is Status.CLAIMED


def test_what_another_lab_surely_gains_less_than_half_of_is_refuted() -> None:
    assert only([told(A), repeat(B, f"{A}/1", 0.0)]).status is Status.REFUTED
    assert only([told(A), repeat(B, f"{A}/1", 0.3, kept=False, helped=False)]).status is Status.REPLICATED
    assert only([told(A), repeat(B, f"{A}/1", 0.1, sd=0.5, kept=False, helped=False)]).status is Status.CLAIMED


def test_only_those_who_count_replicate_or_refute() -> None:
    fakes = [repeat(lab, f"{LIAR}/1", 1.0) for lab in (C, D)]
    records = [told(LIAR), *fakes, repeat(B, f"{LIAR}/1", 0.0)]
    assert only(records, counts=lambda lab: lab == B).status is Status.REFUTED
    assert only([told(A), repeat(LIAR, f"{A}/1", -1.0)], counts=lambda lab: lab == B).status is Status.CLAIMED


def test_a_tiny_error_that_one_lab_tells_does_not_outvote_the_others() -> None:
    found = pool([(1.0, 0.1), (1.1, 0.1), (-1.0, 1e-9)])
    assert found is not None
    assert found.gain > 0.2


def test_an_edit_that_works_on_one_class_of_machine_and_not_on_another_is_machine_bound() -> None:
    bound = only([told(A), repeat(B, f"{A}/1", 0.9), repeat(C, f"{A}/1", 0.0, machine=A100)])
    assert (bound.status, bound.works_on, bound.fails_on) == (Status.MACHINE_BOUND, (H200,), (A100,))


def test_a_machine_that_only_the_claimant_has_saves_no_fabrication() -> None:
    fake = told(LIAR, machine="a machine of its own")
    assert only([fake, repeat(B, f"{LIAR}/1", 0.0)]).status is Status.REFUTED


def test_who_found_the_same_edit_by_itself_replicates_it_and_who_adopts_claims_nothing() -> None:
    found = claims([told(A), told(B, 3), repeat(C, f"{A}/1", 1.0)])
    assert [(one.name, one.status) for one in found] == [
        (f"{A}/1", Status.REPLICATED),
        (f"{B}/3", Status.REPLICATED),
    ]
    assert set(standings(found)) == {A, B}


@pytest.mark.parametrize("gain", [0.0, -0.1])
def test_a_keep_that_is_only_simpler_claims_no_gain(gain: float) -> None:
    assert claims([told(A, gain=gain, helped=True, kept=True)]) == []


def test_exact_scores_without_a_width_are_judged_by_their_sign() -> None:
    assert only([told(A, sd=None), repeat(B, f"{A}/1", 1.0, sd=None)]).status is Status.REPLICATED
    assert only([told(A, sd=None), repeat(B, f"{A}/1", -1.0, sd=None)]).status is Status.REFUTED


def test_a_refutation_costs_more_than_a_replication_brings() -> None:
    records = [told(A, n, edit=f"e{n}") for n in (1, 2, 3)]
    records += [repeat(B, f"{A}/{n}", gain, edit=f"e{n}", n=n) for n, gain in ((1, 1.0), (2, 1.0), (3, 0.0))]
    one = standings(claims(records))[A]
    assert (one.replicated, one.refuted, one.points) == (2, 1, -1)
    assert one.trust < Standing(B).trust
    assert not one.doubted, "one word against another"
    assert standings(claims([*records, repeat(C, f"{A}/3", 0.0)]))[A].doubted
    assert standings(claims(records, own=B))[A].doubted, "what was measured here is enough here"


def test_the_table_is_the_same_bytes_in_whatever_order_the_records_came() -> None:
    draw = random.Random(3)
    records = [
        told(draw.choice((A, B, C, D)), n, draw.gauss(0, 1), draw.uniform(0.1, 1), edit=f"e{n % 7}") for n in range(60)
    ]
    first = table("cc" * 16, records)
    for _ in range(20):
        draw.shuffle(records)
        assert table("cc" * 16, records) == first
    assert first.count("claim ") >= 7


# --- what to repeat ---------------------------------------------------------------------------------------------------


def seen(records: list[Measured], own: str = D, slots: int = 20, **more: Any) -> Situation:
    found = claims(records)
    at = Situation(own, H200, NOW, Past(slots, attempts=slots), found, standings(found), labs=(A, B, C, D))
    return replace(at, **more)


def names(choices: Sequence[Choice]) -> list[str]:
    return [one.name for one in choices]


def test_of_a_lab_without_a_replicated_claim_one_is_on_trial_at_a_time() -> None:
    many = [told(LIAR, n, 9.0, edit=f"e{n}") for n in range(1, 9)]
    assert names(asked_for(seen(many))) == [f"{LIAR}/1"]
    once = [*many, repeat(B, f"{LIAR}/1", 0.0, edit="e1")]
    assert names(asked_for(seen(once))) == [f"{LIAR}/1"], "a second opinion"
    caught = [*once, repeat(C, f"{LIAR}/1", 0.0, edit="e1")]
    assert names(asked_for(seen(caught))) == []
    proven = [*many, repeat(B, f"{LIAR}/1", 9.0, edit="e1")]
    assert len(asked_for(seen(proven))) == 8


def test_a_claim_is_one_labs_turn_and_the_next_ones_when_it_had_its_time() -> None:
    fresh = [told(A, at="2026-01-02T00:00:00Z")]
    turns = [[own for own in (B, C, D) if due(seen(fresh, own, now=NOW.replace(hour=hour)))] for hour in range(3)]
    assert [len(one) for one in turns] == [1, 1, 1]
    assert {one[0] for one in turns} == {B, C, D}
    assert all(asked_for(seen(fresh, own)) for own in (B, C, D)), "who asks by hand needs no turn"


def test_replicated_gains_come_before_claims_and_what_was_tried_here_not_at_all() -> None:
    records = [told(A, 1), repeat(B, f"{A}/1", 1.0), told(C, 7, 1.2, edit="e7")]
    assert names(asked_for(seen(records))) == [f"{A}/1", f"{C}/7"]
    assert names(asked_for(seen(records, tried=frozenset({"e1"})))) == [f"{C}/7"]
    assert names(asked_for(seen(records, worth_a_run=lambda lab: lab == A))) == [f"{A}/1"]


def test_the_share_of_replications_stays_what_it_is_whatever_there_is_to_repeat() -> None:
    records = [told(A, n, edit=f"e{n}") for n in range(1, 200)]
    records += [repeat(B, f"{A}/{n}", 1.0, edit=f"e{n}", n=n) for n in range(1, 200)]
    past, spent = Past(0), 0
    for slot in range(1, 201):
        choices = due(seen(records, past=past, bounds=Bounds(apart=0, of_one_lab=4)))
        if choices:
            spent += 1
            past = Past(slot, (*past.repeats, Repeat(choices[0].name, slot)), spent, slot)
        else:
            past = replace(past, slots=slot, attempts=slot)
    assert 14 <= spent <= 17
    assert refusal(Past(20, tuple(Repeat(f"{A}/{n}", n) for n in range(1, 5)), spent=4, attempts=20))
    assert not refusal(Past(0))


def test_islands_stay_apart() -> None:
    records = [told(A), repeat(B, f"{A}/1", 1.0)]
    adopted = Past(40, (Repeat(f"{C}/1", 39, adopted=True),), spent=1, attempts=40)
    assert due(seen(records, past=adopted)) == []
    assert due(seen(records, past=replace(adopted, slots=45, attempts=45)))
    crowd = Past(90, tuple(Repeat(f"{A}/{n}", n * 10, adopted=True) for n in (3, 4)), spent=2, attempts=90)
    assert "islands" in crowded(crowd, Bounds(), A)
    assert not crowded(crowd, Bounds(), B)


def test_a_liar_that_refutes_everybody_silences_nobody() -> None:
    honest = [told(lab, n, edit=f"{lab[0]}{n}") for lab in (A, B) for n in (1, 2)]
    lies = [repeat(LIAR, one.name, -1.0, edit=one.edit, n=n, sd=1e-9) for n, one in enumerate(honest, 1)]
    assert names(asked_for(seen([*honest, *lies]))) == [f"{A}/1", f"{B}/1"]
    truth = [repeat(C, one.name, 1.0, edit=one.edit, n=n) for n, one in enumerate(honest, 1)]
    truth += [repeat(D, one.name, 1.0, edit=one.edit, n=n) for n, one in enumerate(honest, 1)]
    assert {one.status for one in claims([*honest, *lies, *truth])} == {Status.REPLICATED}


def test_few_discards_are_tried_again_at_random() -> None:
    discards = [told(A, n, -0.1, edit=f"d{n}") for n in range(1, 50)]
    past = Past(0)
    for slot in range(1, 101):
        choices = due(seen([], past=past, discards=discards))
        more = tuple(Repeat(one.name, slot, discard=True) for one in choices[:1])
        past = Past(slot, (*past.repeats, *more), past.spent + len(more), slot)
    assert past.discards == 3
    assert len({one.name for one in past.repeats}) == 3


def said(lab: str, p: int, text: str, reply_to: str = "", about: tuple[str, ...] = ()) -> Posted:
    one = Post(
        p=p, mark="0" * 16, contract="cc" * 16, text=text, reply_to=reply_to, about=about, at="2026-01-01T00:00:00Z"
    )
    return Posted(lab, False, one)


def test_reviews_count_by_whose_they_are_and_each_labs_newest_alone() -> None:
    paper = said(A, 1, f"Paper sha256:{'0' * 64} “On knobs”.", about=(f"{A}/2", f"{D}/7"))
    review = f"Review of {A[:8]}/p1: {A[:8]}/2 {{}}, {D[:8]}/7 refuted. {A[:8]}/9 refuted."
    found = [
        paper,
        said(B, 1, review.format("supported"), f"{A}/p1"),
        said(B, 2, review.format("refuted"), f"{A}/p1"),
        said(D, 1, review.format("weakened"), f"{A}/p1"),  # of its own record, too
        said(A, 2, review.format("supported"), f"{A}/p1"),  # its own paper
        said(LIAR, 1, review.format("supported"), f"{A}/p1"),  # whom nobody hears
        said(C, 1, review.format("supported"), f"{B}/p1"),  # no reply to the paper
    ]
    told = reviews_of(found, lambda lab: lab != LIAR)
    assert {name: [str(word) for word in words] for name, words in told.items()} == {
        f"{A}/2": [f"refuted (review {B[:8]}/p2)", f"weakened (review {D[:8]}/p1)"],
        f"{D}/7": [f"refuted (review {B[:8]}/p2)"],
    }


def test_claims_name_the_reviews_that_refute_them(tmp_path: Path) -> None:
    north = past.Past(tmp_path / "north")
    make_bare(tmp_path / "remote.git")
    north.join(tmp_path / "remote.git")
    north.exchange()
    contract = json.loads(north.table()[0][3])["contract"]
    one = Attempt(
        n=2, mark="0" * 16, contract=contract, code="cd" * 16, edit="ef" * 16, status="kept", score=1.0, gain=0.5,
        at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    review = f"Review of {A[:8]}/p1: {A[:8]}/2 refuted. {A[:8]}/2: scorer mine.py: gain 0."
    with contextlib.closing(north.foreign()) as foreign, foreign.writing():
        for lab, attempts in ((A, [(one, [])]), (B, []), (LIAR, [])):
            foreign.take(lab, "0" * 40, attempts, [])
        posts.take(foreign, A, [said(A, 1, f"Paper sha256:{'0' * 64} “On knobs”.", about=(f"{A}/2",)).post])
        for lab in (B, LIAR):
            posts.take(foreign, lab, [said(lab, 1, review, f"{A}/p1").post])
    write_trust(north.places.trust, Trust(roles={B: Role.REPLICATE}))
    told = command(north, "community", "claims")
    assert f"claimed, refuted (review {B[:8]}/p1)" in " ".join(told.output.split())
    assert LIAR[:8] not in told.output
