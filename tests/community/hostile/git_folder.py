"""An attempt with a .git folder and a hook in it."""

from tests.community.stranger import Stranger

WHY = "git would not have it|no plain name"


def make(stranger: Stranger) -> None:
    hook = stranger.tree(("100755", "post-checkout", stranger.blob(b"#!/bin/sh\ntouch canary\n")))
    stranger.attempt_with(("40000", ".git", stranger.tree(("40000", "hooks", hook))))
