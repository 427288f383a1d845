"""Shows where the time goes: a profile of one call, in the log of the run and in its artifact. It decides nothing."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
from pathlib import Path

import numpy as np
from catalogue import catalogue
from quakes import analyse


def main() -> None:
    events = catalogue(np.random.default_rng(int(os.environ.get("AUTORESEARCH_SEED", "0"))))
    with cProfile.Profile() as profile:
        analyse(events)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(12)
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "profile.txt").write_text(text.getvalue())
    print(text.getvalue())


if __name__ == "__main__":
    main()
