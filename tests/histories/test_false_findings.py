"""An audit that accuses wrongly is worse than none: logs that look bad and are not."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.histories.audit import Audit, audit
from mcp_server.histories.reading import read
from mcp_server.histories.sniff import Wishes
from tests.labs import git

HEAD = "exp\tcommit\tparent\tval_bpb\tstatus\tdescription"


def of(folder: Path, *rows: str, head: str = HEAD) -> Audit:
    (folder / "results.tsv").write_text("\n".join([head, *rows]).replace(" | ", "\t") + "\n")
    return audit(read("results.tsv", folder))


def found(audit: Audit) -> dict[str, str]:
    return {one.code: one.sentence for one in audit.findings}


def test_what_comes_after_another_baseline_is_compared_with_that_one(tmp_path: Path) -> None:
    easy = ["1 |  |  | 1.00 | keep | baseline", "2 |  |  | 0.90 | keep | wider", "3 |  |  | 0.95 | discard | deeper"]
    hard = ["4 |  |  | 2.00 | keep | baseline", "5 |  |  | 1.90 | keep | warm-up", "6 |  |  | 1.80 | keep | no bias"]
    said = of(tmp_path, *easy, *hard)
    assert "not_better" not in found(said)
    assert (said.keeps, round(said.claimed or 0, 6)) == (3, 0.3)
    again = of(tmp_path, *easy, "4 |  |  | 0.97 | keep | no bias")
    assert found(again)["not_better"].startswith("1 of 2 keeps is")
    change = of(tmp_path, *easy, "4 |  |  | 0.97 | keep | baseline + dropout")  # a change to it, and no baseline
    assert found(change)["not_better"].startswith("1 of 2 keeps is")


def test_a_baseline_that_is_measured_again_is_noise_and_no_failed_keep(tmp_path: Path) -> None:
    said = of(
        tmp_path, "1 |  |  | 1.00 | keep | baseline", "2 |  |  | 1.01 | keep | baseline", "3 |  |  | 0.9 | keep | x 1"
    )
    assert said.noise is not None
    assert round(said.noise.apart, 6) == 0.01
    assert not found(said)


def test_each_beginning_is_judged_by_its_own_repeats(tmp_path: Path) -> None:
    first = ["1 |  |  | 10.0 | keep | baseline", "2 |  |  | 10.1 | discard | repeat", "3 |  |  | 5.0 | keep | wider"]
    other = ["4 |  |  | 9000 | keep | baseline", "5 |  |  | 9500 | discard | repeat", "6 |  |  | 8900 | keep | deeper"]
    said = of(tmp_path, *first, *other)
    inside = next(one for one in said.findings if one.code == "within_noise")
    assert inside.sentence.startswith("1 of 2 kept gains of val_bpb is smaller than the one run-to-run difference")
    assert [row.number for row in inside.rows] == [6]
    unknown = of(tmp_path, *first, "4 |  |  | 9000 | keep | baseline", "5 |  |  | 8990 | keep | deeper")
    assert "within_noise" not in found(unknown)
    assert any("no repeat stands beside 1 of them" in one for one in unknown.unchecked)


def test_the_same_idea_in_the_same_words_is_not_the_same_code(tmp_path: Path) -> None:
    begun = "1 |  |  | 1.0 | keep | baseline"
    words = of(
        tmp_path, begun, "2 |  |  | 1.3 | discard | balanced fusion", "3 |  |  | 1.9 | discard | balanced fusion"
    )
    assert words.noise is None
    value = of(tmp_path, begun, "2 |  |  | 1.3 | discard | depth to 10", "3 |  |  | 1.9 | discard | depth to 10")
    assert value.noise is not None
    parents = of(
        tmp_path, begun, "2 |  | aaaa11 | 1.3 | discard | depth 10", "3 |  | bbbb22 | 1.9 | discard | depth 10"
    )
    assert parents.noise is None


def test_a_baseline_run_again_repeats_the_baseline_and_not_the_best(tmp_path: Path) -> None:
    said = of(
        tmp_path,
        "1 |  |  | 1.00 | keep | baseline",
        "2 |  |  | 0.50 | keep | wider",
        "3 |  |  | 1.02 | discard | rerun of the baseline",
    )
    assert said.noise is not None
    assert round(said.noise.apart, 6) == 0.02


def test_what_is_no_commit_is_not_called_lost(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    here = git(tmp_path, "rev-parse", "--short=10", "HEAD").strip()
    rows = [f"1 | {here} |  | 1 | keep | a 1", "2 | - |  | 2 | discard | b 1", "3 | HEAD |  | 3 | discard | c 1"]
    said = asked_of(tmp_path, *rows, f"4 | {here}-dirty |  | 4 | discard | d 1")
    assert "unresolvable" not in found(said)
    lost = asked_of(tmp_path, *rows, "4 | abcdef1 |  | 4 | discard | d 1")
    assert found(lost)["unresolvable"].startswith("1 of 2 commits")


def asked_of(folder: Path, *rows: str) -> Audit:
    (folder / "results.tsv").write_text("\n".join([HEAD, *rows]).replace(" | ", "\t") + "\n")
    known = git(folder, "rev-parse", "HEAD").strip()
    return audit(read("results.tsv", folder), lambda commit: known.startswith(commit))


def test_a_number_whose_row_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    rows = ["exp_001 |  |  | 1 | keep | a 1", "exp_002 | aaaa111", "exp_003 |  |  | shiny | keep | c 1"]
    said = of(tmp_path, *rows, "exp_004 |  |  | 0.9 | keep | d 1")
    assert "gaps" not in found(said)
    assert "gaps" not in found(of(tmp_path, "20260331 |  |  | 1 | keep | a 1", "20260401 |  |  | 0.9 | keep | b 1"))


def test_gains_alone_do_not_prove_themselves(tmp_path: Path) -> None:
    """A log of nothing but keeps, each smaller than its noise: about half of them may be none."""
    rows = [f"{n} |  |  | {1 - 0.001 * n:.4f} | keep | idea {n}" for n in range(2, 9)]
    said = of(tmp_path, "1 |  |  | 0.999 | keep | baseline", "1 |  |  | 1.003 | keep | baseline", *rows)
    assert (said.false_keeps or 0) > 2
    assert "within_noise" in found(said)


def test_a_commit_that_speaks_of_a_score_in_passing_or_of_its_writer_is_no_attempt(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    signed = "\n\nCo-Authored-By: Writer 4.6 <a@b.c>"
    for message in (
        "exp41: no pyramids",
        "exp42: keep wider, loss 3.1 -> 2.9",
        "exp43: discard deeper (loss 3.4 vs 2.9)",
        "tidy up\n\nWhat follows began at loss 18 and ended lower.",
        "exp44\n\nloss: 2.5",
    ):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", message + signed)
    history = read("main", tmp_path)
    assert (history.schema.metric, [row.score for row in history.rows]) == ("loss", [2.9, 3.4, 2.5])
    assert [row.status for row in history.rows] == ["kept", "discarded", "kept"]
    assert found(audit(history))["unreadable"] == "2 of 5 commits tell no loss."


def test_keeps_that_something_else_decided_are_not_called_false(tmp_path: Path) -> None:
    """A rate of wins against each predecessor: every keep beats the one before it, and none adds up."""
    rates = (0.6, 0.55, 0.58, 0.52, 0.57, 0.54)
    rows = [f"{n} |  |  | {rate} | keep | idea {n}" for n, rate in enumerate(rates, 1)]
    said = of(tmp_path, *rows, "7 |  |  | 0.5 | discard | rerun", head=HEAD.replace("val_bpb", "win_rate"))
    assert list(found(said)) == ["not_better"]
    assert "5 of 5 keeps are not better" in found(said)["not_better"]
    assert "something other than win_rate decided them" in found(said)["not_better"]


def test_the_parts_of_a_log_that_measure_different_things_are_not_mixed(tmp_path: Path) -> None:
    parts = [("speed", "higher", (10, 12)), ("bytes", "lower", (900, 800)), ("speed", "higher", (13, 15))]
    lines = []
    for name, way, scores in parts:
        lines.append(json.dumps({"type": "config", "metricName": name, "bestDirection": way}))
        lines += [json.dumps({"run": 1, "metric": one, "status": "keep", "description": f"to {one}"}) for one in scores]
    (tmp_path / "autoresearch.jsonl").write_text("\n".join(lines))
    most = read("autoresearch.jsonl", tmp_path)
    assert (most.schema.metric, most.schema.direction) == ("speed", "maximize")
    assert [row.score for row in most.rows] == [10, 12, 13, 15]
    assert next(one.words() for one in most.unreadable).startswith(
        "line 5: it measures bytes, not speed; --metric bytes"
    )
    assert not audit(most).findings
    other = read("autoresearch.jsonl", tmp_path, Wishes(metric="bytes"))
    assert (other.schema.direction, [row.score for row in other.rows]) == ("minimize", [900, 800])


def test_a_shallow_clone_is_no_proof_that_commits_are_lost(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "-q", "-b", "main")
    for message in ("first", "second"):
        git(whole, "commit", "-q", "--allow-empty", "-m", message)
    first = git(whole, "rev-parse", "--short=10", "HEAD~1").strip()
    git(tmp_path, "clone", "-q", "--depth", "1", whole.as_uri(), "part")
    (tmp_path / "results.tsv").write_text(f"commit\tval_bpb\tstatus\n{first}\t1.0\tkeep\n")
    done = CliRunner().invoke(cli, ["-C", str(tmp_path), "audit", "results.tsv", "--repo", str(tmp_path / "part")])
    assert done.exit_code == 1
    assert "fetch --unshallow" in done.output
    done = CliRunner().invoke(cli, ["-C", str(tmp_path), "audit", "results.tsv", "--repo", str(whole)])
    assert "unresolvable" not in done.output


def test_what_is_measured_on_another_subject_is_compared_with_its_own_kind(tmp_path: Path) -> None:
    rows = []
    for subject, (plain, wide) in enumerate([(0.5, 0.6), (0.1, 0.2), (0.3, 0.4)]):
        for word, score, words in (("keep", plain, "baseline"), ("keep", wide, "wider"), ("discard", 0.0, "narrower")):
            rows.append(f"{len(rows)} | s{subject} | {score} | {word} | {words}")
    said = of(tmp_path, *rows, head="run\tsubject\taccuracy\tstatus\tdescription")
    assert not said.findings
    assert (said.keeps, round(said.claimed or 0, 6)) == (3, 0.3)
    tasks = [f"{n} | task {n} | {n / 10} | keep | idea {n}" for n in range(1, 7)]  # what was tried, and no subject
    assert of(tmp_path, *tasks, head="run\ttask\taccuracy\tstatus\tdescription").keeps == 5


def test_a_keep_that_only_confirms_claims_no_gain(tmp_path: Path) -> None:
    said = of(
        tmp_path,
        "1 |  |  | 1 | keep | baseline",
        "2 |  |  | 0.5 | keep | wider",
        "3 |  |  | 0.6 | keep | confirmation run",
    )
    assert (said.keeps, said.claimed) == (1, 0.5)
    assert "not_better" not in found(said)
