"""All rows of the community's table: `python -m benchmarks.community [row ...]`.

Prints a table of what was measured with the goal beside it; exit status 1 where a goal is missed. What is measured by
the wall, or starts many processes, runs alone; the others share the cores, two at a time.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.community import table
from benchmarks.community.table import Told, play


@dataclass(frozen=True)
class Row:
    """One row: a module of `benchmarks.community` whose `rows()` answers lines of the table.

    One that has a `main()` alone prints for itself, and its exit status is its line.
    """

    name: str
    title: str
    alone: bool = False


ROWS = (
    Row("speed", "2: 10,000 attempts of 8 labs", alone=True),
    Row("real", "1: real servers and built-in researchers, two labs a core", alone=True),
    Row("races", "3: contested leases", alone=True),
    Row("chaos", "5: exchange under everything that may befall it", alone=True),
    Row("serving", "of the lab server: twenty ordinary days of 32 labs at once", alone=True),
    Row("search", "1: eight and sixteen labs against one"),
    Row("liar", "4: one lab of eight fabricates every score"),
    Row("reviews", "of papers: an honest claim, luck, a leak; one round of requested runs"),
    Row("hostile", "6: hostile journals and bundles"),
    Row("notes", "7: retrieval on labelled notes of real logs"),
)


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in [row.name for row in ROWS]]
    if unknown:
        print(f"There is no row {unknown[0]!r}; the rows are {', '.join(row.name for row in ROWS)}.", file=sys.stderr)
        return 2
    chosen = [row for row in ROWS if not wanted or row.name in wanted]
    began, told = time.monotonic(), list[Told]()
    for row in chosen:
        if row.alone:
            print(f"\n# Row {row.title} ({row.name})", flush=True)
            told += play(row.name)
    together = [row.name for row in chosen if not row.alone]
    if together:
        print(f"\n# Rows {', '.join(together)}, two at a time", flush=True)
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
            for lines in pool.map(play, together):
                told += lines
    told.sort(key=lambda one: one.row)
    print("\n" + "\n".join(table.lines(told)))
    missed = table.missed(told)
    print(f"\n{len(missed)} of {len(told)} goals missed; {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
