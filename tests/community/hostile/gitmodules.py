"""An attempt with .gitmodules, whose URL is an option."""

from tests.community.stranger import Stranger

WHY = "no plain name|gitmodules"


def make(stranger: Stranger) -> None:
    evil = b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n\tupdate = !touch canary\n'
    stranger.attempt_with(("100644", ".gitmodules", stranger.blob(evil)))
