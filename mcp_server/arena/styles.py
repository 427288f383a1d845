"""Research styles: a page of plain text that tells the agent how to work, chosen by `style:` in program.md.

Read anew at each question, so an edited style works from the agent's next turn. A file of the lab's own,
`styles/<name>.md`, outranks the one that ships.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mcp_server.nouns.text import clean_block

STYLE_CHARACTERS = 4000


def shipped_folder() -> Path:
    """Where the shipped styles lie: in the package of a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "styles"
    return packaged if packaged.is_dir() else package.parent / "skills" / "autoresearch" / "styles"


def style_names(tree: Path) -> list[str]:
    """The styles that can be chosen in this work tree."""
    folders = (tree / "styles", shipped_folder())
    return sorted({file.stem for folder in folders if folder.is_dir() for file in folder.glob("*.md")})


def style_version(name: str | None, tree: Path) -> str | None:
    """The style in force and the text it has today, as `name@digest`: an edited style is another one."""
    return None if name is None else f"{name}@{hashlib.sha256(style_text(name, tree).encode()).hexdigest()[:8]}"


def style_text(name: str | None, tree: Path) -> str:
    """The text of a style; "" without one, and a sentence naming the known ones when there is no such style."""
    if name is None:
        return ""
    for folder in (tree / "styles", shipped_folder()):
        try:
            return clean_block((folder / f"{name}.md").read_text(encoding="utf-8"), STYLE_CHARACTERS)
        except (OSError, UnicodeDecodeError):
            continue
    return f"There is no style {name!r}; known are: {', '.join(style_names(tree)) or 'none'}."
