"""finalize: the campaign as commits to review, where it began or on the present tip of a branch."""

from __future__ import annotations

import importlib
import shlex
import shutil
import subprocess
from pathlib import Path

import click
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply

GH = "gh"
REMOTE = "origin"
SLOW_SECONDS = 120.0  # of a push, or of the host's answer


class PullReply(Reply):
    """A branch on the present main, measured there, with its text and pictures."""

    branch: str
    commit: str
    onto: str
    onto_commit: str
    gain: float
    interval: list[float]
    before: list[float]
    after: list[float]
    files: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    url: str = ""
    next: str = ""


@click.command()
@click.option("--squash", "way", flag_value="squash", default="squash", help="One commit in all.  [default]")
@click.option("--branches", "way", flag_value="branches", help="A branch for each kept change.")
@click.option("--onto", metavar="BRANCH", help="One commit on the present tip of BRANCH, measured there again.")
@click.option("--pairs", type=click.IntRange(2, 100), default=5, show_default=True, help="With --onto: so many pairs.")
@click.option("--out", type=asking.Here(file_okay=False), help="With --onto: text and pictures go here.")
@click.option("--pr", is_flag=True, help="With --onto: push the branch and open the pull request with gh.")
@asking.replying
def finalize(place: Place, way: str, onto: str | None, pairs: int, out: Path | None, pr: bool, as_json: bool) -> None:
    """Turn the campaign into commits to review, on top of where it began, each with its evidence in the message.

    Makes new branches below autoresearch-final/ and touches nothing else. With --branches each change stands alone on
    the starting point where it can; one that needs earlier changes has them below it, and says so.

    With --onto the kept stack is merged onto what BRANCH is today, and both are run there again as interleaved pairs on
    shared seeds. A gain that these pairs do not show has gone stale: that is refused, with the numbers. The text of a
    pull request and its pictures are written to a folder; --pr opens it.

    \b
    Examples:
      autoresearch finalize               branch autoresearch-final/<tag>/all, one commit
      autoresearch finalize --branches    autoresearch-final/<tag>/<experiment>, one for each kept change
      autoresearch finalize --onto main --pr
    """
    if onto is not None:
        if way == "branches":
            raise click.UsageError("--branches and --onto contradict each other: give one of them.")
        _onto(place, onto, pairs, out, pr, as_json)
        return
    asking.refuse("heeded with --onto BRANCH alone, the branch that the pull request is for.", "pr", "pairs", "out")
    reply = importlib.import_module("mcp_server.views.finalize").finalize(asking.lab_at(place), way == "branches")
    rows = [
        (one.branch, f"{one.commit[:12]}  {one.title}" + (f"  (needs {one.builds_on})" if one.builds_on else ""))
        for one in reply.branches
    ]
    asking.answer(reply, as_json, terminal.facts(rows), asking.hint(reply.next))


def branch_of(onto: str) -> str:
    """The branch on the host that `onto` names, as gh wants it."""
    return onto.removeprefix("refs/heads/").removeprefix(f"refs/remotes/{REMOTE}/").removeprefix(f"{REMOTE}/")


def _onto(place: Place, onto: str, pairs: int, out: Path | None, pr: bool, as_json: bool) -> None:
    if pr and shutil.which(GH) is None:  # before anything is measured
        raise NotNow("gh is not on the PATH, so no pull request can be opened. Without --pr its text is written.")
    # by name: proving and drawing take a moment to import, which plain `finalize` need not pay
    making = importlib.import_module("mcp_server.pulls.onto")
    site = importlib.import_module("mcp_server.commands.pulls.site")
    lab = asking.lab_at(place)
    pulled = making.pull(lab, onto, pairs, lambda words: click.echo(words, err=True))
    pictures = site.pictures(lab)
    words, views = site.report_text(lab, "progress.png" in pictures)
    text = making.body(pulled, words, bool(pictures))
    files, notes = asking.left(place, lab, out, "pull-request", {"body.md": text.encode(), **pictures, **views})
    found = pulled.measured
    reply = PullReply(
        branch=pulled.branch,
        commit=pulled.commit,
        onto=onto,
        onto_commit=pulled.onto_commit,
        gain=found.gain,
        interval=[found.low, found.high],
        before=list(found.before),
        after=list(found.after),
        files=files,
        notes=notes,
    )
    title = pulled.message.partition("\n")[0]
    if pr:
        reply.url = _opened(lab.paths.tree, pulled.branch, onto, title, Path(files[0]))
        reply.next = "Pictures are not part of the text on the host: drag them in, or publish `report --site`."
    else:
        base, head = branch_of(onto), pulled.branch
        create = [GH, "pr", "create", "--base", base, "--head", head, "--title", title, "--body-file", files[0]]
        reply.next = f"{shlex.join(['git', 'push', REMOTE, head])} && {shlex.join(create)}"
    rows = [("branch", f"{reply.branch}  {reply.commit[:12]}"), ("measured", found.words())]
    rows += [("written", path) for path in reply.files] + ([("pull request", reply.url)] if reply.url else [])
    asking.answer(reply, as_json, terminal.facts(rows), asking.problems(notes), asking.hint(reply.next))


def _opened(tree: Path, branch: str, onto: str, title: str, text: Path) -> str:
    """Push and open; the address that gh printed. Raises NotNow with the words of the one that failed."""
    base, said = branch_of(onto), ""
    for command in (
        ["git", "push", "--quiet", REMOTE, f"refs/heads/{branch}:refs/heads/{branch}"],
        [GH, "pr", "create", "--base", base, "--head", branch, "--title", title, "--body-file", str(text)],
    ):
        try:
            done = subprocess.run(
                command, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SLOW_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotNow(f"{command[0]} failed ({error}). The branch and {text} are there; open it by hand.") from None
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise NotNow(f"`{' '.join(command[:3])}` failed: {last}. The branch and {text} are there; try by hand.")
        said = done.stdout.strip()
    return said.splitlines()[-1] if said else ""
