"""The hook that both clients share: an event on stdin, an answer or nothing on stdout."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
import yaml

from mcp_server.arena.frontmatter import split
from mcp_server.ledger import Ledger
from mcp_server.nouns.rows import Campaign
from tests.labs import begun, make_lab

HOOK = Path(__file__).parent.parent / "hooks" / "guard.py"
PROGRAM = """---
goal: the smallest number
metric: {name: loss, direction: minimize}
editable: [train.py, "src/", 'lib/**/*.py']   # the agent's
frozen: [prepare.py]
run: python train.py
score: python score.py
---
memo
"""


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def variables(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH")}
    return kept | {"AUTORESEARCH_DEBUG": "1", "AUTORESEARCH_CHART": "off"} | more


def hook(event: Mapping[str, object], **environment: str) -> dict[str, object] | None:
    """What the hook answers; None when it says nothing. It is run in this process: there are many questions."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ, variables(**environment), clear=True):
        patch.setattr(sys, "path", [str(HOOK.parent), *sys.path])
        patch.setattr(sys, "stdin", io.StringIO(json.dumps(event)))
        patch.setattr(tempfile, "tempdir", None)  # it follows the environment
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            runpy.run_path(str(HOOK), run_name="__main__")
    assert complained.getvalue() == ""
    return json.loads(said.getvalue()) if said.getvalue() else None


def hook_apart(event: Mapping[str, object], **environment: str) -> dict[str, object] | None:
    """The same, as clients ask."""
    command, env = [sys.executable, str(HOOK)], variables(**environment)
    done = subprocess.run(command, input=json.dumps(event), env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return json.loads(done.stdout) if done.stdout else None


def refusal(lab: Path, tool: str, arguments: Mapping[str, object], **environment: str) -> str:
    """The reason with which a tool call is denied; "" when it is let through."""
    event = {"hook_event_name": "PreToolUse", "cwd": str(lab), "tool_name": tool, "tool_input": arguments}
    answer = hook(event, **environment)
    if answer is None:
        return ""
    said = answer["hookSpecificOutput"]
    assert isinstance(said, dict)
    return str(said["permissionDecisionReason"]) if said["permissionDecision"] == "deny" else ""


def allowed(folder: Path, tool: str, arguments: Mapping[str, object], mode: str = "default", **more: str) -> bool:
    """Whether a tool call is let through without a question."""
    event = {
        "hook_event_name": "PreToolUse", "cwd": str(folder), "permission_mode": mode, "tool_name": tool,
        "tool_input": arguments,
    }  # fmt: skip
    answer = hook(event, **more)
    said = answer["hookSpecificOutput"] if answer else {}
    assert isinstance(said, dict)
    return said.get("permissionDecision") == "allow"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a program.md in which no campaign was ever begun."""
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "program.md").write_text(PROGRAM)
    for name in ("train.py", "prepare.py"):
        (lab / name).write_text("x = 1\n")
    git(lab, "init")
    git(lab, "add", ".")
    git(lab, "commit", "-m", "begin")
    return lab


@pytest.fixture
def lab(repository: Path) -> Path:
    """The same with a campaign that this work tree joined, its branch not checked out."""
    ledger = Ledger(repository / ".git" / "autoresearch" / "lab.db")
    ledger.note_program("digest", PROGRAM, "2026-01-01")
    campaign = Campaign("first", "0" * 40, "2026-01-01", 1, 0, None, None, "s", "digest", False)
    ledger.intend_campaign(campaign, str(repository))
    ledger.close()
    return repository


def test_an_edit_of_an_editable_file_is_let_through(lab: Path) -> None:
    for path in ("train.py", "src/model.py", "lib/deep/er/x.py", str(lab / "train.py")):
        assert refusal(lab, "Edit", {"file_path": path, "old_string": "a", "new_string": "b"}) == ""


@pytest.mark.parametrize("tool", ["Edit", "Write", "MultiEdit"])
@pytest.mark.parametrize("path", ["prepare.py", "program.md", "score.py", "lib/readme.txt", "./src/../prepare.py"])
def test_an_edit_outside_editable_is_refused_with_the_reason(lab: Path, tool: str, path: str) -> None:
    reason = refusal(lab, tool, {"file_path": path})
    assert Path(path).name in reason
    assert "train.py" in reason
    assert "AUTORESEARCH_GUARD=off" in reason


def test_a_notebook_outside_editable_is_refused(lab: Path) -> None:
    assert "notes.ipynb" in refusal(lab, "NotebookEdit", {"notebook_path": str(lab / "notes.ipynb")})


@pytest.mark.parametrize(
    "command",
    [
        "echo x > prepare.py",
        "cat train.py >> score.py",
        "cd src && echo x > ../prepare.py",
        "FOO=1 sed -i 's/a/b/' prepare.py",
        "perl -pi -e 's/a/b/' prepare.py",
        "echo x | tee -a prepare.py",
        "cp train.py prepare.py",
        "mv prepare.py train.py",
        "rm -f prepare.py",
        "python train.py 2>&1 > prepare.py",
        "true; : >| prepare.py",
        "cat > prepare.py <<'EOF'\nx = 2\nEOF",
        "ls\necho x > prepare.py",
        "sed -i -e 's/a/b/' -e 's/c/d/' prepare.py",
        "sed -i 's/a/b/' -E prepare.py",
        "perl -i -pe 's/a/b/' prepare.py",
        "cat > train.py <<'END-OF-IT'\nx = 2\nEND-OF-IT\nrm prepare.py",
        "apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: prepare.py\n@@\n-x = 1\n+x = 2\n*** End Patch\nEOF",
    ],
)
def test_a_shell_command_that_writes_outside_editable_is_refused(lab: Path, command: str) -> None:
    assert "editable" in refusal(lab, "Bash", {"command": command})


@pytest.mark.parametrize(
    "command",
    [
        "cat > train.py <<'EOF'\nif x > prepare.py:\n    y = a >> 2\nEOF",
        "python -c 'print(1 > 2)' > /tmp/out.txt",
        "git diff > /dev/null 2>&1",
        "sed -i 's/a/b/' train.py",
        "sed -i -e 's/a/b/' -e 's/c/d/' train.py",
        "sed -E -i 's/a/b/' train.py",
        "cat > train.py <<'END-OF-IT'\nif x > prepare.py:\n    y = a >> 2\nEND-OF-IT",
        "cat > train.py <<A - <<'B'\nrm prepare.py\nA\nrm prepare.py\n  B\nls",
        "cat > train.py <<EOF\nEOF",
        "grep x <<< 'rm'\nls\nrm\n",
        "cat > train.py <<\\EOF\nif x > prepare.py:\n    pass\nEOF",
        'log=$(mktemp); python train.py > "$log" 2>&1; rm -f "$log"',
        'cp -r . "$TMPDIR/copy" && cd "$TMPDIR/copy" && rm -f prepare.py',
        "rm -f `cat stale`",
        "cd src && ls > ~/listing.txt",
        "sed -n 1,5p prepare.py",
        "grep -rn '> x' prepare.py",
        "cp prepare.py /tmp/copy.py",
        "echo 'unbalanced",
        "",
    ],
)
def test_other_shell_commands_are_let_through(lab: Path, command: str) -> None:
    assert refusal(lab, "Bash", {"command": command}) == ""


def test_a_long_program_in_a_command_line_takes_no_time(lab: Path) -> None:
    lines = "\n".join('  std::cout << "value" << name << std::endl;' for _ in range(1500))
    began = time.process_time()
    assert refusal(lab, "Bash", {"command": f"g++ -x c++ - -o /tmp/a <<< '{lines}'"}) == ""
    assert time.process_time() - began < 1.5  # it was the square of the length: some seconds here


def test_a_patch_in_codex_form_is_read_file_by_file(lab: Path) -> None:
    patch = "*** Begin Patch\n*** Update File: train.py\n@@\n-a\n+b\n*** Add File: {}\n+x\n*** End Patch\n"
    assert refusal(lab, "apply_patch", {"command": patch.format("src/new.py")}) == ""
    assert "evil.py" in refusal(lab, "apply_patch", {"command": patch.format("evil.py")})


def test_nothing_is_said_before_a_campaign_begins(repository: Path) -> None:
    assert refusal(repository, "Edit", {"file_path": "prepare.py"}) == ""
    assert hook({"hook_event_name": "SessionStart", "cwd": str(repository), "source": "startup"}) is None


def test_nothing_is_said_outside_every_lab(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert refusal(tmp_path, "Edit", {"file_path": "prepare.py"}) == ""
    assert hook({"hook_event_name": "SessionStart", "cwd": str(tmp_path)}) is None
    assert hook({"hook_event_name": "Stop", "cwd": str(tmp_path)}, AUTORESEARCH_LOOP="3") is None


def test_words_of_a_paper_and_a_review_are_let_through_unless_they_are_frozen(lab: Path) -> None:
    for path in ("paper/words.md", "paper-12/words.md", "review.md", "review-b.md", "review_score.py"):
        assert refusal(lab, "Write", {"file_path": path, "content": "words"}) == ""
    for path in ("paper/score.py", "paper/../prepare.py", "words.md", "sub/review.md", "paper/sub/x.md"):
        assert "outside this lab's editable files" in refusal(lab, "Write", {"file_path": path, "content": "words"})
    (lab / "program.md").write_text(PROGRAM.replace("frozen: [prepare.py]", "frozen: [prepare.py, paper/]"))
    assert refusal(lab, "Write", {"file_path": "paper/words.md", "content": "words"})


def test_files_outside_the_lab_stay_free(lab: Path, tmp_path: Path) -> None:
    assert refusal(lab, "Write", {"file_path": str(tmp_path / "note.md")}) == ""


def test_a_person_can_switch_the_refusals_off(lab: Path) -> None:
    assert refusal(lab, "Edit", {"file_path": "prepare.py"}, AUTORESEARCH_GUARD="off") == ""


def test_a_lab_at_rest_on_another_branch_refuses_nothing(lab: Path) -> None:
    long_ago = 1_000_000_000
    for file in (lab / ".git" / "autoresearch").glob("lab.db*"):
        os.utime(file, (long_ago, long_ago))
    assert refusal(lab, "Edit", {"file_path": "prepare.py"}) == ""
    git(lab, "checkout", "-b", "autoresearch/first")
    assert "prepare.py" in refusal(lab, "Edit", {"file_path": "prepare.py"})


def test_a_linked_work_tree_knows_its_campaign(lab: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(lab, "worktree", "add", "-b", "autoresearch/second", str(other))
    assert "prepare.py" in refusal(other, "Edit", {"file_path": "prepare.py"})


def test_an_editable_block_list_is_read_too(lab: Path) -> None:
    block = PROGRAM.replace(
        """editable: [train.py, "src/", 'lib/**/*.py']   # the agent's""",
        "editable:   # the agent's\n  - train.py\n  - 'data/*.txt' # data",
    )
    (lab / "program.md").write_text(block)
    assert refusal(lab, "Edit", {"file_path": "train.py"}) == ""
    assert refusal(lab, "Edit", {"file_path": "data/a.txt"}) == ""
    assert "data/deep/a.txt" in refusal(lab, "Edit", {"file_path": "data/deep/a.txt"})


@pytest.mark.parametrize(
    "written",
    [
        "editable:\n  - train.py\n  # the data\n\n  - src/*/  # all\n"
        "frozen:\n  - prepare.py\n  # and\n  - src/a/score.py\n",
        "editable: [\n  train.py,  # the model\n  # the data\n  src/*/,\n]\n"
        "frozen: [prepare.py,  # and\n  src/a/score.py]\n",
    ],
    ids=["block", "inline"],
)
def test_a_comment_between_the_items_of_a_list_hides_none(lab: Path, written: str) -> None:
    text = f"\ufeff---\ngoal: x\n{written}---\nmemo\n"
    assert load(text) == ("train.py", "src/*/")
    (lab / "program.md").write_text(text)
    ledger = Ledger(lab / ".git" / "autoresearch" / "lab.db")
    ledger.note_program("commented", text, "2026-01-02")
    ledger.set_program("first", "commented")
    ledger.close()
    for path in ("train.py", "src/a/model.py"):
        assert refusal(lab, "Edit", {"file_path": path}) == ""
        assert allowed(lab, "Edit", {"file_path": path})
    assert not allowed(lab, "Edit", {"file_path": "src/a/score.py"})
    assert "prepare.py" in refusal(lab, "Edit", {"file_path": "prepare.py"})


def load(text: str) -> tuple[str, ...]:
    """The editable files as the server reads them."""
    return tuple(yaml.safe_load(split(text).yaml)["editable"])


@pytest.mark.parametrize("item", ["'a,b.py'", "'a #1.py'", ">-\n    train.py", "[ab].py"])
def test_a_list_in_an_unusual_hand_refuses_nothing_and_opens_nothing(lab: Path, item: str) -> None:
    form = f"[{item}]" if item.startswith("'a,") else f"\n- train.py\n- {item}"
    (lab / "program.md").write_text(f"---\neditable: {form}\n---\n")
    assert refusal(lab, "Edit", {"file_path": "prepare.py"}) == ""
    assert not allowed(lab, "Edit", {"file_path": "train.py"})


def test_what_cannot_be_understood_is_let_through(lab: Path) -> None:
    (lab / "program.md").write_text("no front matter")
    assert refusal(lab, "Edit", {"file_path": "prepare.py"}) == ""
    for event in ({}, {"hook_event_name": "PreToolUse"}, {"hook_event_name": "PreToolUse", "tool_input": [1]}):
        assert hook(event) is None


def test_after_a_compaction_an_agent_is_told_where_the_research_stands(tmp_path: Path) -> None:
    real = make_lab(tmp_path / "real")
    begun(real, "compacted")
    real.close()
    event = {"hook_event_name": "SessionStart", "source": "compact", "cwd": str(tmp_path / "real")}
    answer = hook_apart(event, AUTORESEARCH_PYTHON=sys.executable, AUTORESEARCH_LOCKS=str(tmp_path / "locks"))
    assert answer is not None
    said = answer["hookSpecificOutput"]
    assert isinstance(said, dict)
    assert said["hookEventName"] == "SessionStart"
    told = str(said["additionalContext"])
    assert "compacted" in told
    assert "next: Propose the next experiment: recall, edit, run_experiment." in told  # tools, not commands
    short = told.partition("\n\n")[0]
    assert len(short.encode()) <= 600
    for word in ("lab_status", "run_experiment", "commit_or_revert", "learned", "ScheduleWakeup 60 s", "stop"):
        assert word in short
    again = hook(event | {"source": "startup"}, AUTORESEARCH_PYTHON=sys.executable)
    assert again is not None
    assert "in short" not in str(again)


def test_the_stop_hook_is_off_unless_asked_for_and_then_bounded(lab: Path, tmp_path: Path) -> None:
    event = {"hook_event_name": "Stop", "cwd": str(lab), "session_id": str(tmp_path)}
    assert hook(event, TMPDIR=str(tmp_path)) is None
    turns = [hook(event, AUTORESEARCH_LOOP="2", TMPDIR=str(tmp_path)) for _ in range(3)]
    assert [turn is not None and turn["decision"] for turn in turns] == ["block", "block", False]


def test_the_stop_hook_ends_before_claude_code_would_override_it(lab: Path, tmp_path: Path) -> None:
    event = {"hook_event_name": "Stop", "cwd": str(lab), "session_id": str(tmp_path)}
    claude = {"AUTORESEARCH_LOOP": "20", "TMPDIR": str(tmp_path), "CLAUDE_PROJECT_DIR": str(lab)}
    claude["AUTORESEARCH_PYTHON"] = "/bin/false"  # turns are counted here, and no lab is asked at each of them
    for more, allowed_turns in (({}, 8), ({"CLAUDE_CODE_STOP_HOOK_BLOCK_CAP": "3"}, 3)):
        asked = [hook(event, **claude, **more) is not None for _ in range(allowed_turns + 1)]
        assert asked == [True] * allowed_turns + [False]


TOOLS = {str(tool["name"]) for tool in json.loads((HOOK.parent.parent / "scripts" / "tools.json").read_text())["tools"]}
OURS = "mcp__plugin_autoresearch_autoresearch__"


def test_the_plugins_own_skills_need_no_permission(lab: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    for skill in ("autoresearch", "autoresearch:autoresearch", "autoresearch:arena", "autoresearch:status"):
        assert allowed(lab, "Skill", {"skill": skill}, **home)


def test_the_plugins_own_tools_need_no_permission_and_no_others_are_named() -> None:
    hooks = json.loads((HOOK.parent / "hooks.json").read_text())["hooks"]["PreToolUse"]
    (entry,) = [one for one in hooks if "allow_tools" in one["hooks"][0]["command"]]
    prefix, _, names = entry["matcher"].partition("(")
    assert prefix == OURS
    assert set(names.rstrip(")").split("|")) == TOOLS


@pytest.mark.parametrize(
    ("mode", "allow", "said"),
    [("default", "", "allow"), ("plan", "", ""), ("default", "off", ""), ("auto", "", "allow")],
)
def test_tools_are_allowed_except_while_planning_or_when_a_person_says_no(mode: str, allow: str, said: str) -> None:
    event = {"hook_event_name": "PreToolUse", "permission_mode": mode, "tool_name": OURS + "lab_status"}
    for text in (json.dumps(event), json.dumps(event, separators=(",", ":"))):
        done = subprocess.run(
            ["sh", str(HOOK.parent / "allow_tools.sh")],
            input=text, env={"PATH": os.environ["PATH"], "AUTORESEARCH_ALLOW": allow}, capture_output=True, text=True,
        )  # fmt: skip
        found = json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] if done.stdout else ""
        assert (done.returncode, found) == (0, said)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("mcp__autoresearch__lab_status", {}),  # a repository may bring a server of that name
        ("mcp__plugin_other_autoresearch__lab_status", {}),
        ("Skill", {"skill": "deploy"}),
        ("Skill", {"skill": "other:autoresearch"}),
        ("Skill", {"skill": "autoresearch:../../../etc"}),
        ("Skill", {}),
        ("Bash", {"command": "echo x > train.py"}),
        ("Bash", {"command": "autoresearch status"}),
        ("WebFetch", {"url": "https://example.org"}),
        ("NotebookEdit", {"notebook_path": "train.py"}),
    ],
)
def test_nothing_else_is_allowed_unasked(lab: Path, tool: str, arguments: Mapping[str, object]) -> None:
    assert not allowed(lab, tool, arguments)


@pytest.mark.parametrize(
    "rival",
    [".claude/skills/arena/SKILL.md", ".claude/commands/arena.md"],
)
def test_a_skill_of_the_same_name_in_the_repository_is_not_taken_for_ours(lab: Path, rival: str) -> None:
    (lab / rival).parent.mkdir(parents=True)
    (lab / rival).write_text("not ours")
    assert not allowed(lab, "Skill", {"skill": "arena"})
    assert allowed(lab, "Skill", {"skill": "autoresearch:arena"})


@pytest.mark.parametrize(
    "rival", ["autoresearch/.claude/skills/arena/SKILL.md", ".claude/commands/autoresearch/arena.md"]
)
def test_a_skill_that_borrows_our_prefix_is_not_taken_for_ours(lab: Path, rival: str) -> None:
    (lab / rival).parent.mkdir(parents=True)
    (lab / rival).write_text("not ours")
    assert not allowed(lab, "Skill", {"skill": "autoresearch:arena"})


@pytest.mark.parametrize("tool", ["Edit", "Write", "MultiEdit"])
def test_editable_files_of_a_running_campaign_are_edited_unasked(lab: Path, tool: str) -> None:
    (lab / "src").mkdir()
    for path in ("train.py", "src/new.py", "lib/deep/er/x.py", str(lab / "train.py"), "./src/../train.py"):
        assert allowed(lab, tool, {"file_path": path}), path
    assert allowed(lab / "src", tool, {"file_path": "../train.py"})


def test_no_edit_is_allowed_where_no_campaign_runs(repository: Path, tmp_path: Path) -> None:
    assert not allowed(repository, "Edit", {"file_path": "train.py"})
    git(tmp_path, "init")
    assert not allowed(tmp_path, "Edit", {"file_path": "train.py"})


@pytest.mark.parametrize(
    "path",
    [
        "prepare.py",
        "program.md",
        "score.py",
        "notes/x.py",
        "../elsewhere.py",
        ".git/hooks/pre-commit",
        "src/.envrc",
        "",
    ],
)
def test_what_the_contract_does_not_name_is_never_allowed(lab: Path, path: str) -> None:
    assert not allowed(lab, "Edit", {"file_path": path})


def test_a_contract_that_names_everything_still_opens_no_settings_and_no_frozen_file(lab: Path) -> None:
    greedy = PROGRAM.replace("""[train.py, "src/", 'lib/**/*.py']""", '["**"]')
    (lab / "program.md").write_text(greedy)
    ledger = Ledger(lab / ".git" / "autoresearch" / "lab.db")
    ledger.note_program("greedy", greedy, "2026-01-02")
    ledger.set_program("first", "greedy")
    ledger.close()
    assert allowed(lab, "Write", {"file_path": "anything.py"})
    for path in (
        ".claude/settings.json",
        ".mcp.json",
        ".git/config",
        "CLAUDE.md",
        "a/AGENTS.md",
        "program.md",
        "prepare.py",
    ):
        assert not allowed(lab, "Write", {"file_path": path}), path


def test_only_the_contract_in_force_counts(lab: Path) -> None:
    widened = PROGRAM.replace("editable: [", "editable: [score.py, ")
    (lab / "program.md").write_text(widened)
    assert not allowed(lab, "Edit", {"file_path": "score.py"})  # the server has not accepted that edit yet
    (lab / "program.md").write_text(PROGRAM.replace("train.py, ", ""))
    assert not allowed(lab, "Edit", {"file_path": "train.py"})  # and what a person took out is not open any more


def test_a_link_opens_no_other_file(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("x = 1\n")
    (lab / "src").mkdir()
    (lab / "src" / "out.py").symlink_to(tmp_path / "outside.py")
    (lab / "src" / "inside.py").symlink_to(lab / "prepare.py")
    (lab / "src" / "sideways.py").symlink_to(lab / "train.py")
    (lab / "src" / "hard.py").hardlink_to(lab / "prepare.py")
    (lab / "src" / "folder").symlink_to(tmp_path)
    for name in ("out.py", "inside.py", "sideways.py", "hard.py", "folder/new.py"):
        assert not allowed(lab, "Edit", {"file_path": f"src/{name}"}), name


def test_another_lab_is_not_opened_by_this_sessions_own(lab: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    git(stranger, "init")
    (stranger / "program.md").write_text(PROGRAM)
    (stranger / ".git" / "autoresearch").mkdir()
    ledger = Ledger(stranger / ".git" / "autoresearch" / "lab.db")
    ledger.note_program("digest", PROGRAM, "2026-01-01")
    campaign = Campaign("first", "0" * 40, "2026-01-01", 1, 0, None, None, "s", "digest", False)
    ledger.intend_campaign(campaign, str(stranger))
    ledger.close()
    assert allowed(stranger, "Edit", {"file_path": "train.py"})
    assert not allowed(lab, "Edit", {"file_path": str(stranger / "train.py")})
    assert not allowed(stranger, "Edit", {"file_path": "train.py"}, CLAUDE_PROJECT_DIR=str(lab))


def test_permissions_can_be_switched_off_and_do_not_end_planning(lab: Path) -> None:
    edit = {"file_path": "train.py"}
    assert not allowed(lab, "Edit", edit, AUTORESEARCH_ALLOW="off")
    assert not allowed(lab, "Edit", edit, mode="plan")


@pytest.mark.parametrize("list_of_it", ["editable: train.py", "editable: [train.py]\nfrozen: prepare.py"])
def test_a_contract_in_an_unusual_hand_opens_nothing(lab: Path, list_of_it: str) -> None:
    (lab / "program.md").write_text(f"---\n{list_of_it}\n---\n")
    assert not allowed(lab, "Edit", {"file_path": "train.py"})
