"""What grows with a lab, and what must not: the gits, the rows and the answers of a verb after many experiments.

Counted, not timed: processes of git, rows that the ledger hands out, bytes of a page.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from benchmarks.ledger import MOST_GITS, WORDS, NoSupervisor, gits_counted, past, score
from mcp_server.cli import cli
from mcp_server.dashboard.app import HERE, cookie_name, dashboard_app, packed
from mcp_server.dashboard.feed import FIRST_ROWS, Feed
from mcp_server.dashboard.glance import Glance
from mcp_server.dashboard.lab import Feeds
from mcp_server.lab import Lab, utc_now
from mcp_server.ledger import Ledger, runs
from mcp_server.ledger.store import Store
from mcp_server.nouns.rows import Standing
from mcp_server.personal.labs import Known
from mcp_server.views import publishing
from mcp_server.views.history import history
from mcp_server.views.publishing import results_text
from tests.dashboard.pages import alone
from tests.labs import attempt, begun, edit, finish, make_lab

FEW, MANY = 60, 300
FIRST_PAINT = 300_000  # bytes


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a short past, for tests that only read."""
    yield from shared(FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One with a long past, likewise: it takes seconds to write."""
    yield from shared(MANY, tmp_path_factory.mktemp("many"))


def shared(experiments: int, folder: Path) -> Iterator[Lab]:
    with alone(folder), past(experiments, folder) as lab:
        yield lab


# -- gits --------------------------------------------------------------------------------------------------------------


def test_no_verb_asks_more_than_a_few_gits(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    for knob in (1.5, 2.0, 2.2):  # several keeps, with which the files are compared
        assert attempt(lab, f"knob {knob}", KNOB=knob).decision == "kept"
    asked: dict[str, list[str]] = {}

    def count(name: str, verb: Callable[[], object]) -> None:
        with gits_counted() as ran:
            verb()
        asked[name] = ran

    for knob, outcome in ((2.6, "kept"), (9.0, "reverted")):
        edit(lab, KNOB=knob)
        count("status of edited files", lab.lab_status)
        count("run", lambda knob=knob: lab.run_experiment(f"knob {knob}"))  # type: ignore[misc]  # a verb is called at once
        finish(lab)
        count("read", lab.read_score)
        count(f"decide, {outcome}", lab.commit_or_revert)
        assert lab.read_score().status in ("kept", "discarded")
    count("status", lab.lab_status)
    count("recall", lambda: lab.recall("knob"))
    count("learn", lambda: lab.append_learnings("Three is where the loss is least."))
    assert {name: ran for name, ran in asked.items() if len(ran) > MOST_GITS} == {}
    assert not any("ls-tree" in ran for ran in asked.values())


def test_objects_are_read_by_one_git_that_ends_with_the_verb(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    first = lab.workspace.head()[1]
    with gits_counted() as ran, lab.workspace.git.at_hand():
        for _ in range(5):
            assert set(lab.workspace.committed(["train.py", "*.txt"], first)) == {"train.py", "notes.txt"}
    assert ran == ["cat-file"]
    assert not lab.workspace.git.is_at_hand


def test_a_reader_who_gives_up_in_the_middle_of_an_object_spoils_no_answer(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    git, first = lab.workspace.git, lab.workspace.head()[1]
    oids = [entry.oid for entry in git.entries(first).values()]
    with git.at_hand():
        size, _ = next(git.stream_blobs(oids))
        assert size > 0
        assert git.blobs(oids).keys() == set(oids)
        assert git.blobs(oids) == {oid: git.named(oid).content for oid in oids}


# -- rows --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def rows_counted() -> Iterator[list[int]]:
    """Rows that the ledger handed out."""
    handed = [0]
    plainly = Store._rows

    def rows(self: Store, sql: str, *values: Any) -> list[sqlite3.Row]:
        found = plainly(self, sql, *values)
        handed[0] += len(found)
        return found

    with mock.patch.object(Store, "_rows", rows):
        yield handed


def measured(shared: Lab, tree: Path) -> dict[str, int]:
    """Rows that each verb asked for in a copy of a lab with a past."""
    found: dict[str, int] = {}
    shared.close()  # it is opened again by whoever looks next
    views = shutil.ignore_patterns("results.tsv", "learnings.md")  # no page of another place is read for lessons
    shutil.copytree(shared.paths.tree, tree, symlinks=True, ignore=views)
    with contextlib.closing(Lab(tree, engine=NoSupervisor())) as lab:
        lab.start_campaign("first")  # joined from its new place, where the views are drawn once
        lab.lab_status()

        def count(name: str, verb: Callable[[], object]) -> None:
            with rows_counted() as handed:
                verb()
            found[name] = handed[0]

        def propose(rate: float) -> None:
            train = lab.paths.tree / "train.py"
            train.write_text("\n".join([f"RATE = {rate}", *train.read_text().splitlines()[1:]]) + "\n")

        count("lab_status", lab.lab_status)
        count("read_score", lambda: lab.read_score(7))
        propose(2.5)
        count("run_experiment", lambda: lab.run_experiment("a rate of 2.5"))
        score(lab, 2.0)
        count("read_score of a scored one", lab.read_score)
        count("commit_or_revert", lab.commit_or_revert)
        count("append_learnings", lambda: lab.append_learnings(f"{' '.join(WORDS)}: none of them did anything alone."))
        with lab.reading() as (bench, campaign, arena):
            assert lab.paths.results.read_text() == results_text(bench.ledger, campaign, arena)
    return found


def test_a_verb_reads_about_as_much_after_many_experiments_as_after_few(
    few: Lab, many: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "REMEMBERED", 20)  # measurements that a verdict looks at; 1,000 else
    monkeypatch.setattr(publishing, "LESSONS_SHOWN", 20)
    after_few, after_many = measured(few, tmp_path / "few"), measured(many, tmp_path / "many")
    kept = (MANY - FEW) // 40  # the keeps, and their repeats, are what a gain is summed over
    more = {name: (after_few[name], rows) for name, rows in after_many.items()}
    assert {name: (was, now) for name, (was, now) in more.items() if now > 1.5 * was + 6 * kept} == {}


def test_only_what_changed_is_asked_for_again(few: Lab, tmp_path: Path) -> None:
    few.close()
    shutil.copytree(few.paths.tree, tmp_path / "lab", symlinks=True)
    with contextlib.closing(Lab(tmp_path / "lab", engine=NoSupervisor())) as lab, lab.reading() as (bench, campaign, _):
        then = bench.ledger.standing(campaign.tag)
        assert bench.ledger.settled_since(campaign.tag, then) == []
        assert len(bench.ledger.settled_since(campaign.tag, Standing())) == FEW
        bench.ledger.open_run(campaign.tag, 40, 9, bench.ledger.runs(campaign.tag, 40)[0].purpose, bench.stamp())
        assert [one.number for one in bench.ledger.settled_since(campaign.tag, then)] == [40]


def test_the_noise_is_learnt_from_the_newest_measurements_alone(few: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with few.reading() as (bench, campaign, _):
        every = bench.ledger.scored_runs(campaign.tag)
        monkeypatch.setattr(runs, "REMEMBERED", 5)
        assert bench.ledger.scored_runs(campaign.tag) == every[-5:]


def test_history_shows_a_page_and_leads_to_the_one_before(few: Lab) -> None:
    newest = history(few, limit=20)
    assert [row.experiment for row in newest.experiments] == list(range(41, 61))
    assert newest.left_out == 40
    before = history(few, limit=20, before=41)
    assert [row.experiment for row in before.experiments] == list(range(21, 41))
    kept = history(few, ("kept",), limit=1)
    assert [row.experiment for row in kept.experiments] == [40]
    assert len(history(few).experiments) == FEW
    asked = ["-C", str(few.paths.tree), "history"]
    shown = json.loads(CliRunner().invoke(cli, [*asked, "--all", "--json"]).output)
    assert len(shown["experiments"]) == FEW
    refused = CliRunner().invoke(cli, [*asked, "--all", "--limit", "3"])
    assert refused.exit_code == 2
    assert "contradict" in refused.output


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_newest_before_it_has_read_a_long_past(many: Lab) -> None:
    feeds = Feeds(many.paths.tree)
    app = dashboard_app(feeds, "token", 0)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.cookies.set(cookie_name(0), "token")
        files = ["/", "/palette.css", *(f"/static/{one.name}" for one in (HERE / "static").iterdir())]
        sent = sum(int(client.get(path).headers["content-length"]) for path in files)
        with mock.patch("gzip.compress", wraps=gzip.compress) as packing, mock.patch("zlib.compressobj") as anew:
            packed.cache_clear()
            answers = [client.get("/plotly.min.js") for _ in range(2)]
        assert {one.headers["content-encoding"] for one in answers} == {"gzip"}
        assert packing.call_count == 1  # and no visitor waits while it is done for another
        assert not anew.called
        assert '<script src="/plotly' not in client.get("/").text  # asked for when there is something to see
        with mock.patch.object(Lab, "lab_status") as slower:
            cursor, told = feeds.at("").news(None)
        assert not slower.called
        assert json.loads(told["status"])["totals"]["best"] < 1.0
        _, more = feeds.at("").news(cursor)
        short, whole = (json.loads(some["status"]) for some in (told, more))
        assert short.items() <= whole.items()  # nothing that was said is unsaid
        assert whole["scale"]
        assert "rows" not in more
        first = sent + sum(len(text) for text in [*told.values(), *more.values()])
        assert first < FIRST_PAINT
        rows = json.loads(told["rows"])
        seen, before = {row["experiment"] for row in rows["rows"]}, rows["before"]
        assert max(seen) == MANY
        assert before == MANY - FIRST_ROWS + 1
        while before:
            page = client.get(f"/rows/{before}").json()
            seen |= {row["experiment"] for row in page["rows"]}
            before = page["before"]
        assert seen == set(range(1, MANY + 1))
    feeds.close()


def test_a_decision_has_no_past_read_again_for_the_scale_of_the_chart(many: Lab) -> None:
    clock = iter(range(0, 10_000, 100))  # each look is long after the one before, so that the status is told anew
    with contextlib.closing(Feed(Lab(many.paths.tree), now=lambda: float(next(clock)))) as feed:
        feed.news(feed.news(None)[0])
        with (
            mock.patch.object(Ledger, "outcomes") as read,
            mock.patch.object(feed, "_scale", wraps=feed._scale) as scale,
        ):
            feed.news(None)
        assert scale.called
        assert not read.called


def test_a_lab_is_read_for_the_page_of_all_only_when_its_ledger_was_written(many: Lab) -> None:
    known = Known(tree=many.paths.tree, common=many.paths.common, lab="", at=utc_now())
    glance = Glance(known, utc_now)
    with rows_counted() as handed:
        glance.look()
        assert 0 < handed[0] < MANY
        handed[0] = 0
        for _ in range(3):
            glance.look()
        assert handed[0] == 0
    assert glance.card.experiments == MANY
    assert len(glance.card.curve) == MANY // 40 + 1


def test_a_look_at_a_page_without_news_reads_no_rows_of_the_past(many: Lab) -> None:
    clock = iter(range(1000))
    feed = Feed(Lab(many.paths.tree), now=lambda: float(next(clock)))
    cursor, _ = feed.news(feed.news(None)[0])
    with rows_counted() as handed:
        for _ in range(3):
            cursor, told = feed.news(cursor)
    assert "rows" not in told
    assert handed[0] < FIRST_ROWS
    feed.close()
