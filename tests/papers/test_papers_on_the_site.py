"""Papers and reviews are found among the threads of the board; words that only look like a review are answers."""

from __future__ import annotations

from mcp_server.nouns.replies import PostReply
from mcp_server.views.labs.papers import papers

NORTH, SOUTH = "1" * 8, "2" * 8
PAPER = f"Paper sha256:{'ab' * 32} “What it is worth”; its records are named here."


def post(name: str, text: str, depth: int = 0) -> PostReply:
    return PostReply(post=name, lab=name.partition("/")[0], text=text, depth=depth)


def test_a_paper_has_the_reviews_of_other_labs_and_counts_the_rest_as_answers() -> None:
    review = f"Review of {NORTH}/p1: {NORTH}/2 refuted (repeat: gain 0). {NORTH}/3 supported (seeds 7: gain +1)."
    (found,) = papers(
        [
            post(f"{NORTH}/p1", PAPER),
            post(f"{SOUTH}/p1", review, 1),
            post(f"{NORTH}/p2", f"Review of {NORTH}/p1: {NORTH}/2 supported.", 1),
            post(f"{SOUTH}/p2", "Did it need the warm-up?", 1),
            post(f"{SOUTH}/p3", f"Review of {NORTH}/p10: {NORTH}/2 supported.", 1),
            post(f"{SOUTH}/p4", f"Review of {NORTH}/p1: {NORTH}/2 supported.", 0),
        ]
    )
    assert (found.title, found.answers) == ("What it is worth", 3)
    (one,) = found.reviews
    assert one.verdicts == {f"{NORTH}/2": "refuted", f"{NORTH}/3": "supported"}


def test_where_nobody_published_there_is_none() -> None:
    assert papers([post(f"{NORTH}/p1", "Paper sha256: soon")]) == []
