"""All rows of the community's table: `python -m benchmarks.community [row ...]`; each says its goal beside the number.

Exit status 0 when every row that has a plain yes or no says yes. Times of the wall mean something on a quiet machine
alone; processor seconds stand beside them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from benchmarks.community import chaos, liar, races, real, reviews, search, serving, speed

ROWS: dict[str, tuple[str, Callable[[], int]]] = {
    "real": ("1: eight servers, eight built-in researchers", real.main),
    "search": ("1: eight and sixteen labs against one", search.main),
    "speed": ("2: 10,000 attempts of 8 labs", speed.main),
    "races": ("3: contested leases", races.main),
    "liar": ("4: one lab of eight fabricates every score", liar.main),
    "reviews": ("of papers: an honest claim, luck, a leak; one round of requested runs", reviews.main),
    "serving": ("of the lab server: twenty ordinary days of 32 labs at once", serving.main),
    "chaos": ("5: exchange under everything that may befall it", chaos.main),
}


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        print(f"There is no row {unknown[0]!r}; the rows are {', '.join(ROWS)}.", file=sys.stderr)
        return 2
    os.environ["AUTORESEARCH_CHART"] = "off"  # drawn beside by another thread, whose seconds would count
    failed = []
    for name in wanted or list(ROWS):
        title, row = ROWS[name]
        began = time.monotonic()
        print(f"\n# Row {title} ({name})", flush=True)
        if row():
            failed.append(name)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        print(f"\nNot as it should be: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
