"""The lab a path belongs to, whether a campaign runs there, and what its contract says. Reads, changes nothing.

Standard library only, Python 3.8 on: hooks run in whatever Python the machine has.
"""

from __future__ import annotations

import contextlib
import re
import time

QUIET_AFTER_HOURS = 12.0  # a lab nobody used for so long, with another branch checked out, is at rest


def lab_of(path):
    """The folder with both `program.md` and git's mark that `path` lies in; None outside every lab."""
    for folder in [path, *path.parents]:
        if (folder / ".git").exists():
            return folder if (folder / "program.md").is_file() else None
    return None


def git_folders(lab):
    """(this work tree's git folder, the common one): they differ in a linked work tree."""
    own = lab / ".git"
    if own.is_file():
        own = (lab / own.read_text().split(":", 1)[1].strip()).resolve()
    common = own / "commondir"
    return own, (own / common.read_text().strip()).resolve() if common.is_file() else own.resolve()


def campaign_of(lab):
    """The campaign that runs in this work tree; "" when none does.

    It runs when its branch is checked out, or when the tree joined one and the lab is in use.
    """
    own, common = git_folders(lab)
    ledger = common / "autoresearch" / "lab.db"
    if not ledger.is_file():
        return ""
    branch = re.match(r"ref: refs/heads/autoresearch/(\S+)", (own / "HEAD").read_text())
    if branch:
        return branch[1]
    used = max(file.stat().st_mtime for file in ledger.parent.glob("lab.db*"))
    if time.time() - used >= QUIET_AFTER_HOURS * 3600:
        return ""
    return asked(ledger, "SELECT campaign FROM trees WHERE tree = ?", str(lab))


def program_in_force(lab, campaign):
    """The text of program.md as the ledger has it for a campaign; "" when it cannot be read."""
    ledger = git_folders(lab)[1] / "autoresearch" / "lab.db"
    question = "SELECT text FROM programs JOIN campaigns ON digest = program WHERE tag = ?"
    return asked(ledger, question, campaign)


def asked(ledger, question, value):
    """The first column of the first row. A ledger that cannot be read says nothing."""
    import sqlite3  # here, because most calls need none, and a hook's start is time in which a device waits

    try:
        with contextlib.closing(sqlite3.connect(ledger.as_uri() + "?mode=ro", uri=True, timeout=1)) as db:
            row = db.execute(question, (value,)).fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""


def listed(program, key):
    """A list of the front matter, empty when its key is missing, None when it is not written in a usual way."""
    front = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(\n|$)", program.replace("\r\n", "\n").lstrip("\ufeff \n"), re.DOTALL)
    if not front:
        return None
    # a comment or a blank line may stand between two items, in either form of a list
    lines = (re.sub(r"(^|[ \t])#.*", "", line).rstrip() for line in front[1].split("\n"))
    text = "\n".join(line for line in lines if line)
    inline = re.search(rf"^{key}:[ \t]*\[([^\]]*)\]", text, re.MULTILINE)
    # up to the next key: an item of more than one line is none of the usual ways
    block = re.search(rf"^{key}:[ \t]*\n((?:[ \t]*-[ \t]+.*(?:\n|\Z))+)(?![ \t-])", text, re.MULTILINE)
    if inline:
        items = inline[1].split(",")
    elif block:
        items = [line.strip()[1:] for line in block[1].splitlines()]
    else:
        return None if re.search(rf"^['\"]?{key}\b", text, re.MULTILINE) else []
    items = [item.strip() for item in items if item.strip()]
    # a character class is rare, and its brackets would have to be told apart from the list's; a quote that does not
    # close had a comma or a number sign in it
    if any("[" in item or (item[0] in "'\"" and item[0] != item[1:][-1:]) for item in items):
        return None
    return [item.strip("'\"") for item in items]


def is_meant(path, patterns):
    """Whether a path, relative to the lab, is meant by a pattern: a file, a folder with all below it, or a glob."""
    return any(re.fullmatch(expression(pattern), path) for pattern in patterns)


def expression(pattern):
    """A regular expression for one pattern: `*` and `?` stay within a folder, `**` crosses folders."""
    if pattern.endswith("/"):
        return (expression(pattern[:-1]) if re.search(r"[*?]", pattern) else re.escape(pattern[:-1])) + "/.+"
    if not re.search(r"[*?]", pattern):
        return re.escape(pattern) + "(?:/.+)?"
    rules = {"**/": r"(?:[^/]+/)*", "**": r".+", "*": r"[^/]*", "?": r"[^/]"}
    return "".join(rules.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))
