"""A paper says what the ledger says: numbers come from placeholders alone, and a changed one is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_server.cli import cli
from mcp_server.community import membership
from mcp_server.community.exchange import Exchange
from mcp_server.community.trust import Role
from mcp_server.community.wire.store import make_bare
from mcp_server.ledger import posts as rows
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.exchanged import Attempt
from mcp_server.views.comparison.plot import ticks
from mcp_server.views.paper.placeholders import Values, fill
from mcp_server.views.paper.seal import sealed
from tests.community.past import NOW, Past
from tests.labs import make_lab

VALUES = Values(
    words={"gain:2": "+0.50 (#2)", "kept": "1"},
    tables={"table:kept": "| a | b |\n|---|---|"},
    records=frozenset({1, 2}),
    others=frozenset({"a1b2c3d4/7"}),
    year=2026,
)


STRANGER = "ab" * 16


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Past, Past]]:
    """North kept a change, tried others and took it back once; south has measured the same edit."""
    place = tmp_path_factory.mktemp("papers")
    make_bare(place / "remote.git")
    north, south = (Past(place / name) for name in ("north", "south"))
    north.attempt("kept", "raise KNOB <b>boldly</b>", gain=0.5, score=3.5, KNOB=2.0)
    north.attempt("discarded", "raise it further", gain=-0.5, KNOB=7.0)
    north.attempt("crashed", "take the optimizer away", KNOB=99.0)
    north.attempt("discarded", "without experiment 2: raise KNOB", kind="prune", gain=-0.4, KNOB=1.0)
    south.attempt("kept", "south's own", gain=0.3, score=3.7, KNOB=2.0)
    for lab in (north, south, north):
        lab.join(place / "remote.git")
        lab.lab.now = lambda: NOW
        lab.exchange()
    membership.trust(north.workspace, membership.key_of(south.workspace).public.line, Role.REPLICATE, "")
    (told,) = [Attempt.model_validate_json(row[3]) for row in south.table() if "south's own" in row[3]]
    with closing(north.foreign()) as foreign, foreign.writing():  # a key is made in a moment, and says what it likes
        foreign.take(STRANGER, "0" * 40, [(told.model_copy(update={"gain": 9.0, "low": 8.9, "high": 9.1}), [])], [])
    yield north, south
    for lab in (north, south):
        lab.lab.close()


def command(lab: Past, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(lab.lab.paths.tree), "paper", *words])


def written(lab: Past, folder: Path, *words: str) -> str:
    done = command(lab, "--out", str(folder), *words)
    assert done.exit_code == 0, done.output
    return (folder / "paper.md").read_text()


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_a_paper_tells_method_results_failures_ablations_replications_limits_and_how_to_repeat_it(
    two: tuple[Past, Past], tmp_path: Path
) -> None:
    text = written(two[0], tmp_path)
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["Question", "Method", "Results", "What did not work", "Ablations", "Replications", "Limits",
                      "How to repeat it", "Seal"]  # fmt: skip
    assert "20 s of processor time" in section(text, "Method")
    assert "| #2 | raise KNOB \\<b\\>boldly\\</b\\> | +0.5000 | +0.4000 to +0.6000 | 10.0 |" in section(text, "Results")
    assert "| #3 |" in section(text, "What did not work")
    assert "| #4 | take the optimizer away | worse |" in section(text, "What did not work")
    assert "| #2 | #5 | +0.4000 | +0.3000 to +0.5000 | discarded |" in section(text, "Ablations")
    other = f"{membership.key_of(two[1].workspace).lab[:8]}/2"
    assert f"|  | {other} | +0.3000 | +0.2000 to +0.4000 |" in section(text, "Replications")
    assert STRANGER[:8] not in text, "nobody hears it"
    assert "No closing exam" in section(text, "Limits")
    assert len(re.findall("^(autoresearch|git) ", section(text, "How to repeat it"), re.MULTILINE)) == 2
    for name in ("progress.svg", "ablations.svg", "replications.svg"):
        assert "<b>" not in (tmp_path / name).read_text()
        assert f"({name})" in text
    page = (tmp_path / "paper.html").read_text()
    assert page.count('src="data:image/svg+xml') == 3
    assert "<b>" not in page


def test_a_paper_may_be_about_one_change_or_about_a_question(two: tuple[Past, Past], tmp_path: Path) -> None:
    north = two[0]
    assert written(north, tmp_path, "--kept", "2").startswith("# #2: raise KNOB")
    asked = written(north, tmp_path, "--question", "Is the optimizer needed?")
    assert "| #4 |" in asked
    assert "| #3 |" not in asked
    assert "shares a word" in command(north, "--question", "zebra?").output
    assert "no kept change" in command(north, "--kept", "3").output


def test_the_same_ledger_writes_the_same_paper_and_it_is_whole(two: tuple[Past, Past], tmp_path: Path) -> None:
    assert written(two[0], tmp_path / "a") == written(two[0], tmp_path / "b")
    for name in ("paper.md", "paper.html"):
        done = command(two[0], "--check", str(tmp_path / "a" / name))
        assert done.exit_code == 0, done.output
        assert "this lab vouches for it" in done.output


@pytest.mark.parametrize("name", ["paper.md", "paper.html"])
def test_a_number_changed_by_hand_is_refused_with_its_line(two: tuple[Past, Past], tmp_path: Path, name: str) -> None:
    written(two[0], tmp_path)
    file = tmp_path / name
    file.write_text(file.read_text().replace("+0.4000 to +0.6000", "+0.4900 to +0.6000", 1))
    done = command(two[0], "--check", str(file))
    assert done.exit_code == 1
    assert re.search(r"line \d+: .*\+0\.49.*was written as .*\+0\.40", done.output, re.DOTALL)


def test_a_seal_made_anew_over_a_changed_number_helps_nobody(two: tuple[Past, Past], tmp_path: Path) -> None:
    text = written(two[0], tmp_path).split("\n## Seal\n")[0]
    forged = sealed(text.replace("| +0.5000 |", "| +0.9000 |") + "\n", "first", {})
    (tmp_path / "paper.md").write_text(forged)
    done = command(two[0], "--check", str(tmp_path / "paper.md"), "--json")
    told = json.loads(done.output)
    assert done.exit_code == 1
    assert not told.get("vouched")
    assert any("nobody vouches" in one for one in told["problems"])
    assert any("“+0.9000” is +0.5000" in one for one in told["problems"])


def test_what_is_no_paper_and_a_figure_that_was_drawn_over_are_refused(two: tuple[Past, Past], tmp_path: Path) -> None:
    written(two[0], tmp_path)
    (tmp_path / "progress.svg").write_text("<svg/>")
    assert "progress.svg" in command(two[0], "--check", str(tmp_path / "paper.md")).output
    (tmp_path / "plain.md").write_text("# We gained 40 %\n")
    assert "no seal" in command(two[0], "--check", str(tmp_path / "plain.md")).output
    added = (tmp_path / "paper.md").read_text() + "\nAlso, we won.\n"
    (tmp_path / "paper.md").write_text(added)
    assert command(two[0], "--check", str(tmp_path / "paper.md")).exit_code == 1


def test_a_discussion_takes_its_numbers_from_placeholders(two: tuple[Past, Past], tmp_path: Path) -> None:
    words = tmp_path / "words.md"
    words.write_text("We gained {{gain:2}}, lost {{worth:2}} without it.\n\n{{table:kept}}\n\n- as #3 *failed*\n")
    text = section(written(two[0], tmp_path, "--discussion", str(words)), "Discussion")
    assert "We gained +0.5000 squares (#2), lost +0.4000 squares (#5, without #2) without it." in text
    assert "| #2 | raise KNOB" in text
    assert "- as #3 \\*failed\\*" in text.replace("\\#", "#")
    words.write_text("fine\n\nWe gained 0.7 of it.\n")
    done = command(two[0], "--discussion", str(words), "--out", str(tmp_path / "none"))
    assert done.exit_code == 1
    assert "line 3: '0.7' is typed" in done.output
    assert not (tmp_path / "none").exists()
    assert "{{gain:2}}" in command(two[0], "--placeholders").output


@pytest.mark.parametrize(
    "words",
    ["4 %", "about ½", "x²", "½", "٣ percent", "１２", "Ⅷ", "#9", "#2.5", "#2 %", "steps (2000)", "Moore (2048)",
     "1. first", "x5 better", "by-5", "1e5", ".5", "0x1F", "`0.5`", "&#53;", "a1b2c3d4/8", "{{gain:9}}", "{{gain}}",
     "{{}}", "-{{gain:2}}", "− {{gain:2}}", "{{gain:2}}0", "1{{gain:2}}", "{{gain:2}}%", "{{gain:2}}{{gain:2}}",
     "{{ gain:2", "see {{table:kept}} here", "{{gain:2}}e-3", "$10^{9}$", "two-2"],
)  # fmt: skip
def test_a_typed_number_is_refused_whatever_it_looks_like(words: str) -> None:
    with pytest.raises(NotNow, match="line 2"):
        fill(f"fine\n{words}", VALUES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("As #2 and a1b2c3d4/7 show", "\\#2"),
        ("Okabe (2008), in bf16 on GPT-2 with conv2d", "Okabe \\(2008\\)"),
        ("- {{gain:2}}, of {{kept}}.", "- +0.50 (#2), of 1."),
        ("({{gain:2}})", "\\(+0.50 (#2)\\)"),
        ("three times better", "three times better"),
        ("{{table:kept}}", "| a | b |"),
    ],
)
def test_records_years_and_names_may_be_typed(words: str, said: str) -> None:
    assert said in fill(words, VALUES)


def test_another_lab_checks_a_paper_by_the_signed_journal(two: tuple[Past, Past], tmp_path: Path) -> None:
    north, south = two
    written(north, tmp_path)
    assert "nobody vouches" in command(south, "--check", str(tmp_path / "paper.md")).output
    done = command(north, "--publish", "--out", str(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    for lab in (north, south):
        lab.places.last.unlink(missing_ok=True)
        with Exchange(lab.workspace, lambda: datetime.now(UTC), patience=10.0) as exchange:
            exchange.run()
    foreign = south.foreign()
    said = [one for one in rows.posts(foreign) if not one.own]
    foreign.close()
    assert json.loads(done.output)["digest"] in said[0].post.text
    whole = command(south, "--check", str(tmp_path / "paper.md"))
    assert whole.exit_code == 0, whole.output
    assert f"{membership.key_of(north.workspace).lab[:8]}/p1 vouches" in whole.output
    file = tmp_path / "paper.md"
    file.write_text(file.read_text().replace("+0.5000", "+5.5000"))
    assert "something was changed" in command(south, "--check", str(file)).output


def test_a_lab_without_a_campaign_or_without_a_community_says_so(tmp_path: Path) -> None:
    make_lab(tmp_path / "lab").close()
    done = CliRunner().invoke(cli, ["-C", str(tmp_path / "lab"), "paper"])
    assert done.exit_code == 1
    assert "Begin one with `start" in done.output
    alone = Past(tmp_path / "alone")
    assert "joined no community" in command(alone, "--publish", "--out", str(tmp_path / "out")).output
    alone.lab.close()


@pytest.mark.parametrize("last", [2, 3, 4, 7, 12, 83, 10_000])
def test_an_axis_of_experiments_names_each_at_most_once(last: int) -> None:
    marks = ticks(1, last + 1, whole=True)
    assert marks == sorted({round(mark) for mark in marks})
    assert 2 <= len(marks) <= 12
