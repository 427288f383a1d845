"""Hands the prompt in: the artifact is prompt.md as it stands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

shutil.copyfile("prompt.md", Path(os.environ["AUTORESEARCH_OUT"]) / "prompt.md")
