"""The run: the package itself is what is sealed and checked."""

import os
import shutil
from pathlib import Path

shutil.copytree("tally", Path(os.environ["AUTORESEARCH_OUT"]) / "tally", ignore=shutil.ignore_patterns("__pycache__"))
