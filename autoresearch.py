"""The attempts of a lab as a pandas DataFrame: `import autoresearch; autoresearch.frame()`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.exporting.gathering import gathered
from mcp_server.exporting.to_frame import framed
from mcp_server.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["__version__", "frame"]


def frame(folder: str | Path = ".", *, campaign: str | None = None, every: bool = False) -> pd.DataFrame:
    """One row an attempt, oldest first, with the columns of docs/export.md.

    folder: a work tree of the lab. campaign: its name; None is the one that the folder is on. every: all of the lab.
    Constants are columns `constant.NAME`, secondary numbers `secondary.NAME`; `curve` holds (step, loss) pairs; times
    are UTC. Raises AutoresearchError, and says which extra brings pandas where it is missing.
    """
    with contextlib.closing(Lab(Path(folder).expanduser(), campaign=campaign)) as lab:
        return framed(gathered(lab, every=every))
