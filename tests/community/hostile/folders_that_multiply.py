"""Ten folders of ten folders, and so on: a billion files in a few bytes."""

from tests.community.stranger import Stranger

WHY = "multiply|more than .* files|folders more than"


def make(stranger: Stranger) -> None:
    tree = stranger.tree(*[("100644", f"f{n}", stranger.blob(b"K = 1\n")) for n in range(10)])
    for _ in range(8):
        tree = stranger.tree(*[("40000", f"d{n}", tree) for n in range(10)])
    stranger.attempt_with(("40000", "a", tree))
