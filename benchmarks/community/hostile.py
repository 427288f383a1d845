"""Row 6: journals, leases and bundles of strangers, each a file or a case in `tests/community`; run by pytest."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.community.table import Told

GOAL = 30
ROOT = Path(__file__).resolve().parent.parent.parent


def rows() -> list[Told]:
    count = len(list((ROOT / "tests" / "community" / "hostile").glob("[!_]*.py")))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
        command += ["tests/community/test_hostile.py", "tests/community/test_leases.py", "-k", "hostile"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    passed = int(found[1]) if (found := re.search(r"(\d+) passed", done.stdout)) else 0
    failed = int(found[1]) if (found := re.search(r"(\d+) (?:failed|error)", done.stdout)) else 0
    if done.returncode:
        print(done.stdout[-3000:])
    well = done.returncode == 0 and count >= GOAL
    value = f"{count} files, {passed} tests passed, {failed} failed"
    return [Told("6", "hostile journals and bundles: taken, code run", f"0 of at least {GOAL}", value, well)]


if __name__ == "__main__":
    print(rows())
