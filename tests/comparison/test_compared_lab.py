"""Two campaigns of a real lab, compared at the terminal and on the live page; who proposed is on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from mcp_server.cli import cli
from mcp_server.dashboard.app import cookie_name, dashboard_app
from mcp_server.dashboard.lab import Feeds
from mcp_server.ledger import Ledger
from mcp_server.nouns.rows import Proposer
from tests.labs import begin, begun, edit, finish, git, make_lab


def test_campaigns_are_compared_at_the_terminal_and_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "lab"
    lab = make_lab(tree)
    for tag, value in (("high", 2.0), ("low", 1.5)):
        git(tree, "checkout", "-q", "main")
        begin(lab, tag)
        edit(lab, KNOB=value)
        number = lab.run_experiment(f"KNOB to {value}", proposer=Proposer.of("made-up", "1.2", tag)).experiment
        finish(lab, number)
        lab.commit_or_revert(number)
    done = CliRunner().invoke(
        cli, ["-C", str(tree), "compare", "agent:made-up?high", "low", "--svg", "c.svg", "--json"]
    )
    assert done.exit_code == 0, done.output
    reply = json.loads(done.output)
    assert [(arm["arm"], arm["gain"]) for arm in reply["arms"]] == [("agent:made-up?high", 3.0), ("low", 1.75)]
    assert reply["arms"][0]["agents"] == ["made-up high"]
    assert "nobody can say" in reply["differences"][0]["verdict"]
    assert (tree / "c.svg").read_text().count("<polyline") == 2
    shown = json.loads(CliRunner().invoke(cli, ["-C", str(tree), "show", "2", "--json"]).output)
    assert shown["proposed_by"] == "made-up 1.2, low"
    other = make_lab(tmp_path / "other", more="keep: {confirm: never}\n")
    (tmp_path / "other" / "score.py").write_text((tree / "score.py").read_text() + "# another measure\n")
    git(tmp_path / "other", "commit", "-qam", "another measure")
    begin(other, "far")
    words = ["-C", str(tree), "compare", "high", "far", "--lab", str(tmp_path / "other")]
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 1
    assert "do not measure the same" in refused.output
    feeds = Feeds(tree)
    with TestClient(dashboard_app(feeds, "token", 80), base_url="http://127.0.0.1") as client:
        assert client.get("/compare").status_code == 401
        client.cookies.set(cookie_name(80), "token")
        page = client.get("/compare?arm=a=high&arm=b=low")
        assert page.status_code == 200
        assert "nobody can say" in page.text
        assert client.get("/compare.svg?arm=a=high&arm=b=low").text.startswith("<svg")
        assert "No campaign fits" in client.get("/compare?arm=<b>x").text
        assert "<b>x" not in client.get("/compare?arm=<b>x").text
    feeds.close()


def test_a_ledger_of_before_knows_no_proposer_and_goes_on(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    lab.close()
    path = tmp_path / "lab" / ".git" / "autoresearch" / "lab.db"
    ledger = Ledger(path)
    ledger._db.execute("UPDATE experiments SET proposer = 'no JSON'")
    assert ledger.experiment("first", 1).proposer == Proposer()
    assert Proposer().agent == "unknown"
    ledger.close()
