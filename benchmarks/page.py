"""How soon the pages show a lab with a long past: `python -m benchmarks.page [experiments]`.

A ledger of 10,000 decided experiments with results as large as real ones (benchmarks/ledger.py), a page served by a
process of its own, a real Chromium with an empty cache. Told are the milliseconds from following the link until the
lab's card, or the first row of its table, is there, and the bytes that came until then; what the page asks for once
that is drawn, the chart library and older rows, comes while one reads and is left out. Goals: one second and 300 KB,
for both pages.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ledger import past
from mcp_server.lab import utc_now
from mcp_server.personal.labs import introduce, key_of
from tests.dashboard.pages import CHROMIUM, QUIET, Served, alone, serving

ROUNDS = 5
LATER = "/plotly.min.js", "/rows/"
GOAL_MS, GOAL_BYTES = 1000.0, 300_000


@dataclass
class Visit:
    """One visit: milliseconds until there is something to see, and bytes on the wire until then, by address."""

    ms: float = 0.0
    bytes: dict[str, int] = field(default_factory=dict)

    @property
    def page(self) -> int:
        return sum(count for url, count in self.bytes.items() if not any(one in url for one in LATER))


def visit(browser: Any, link: str, then: str, seen: str) -> Visit:
    """Come by the link, go to the path `then`, and wait until `seen` is there, in a profile of its own."""
    found, urls = Visit(), {}
    inside = browser.new_context(viewport={"width": 1280, "height": 900})
    page = inside.new_page()
    page.set_default_timeout(300_000)
    if then != "/":
        page.request.get(link)  # the cookie, without the page it leads to
    wire = inside.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.requestWillBeSent", lambda told: urls.setdefault(told["requestId"], told["request"]["url"]))

    def received(told: Any) -> None:
        url = urls.get(told["requestId"], "")
        found.bytes[url] = found.bytes.get(url, 0) + told["dataLength"]  # what streams is not packed

    def over(told: Any) -> None:
        found.bytes[urls.get(told["requestId"], "")] = int(told["encodedDataLength"])  # as it came, packed

    wire.on("Network.dataReceived", received)
    wire.on("Network.loadingFinished", over)
    began = time.perf_counter()
    page.goto(link if then == "/" else link.partition("/open")[0] + then, wait_until="commit")
    page.wait_for_selector(seen)
    found.ms = 1000 * (time.perf_counter() - began)
    inside.close()
    return found


def main(experiments: int) -> bool:
    """Print a line a page; whether both goals are met."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, alone(Path(scratch)), past(experiments, Path(scratch)) as lab:
        os.environ["AUTORESEARCH_CHART"] = "off"
        introduce(lab.paths, utc_now())
        with sync_playwright() as playwright, serving(Path(scratch), "--all") as served:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
            good = [
                told("all labs", browser, served, "/", ".lab .numbers"),
                told("the lab's own", browser, served, f"/lab/{key_of(lab.paths.common)}/", "#table tbody tr"),
            ]
            browser.close()
    return all(good)


def told(name: str, browser: Any, served: Served, then: str, seen: str) -> bool:
    """The first visit opens the ledger; it is told beside the median of the later ones."""
    visits = [visit(browser, served.link, then, seen) for _ in range(ROUNDS + 1)]
    first, usual = visits[0].ms, median(one.ms for one in visits[1:])
    size = max(one.page for one in visits)
    print(
        f"{name:14} first {first:7.0f} ms, then {usual:6.0f} ms (goal {GOAL_MS:.0f}); {size / 1000:6.0f} KB (goal 300)"
    )
    return first < GOAL_MS and size < GOAL_BYTES


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000) else 1)
