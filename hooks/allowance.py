"""What an unattended session of Claude Code may do unasked: our skills and the editable files of its own lab.

(Our tools, too: `allow_tools.sh` answers for them.)

Nothing else is ever allowed here; what is not allowed is asked, as without the plugin, and what a person denies stays
denied: Claude Code puts a deny rule above a hook. Only the contract in force counts, and only while a campaign runs.
So that a contract cannot ask for too much, these are never allowed: files outside the session's own repository, frozen
ones, hidden ones (.git, .claude, .mcp.json), those that instruct agents, and a file that a link makes another one's.
AUTORESEARCH_ALLOW=off switches all of it off. Standard library only, Python 3.8 on.
"""

from __future__ import annotations

import os
from pathlib import Path

from contract import campaign_of, git_folders, is_meant, lab_of, listed, program_in_force

PLUGIN = "autoresearch"
EDITORS = ("Edit", "Write", "MultiEdit")
INSTRUCTIONS = ("program.md", "CLAUDE.md", "AGENTS.md", "GEMINI.md")


def allowance(event):
    """A permission for this tool call, or None."""
    if os.environ.get("AUTORESEARCH_ALLOW", "").lower() in ("off", "0", "no") or event.get("permission_mode") == "plan":
        return None
    tool, arguments = event.get("tool_name", ""), event.get("tool_input")
    arguments = arguments if isinstance(arguments, dict) else {}
    project = Path(os.path.realpath(os.environ.get("CLAUDE_PROJECT_DIR") or event.get("cwd") or os.getcwd()))
    if tool == "Skill" and is_ours(str(arguments.get("skill", "")), project):
        reason = "a skill of the autoresearch plugin"
    elif tool in EDITORS and may_edit(event, str(arguments.get("file_path", "")), project):
        reason = "an editable file of the campaign that runs here"
    else:
        return None
    answer = {"hookEventName": "PreToolUse", "permissionDecision": "allow", "permissionDecisionReason": reason}
    return {"hookSpecificOutput": answer}


def is_ours(skill, project):
    """Whether a skill or command is this plugin's, and none of the same name in the repository or home may be meant."""
    prefix, _, name = skill.rpartition(":")
    root = Path(__file__).resolve().parent.parent
    if prefix not in ("", PLUGIN) or not name.replace("-", "").isalnum():
        return False
    if not ((root / "skills" / name / "SKILL.md").is_file() or (root / "commands" / f"{name}.md").is_file()):
        return False
    personal = os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude"
    places = [Path(personal), *(folder / ".claude" for folder in (project, *project.parents))]
    if prefix:  # what lies in a folder of this name carries the same prefix
        rivals = [place / "commands" / PLUGIN / f"{name}.md" for place in places]
        places = [project / PLUGIN / ".claude"]
    else:
        rivals = []
    rivals += [place / part for place in places for part in (f"skills/{name}", f"commands/{name}.md")]
    return not any(rival.exists() for rival in rivals)


def may_edit(event, written, project):
    """Whether a path is an editable file of the lab the session was started in, by the contract in force."""
    if not written:
        return False
    named = Path(os.path.abspath(Path(event.get("cwd") or os.getcwd()) / os.path.expanduser(written)))
    path = Path(os.path.realpath(named))
    lab, home = lab_of(path.parent), lab_of(project)
    if lab is None or home is None or git_folders(lab)[1] != git_folders(home)[1]:
        return False
    if path != Path(os.path.realpath(named.parent)) / named.name or (path.exists() and path.stat().st_nlink > 1):
        return False
    inside = path.relative_to(lab)
    if any(part.startswith(".") for part in inside.parts) or inside.name in INSTRUCTIONS:
        return False
    campaign = campaign_of(lab)
    programs = [program_in_force(lab, campaign), (lab / "program.md").read_text(encoding="utf-8", errors="replace")]
    return bool(campaign) and all(is_open(inside.as_posix(), program) for program in programs)


def is_open(inside, program):
    """Whether a contract lets an agent change a path: named as editable, and not as frozen. When in doubt, not."""
    editable, frozen = listed(program, "editable"), listed(program, "frozen")
    return bool(editable) and frozen is not None and is_meant(inside, editable) and not is_meant(inside, frozen)
