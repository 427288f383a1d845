"""Hands the memo in: the artifact is memo.md as it stands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

shutil.copyfile("memo.md", Path(os.environ["AUTORESEARCH_OUT"]) / "memo.md")
