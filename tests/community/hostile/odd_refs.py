"""Refs beside the journals: capitals, a hierarchy, an id that is too short."""

from tests.community.stranger import Stranger

WHY = "no lab's"


def make(stranger: Stranger) -> None:
    tip = stranger.journal(stranger.record())
    for name in (
        stranger.lab.upper().replace("0", "A") + "F",
        stranger.lab[:12],
        f"{stranger.lab}/heads",
        "MAIN",
        "\u202elab",
    ):
        stranger.git("update-ref", f"refs/autoresearch/labs/{name}", tip)
