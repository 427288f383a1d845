"""`python -m tests.dashboard.screenshots [FOLDER]`: the pictures of the live page for the docs, from a synthetic night.

Written into docs/images by default: each screen at three sizes, light and dark.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.dashboard.pages import CHROMIUM, QUIET, serving
from tests.dashboard.synthetic import campaign_of
from tests.dashboard.test_community_tab import settled
from tests.labs import TRAIN, until

SIZES = (("desktop", 1360, 1000, "light"), ("tablet", 820, 1100, "dark"), ("phone", 390, 844, "light"))
TELLS = """\
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w", buffering=1)
print(json.dumps({"event": "start"}), file=marks)
for step in range(10_000):
    loss = 2.6 + 7 * 2.718 ** (-step / 90)
    print(json.dumps({"event": "step", "step": step, "tokens": step * 8192, "loss": loss}), file=marks)
    time.sleep(0.02)
"""


def main(folder: Path) -> None:
    """Write the pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.environ |= {
            "AUTORESEARCH_LOCKS": f"{scratch}/locks",
            "AUTORESEARCH_LABS": f"{scratch}/labs",
            "AUTORESEARCH_CHART": "off",
        }
        lab = campaign_of(Path(scratch) / "lab", 126)
        (lab.paths.tree / "train.py").write_text(TRAIN + TELLS)
        running = lab.run_experiment("momentum that grows with the batch").experiment
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        with serving(lab.paths.tree) as served:
            until(lambda: (lab.read_score(running).loss or 9.0) < 4.0)
            for name, width, height, theme in SIZES:
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
                page.goto(served.link)
                page.wait_for_selector("#chart .main-svg")
                page.wait_for_selector("#running .curve .main-svg")
                page.screenshot(path=folder / f"dashboard-{name}.png")
                page.goto(f"{served.origin}/#experiment-121")
                page.wait_for_selector("#experiment-body .curve .main-svg")
                page.screenshot(path=folder / f"dashboard-{name}-experiment.png")
                page.close()
        of_the_community(browser, Path(scratch), folder)
        browser.close()
        lab.cancel_experiment(running)
        until(lambda: not lab.read_score(running).open)
        lab.close()


def of_the_community(browser, scratch: Path, folder: Path) -> None:  # type: ignore[no-untyped-def]
    """The tab of a lab among eight, and the graph that it links to."""
    os.environ["AUTORESEARCH_COMMUNITY"] = "off"
    settled(scratch / "town", 150)
    with serving(scratch / "town") as served:
        for name, width, height, theme in SIZES:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
            page = context.new_page()
            page.goto(served.link)
            page.click("#to-community")
            page.wait_for_selector("#results tbody tr")
            page.wait_for_selector("#line li")
            page.screenshot(path=folder / f"community-{name}.png")
            if name == "desktop":
                answer = page.request.get(f"{served.origin}/community/graph.svg")
                (folder / "community-graph.svg").write_text(answer.text(), encoding="utf-8")
            context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "images")
