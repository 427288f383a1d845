"""The report: what it says, that it can be trusted with hostile words, and that its files stand alone."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from mcp_server.cli import cli
from mcp_server.commands.reports import BROWSERS, with_pdf
from mcp_server.lab import Lab
from mcp_server.nouns.text import tag_complaint
from mcp_server.views.findings import gather
from mcp_server.views.report import fenced, html, markdown, plain
from tests.dashboard.synthetic import campaign_of
from tests.labs import git, make_lab

HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/x.png) [y](javascript:alert(1)) **bold** `code` "
    "# title | cell | https://evil.example @everyone <!-- hidden -->"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_LOCKS", str(place / "locks"))
        patch.setenv("AUTORESEARCH_CHART", "off")
        lab = campaign_of(place / "lab", 126, dict.fromkeys(range(60, 127), HOSTILE))
        lab.append_learnings(HOSTILE, 70, [])
        lab.close()
    return place / "lab"


def test_the_report_answers_every_question_a_reader_has(folder: Path) -> None:
    lab_text = markdown(gather(Lab(folder)), chart=False)
    for title in (
        "Question and setup", "Result", "Kept changes", "What did not work", "How well predictions held", "Learned",
        "What to try next", "How to reproduce",
    ):  # fmt: skip
        assert f"\n## {title}\n" in lab_text
    assert "val\\_bpb 1.0021 →" in lab_text
    assert "```diff\ndiff --git a/train.py b/train.py" in lab_text
    assert "autoresearch exam" in lab_text
    assert "NVIDIA H100" in lab_text


def test_the_steps_that_reproduce_a_gain_decide_before_they_examine_and_bear_any_name_of_a_file(folder: Path) -> None:
    found = gather(Lab(folder))
    arena = found.arena.model_copy(update={"editable": ("two words.py", "$(x).py")})
    steps = markdown(replace(found, arena=arena), chart=False).partition("## How to reproduce")[2]
    verbs = re.findall(r"^autoresearch (\w+)", steps, re.MULTILINE)
    assert verbs == ["start", "run", "decide", "exam"]  # an exam compares what was kept
    assert "-- 'two words.py' '$(x).py'\n" in steps
    tag = re.findall(r"^autoresearch start (.+)$", steps, re.MULTILINE)[0]
    assert tag_complaint(tag) is None


def test_the_headline_and_the_outcomes_agree_on_what_was_kept_and_the_budget_names_its_clock(folder: Path) -> None:
    found = gather(Lab(folder))
    report = markdown(found, chart=False)
    assert f"| outcomes | 1 baseline, {found.outcomes['crashed']} crashed" in report
    assert f", {found.outcomes['kept']} kept.**" in report.splitlines()[2]
    for clock, words in (("cpu", "processor"), ("wall", "wall")):
        assert f"s of {words} time |" in markdown(replace(found, clock=clock), chart=False)


def test_what_agents_wrote_makes_no_markup_no_link_and_no_image(folder: Path) -> None:
    found = gather(Lab(folder))
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(found, chart=False))
    kinds = {child.type for token in tokens for child in token.children or []} | {token.type for token in tokens}
    assert not kinds & {"image", "link_open", "html_inline", "html_block"}
    page = html(found, b"\x89PNG")
    assert "<script" not in page
    assert len(re.findall("<img", page)) == 1
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "default-src 'none'" in page


def test_plain_text_reads_the_same_after_rendering() -> None:
    for said in (HOSTILE, "1. not a list", "- nor this", "a * b * c and snake_case_name", "\\ \\* end\\", "x" * 500):
        inside = MarkdownIt("commonmark", {"html": False}).enable("table").render(plain(said, 600))
        assert re.sub(r"<[^>]*>", "", inside).count("&lt;script&gt;") == said.count("<script>")
        assert set(re.findall(r"</?([a-z0-9]+)", inside)) <= {"p"}


def test_no_text_closes_its_own_block() -> None:
    block = fenced("```\nout?\n`````")
    assert [token.type for token in MarkdownIt().parse(block)] == ["fence"]


def test_the_command_writes_markdown_and_html_side_by_side(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["-C", str(folder), "report", "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    names = [Path(name).name for name in json.loads(done.output)["files"]]
    assert names == ["report.md", "report.html"]
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


def test_the_chart_is_drawn_beside_the_markdown_and_inside_the_html(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CHART", "on")
    done = CliRunner().invoke(cli, ["-C", str(folder), "report", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert "](progress.png)" in (tmp_path / "report.md").read_text()
    assert 'src="data:image/png;base64,' in (tmp_path / "report.html").read_text()


WRITERS = (("report",), ("report", "--site"), ("paper",), ("export", "--to", "csv"))


@pytest.mark.parametrize("command", WRITERS, ids=" ".join)
def test_a_folder_that_nobody_named_stays_out_of_the_users_commits(folder: Path, command: tuple[str, ...]) -> None:
    before = git(folder, "status", "--porcelain", "--untracked-files=all")
    done = CliRunner().invoke(cli, ["-C", str(folder), *command])
    assert done.exit_code == 0, done.output
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == before


def test_a_report_moves_the_users_own_file_aside_and_replaces_its_own(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("the user's own")
    command = ["-C", str(folder), "report", "--out", str(out)]
    assert "it is kept as report.md.before-autoresearch" in CliRunner().invoke(cli, command).output
    assert (out / "report.md.before-autoresearch").read_text() == "the user's own"
    assert ".before-" not in CliRunner().invoke(cli, command).output
    (out / "report.md").write_text((out / "report.md").read_text() + "and a word of the user's")
    assert "it is kept as report.md.before-autoresearch-2" in CliRunner().invoke(cli, command).output
    assert (out / "report.md.before-autoresearch-2").read_text().endswith("and a word of the user's")


def test_a_folder_that_cannot_be_written_is_an_error_in_two_sentences(folder: Path) -> None:
    for command in WRITERS[:3]:
        done = CliRunner().invoke(cli, ["-C", str(folder), *command, "--out", "/proc/here"])
        assert done.exit_code == 1
        assert "/proc/here cannot be written: No such file or directory. Name another folder with --out." in done.output


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no chromium on this machine")
def test_a_long_temporary_folder_costs_no_pdf_and_nothing_is_left_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    files, said = with_pdf({}, "report.pdf", b"<p>a page</p>")
    assert said == []
    assert files["report.pdf"].startswith(b"%PDF")
    assert list(long.iterdir()) == []


def test_a_missing_browser_is_told_and_costs_only_the_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    files, said = with_pdf({}, "report.pdf", b"<p>a page</p>")
    assert all(name in said[0] for name in BROWSERS)
    assert files == {}


def test_a_lab_without_a_campaign_says_how_to_begin(tmp_path: Path) -> None:
    make_lab(tmp_path / "lab")
    done = CliRunner().invoke(cli, ["-C", str(tmp_path / "lab"), "report"])
    assert done.exit_code == 1
    assert "Begin one with `start" in done.output
