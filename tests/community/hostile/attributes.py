"""An attempt with .gitattributes, which name filters."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", ".gitattributes", stranger.blob(b"* filter=evil diff=evil merge=evil\n")))
