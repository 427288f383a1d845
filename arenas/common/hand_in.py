"""Hands files in as they stand: `hand_in.py FILE...` copies them into the artifact."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

for name in sys.argv[1:]:
    shutil.copyfile(name, Path(os.environ["AUTORESEARCH_OUT"]) / name)
